"""The pages in a real Chromium: accessible, narrow, in both themes, and blind to markup in data."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from sqlalchemy import Connection, update

from tests.browser import FLAGS, find_chromium
from tests.validation_ui.judged import judge
from tests.validation_ui.site import Site, make_site, served
from validation_ui.schema import judgement, person, text_version
from validation_ui.web.account import HOTKEY_ACTIONS, HOTKEY_CODES

EVIL = '"><svg onload="window.hacked=1"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
PAGES = {
    "/": "ada",
    "/dashboard": "ada",
    "/items": "ada",
    "/items?state=gold&sort=latest": "ada",
    "/settings": "ada",
    "/export": "ada",
    "/entry": "ben",
    "/people": "ada",
    "/gold": "ada",
    "/log": "ada",
    "/guide": "ann",
    "/me": "ann",
    "/i/p_v2_o0": "ada",
    "/nothing": "ann",
    "/login": None,
    "/invite/x": None,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project whose every text is an attack."""
    site = make_site(tmp_path_factory.mktemp("site"))

    def spoil(connection: Connection) -> None:
        judge(connection, site.ids["gold_0"], site.ids["ann"], gold_right=True)
        connection.execute(update(text_version).values(parts={"object": EVIL, "scene": EVIL, "video": EVIL}))
        connection.execute(update(judgement).values(note=EVIL, reasons=[EVIL]))
        connection.execute(update(person).where(person.c.name == "ann").values(name=EVIL))

    site.store.write(spoil)
    yield site
    site.store.close()


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    with served(site.app) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(playwright.chromium.executable_path), args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 360, "height": 740})
    yield context
    context.close()


def sign_in(context: BrowserContext, site: Site, url: str, name: str | None) -> None:
    context.clear_cookies()
    if name:
        site.client(name)
        context.add_cookies([{"name": "refsav", "value": site.tokens[name], "url": url}])


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    if "/i/" in address:
        expect(page.locator("#history li").first).to_be_visible()


@pytest.mark.parametrize("path", PAGES)
def test_accessible_narrow_and_in_both_themes(context: BrowserContext, site: Site, url: str, path: str) -> None:
    sign_in(context, site, url, PAGES[path])
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security" in line.text else None)
    page.on("dialog", lambda dialog: faults.append(dialog.message))
    open_page(page, url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, context={"exclude": [["#player"]]})  # test_player.py looks at it, with pictures
        assert found.violations_count == 0, found.generate_report()
    small = page.evaluate("""[...document.querySelectorAll("button, select, input, .top a, .button, .pass")]
        .filter((e) => e.checkVisibility() && !e.matches("[type=radio], [type=checkbox], #player *"))
        .filter((e) => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)
        .map((e) => e.outerHTML)""")
    assert small == []
    assert page.evaluate("window.hacked") is None
    assert faults == []


def test_markup_in_data_is_text(context: BrowserContext, site: Site, url: str) -> None:
    sign_in(context, site, url, "ada")
    page = context.new_page()
    for path, times in {"/people": 1, "/gold": 6, "/i/p_v2_o0": 5, "/dashboard": 1, "/items": 8}.items():
        open_page(page, url + path)
        page.wait_for_function(
            """([text, times]) => document.querySelector("main").innerText.split(text).length > times""",
            arg=["<script>window.hacked=1</script>", times],
        )
        assert page.locator("svg[onload], img[onerror], main script").count() == 0, path
        assert page.evaluate("window.hacked") is None


