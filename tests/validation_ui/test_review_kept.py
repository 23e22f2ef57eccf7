"""Nobody loses work unnoticed: leaving the page, slots that are gone, refusals, browsers that keep nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect
from sqlalchemy import Connection, insert, select, update

from manifests.io import Folder
from tests.running import eventually
from tests.validation_ui.review_driver import (
    Running,
    chromium,
    flag,
    is_saved,
    running,
    text,
    violations,
    wait_for_frame,
    wait_for_text,
)
from tests.validation_ui.rows import add_item
from validation_ui import backups
from validation_ui.project import Project
from validation_ui.schema import draft, judgement, masklet, meta, person, session, slot

FOCUS = "document.activeElement.closest('.notice, .empty h1') !== null"
NO_DISK = "indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); };"
FULL_DISK = """IDBObjectStore.prototype.put = function () {
    this.transaction.abort();
    throw new DOMException('full', 'QuotaExceededError');
};"""
NOTHING = NO_DISK + "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def project(browser: Browser, tmp_path: Path) -> Iterator[Running]:
    with running(browser, tmp_path) as project:
        yield project


def write(page: Page, note: str) -> None:
    """All but the sending; the draft is kept when this returns."""
    flag(page, note)
    is_saved(page, note)


def test_the_guide_a_reload_and_the_back_button_keep_item_and_draft(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    was = text(page)
    write(page, "half of it")
    page.keyboard.type(", or more")  # and gone before a third of a second is over
    page.get_by_role("link", name="Guide").click()
    page.wait_for_url("**/guide")
    eventually(lambda: [row.body["note"] for row in project.rows(select(draft.c.body))] == ["half of it, or more"])
    assert text(project.review("ben")) != was  # nobody else was given it
    page.go_back()
    wait_for_text(page, was[-30:])
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half of it, or more")
    page.reload()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half of it, or more")
    project.clock.added_s += 1000  # a closed laptop: the lease ran out, and nobody took the item
    page.goto(f"{project.url}/guide")
    page.goto(f"{project.url}/review?kinds=sighted")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half of it, or more")
    [held] = project.rows(select(slot).where(slot.c.holder_id == project.ids["ann"], slot.c.claimed_at.is_not(None)))
    assert held.state == "leased"


def test_an_item_that_went_while_its_author_was_away_leaves_its_draft(project: Running) -> None:
    context = project.context("ann", permissions=["clipboard-read", "clipboard-write"])
    page = project.open(context)
    was = text(page)
    write(page, "written before lunch")
    page.get_by_role("link", name="Guide").click()
    page.wait_for_url("**/guide")
    project.clock.added_s += 1000
    assert text(project.review("ben")) == was
    page.go_back()
    notice = page.locator(".notice")
    expect(notice).to_contain_text("no longer yours: your time for it ran out")
    expect(notice).to_contain_text("written before lunch")
    assert page.evaluate(FOCUS)
    assert violations(page) == []
    notice.get_by_role("button", name="Copy what I wrote").click()
    expect(notice.get_by_role("button", name="Copied")).to_be_visible()
    assert "Note: written before lunch" in page.evaluate("navigator.clipboard.readText()")
    page.reload()  # and it is still to be had
    page.get_by_role("button", name="1 draft kept").click()
    card = page.locator(".unsent-card")
    expect(card).to_contain_text("written before lunch")
    assert violations(page) == []
    card.get_by_role("button", name="Drop this draft").click()
    expect(page.locator(".unsent")).to_be_hidden()


def test_a_withdrawn_item_says_so_where_one_looks_and_keeps_the_form(project: Running) -> None:
    page = project.review("ann")
    was = text(page)
    write(page, "nearly done")
    held = (slot.c.holder_id == project.ids["ann"], slot.c.claimed_at.is_not(None))
    project.store.write(lambda c: c.execute(update(slot).where(*held).values(state="void", holder_id=None)).rowcount)
    page.keyboard.press("Control+Enter")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("it was withdrawn")
    assert page.evaluate(FOCUS)
    expect(notice).to_be_in_viewport()
    assert (text(page), page.locator(".decision input:checked").input_value()) == (was, "flag")
    expect(notice.get_by_role("button", name="Copy what I wrote")).to_be_visible()
    notice.get_by_role("button", name="Next item").click()
    page.wait_for_function("was => document.querySelector('.expression').textContent !== was", arg=was)
    expect(page.get_by_role("button", name="1 draft kept")).to_be_visible()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, '{"error": {"code": "host", "message": "This server does not answer to that host name."}}', "host name"),
        (403, "<h1>Blocked</h1>", "Something between this page and the server refused"),
        (413, "<h1>Too large</h1>", "more text than the server takes"),
        (
            422,
            '{"error": {"code": "invalid", "message": "Not so.", "fields": {"other": "too odd"}}}',
            "Not so. too odd",
        ),
        (429, "<h1>Slow down</h1>", "Too many requests"),
        (503, "<h1>Back soon</h1>", "or is down, at present"),
        (200, "<h1>Sign in to this network</h1>", "sign-in page of a network"),
        (0, "", "cannot be reached"),
    ],
)
def test_every_refusal_is_told_in_words_and_gets_the_focus(
    project: Running, status: int, body: str, words: str
) -> None:
    page = project.review("ann")

    def refuse(route: Route) -> None:
        kind = "application/json" if body.startswith("{") else "text/html"
        if status:
            route.fulfill(status=status, body=body, content_type=kind)
        else:
            route.abort()

    page.route("**/submit", refuse)
    write(page, "worth keeping")
    page.keyboard.press("Control+Enter")
    notice = page.locator(".notice")
    expect(notice).to_contain_text(words)
    expect(notice).to_be_in_viewport()
    assert page.evaluate(FOCUS)
    assert project.rows(select(judgement)) == []
    page.unroute("**/submit")
    if status in (429, 503, 200, 0):  # what may pass by itself is sent when it has
        page.get_by_role("button", name="1 unsent").click()
        expect(page.get_by_role("dialog")).to_contain_text("worth keeping")
        page.get_by_role("button", name="Send again").click()
        expect(page.locator(".unsent")).to_be_hidden()
        expect(notice).to_be_hidden()
    else:
        expect(page.get_by_role("textbox", name="Note")).to_have_value("worth keeping")
        page.keyboard.press("Enter")
        wait_for_text(page, "v0_o1")
    [said] = project.rows(select(judgement))
    assert said.note == "worth keeping"


@pytest.mark.parametrize("fault", [NO_DISK, FULL_DISK], ids=["refused", "full"])
def test_without_indexeddb_a_draft_and_an_answer_outlive_the_page(project: Running, fault: str) -> None:
    context = project.context("ann")
    context.add_init_script(fault)
    page = project.open(context)
    write(page, "kept elsewhere")
    page.route("**/draft", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("textbox", name="Note")).to_have_value("kept elsewhere")
    page.route("**/submit", lambda route: route.abort())
    page.locator(".send").click()
    expect(page.locator(".notice")).to_contain_text("It is kept in this browser")
    page.unroute("**/submit")
    page.reload()
    expect(page.locator(".unsent")).to_be_hidden()
    page.wait_for_function("() => !Object.keys(localStorage).some((key) => key.includes('outbox'))")
    [said] = project.rows(select(judgement))
    assert said.note == "kept elsewhere"


def test_where_nothing_can_be_kept_the_page_says_so_and_asks_before_it_closes(project: Running) -> None:
    context = project.context("ann")
    context.add_init_script(NOTHING)
    page = project.open(context)
    page.clock.install()
    page.route("**/draft", lambda route: route.abort())
    flag(page, "in the air")
    page.clock.run_for(6000)
    expect(page.locator(".saved")).to_contain_text("kept by this page only: do not close it")
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.close(run_before_unload=True)
    page.wait_for_function("() => document.querySelector('.saved')")
    assert asked == ["beforeunload"]


def test_what_was_written_before_a_restore_is_neither_sent_nor_shown_on_another_item(
    project: Running, tmp_path: Path
) -> None:
    """Items that came after the backup are gone, and their slots' ids are given to others."""

    def add(name: str) -> None:
        def work(c: Connection) -> None:
            add_item(c, c.execute(select(masklet.c.id)).scalars().first() or 0, "v0", name, priority=-1)

        project.store.write(work)

    of_run = Project(Folder(str(tmp_path)), tmp_path)
    project.store.write(lambda c: c.execute(insert(meta).values(key="run", value={"out": of_run.out.url})).rowcount)
    backups.make(project.store, tmp_path / "backup")
    for name in ("gone_1", "gone_2"):
        add(name)
    context = project.context("ann")
    page = project.open(context)
    wait_for_text(page, "gone_1")
    page.route("**/submit", lambda route: route.abort())
    write(page, "an answer that was not sent")
    page.keyboard.press("Control+Enter")
    wait_for_text(page, "gone_2")
    write(page, "a draft of an item that is gone")
    page.goto("about:blank")
    project.restart(lambda: backups.restore(of_run, tmp_path / "backup"))
    for name in ("other_1", "other_2"):
        add(name)
    project.sign_in(context, "ann")
    page = project.open(context)
    for name in ("other_1", "other_2"):  # with the ids of the slots that are gone
        wait_for_text(page, name)
        assert page.locator(".decision input:checked").count() == 0
        expect(page.get_by_role("button", name="1 needs you, 1 draft kept")).to_be_visible()
        flag(page, "of the other one")
        page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="1 needs you, 1 draft kept").click()
    for written in ("an answer that was not sent", "a draft of an item that is gone"):
        card = page.locator(".unsent-card", has_text=written)
        expect(card).to_contain_text("A backup of the project was put in place after you wrote this")
    assert {row.note for row in project.rows(select(judgement.c.note))} == {"of the other one"}


