"""The app at `https://lab.example/refsav`: behind proxies that strip the path or keep it, beside other apps."""

import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from tests.validation_ui.conftest import Clock
from tests.validation_ui.site import BASE, CHUNK, SECRET, Site, make_site
from validation_ui.people import access
from validation_ui.serving import ListenOptions, Serving, normal_url
from validation_ui.web import pages
from validation_ui.web.app import create_app

PUBLIC = "https://lab.example/refsav"
WEB = Path(__file__).parents[2] / "validation_ui" / "web"


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    site = make_site(tmp_path, clock, Serving(SECRET, tls=True, public_url=PUBLIC))
    yield site
    site.store.close()


BOTH = pytest.mark.parametrize("before", ["", "/refsav"], ids=["stripped", "kept"])


@BOTH
def test_pages_scripts_and_data_are_there_whether_the_path_is_stripped_or_kept(site: Site, before: str) -> None:
    client = site.client("ada")
    for path in ("/", "/review", "/i/p_v2_o0", "/api/me", "/static/lib/api.js", f"/media/frames/{CHUNK}.bin"):
        assert client.get(before + path).status_code == 200, path
    assert client.get(before + "/nothing").status_code == 404
    page = client.get(before + "/people").text
    addresses = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
    assert len(addresses) > 10
    assert all(address.startswith("/refsav/") for address in addresses)
    assert 'href="/refsav/people" aria-current="page"' in page


@BOTH
def test_the_login_is_below_the_path_and_leads_back_below_it(site: Site, before: str) -> None:
    answer = site.client().get(f"{before}/i/p_v0_o0?f=3")
    wanted = "/refsav/login?next=%2Frefsav%2Fi%2Fp_v0_o0%3Ff%3D3"
    assert (answer.status_code, answer.headers["location"]) == (303, wanted)


def test_the_path_itself_is_the_start(site: Site) -> None:
    assert "Hello, ada" in site.client("ada").get("/refsav").text
    assert site.client("ada").get("/refsavage").status_code == 404


@BOTH
def test_a_slash_too_many_leads_nowhere_else(site: Site, before: str) -> None:
    """The address is relative to the host that the browser knows: the app may be told another one by the proxy."""
    client = site.client("ada")
    for path, led in (
        ("/review/?kinds=blind", "/refsav/review?kinds=blind"),
        ("//evil.example/", "/refsav/evil.example"),
    ):
        answer = client.get(BASE + before + path)
        assert (answer.status_code, answer.headers["location"]) == (307, led)


@BOTH
def test_the_cookie_is_sent_to_this_app_alone(site: Site, before: str) -> None:
    token = site.session("ann")
    client = site.client(token=token)
    answer = client.post(f"{before}/api/logout", headers={"x-csrf-token": client.headers["x-csrf-token"]})
    (cookie,) = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie.key, cookie["path"]) == ("__Secure-refsav-~refsav", "/refsav")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert "domain" not in answer.headers["set-cookie"].lower()
    assert "strict-transport-security" not in answer.headers  # the host is not ours alone


def test_apps_at_one_host_have_cookies_of_different_names() -> None:
    urls = ("http://h", "http://h:8300", "http://h:8301", "http://h/a", "http://h/a/b", "http://h/b", "http://h:8300/a")
    for tls in (False, True):
        names = [access.cookie_name(Serving(SECRET, tls=tls, public_url=normal_url(url))) for url in urls]
        assert len(set(names)) == len(urls)
        assert all(re.fullmatch(r"[A-Za-z0-9~_-]+", name) for name in names)
    assert [access.cookie_name(Serving(SECRET, tls=tls)) for tls in (False, True)] == ["refsav", "__Host-refsav"]


@BOTH
def test_writes_come_from_the_public_origin(site: Site, before: str) -> None:
    client = site.client("ada")
    for origin, status in (("https://lab.example", 200), ("https://lab.example.evil", 403), ("https://other.lab", 403)):
        sent = {"origin": origin, "host": "127.0.0.1:8300"}
        assert client.patch(f"{before}/api/me", json={}, headers=sent).status_code == status


def test_an_invite_names_the_public_address(site: Site) -> None:
    link = site.client("ada").post("/api/invites", json={"role": "reader"}).json()["url"]
    assert link.startswith(f"{PUBLIC}/invite/")


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("https://lab.example/refsav/", PUBLIC),
        ("HTTPS://Lab.Example:443/refsav", PUBLIC),
        ("http://lab.example:80", "http://lab.example"),
        ("https://lab.example:8443/a/b.c/", "https://lab.example:8443/a/b.c"),
        ("https://bücher.example/refsav", "https://xn--bcher-kva.example/refsav"),
        ("http://[::1]:8300/", "http://[::1]:8300"),
    ],
)
def test_the_public_url_is_written_as_browsers_name_it(given: str, normal: str) -> None:
    """A default port or a capital letter would make every write look like that of another site."""
    assert ListenOptions(public_url=given).public_url == normal


@pytest.mark.parametrize(
    "url",
    ["", "team", "ftp://x", "https://", "https:///refsav", "https://h:x", "https://h:99999", "https://me:pw@h", "https://h/?a=1",
     "https://h/#a", "https://h/a//b", "https://h/../b", "https://h/a%2fb", "https://h/a b", "https://h/ä", "https://h/.a",
     "https://[::1", 'https://h/"><script>', "https://h/a;b", "https://" + "x" * 70, "https://h\\evil"],
)  # fmt: skip
def test_public_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match="--public-url must be"):
        ListenOptions(public_url=url)


def test_a_path_that_is_an_address_of_the_app_is_refused(site: Site, tmp_path: Path) -> None:
    """`/review` with a proxy that strips it could be the start or the review page."""
    taken = {"review", "api", "media", "static", "login", "i", "invite", "people", "me"}
    for first in taken | {path.split("/")[1] for path in pages.addresses()} - {""}:
        with pytest.raises(ValueError, match=f"must not begin with /{first}"):
            create_app(site.store, tmp_path, tmp_path, Serving(SECRET, public_url=f"https://h/{first}/x"))


def test_scripts_ask_for_nothing_at_the_root_of_the_host() -> None:
    """`lib/address.js` puts the path before addresses; what goes by these functions is done, the rest must call it."""
    free = re.compile(
        r"""(?:fetch|location\.(?:assign|replace)|new Worker|new EventSource|sendBeacon)\(\s*["'`]/"""
        r"""|(?:location|\.href|\.src)\s*=[^=>][^\n]*["'`]/|indexedDB\.open\("|\.cookie\b"""
    )
    scripts = list((WEB / "static").rglob("*.js"))
    assert len(scripts) > 20
    assert [f"{path.name}: {hit.group()}" for path in scripts for hit in free.finditer(path.read_text())] == []
    for bad in (
        'fetch("/api/me")',
        "location.assign(`/login`)",
        'image.src = "/media/x"',
        'indexedDB.open("refsav", 1)',
    ):
        assert free.search(bad)
    styles = "".join(path.read_text() for path in (WEB / "static").rglob("*.css"))
    assert not re.search(r"url\(\s*[\"']?/", styles)
