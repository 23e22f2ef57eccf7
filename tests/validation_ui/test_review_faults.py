"""What must not lose an answer: no connection, a lease that ran out, a text that changed, a crash, a second tab."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Route, expect
from sqlalchemy import Connection, insert, select, update

from tests.running import eventually
from tests.validation_ui.review_driver import (
    Running,
    chromium,
    flag,
    is_saved,
    kept,
    press,
    running,
    text,
    violations,
    wait_for_text,
    wakes,
    watch,
)
from validation_ui.schema import draft, item, judgement, session, slot, text_version


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def project(browser: Browser, tmp_path: Path) -> Iterator[Running]:
    with running(browser, tmp_path) as project:
        yield project


def test_offline_an_answer_waits_and_is_sent_once(project: Running) -> None:
    page = project.review("ann")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(e => e.name.endsWith('/masks')).length > 1"
    )
    page.context.set_offline(True)
    flag(page, "from the train")
    press(page, "Control+Enter")
    expect(page.get_by_role("button", name="1 unsent")).to_be_visible()
    page.get_by_role("button", name="1 unsent").click()
    expect(page.get_by_role("dialog")).to_contain_text("from the train")
    assert violations(page) == []
    press(page, "Escape", "KeyU")
    expect(page.locator(".status-line")).to_contain_text("not sent yet")
    assert project.rows(select(judgement)) == []
    page.context.set_offline(False)
    expect(page.locator(".unsent")).to_be_hidden()
    [said] = project.rows(select(judgement))
    assert said.note == "from the train"


def test_an_answer_whose_confirmation_was_lost_is_not_counted_twice_and_outlives_the_page(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    lost = 0

    def lose(route: Route) -> None:
        nonlocal lost
        route.fetch()
        lost += 1
        route.abort()

    page.route("**/submit", lose)
    flag(page, "once")
    press(page, "Control+Enter")
    expect(page.get_by_role("button", name="1 unsent")).to_be_visible()
    page.close(run_before_unload=False)
    again = project.open(context)
    expect(again.locator(".unsent")).to_be_hidden()
    eventually(lambda: len(project.rows(select(judgement))) == 1)
    eventually(
        lambda: again.evaluate("async () => (await (await import('/static/review/db.js')).all('outbox')).length") == 0
    )
    assert lost >= 1
    [said] = project.rows(select(judgement))
    assert said.note == "once"


def test_a_lost_lease_keeps_the_answer_and_offers_another_item(project: Running) -> None:
    page = project.review("ann")
    was = text(page)
    flag(page, "mine, still")
    is_saved(page, "mine, still")
    press(page, "Escape")
    project.clock.added_s += 1000
    wakes(page)
    page.wait_for_timeout(100)
    expect(page.locator(".notice")).to_be_hidden()  # it ran out, but nobody took it: it is renewed
    project.clock.added_s += 1000
    assert text(project.review("ben")) == was
    wakes(page)
    expect(page.locator(".notice")).to_contain_text("no longer yours")
    assert violations(page) == []
    expect(page.get_by_role("textbox", name="Note")).to_have_value("mine, still")
    press(page, "Enter")
    expect(page.locator(".notice")).to_contain_text("no longer yours")
    assert kept(page) == ["mine, still"]
    assert project.rows(select(judgement)) == []
    page.get_by_role("button", name="Next item").click()
    page.wait_for_function("was => document.querySelector('.expression').textContent !== was", arg=was)
    expect(page.locator(".notice")).to_be_hidden()
    assert "mine, still" in kept(page)


def test_a_text_that_changed_meanwhile_is_compared_and_the_answer_sent_again(project: Running) -> None:
    page = project.review("ann")
    watch(page)
    press(page, "Digit1", "Digit2", "Digit2", "Digit3", "KeyE")
    page.locator(".editing textarea").nth(1).fill("My scene text of v0_o0.")

    def change(connection: Connection) -> None:
        parts = {
            "object": "The object text of v0_o0.",
            "scene": "Their scene text of v0_o0.",
            "video": "The video text of v0_o0.",
        }
        about = connection.execute(select(item).where(item.c.public_id == "p_v0_o0")).one()
        made = connection.execute(
            insert(text_version)
            .values(item_id=about.id, parts=parts, sha256="0" * 64, parent_id=about.text_id, created_at=0.0)
            .returning(text_version.c.id)
        ).scalar_one()
        connection.execute(update(item).where(item.c.id == about.id).values(text_id=made, version=2))

    project.store.write(change)
    press(page, "Control+Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The text was changed meanwhile")
    scene = dialog.locator(".conflict").nth(1)
    expect(scene.locator(".three > div").nth(0)).to_contain_text("The scene text of v0_o0.")
    expect(scene.locator(".three > div").nth(1).locator("ins")).to_contain_text("My")
    expect(scene.locator(".three > div").nth(2).locator("ins")).to_contain_text("Their")
    assert violations(page) == []
    dialog.get_by_role("button", name="Decide later").click()
    page.get_by_role("button", name="1 needs you").click()
    page.get_by_role("button", name="Compare the texts").click()
    scene.get_by_role("textbox").fill("Our scene text of v0_o0.")
    dialog.get_by_role("button", name="Send mine for the new text").click()
    wait_for_text(page, "v0_o1")
    expect(page.locator(".unsent")).to_be_hidden()
    [said] = project.rows(select(judgement))
    [new] = project.rows(select(text_version).where(text_version.c.id == said.new_text_id))
    assert new.parts["scene"] == "Our scene text of v0_o0."


def test_a_crash_loses_at_most_the_last_third_of_a_second(project: Running, tmp_path: Path) -> None:
    context = project.context_on_disk("ann", tmp_path / "browser")
    page = project.open(context)
    flag(page, "before the crash")
    is_saved(page, "before the crash")
    with page.expect_event("crash"), contextlib.suppress(Error):
        page.goto("chrome://crash")
    again = project.open(context)
    expect(again.get_by_role("textbox", name="Note")).to_have_value("before the crash")
    expect(again.locator(".decision input:checked")).to_have_value("flag")
    again.reload()
    expect(again.get_by_role("textbox", name="Note")).to_have_value("before the crash")


def test_a_draft_reaches_the_server_and_another_browser(project: Running) -> None:
    page = project.open(project.context("ann"))
    page.clock.install()
    flag(page, "from the desk")
    page.clock.run_for(6000)
    expect(page.locator(".saved")).to_contain_text("Draft saved at")
    [saved] = project.rows(select(draft))
    assert saved.body["note"] == "from the desk"
    phone = project.review("ann")
    expect(phone.get_by_role("textbox", name="Note")).to_have_value("from the desk")


@pytest.mark.parametrize(("choice", "is_left"), [("Keep this one", "here"), ("Take the other", "elsewhere")])
def test_two_tabs_with_one_item_ask_which_draft_to_keep(project: Running, choice: str, is_left: str) -> None:
    page = project.open(project.context("ann"))
    page.clock.install()
    flag(page, "here")
    other = {"decision": "flag", "parts": {}, "reasons": [], "note": "elsewhere", "tab": str(uuid.uuid4())}
    [view] = project.rows(
        select(slot.c.id).where(slot.c.holder_id == project.ids["ann"], slot.c.claimed_at.is_not(None))
    )
    values = {"slot_id": view.id, "person_id": project.ids["ann"], "body": other, "version": 1, "saved_at": 0.0}
    project.store.write(lambda c: c.execute(insert(draft).values(values)).rowcount)
    page.clock.run_for(6000)
    expect(page.get_by_role("dialog")).to_contain_text("also worked on elsewhere")
    page.get_by_role("button", name=choice).click()
    page.clock.run_for(6000)
    expect(page.get_by_role("textbox", name="Note")).to_have_value(is_left)


def test_signed_out_in_mid_work_the_answer_waits_for_the_next_sign_in(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    project.store.write(lambda c: c.execute(session.delete()).rowcount)
    flag(page, "kept")
    press(page, "Control+Enter")
    page.get_by_role("button", name="1 unsent").click()
    expect(page.get_by_role("dialog")).to_contain_text("You are signed out")
    project.sign_in(context, "ann")
    again = project.open(context)
    expect(again.locator(".unsent")).to_be_hidden()
    [said] = project.rows(select(judgement))
    assert said.note == "kept"


def test_the_unsent_answers_of_somebody_else_are_left_alone(project: Running) -> None:
    context = project.context("ann")
    page = project.open(context)
    context.set_offline(True)
    flag(page, "of ann")
    press(page, "Control+Enter")
    expect(page.get_by_role("button", name="1 unsent")).to_be_visible()
    project.sign_in(context, "ben")
    page.close(run_before_unload=False)
    context.set_offline(False)
    ben = project.open(context)
    expect(ben.locator(".unsent")).to_be_hidden()
    assert project.rows(select(judgement)) == []
