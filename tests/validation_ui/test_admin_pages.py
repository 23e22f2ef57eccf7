"""The admin's pages in a real Chromium: find an item and steer it, change a setting, read one's entry test."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from sqlalchemy import select, update

from tests.browser import FLAGS, find_chromium
from tests.validation_ui.desk import Desk
from tests.validation_ui.judged import judge
from tests.validation_ui.site import Site, make_site, served
from validation_ui.importing.more import ask, note_fault
from validation_ui.schema import Standing, item, person
from validation_ui.settings import Settings


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = make_site(tmp_path_factory.mktemp("site"))
    site.store.write(lambda c: judge(c, site.ids["v0_o1"], site.ids["ada"]))  # an admin who judges, too
    yield site
    site.store.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(playwright.chromium.executable_path), args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(site: Site) -> Iterator[str]:
    with served(site.app) as address:
        yield address


@pytest.fixture
def ada(chromium: Browser, site: Site, url: str) -> Iterator[Page]:
    yield from _page(chromium, site, url, "ada")


@pytest.fixture
def ben(chromium: Browser, site: Site, url: str) -> Iterator[Page]:
    yield from _page(chromium, site, url, "ben")


def _page(chromium: Browser, site: Site, url: str, name: str) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 800}, base_url=url)
    site.client(name)
    context.add_cookies([{"name": "refsav", "value": site.tokens[name], "url": url}])
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def accessible(page: Page) -> None:
    found = Axe().run(page, context={"exclude": [["#player"]]})
    assert found.violations_count == 0, found.generate_report()


def test_what_is_typed_before_the_people_are_there_stays(ada: Page) -> None:
    held: list[Route] = []
    ada.route("**/api/people", lambda route: held.append(route))  # playwright takes no built-in function
    with ada.expect_request("**/api/people"):
        ada.goto("/items", wait_until="commit")
    video = ada.get_by_label("Video begins with")
    video.fill("v1")
    held[0].continue_()
    expect(ada.get_by_role("status")).to_contain_text("items.")
    expect(video).to_have_value("v1")


def test_an_admin_finds_an_item_is_warned_and_steers_it(ada: Page, site: Site) -> None:
    ada.goto("/items")
    ada.get_by_label("Video begins with").fill("v1")
    ada.get_by_label("State").select_option("blind")
    ada.keyboard.press("Tab")
    ada.get_by_role("button", name="Find", exact=True).click()
    expect(ada.get_by_role("status")).to_have_text("1 item.")
    assert "video=v1&state=blind" in ada.url
    ada.get_by_role("link", name="p_v1_o0").click()
    warned = ada.get_by_text("If you look at the object, or at what others said of it, you will not be asked")
    expect(warned).to_be_visible()
    assert ada.locator("#history li").count() == 0  # nothing is told before
    accessible(ada)
    ada.get_by_role("button", name="Show it all the same").click()
    expect(ada.locator("#history li").first).to_be_visible()
    expect(warned).to_be_hidden()
    ada.get_by_role("button", name="Withdraw it").click()
    expect(ada.get_by_role("dialog")).to_contain_text("It is dropped: nobody is asked about it any more")
    expect(ada.get_by_label("Why, for the log")).to_be_focused()
    accessible(ada)
    ada.keyboard.press("Escape")
    expect(ada.get_by_role("dialog")).to_be_hidden()
    assert _state(site, "v1_o0") == "blind"  # no is no
    ada.get_by_role("button", name="Withdraw it").click()
    ada.get_by_label("Why, for the log").fill("a number plate")
    ada.get_by_role("dialog").get_by_role("button", name="Withdraw it").click()
    expect(ada.get_by_role("button", name="Put it back")).to_be_visible()
    assert _state(site, "v1_o0") == "dropped"
    accessible(ada)


def test_a_setting_is_explained_before_it_is_saved(ada: Page, site: Site) -> None:
    ada.goto("/settings")
    ada.get_by_label("Judged twice").fill("2")
    ada.get_by_role("button", name="See what it would do").click()
    expect(ada.get_by_text("overlap_frac must be a number from 0 to 1, got 2.", exact=True)).to_be_visible()
    expect(ada.get_by_label("Judged twice")).to_be_focused()
    accessible(ada)
    ada.get_by_label("Judged twice").fill("1")
    ada.keyboard.press("Enter")
    expect(ada.get_by_role("dialog")).to_contain_text("Judged twice: 0 becomes 1.")
    expect(ada.get_by_role("dialog")).to_contain_text("items get a second sighted judgement.")
    accessible(ada)
    with site.store.read() as connection:
        assert Settings.load(connection).overlap_frac == 0
    site.client("ada").put(
        "/api/settings",
        json={"values": {"undo_last": 7}},
        headers={"If-Match": f'"{site.client("ada").get("/api/settings").json()["tag"]}"'},
    )
    ada.get_by_role("button", name="Save").click()
    expect(ada.get_by_role("alert")).to_contain_text("Somebody changed the settings since you opened this page")
    expect(ada.get_by_role("alert")).to_be_focused()
    ada.reload()
    expect(ada.get_by_label("Judgements that can be undone")).to_have_value("7")
    site.store.write(lambda c: ask(c, replace(Settings.load(c), long=1), Settings.load(c)))
    site.store.write(lambda c: note_fault(c, "the disk is full"))
    ada.goto("/dashboard")
    expect(ada.locator("#draw")).to_contain_text(
        "still to be drawn for the raised quotas. The last try failed: the disk"
    )
    ada.goto("/settings")
    expect(ada.locator("#draw")).to_contain_text("still to be drawn")
    accessible(ada)
    with ada.expect_response("**/api/settings/draw") as answer:
        ada.get_by_role("button", name="Draw them now").click()
    assert answer.value.status == 204


def test_a_newcomer_goes_through_the_guide_and_reads_the_answers_after_the_test(ben: Page, site: Site) -> None:
    desk = Desk(site.store, site.ids)
    site.client("ada").put(
        "/api/settings",
        json={"values": {"entry_items": 2, "entry_right_frac": 0}},
        headers={"If-Match": f'"{site.client("ada").get("/api/settings").json()["tag"]}"'},
    )
    entry = update(person).where(person.c.name == "ben").values(standing=Standing.ENTRY)
    site.store.write(lambda c: c.execute(entry).rowcount)
    ben.goto("/review")
    expect(ben.get_by_role("heading", name="How to judge")).to_be_visible()
    accessible(ben)
    ben.get_by_role("button", name="I have read it: begin the entry test").click()
    ben.wait_for_url("**/review?kinds=sighted")
    for _ in range(2):
        slot_id = desk.claim("ben")
        desk.judge("ben", slot_id, "accept")
    ben.goto("/me")
    ben.get_by_role("link", name="Your entry test").click()
    expect(ben.get_by_text("Passed: 1 of 2 right")).to_be_visible()
    expect(ben.get_by_role("listitem").filter(has_text="Your answer: accept")).to_have_count(2)
    expect(ben.get_by_text("The text was written for another object of this video.")).to_be_visible()
    accessible(ben)


def _state(site: Site, name: str) -> str:
    with site.store.read() as connection:
        return str(connection.execute(select(item.c.state).where(item.c.id == site.ids[name])).scalar_one())