def test_a_second_tab_is_told_that_the_item_was_answered_in_the_first(project: Running) -> None:
    context = project.context("ann")
    first = project.open(context)
    second = project.open(context)
    was = text(first)
    assert text(second) == was
    write(first, "from the first")
    first.keyboard.press("Control+Enter")
    expect(second.locator(".notice")).to_contain_text("You answered this item already")
    second.get_by_role("button", name="Next item").click()
    second.wait_for_function("was => document.querySelector('.expression').textContent !== was", arg=was)
    expect(second.locator(".unsent")).to_be_hidden()


def test_signed_out_the_page_says_so_while_one_types_and_leads_back(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    page.clock.install()
    project.store.write(lambda c: c.execute(session.delete()).rowcount)
    flag(page, "still here")
    page.clock.run_for(6000)
    expect(page.locator(".notice")).to_contain_text("You are signed out")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"  # nothing takes the focus from who types
    expect(page.locator(".saved")).to_contain_text("It is kept in this browser")
    link = page.locator(".notice").get_by_role("link", name="Sign in")
    assert link.get_attribute("href") == "/login?next=%2Freview%3Fkinds%3Dsighted"
    project.sign_in(context, "ann")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Enter")
    expect(page.locator(".notice")).to_contain_text("This page is from an earlier session")
    page.get_by_role("button", name="Reload this page").click()
    expect(page.locator(".unsent")).to_be_hidden()
    page.wait_for_function("() => document.querySelector('.expression')")
    [said] = project.rows(select(judgement))
    assert said.note == "still here"


def test_a_server_that_does_not_answer_at_first_is_asked_again(project: Running) -> None:
    context = project.context("ann")
    context.route("**/api/claim", lambda route: route.abort())
    page = context.new_page()
    page.clock.install()
    page.goto(f"{project.url}/review?kinds=sighted")
    expect(page.locator(".empty h1")).to_have_text("No connection")
    assert page.evaluate(FOCUS)
    context.unroute("**/api/claim")
    page.clock.run_for(6000)
    wait_for_text(page, "v0_o0")


def test_the_way_masks_are_shown_is_remembered_everywhere(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    wait_for_frame(page)
    shown = page.locator("[data-action=style]")
    expect(shown).to_contain_text("outline")
    with page.expect_response("**/api/me"):
        page.keyboard.press("KeyK")
    expect(shown).to_contain_text("fill")
    page.reload()
    expect(shown).to_contain_text("fill")
    write(page, "so")
    page.keyboard.press("Control+Enter")
    wait_for_text(page, "v0_o1")
    expect(shown).to_contain_text("fill")
    page.goto(f"{project.url}/i/p_v0_o0")
    expect(page.locator("[data-action=style]")).to_contain_text("fill")
    page.get_by_role("button", name="Theme").click()
    page.wait_for_load_state("networkidle")
    [row] = project.rows(select(person.c.preferences).where(person.c.name == "ann"))
    assert row.preferences == {"mask_style": "fill", "theme": "light"}


def test_it_plays_by_itself_and_one_key_says_all_right(project: Running) -> None:
    page = project.open(project.context("ann", reduced_motion="no-preference"))
    expect(page.locator("#why-watch")).to_contain_text("Accept and Edit wait")  # before anything is sent
    expect(page.locator(".watch")).to_have_class("watch is-done")
    page.keyboard.press("KeyY")
    assert page.locator(".expression input:checked").evaluate_all("all => all.map(i => i.value)") == ["right"] * 3
    page.keyboard.press("Enter")
    wait_for_text(page, "v0_o1")
    [said] = project.rows(select(judgement))
    assert (said.decision, said.watched_frac) == ("accept", 1)
    still = project.review("ben")
    still.wait_for_load_state("networkidle")
    expect(still.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert still.inner_text(".player-counter").startswith("frame 0 of")
