"""The blind pass and the adjudicator on the reviewer's screen."""

import json
import time
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from sqlalchemy import Connection, select, update

from tests.validation_ui import rows
from tests.validation_ui.review_driver import (
    NARROW,
    WIDE,
    Running,
    box_counts,
    chromium,
    click_at,
    heading,
    place,
    record,
    running,
    text,
    violations,
    wait_for_frame,
    wait_for_text,
)
from validation_ui.judging import queue, submission
from validation_ui.judging.verdict import Verdict
from validation_ui.schema import Decision, ItemState, Role, SlotKind, item, judgement, masklet, pointing, seen
from validation_ui.settings import PARTS

BESIDE = (0.9, 0.9)


def fill(connection: Connection, *, nested: bool = False, objects: int = 1) -> dict[str, int]:
    """All items in the blind pass, by dan; with `nested`, everything of a video lies inside one more mask."""
    ids = rows.fill(connection, videos=2, objects=objects)
    accept = Verdict(decision=Decision.ACCEPT, parts=dict.fromkeys(PARTS["long"], "right"), watched_frac=1.0)
    who: dict[str, Any] = {"person_id": ids["dan"], "role": Role.REVIEWER, "now": time.time()}
    for n in range(2 * objects):
        slot_id = queue.claim(connection, kinds=[SlotKind.SIGHTED], **who).slot_id
        assert slot_id
        submission.submit(connection, slot_id=slot_id, key=f"sighted-{n}", version=1, verdict=accept, **who)
    if nested:
        rows.add_masklet(connection, "v0", 7, box_counts(5, 85, 2, 60))
    return ids


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def project(browser: Browser, tmp_path: Path) -> Iterator[Running]:
    with running(browser, tmp_path, fill) as project:
        yield project


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def point_twice(page: Page, where: tuple[float, float] | None = None) -> None:
    """Click object 0, or `where`, at frames 0 and 24; a click needs no mode."""
    press(page, "Home")
    click_at(page, *(where or place(0, 0)))
    expect(page.locator(".points li")).to_have_count(1)
    press(page, "KeyT")
    expect(page.locator(".player-counter")).to_contain_text("frame 24")
    click_at(page, *(where or place(0, 24)))
    expect(page.locator(".points li")).to_have_count(2)


