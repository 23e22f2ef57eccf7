"""The sighted pass on the reviewer's screen: by keyboard, by touch, seen by axe, narrow and wide."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, func, insert, select, update

from tests.validation_ui import rows
from tests.validation_ui.review_driver import (
    NARROW,
    Running,
    chromium,
    heading,
    running,
    text,
    violations,
    wait_for_text,
)
from tests.validation_ui.review_driver import watch as see_it_all
from validation_ui.schema import SlotKind, Standing, item, judgement, meta, person, slot, text_version
from validation_ui.web.account import HOTKEY_ACTIONS, HOTKEY_CODES

SMALL_TARGETS = """() =>
  [...document.querySelectorAll('main :is(button, a, textarea, summary, label:has(input), [role=slider])')]
    .map(e => [e, e.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.height < 43.9 || box.width < 43.9))
    .map(([e, box]) => `${e.outerHTML.slice(0, 80)} ${box.width}x${box.height}`)"""
DECISIONS = ("Accept", "Edit", "Reject", "Flag")
RULES = replace(rows.SMALL, short_words_max=19)  # the page asks the server, it knows no numbers of its own


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def project(browser: Browser, tmp_path: Path) -> Iterator[Running]:
    with running(browser, tmp_path, partial(rows.fill, wants_short=True, settings=RULES)) as project:
        yield project


@pytest.fixture
def ann(project: Running) -> Page:
    return project.review("ann")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_whole_pass_by_keyboard_alone(project: Running, ann: Page) -> None:
    assert "v0_o0" in text(ann)
    assert ann.evaluate("document.activeElement.tagName") == "H1"
    press(ann, "Enter")
    expect(ann.locator(".decision .error")).to_have_text("Choose what should become of it.")
    press(ann, "Digit1", "Digit2", "Digit2", "Digit2", "Digit3", "KeyA", "Enter")
    expect(ann.get_by_role("alert").filter(has_text="Watch the whole span")).to_be_visible()
    expect(ann.locator(".short .error")).to_have_text("It must have 3 to 19 words; it has 0.")
    press(ann, "Escape")
    see_it_all(ann)
    press(ann, "KeyW")
    ann.keyboard.type("red bar, first one")
    expect(ann.locator(".count")).to_have_text("4 words")
    wait_for_next(ann, lambda: press(ann, "Control+Enter"), "v0_o1")
    [said] = project.rows(select(judgement))
    assert (said.decision, said.parts) == ("accept", {"object": "right", "scene": "unsure", "video": "right"})
    assert said.watched_frac == 1
    [short] = project.rows(
        select(item.c.author_id, text_version.c.parts).join_from(item, text_version).where(item.c.kind == "short")
    )
    assert (short.author_id, short.parts) == (project.ids["ann"], {"short": "red bar, first one"})
    expect(ann.locator(".toast")).to_contain_text("Accepted and sent")
    assert ann.evaluate("document.activeElement.tagName") == "H1"


def test_a_suggested_short_expression_counts_when_it_is_said_to_be_right(project: Running) -> None:
    project.store.write(lambda c: c.execute(update(item).values(suggested_short="the red bar")).rowcount)
    ann = project.review("ann")
    see_it_all(ann)
    press(ann, "KeyY", "Enter")
    expect(ann.locator(".short .error")).to_have_text("Say that it is right, or write another.")
    box = ann.get_by_label("It is right, and fits this object alone")
    expect(box).to_be_focused()
    assert violations(ann) == []
    press(ann, "KeyW")
    ann.keyboard.press("End")
    ann.keyboard.type(" here")
    expect(box).to_be_hidden()
    press(ann, *["Backspace"] * 5)
    box.check()
    wait_for_next(ann, lambda: press(ann, "Enter"), "v0_o1")
    [short] = project.rows(select(text_version.c.parts).join_from(item, text_version).where(item.c.kind == "short"))
    assert short.parts == {"short": "the red bar"}


def wait_for_next(page: Page, send: Callable[[], None], part: str) -> None:
    send()
    wait_for_text(page, part)


def test_the_next_item_is_there_within_150_ms(ann: Page) -> None:
    """In frames of the display, 60 a second, which are late when the page is: a busy machine changes neither."""
    ann.wait_for_function(
        "() => performance.getEntriesByType('resource').filter(e => e.name.endsWith('/masks')).length > 1"
    )
    press(ann, "KeyR")
    ann.locator(".reasons input").first.check()
    for part in ("1", "2", "3"):
        press(ann, f"Digit{part}")
    ann.evaluate(
        """() => new MutationObserver(() => {
             const seen = document.querySelector('.expression');
             if (seen?.textContent.includes('v0_o1') && !window.shown)
               requestAnimationFrame(() => { window.shown = performance.now(); });
           }).observe(document.body, {subtree: true, childList: true})"""
    )
    ann.evaluate(
        """() => { const api = performance;
             new PerformanceObserver((list) => { for (const e of list.getEntries())
               if (e.name.endsWith('/submit')) window.answered = e.responseEnd; }).observe({type: 'resource'});
             window.frames_ms = [];
             const count = () => { window.frames_ms.push(api.now()); requestAnimationFrame(count); };
             requestAnimationFrame(count); }"""
    )
    press(ann, "Enter")
    ann.wait_for_function("() => window.shown && window.answered")
    frames = ann.evaluate("frames_ms.filter((ms) => window.answered < ms && ms <= window.shown).length")
    assert frames <= 9, f"{frames} frames after the server's answer"
    assert ann.inner_text(".player-counter").startswith("frame 0 of 48")


def test_an_edit_shows_what_changed_and_is_the_text_of_the_blind_pass(project: Running, ann: Page) -> None:
    see_it_all(ann)
    press(ann, "Digit1", "Digit2", "Digit2", "Digit3", "KeyW")
    ann.keyboard.type("red bar, first one")
    press(ann, "Escape", "KeyE")
    press(ann, "Enter")
    expect(ann.locator(".editing .error").first).to_have_text("Nothing is changed yet.")
    scene = ann.get_by_label("Scene", exact=True).and_(ann.locator("textarea"))
    scene.fill("The new scene text of v0_o0.")
    expect(ann.locator(".diff ins")).to_have_text("put in: new")
    wait_for_next(ann, lambda: press(ann, "Control+Enter"), "v0_o1")
    [new] = project.rows(
        select(text_version.c.parts).where(text_version.c.id == item.c.text_id, item.c.public_id == "p_v0_o0")
    )
    assert new.parts["scene"] == "The new scene text of v0_o0."
    assert new.parts["object"] == "The object text of v0_o0."


def test_a_rejection_says_why(project: Running, ann: Page) -> None:
    press(ann, "Digit1", "Digit2", "Digit3", "KeyR", "Enter")
    expect(ann.locator(".reasons > .error")).to_have_text("Tick at least one reason.")
    ann.get_by_label("It fits several objects").check()
    ann.get_by_label("Other: say it in the note").check()
    press(ann, "Enter")
    expect(ann.locator(".field .error")).to_have_text("Say what the other reason is.")
    press(ann, "Escape", "KeyN")
    ann.keyboard.type("Two bars <b>like this</b> & more")
    wait_for_next(ann, lambda: press(ann, "Control+Enter"), "v0_o1")
    [said] = project.rows(select(judgement))
    assert (said.decision, said.reasons) == ("reject", ["ambiguous", "other"])
    assert said.note == "Two bars <b>like this</b> & more"


def test_undo_brings_the_item_back_as_it_was_answered(project: Running, ann: Page) -> None:
    press(ann, "Digit1", "Digit2", "Digit2", "Digit3", "KeyF", "KeyN")
    ann.keyboard.type("look at this")
    wait_for_next(ann, lambda: press(ann, "Control+Enter"), "v0_o1")
    wait_for_next(ann, lambda: press(ann, "KeyU"), "v0_o0")
    expect(ann.get_by_role("textbox", name="Note")).to_have_value("look at this")
    expect(ann.locator(".decision input:checked")).to_have_value("flag")
    [said] = project.rows(select(judgement))
    assert said.undone_by == "person"
    press(ann, "KeyR")
    ann.get_by_label("The mask is bad").check()
    wait_for_next(ann, lambda: press(ann, "Enter"), "v0_o1")  # and what was open before comes again
    assert [row.decision for row in project.rows(select(judgement).order_by(judgement.c.id))] == ["flag", "reject"]


def test_a_skipped_item_goes_to_others_alone(project: Running, ann: Page) -> None:
    press(ann, "KeyX")
    press(ann, "ArrowDown")
    wait_for_next(ann, lambda: press(ann, "Enter"), "v0_o1")
    assert "v0_o0" in text(project.review("ben"))


def test_the_entry_test_says_how_far_it_is(browser: Browser, tmp_path: Path) -> None:
    def fill(connection: Connection) -> dict[str, int]:
        ids = rows.fill(connection, gold=3)
        replace(rows.SMALL, entry_items=3).save(connection)
        connection.execute(update(person).where(person.c.name == "ann").values(standing=Standing.ENTRY))
        connection.execute(insert(meta).values(key=f"guide:{ids['ann']}", value={}))  # has been through the guide
        return ids

    with running(browser, tmp_path, fill) as project:
        page = project.review("ann", "sighted,blind")
        expect(page.locator(".entry")).to_have_text("Entry test: 1 of 3")
        press(page, "Digit1", "Digit2", "Digit3", "KeyR")
        page.locator(".reasons input").first.check()
        press(page, "Enter")
        expect(page.locator(".entry")).to_have_text("Entry test: 2 of 3")


def test_keys_rest_while_typing_and_leave_the_browsers_own_alone(ann: Page) -> None:
    press(ann, "KeyN")
    ann.keyboard.type("a1 e2 r3?")
    expect(ann.get_by_role("textbox", name="Note")).to_have_value("a1 e2 r3?")
    assert ann.locator(".decision input:checked").count() == 0
    press(ann, "Escape")
    ann.evaluate("addEventListener('keydown', e => { (window.taken ??= []).push(e.defaultPrevented); })")
    press(ann, "Control+KeyA", "Control+Digit1", "Alt+KeyE", "Meta+KeyF")
    assert not any(ann.evaluate("window.taken"))
    assert ann.locator(".review-form input:checked").count() == 0
    press(ann, "Shift+Comma", "Alt+Period")
    assert ann.inner_text(".player-counter").startswith("frame 1 of")


def test_the_help_lists_every_key_and_each_may_be_changed(project: Running) -> None:
    def change(connection: Connection) -> None:
        mine = {"accept": "KeyQ", "submit": "Shift+KeyQ", "play": "F2"}
        connection.execute(update(person).where(person.c.name == "ann").values(hotkeys=mine))
        connection.execute(update(person).where(person.c.name == "ben").values(preferences={"hotkeys_off": True}))

    project.store.write(change)
    page = project.review("ann")
    press(page, "KeyA")
    assert page.locator(".decision input:checked").count() == 0
    press(page, "KeyQ")
    expect(page.locator(".decision input:checked")).to_have_value("accept")
    press(page, "?")
    shown = dict(
        page.locator(".help dl > div").evaluate_all(
            "all => all.map(d => [d.querySelector('dd').textContent, d.querySelector('kbd').textContent])"
        )
    )
    names, fixed = page.evaluate(
        """async () => {
            const { ACTIONS, FIXED_KEYS } = await import('/static/review/keys.js');
            return [ACTIONS.map(a => [a.name, a.label, a.defaultKey]), FIXED_KEYS.map(k => k.label)];
        }"""
    )
    assert shown.keys() == {label for _, label, _ in names} | set(fixed)
    assert (shown["Accept"], shown["Play or pause"], shown["Reject"]) == ("Q", "F2", "R")
    assert len({key for _, _, key in names}) == len(names)
    assert {name for name, _, _ in names} == HOTKEY_ACTIONS
    assert {key for _, _, key in names} <= HOTKEY_CODES
    assert violations(page) == []
    press(page, "Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    off = project.review("ben")
    press(off, "KeyA", "Digit1")
    assert off.locator(".review-form input:checked").count() == 0
    assert off.locator(".review-form kbd").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(project: Running, theme: str) -> None:
    page = project.review("ann", color_scheme=theme)
    assert violations(page) == []
    press(page, "Digit1", "Digit2", "Digit2", "KeyE")
    page.locator(".editing textarea").first.fill("Something else")
    assert violations(page) == []
    page.locator(".decision label").filter(has_text="Reject").click()
    press(page, "Enter")
    expect(page.locator(".reasons > .error")).to_be_visible()
    assert violations(page) == []
    project.store.write(lambda c: c.execute(update(slot).where(slot.c.state == "open").values(state="void")).rowcount)
    empty = project.open(project.context("cy", color_scheme=theme))
    assert heading(empty) == "Nothing to judge here now"
    expect(empty.locator(".empty")).to_contain_text("Others are at work")
    assert violations(empty) == []


def test_narrow_it_neither_scrolls_sideways_nor_has_small_targets(project: Running) -> None:
    page = project.review("ann", viewport=NARROW, has_touch=True)
    for decision in DECISIONS:
        page.locator(".decision label").filter(has_text=decision).tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        assert page.evaluate(SMALL_TARGETS) == []
    page.locator(".decision label").filter(has_text="Edit").tap()
    page.locator(".editing textarea").last.scroll_into_view_if_needed()
    video = page.locator(".player-canvas").bounding_box()
    assert video
    assert video["y"] >= -1  # the picture stays in view
    assert page.locator(".review kbd:visible").count() == 0
    text_top, buttons_top = page.evaluate(
        "['.expression', '.player-controls'].map((one) => document.querySelector(one).getBoundingClientRect().top)"
    )
    assert text_top < buttons_top
    page.goto(f"{project.url}/me")  # a table is a card a row, whose cells say what they are
    cell = page.locator("#keys tbody tr").first.locator("td").first
    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Group"'
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_nobody_is_given_what_another_has(project: Running) -> None:
    pages = [project.review(name) for name in ("ann", "ben")]
    for page in pages:
        press(page, "Digit1", "Digit2", "Digit3", "KeyF", "KeyN")
        page.keyboard.type("so")
    before = [text(page) for page in pages]
    for page in pages:
        press(page, "Control+Enter")
    for page, was in zip(pages, before, strict=True):
        page.wait_for_function("was => document.querySelector('.expression').textContent !== was", arg=was)
    assert len({*before, *(text(page) for page in pages)}) == 4
    twice = select(judgement.c.item_id).group_by(judgement.c.item_id).having(func.count() > 1)
    assert project.rows(twice) == []
    assert len(project.rows(select(slot).where(slot.c.kind == SlotKind.ADJUDICATE))) == 2
