"""What holds for every response and every request."""

import ast
import contextlib
import gzip
import json
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from tests.validation_ui.conftest import Clock
from tests.validation_ui.site import CHUNK, SECRET, Site, make_site, served
from validation_ui.serving import Serving, load_secret
from validation_ui.web.guard import MAX_BODY

UI = Path(__file__).parents[2] / "validation_ui"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("site"))
    site.app.add_api_route("/api/crash", _crash)
    site.app.add_api_route("/crash", _crash)
    yield site
    site.store.close()


def _crash() -> None:
    raise RuntimeError("<script>the secret of the crash</script>")


ANSWERS: dict[str, tuple[str | None, str, str, dict[str, Any], int]] = {
    "page": ("ada", "GET", "/", {}, 200),
    "login page": (None, "GET", "/login", {}, 200),
    "to the login": (None, "GET", "/", {}, 303),
    "page that is not there": ("ada", "GET", "/nothing", {}, 404),
    "page of another role": ("ann", "GET", "/people", {}, 403),
    "json": ("ada", "GET", "/api/me", {}, 200),
    "json, signed out": (None, "GET", "/api/me", {}, 401),
    "json of another role": ("ann", "GET", "/api/people", {}, 403),
    "json that is not there": ("ada", "GET", "/api/nothing", {}, 404),
    "wrong method": ("ada", "DELETE", "/api/me", {}, 405),
    "bad json": ("ada", "PATCH", "/api/me", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
    "unknown field": ("ada", "PATCH", "/api/me", {"json": {"<b>": "<script>"}}, 422),
    "no json": ("ada", "PATCH", "/api/me", {"content": b"<script>"}, 415),
    "too large": ("ada", "PATCH", "/api/me", {"json": {"x": "y" * MAX_BODY}}, 413),
    "foreign": ("ada", "PATCH", "/api/me", {"json": {}, "headers": {"origin": "https://evil.example"}}, 403),
    "foreign host": ("ada", "GET", "/", {"headers": {"host": "evil.example"}}, 400),
    "range": ("ada", "GET", f"/media/frames/{CHUNK}.bin", {"headers": {"range": "bytes=" + "0-0," * 50}}, 416),
    "chunk": ("ada", "GET", f"/media/frames/{CHUNK}.bin", {}, 200),
    "source": ("ada", "GET", "/media/videos/m_v0", {}, 200),
    "no chunk": ("ada", "GET", "/media/frames/x.bin", {}, 404),
    "script": (None, "GET", "/static/lib/api.js", {}, 200),
    "no script": (None, "GET", "/static/nothing.js", {}, 404),
    "crash of the api": ("ada", "GET", "/api/crash", {}, 500),
    "crash of a page": ("ada", "GET", "/crash", {}, 500),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_has_the_headers(site: Site, name: str) -> None:
    who, method, path, more, status = ANSWERS[name]
    answer = site.client(who).request(method, path, **more)
    assert answer.status_code == status, answer.text
    headers = answer.headers
    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert "access-control-allow-origin" not in headers
    if path.startswith("/static/") and status == 200:
        assert headers["cache-control"] == "no-cache"
    elif not (path.startswith("/media/") and status == 200):
        assert headers["cache-control"] == "no-store"
    if path.startswith("/api/"):
        assert headers["content-type"] == "application/json"
        if status >= 400:
            assert answer.json()["error"].keys() >= {"code", "message"}
    if status >= 400:
        assert "<script>the" not in answer.text
        assert "secret of the crash" not in answer.text
        assert "<b>" not in answer.text


def test_no_echo_of_what_was_sent(site: Site) -> None:
    """CVE-2025-25296: errors never contain input as HTML."""
    evil = "<svg/onload=alert(1)>"
    for path in (f"/{evil}", f"/i/{evil}", f"/invite/{evil}", f"/login?next={evil}", f"/api/items/{evil}"):
        answer = site.client("ada").get(path)
        assert "<svg" not in answer.text
    for body in ({evil: evil}, {"preferences": {evil: 1}}, {"preferences": {"theme": evil}}, {"hotkeys": {evil: evil}}):
        answer = site.client("ada").patch("/api/me", json=body)
        assert answer.status_code == 422
        assert "svg" not in answer.text


@pytest.fixture(scope="module")
def port(site: Site) -> Iterator[int]:
    with served(site.app) as url:
        yield int(url.rsplit(":", 1)[1])


def raw(port: int, head: str, body: bytes = b"") -> bytes:
    """The status line of the answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        with contextlib.suppress(OSError):  # it hung up before all was sent
            sock.sendall(f"{head}\r\n\r\n".replace("\n", "\r\n").replace("\r\r", "\r").encode() + body)
        return sock.recv(4096).split(b"\r\n")[0]


LOGIN = "POST /api/login HTTP/1.1\nHost: 127.0.0.1\nContent-Type: application/json"


def test_bodies_are_small_whatever_their_length_says(port: int) -> None:
    big = b"x" * (MAX_BODY + 1)
    assert b" 413 " in raw(port, f"{LOGIN}\nContent-Length: {len(big)}", big)
    assert b" 413 " in raw(port, f"{LOGIN}\nContent-Length: 99999999999", b"{}")
    chunked = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n"
    assert b" 413 " in raw(port, f"{LOGIN}\nTransfer-Encoding: chunked", chunked)
    assert b" 4" in raw(port, f"{LOGIN}\nContent-Length: 2", big)  # what is beyond is no part of the request
    assert b" 400 " in raw(port, f"{LOGIN}\nContent-Length: -1", b"{}")
    fine = json.dumps({"name": "x" * 40, "password": "y"}).encode()
    assert b" 401 " in raw(port, f"{LOGIN}\nContent-Length: {len(fine)}", fine)


def test_no_multipart_no_forms_no_packed_bodies(site: Site) -> None:
    """CVE-2025-54121: a big multipart body blocked Starlette's loop; there is no upload here at all."""
    client = site.client()
    body = json.dumps({"name": "ann", "password": "x"}).encode()
    for kind in ("multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/plain", "text/html", ""):
        answer = client.post("/api/login", content=body, headers={"content-type": kind})
        assert (answer.status_code, answer.json()["error"]["code"]) == (415, "not_json")
    assert client.post("/api/login", files={"file": b"x"}).status_code == 415
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post("/api/login", content=gzip.compress(body), headers=packed).status_code == 400


@pytest.mark.parametrize("path", ["/", "/api/me", "/static/css/base.css", f"/media/frames/{CHUNK}.bin"])
def test_a_hundred_thousand_ranges_cost_nothing(site: Site, path: str) -> None:
    """CVE-2025-62727."""
    for header in ("bytes=" + ",".join(["0-0"] * 100_000), "x" * 65):
        assert site.client("ada").get(path, headers={"range": header}).status_code == 416


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example", "[::", "0.0.0.0"]
)
def test_hosts_that_are_not_ours(site: Site, host: str) -> None:
    """DNS rebinding."""
    assert site.client("ada").get("/", headers={"host": host}).status_code == 400


def test_hosts_that_are_ours(tmp_path: Path, clock: Clock) -> None:
    serving = Serving(SECRET, public_url="https://judge.example/", hosts=("10.0.0.7",))
    site = make_site(tmp_path, clock, serving)
    for host in ("127.0.0.1:8300", "localhost", "[::1]:80", "judge.example", "JUDGE.example:443", "10.0.0.7:8300"):
        assert site.client("ada").get("/", headers={"host": host}).status_code == 200
    origin = {"origin": "https://judge.example"}
    assert site.client("ada").patch("/api/me", json={}, headers=origin).status_code == 200
    link = site.client("ada").post("/api/invites", json={"role": "reader"}).json()["url"]
    assert link.startswith("https://judge.example/invite/")
    site.store.close()


def test_no_web_sockets(site: Site) -> None:
    with pytest.raises(WebSocketDisconnect), TestClient(site.app).websocket_connect("/api/me"):
        pass


def test_the_secret_is_random_and_its_owners_alone(tmp_path: Path) -> None:
    """CVE-2023-43791: a hard-coded key forged sessions."""
    (tmp_path / "other").mkdir()
    secret = load_secret(tmp_path)
    assert len(secret) == 32
    assert secret == load_secret(tmp_path) == (tmp_path / "secret").read_bytes()
    assert secret != load_secret(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


@pytest.mark.parametrize("secret", [b"", b"short", b"x" * 31, b"x" * 32, b"changeme" * 4, b"\0" * 64])
def test_a_short_or_known_secret_is_refused(tmp_path: Path, secret: bytes) -> None:
    (tmp_path / "secret").write_bytes(secret)
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(ValueError, match="32 random bytes"):
        load_secret(tmp_path)
    with pytest.raises(ValueError, match="32 random bytes"):
        Serving(secret)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_secret(tmp_path)
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(ValueError, match="owner alone"):
        load_secret(tmp_path)


def test_a_secret_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(ValueError, match="must be a file"):
        load_secret(tmp_path)
    (tmp_path / "secret").rmdir()
    (tmp_path / "secret").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="must be a file"):
        load_secret(tmp_path)


def test_static_files_come_from_the_package_alone(site: Site, tmp_path: Path) -> None:
    client = site.client("ada")
    for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "lib/../../app.py", "jsconfig.json", "lib",
                 "", "lib/api.js%00.css"):  # fmt: skip
        assert client.get(f"/static/{name}").status_code in (404, 405), name
    answer = client.get("/static/lib/api.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.content == (UI / "web/static/lib/api.js").read_bytes()
    again = client.get("/static/lib/api.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


BANNED_IN_SCRIPTS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment|DOMParser"
    r"|\.srcdoc|javascript:|setAttribute\(\s*[\"'](style|on)|https?://(?!www\.w3\.org)"
)
BANNED_IN_TEMPLATES = re.compile(
    r"\|\s*safe|autoescape|Markup|<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|(src|href)=\"https?:",
    re.I,
)


def test_no_html_from_data_by_the_scripts() -> None:
    """CVE-2024-26152, CVE-2026-116554: text is text; and nothing comes from elsewhere."""
    paths = list((UI / "web/static").rglob("*.js"))
    assert len(paths) > 20
    found = [
        f"{path.name}: {match.group()}" for path in paths for match in BANNED_IN_SCRIPTS.finditer(path.read_text())
    ]
    assert found == []
    for bad in ("x.innerHTML = y", "eval('x')", "new Function('x')", 'e.setAttribute("style", x)'):
        assert BANNED_IN_SCRIPTS.search(bad)


def test_no_html_from_data_by_the_templates() -> None:
    paths = list((UI / "web/templates").glob("*.html"))
    assert len(paths) > 10
    found = [f"{path.name}: {hit.group()}" for path in paths for hit in BANNED_IN_TEMPLATES.finditer(path.read_text())]
    assert found == []
    for bad in ("{{ x|safe }}", "<p style='x'>", "<a onclick='x'>", "<script>x"):
        assert BANNED_IN_TEMPLATES.search(bad)


def test_the_app_unpickles_nothing_and_asks_nobody() -> None:
    """CVE-2025-5173 (pickle), CVE-2022-36551 (requests to addresses of others): nothing to do either with."""
    banned = {"pickle", "torch", "ray", "requests", "httpx", "urllib.request", "http.client", "aiohttp"}
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name for name in names if name in banned or name.split(".")[0] in banned}, path


def test_filters_are_closed(site: Site) -> None:
    """CVE-2023-47117: filters of the client's making leaked hashes; here an unknown one does nothing."""
    plain = site.client("ada").get("/api/people").json()
    for query in ("password_hash__startswith=%24", "order_by=password_hash", "fields=password_hash"):
        assert site.client("ada").get(f"/api/people?{query}").json() == plain
    assert "argon2" not in str(plain)
    assert not {"password_hash", "name_key"} & plain["people"][0].keys()