def test_a_whole_pass_by_keyboard_alone_tells_nothing_before_the_answer(project: Running) -> None:
    context = project.context("ann")
    answers = record(context)
    page = project.open(context, "blind")
    wait_for_frame(page)
    assert heading(page) == "Find the object that the text means"
    press(page, "KeyM", "KeyJ", "KeyL", "KeyZ")  # what they would do is to show the object
    press(page, "Enter")
    expect(page.locator(".aim .error").first).to_have_text("Click it in the picture, or say that several fit or none.")
    press(page, "KeyP", "Home", "Tab")
    page.locator(".player-canvas").focus()
    across = round(100 * (0.5 - place(0, 0)[0]))
    press(page, "ArrowLeft", *["Shift+ArrowLeft"] * (across // 10), *["ArrowLeft"] * (across % 10), "Enter")
    expect(page.locator(".points li")).to_have_count(1)
    press(page, "KeyT", "ArrowRight")
    expect(page.locator(".player-counter")).to_contain_text("frame 24")
    press(page, *["ArrowRight"] * 4, "Enter")
    expect(page.locator(".points li")).to_have_count(2)
    assert violations(page) == []

    before = [(url, body) for url, body in answers]
    told = [(url, body) for url, body in before if "/static/" not in url and "/media/" not in url]
    everything = b"".join([page.content().encode(), *(body for _, body in told)])
    assert b"The object text of v0_o0." in everything
    secrets = [*rows.bar(0), *rows.bar(1), "v0/manual", '"rles"', '"counts"', "object_id", '"area']
    assert [secret for secret in secrets if secret and secret.encode() in everything] == []
    assert not any(url.endswith("/masks") for url, _ in told)
    assert project.rows(select(seen).where(seen.c.person_id == project.ids["ann"])) == []

    page.locator(".send").focus()
    press(page, "Enter")
    expect(page.locator(".reveal")).to_have_text("Hit: you found the object.")
    assert heading(page) == "Does the text fit the marked object?"
    expect(page.locator(".player-counter")).to_contain_text("mask exact")
    press(page, "Digit1", "Digit2", "Digit3", "KeyA", "Enter")
    wait_for_text(page, "v1_o0")
    [said] = project.rows(select(judgement).where(judgement.c.kind == "blind"))
    [found] = project.rows(select(pointing))
    assert (said.decision, said.pointing_id, found.hit) == ("accept", found.id, True)
    [state] = project.rows(select(item.c.state).where(item.c.id == said.item_id))
    assert state == (ItemState.ACCEPTED,)


def test_all_texts_of_a_video_are_answered_before_the_first_object_is_shown(browser: Browser, tmp_path: Path) -> None:
    with running(browser, tmp_path, partial(fill, objects=2)) as project:
        page = project.review("ann", "blind")
        first = next(name for name in ("v0_o0", "v0_o1") if name in text(page))
        claims: list[str] = []

        def note(request: Request) -> None:
            claims.extend([request.post_data or ""] if request.url.endswith("/api/claim") else [])

        page.on("request", note)
        press(page, "KeyB", "Enter")
        wait_for_text(page, "v0_o1" if first == "v0_o0" else "v0_o0")
        assert not any('"prefetch":false' in body for body in claims)  # it came with the answer
        assert page.locator(".reveal").count() == 0
        assert project.rows(select(seen).where(seen.c.person_id == project.ids["ann"])) == []
        press(page, "KeyB", "Enter")
        for shown in ("v0_o1", "v0_o0") if first == "v0_o0" else ("v0_o0", "v0_o1"):
            wait_for_text(page, shown)
            expect(page.locator(".reveal")).to_have_text("This is the object that the text means.")
            press(page, "Digit1", "Digit2", "Digit3", "KeyA", "Enter")
        wait_for_text(page, "v1_o")
        assert len(project.rows(select(judgement).where(judgement.c.kind == "blind"))) == 2


def test_a_miss_is_told_plainly_and_goes_to_the_adjudicator(project: Running) -> None:
    page = project.review("ann", "blind")
    point_twice(page, BESIDE)
    press(page, "Enter")
    expect(page.locator(".reveal")).to_contain_text("Miss")
    page.reload()  # nothing of the answer is lost, and it cannot be given again
    expect(page.locator(".reveal")).to_contain_text("Miss")
    press(page, "Digit1", "Digit2", "Digit2", "Digit3", "KeyE")
    page.locator(".editing textarea").nth(1).fill("Another scene.")
    press(page, "Control+Enter")
    wait_for_text(page, "v1_o0")

    eve = project.review("eve", "adjudicate")
    assert "v0_o0" in text(eve)
    expect(eve.locator(".opinion")).to_have_count(2)
    cards, form = (eve.locator(name).bounding_box() for name in (".opinions", ".review-form"))
    assert cards
    assert form
    assert cards["x"] + cards["width"] <= form["x"]  # beside one another
    assert form["y"] < cards["y"] + cards["height"] < form["y"] + form["height"] + cards["height"]
    opinion = eve.locator(".opinion").filter(has_text="looked without the mask")
    expect(opinion.locator("h2")).to_contain_text("Edited")
    expect(opinion).to_contain_text("Pointed beside the object, at frame 0 and 24.")
    expect(opinion).not_to_contain_text("ann")
    expect(opinion.locator("ins")).to_contain_text("Another")
    assert violations(eve) == []
    opinion.get_by_role("button", name="Edit from").click()
    expect(eve.locator(".editing textarea").nth(1)).to_have_value("Another scene.")
    eve.locator(".decision label").filter(has_text="Reject").click()
    eve.get_by_label("It names what is not there").check()
    press(eve, "Digit1", "Digit2", "Digit2", "Digit3", "Enter")
    expect(eve.locator(".empty h1")).to_be_visible()
    [state] = project.rows(select(item.c.state).where(item.c.public_id == "p_v0_o0"))
    assert state == (ItemState.DROPPED,)


def test_one_point_is_enough_for_what_is_seen_briefly_and_a_click_moves_a_point(project: Running) -> None:
    rles = rows.bar(0, visible=range(4))
    brief = {"areas_px": [600 * (rle is not None) for rle in rles], "rles": zlib.compress(json.dumps(rles).encode())}
    project.store.write(lambda c: c.execute(update(masklet).where(masklet.c.object_id == "v0/manual/0").values(brief)))
    page = project.review("ann", "blind")
    press(page, "KeyP")
    click_at(page, *BESIDE)
    click_at(page, *place(0, 0))
    expect(page.locator(".points li")).to_have_count(1)
    press(page, "Enter")
    expect(page.locator(".pointing .error")).to_have_text("One more point, please.")
    page.get_by_label("less than a second").check()
    press(page, "Enter")
    expect(page.locator(".reveal.is-hit")).to_be_visible()
    [found] = project.rows(select(pointing))
    assert [point["frame"] for point in found.points] == [0]


def test_several_or_none(project: Running) -> None:
    page = project.review("ann", "blind")
    press(page, "KeyG", "Control+Enter")
    expect(page.locator(".counting .error")).to_have_text("Two or more.")
    page.keyboard.type("3")
    press(page, "Control+Enter")
    expect(page.locator(".reveal")).to_have_text("This is the object that the text means.")
    page.close()  # what it had fetched ahead is free again
    other = project.review("ben", "blind")
    press(other, "KeyB", "Enter")
    expect(other.locator(".reveal")).to_be_visible()
    found = project.rows(select(pointing).order_by(pointing.c.id))
    assert [(one.answer, one.candidates, one.hit) for one in found] == [
        ("ambiguous", 3, False),
        ("absent", None, False),
    ]


@pytest.mark.parametrize("way", ["key", "click"])
def test_of_nested_outlines_one_is_chosen(browser: Browser, tmp_path: Path, way: str) -> None:
    with running(browser, tmp_path, partial(fill, nested=True)) as project:
        page = project.review("ann", "blind")
        point_twice(page)
        press(page, "Enter")
        expect(page.locator(".extent label")).to_have_count(2)
        [found] = project.rows(select(pointing))
        [target] = project.rows(select(masklet.c.id).where(masklet.c.object_id == "v0/manual/0"))
        right = found.outlines.index(target.id)
        press(page, "Enter")
        expect(page.locator(".extent .error")).to_be_visible()
        if way == "key":
            assert violations(page) == []
            press(page, f"Digit{right + 1}")
        else:
            shown = page.inner_text(".player-counter").split()[1]
            click_at(page, *place(0, int(shown)))
        expect(page.locator(".extent input:checked")).to_have_value(str(right))
        press(page, "Enter")
        expect(page.locator(".reveal")).to_have_text("Hit: you found the object.")
        [found] = project.rows(select(pointing))
        assert (found.extent_id, found.hit) == (target.id, True)


@pytest.mark.parametrize("view", [WIDE, NARROW], ids=["wide dark", "narrow light"])
def test_axe_finds_nothing(project: Running, view: dict[str, int]) -> None:
    page = project.review("ann", "blind", viewport=view, color_scheme="dark" if view is WIDE else "light")
    assert violations(page) == []
    point_twice(page, BESIDE)
    press(page, "Enter")
    expect(page.locator(".reveal")).to_be_visible()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= view["width"]