def test_join_sign_out_sign_in_and_be_led_back(context: BrowserContext, site: Site, url: str) -> None:
    page = context.new_page()
    link = site.client("ada").post("/api/invites", json={"role": "reviewer"}).json()["url"]
    page.goto(url + "/invite/" + link.rsplit("/", 1)[1])
    page.get_by_label("Name").fill("Zoë")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert")).to_contain_text("12 to 200 characters")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill("a lake in spring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hello, Zoë")).to_be_visible()
    expect(page.get_by_text("First comes the entry test")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto(url + "/guide")
    page.get_by_label("Name").fill("zoë")
    page.get_by_label("Password").fill("a lake in winter")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    page.get_by_label("Password").fill("a lake in spring")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="How to judge")).to_be_visible()


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_a_login_leads_to_no_other_site(context: BrowserContext, url: str, wanted: str) -> None:
    page = context.new_page()
    page.goto(url + "/login")
    module = "([w, b]) => import('/static/pages/next.js').then((m) => m.nextAddress(w, location.origin, b))"
    assert page.evaluate(module, [wanted, ""]) == "/"
    assert page.evaluate(module, [wanted, "/refsav"]) == "/refsav/"
    assert page.evaluate(module, ["/i/x?f=1", ""]) == "/i/x?f=1"
    for other in ("/", "/other", "/refsavage", "/refsav/../other", "/refsav/%2e%2e/other", "/refsav//../../other"):
        assert page.evaluate(module, [other, "/refsav"]) == "/refsav/"
    for ours in ("/refsav", "/refsav/", "/refsav/i/x?f=1"):
        assert page.evaluate(module, [ours, "/refsav"]) == ours


def test_the_theme_is_kept(context: BrowserContext, site: Site, url: str) -> None:
    sign_in(context, site, url, "ben")
    page = context.new_page()
    open_page(page, url + "/me")
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.get_by_role("button", name="Theme: as the system").click()
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.get_by_role("button", name="Theme: light").click()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_a_key_is_set_by_pressing_it_and_clashes_show(context: BrowserContext, site: Site, url: str) -> None:
    sign_in(context, site, url, "ben")
    page = context.new_page()
    open_page(page, url + "/me")
    page.get_by_role("button", name="Key for Accept").click()
    page.keyboard.press("Alt+KeyE")
    expect(page.get_by_role("button", name="Key for Accept: Alt E")).to_be_focused()
    assert site.client("ben").get("/api/me").json()["hotkeys"] == {"accept": "Alt+KeyE"}
    page.get_by_role("button", name="Key for Accept").click()
    page.keyboard.press("KeyE")
    expect(page.get_by_role("button", name="Key for Accept: E, used twice")).to_be_visible()
    page.get_by_role("button", name="All keys as they were").click()
    expect(page.get_by_role("button", name="Key for Accept: A", exact=True)).to_be_visible()


def test_the_server_allows_the_actions_of_the_scripts_and_no_others(context: BrowserContext, url: str) -> None:
    page = context.new_page()
    page.goto(url + "/login")
    actions = page.evaluate(
        "import('/static/review/keys.js').then((m) => m.ACTIONS.map((a) => [a.name, a.defaultKey]))"
    )
    assert {name for name, _ in actions} == HOTKEY_ACTIONS
    assert {key for _, key in actions} <= HOTKEY_CODES


def test_an_admin_invites_revokes_and_verifies(context: BrowserContext, site: Site, url: str) -> None:
    sign_in(context, site, url, "ada")
    page = context.new_page()
    open_page(page, url + "/people")
    page.get_by_label("Invite a").select_option("adjudicator")
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_label("Send this link")).to_be_focused()
    link = page.get_by_label("Send this link").input_value()
    assert context.request.get(url + "/invite/" + link.rsplit("/", 1)[1]).ok
    page.get_by_role("button", name="Revoke the invite for a adjudicator").first.click()
    expect(page.get_by_role("status")).to_contain_text("Revoked")
    page.get_by_label("Standing of cy").select_option("stopped")
    expect(page.get_by_role("status")).to_contain_text("cy: stopped")
    page.get_by_label("Account of cy").select_option("paused")
    expect(page.get_by_role("status")).to_contain_text("cy is paused")
    page.get_by_role("button", name="Work of").first.click()
    expect(page.locator("#work tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Count").click()
    expect(page.locator("#redo-count")).to_have_text("1 judgement of 1 item.")
    page.get_by_role("button", name="Open these again").click()
    expect(page.locator("#said")).to_have_text("Opened again: 1 judgement.")
    expect(page.locator("#work")).to_contain_text("undone by an admin: done again by others")
    page.get_by_label("Who judged the item").fill("p_v0_o1")
    page.keyboard.press("Enter")
    expect(page.locator("#work")).to_have_text("There are no judgements.")
    open_page(page, url + "/log")
    page.get_by_role("button", name="Verify the log").click()
    expect(page.get_by_role("status")).to_contain_text("The log is whole")
