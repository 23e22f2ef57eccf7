"""What is kept of a judgement, what is refused, and what an undo brings back."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, fill
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.importing.sample import set_overlap
from validation_ui.judging import item_views
from validation_ui.judging.leases import put_back_all
from validation_ui.problem import Problem
from validation_ui.schema import draft, item, judgement, slot, text_version
from validation_ui.statistics.agreement import agreement

RIGHT = {"object": "right", "scene": "right", "video": "right"}


@pytest.fixture
def desk(store: Database) -> Desk:
    return Desk(store, store.write(lambda c: fill(c, videos=2, objects=2, wants_short=False)))


def last(desk: Desk) -> Any:
    with desk.store.read() as connection:
        return connection.execute(select(judgement).order_by(judgement.c.id.desc())).first()


def test_an_item_goes_through_both_passes(desk: Desk, clock: Clock) -> None:
    slot_id = desk.claim("ann")
    clock.now += 30
    desk.judge("ann", slot_id, note="  as it is\nin two lines ", watched_frac=0.97)
    row = last(desk)
    assert (row.spent_s, row.watched_frac, row.note, row.kind) == (30, 0.97, "as it is\nin two lines", "sighted")
    blind = desk.claim("ben", "blind")
    clock.now += 12
    desk.point("ben", blind)
    clock.now += 5
    desk.judge("ben", blind)
    assert last(desk).spent_s == 5
    about = desk.item(desk.row(blind).item_id)
    assert (about.state, about.settled_at, about.version) == ("accepted", clock.now, 1)
    check(desk.store)


def test_a_repeat_is_given_the_first_answer(desk: Desk) -> None:
    slot_id = desk.claim("ann")
    first = desk.judge("ann", slot_id, key="one-key-1", version=1)
    assert desk.judge("ann", slot_id, key="one-key-1", version=1) == first
    with pytest.raises(Problem) as reused:
        desk.judge("ann", slot_id, "reject", key="one-key-1", version=1)
    assert (reused.value.status, reused.value.code) == (422, "key_reused")
    with desk.store.read() as connection:
        assert len(connection.execute(select(judgement)).all()) == 1
    desk.undo("ann")
    assert desk.judge("ann", slot_id, key="one-key-1", version=1) == first


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"decision": "accept", "parts": {}}, "parts"),
    ({"decision": "accept", "parts": RIGHT | {"scene": "wrong"}}, "parts"),
    ({"decision": "accept", "parts": {"object": "right", "short": "right"}}, "parts"),
    ({"decision": "accept", "watched_frac": 0.94}, "watched_frac"),
    ({"decision": "accept", "text": {"object": "new"}}, "text"),
    ({"decision": "accept", "short": "not asked for here"}, "short"),
    ({"decision": "edit", "watched_frac": 0.5}, "watched_frac"),
    ({"decision": "edit", "text": None}, "text"),
    ({"decision": "edit", "text": {"object": " The object text of v0_o0. "}}, "text"),
    ({"decision": "edit", "text": {"object": "a\u202eb"}}, "text.object"),
    ({"decision": "edit", "text": {"object": " "}}, "text.object"),
    ({"decision": "edit", "text": {"object": "a" * 2001}}, "text.object"),
    ({"decision": "edit", "text": {"short": "of another kind"}}, "text"),
    ({"decision": "reject", "reasons": []}, "reasons"),
    ({"decision": "reject", "reasons": ["taste"]}, "reasons"),
    ({"decision": "reject", "reasons": ["other", "other"]}, "reasons"),
    ({"decision": "flag", "reasons": []}, "reasons"),
    ({"decision": "reject", "note": "\x00"}, "note"),
]


def test_what_does_not_fit_is_refused_and_nothing_is_lost(desk: Desk) -> None:
    slot_id = desk.claim("ann")
    for body, field in REFUSED:
        with pytest.raises(Problem) as refused:
            desk.judge("ann", slot_id, **body)
        assert (refused.value.status, list(refused.value.extra["fields"])) == (422, [field]), body
    assert desk.row(slot_id).state == "leased"
    desk.judge("ann", slot_id, "flag", reasons=[], note="a note will do")


def test_an_adjudicator_does_not_flag(desk: Desk) -> None:
    desk.do("ann", "flag")
    slot_id = desk.claim("eve", "adjudicate")
    with pytest.raises(Problem) as refused:
        desk.judge("eve", slot_id, "flag")
    assert list(refused.value.extra["fields"]) == ["decision"]


def test_the_blind_pass_begins_with_pointing(desk: Desk) -> None:
    desk.do("ann", "accept")
    blind = desk.claim("ben", "blind")
    with pytest.raises(Problem) as refused:
        desk.judge("ben", blind)
    assert list(refused.value.extra["fields"]) == ["pointing"]


def test_an_edit_makes_a_new_text_and_keeps_the_old(desk: Desk) -> None:
    about = desk.do("ann", "edit", "sighted", text={"object": " A cafe\u0301. "})
    with desk.store.read() as connection:
        old, new = connection.execute(
            select(text_version).where(text_version.c.item_id == about.id).order_by(text_version.c.id)
        ).all()
    assert (about.text_id, about.version, about.state) == (new.id, 2, "blind")
    assert new.parts == old.parts | {"object": "A café."}
    assert (new.author_id, new.parent_id) == (desk.ids["ann"], old.id)
    assert new.sha256 != old.sha256


def test_a_changed_text_is_shown_and_not_overwritten(desk: Desk) -> None:
    desk.do("ann", "edit", "sighted", text={"object": "Ann's text."})
    blind = desk.claim("ben", "blind")
    desk.point("ben", blind)
    desk.undo("ann")
    with pytest.raises(Problem) as changed:
        desk.judge("ben", blind, "accept", version=2)
    problem = changed.value
    assert (problem.status, problem.code, problem.extra["version"]) == (412, "text_changed", 3)
    assert problem.extra["base"]["object"] == "Ann's text."
    assert problem.extra["theirs"]["object"] == "The object text of v0_o0."
    with pytest.raises(Problem, match="no longer yours"):
        desk.judge("ben", blind, "accept", version=3)  # what was to be judged is no more
    check(desk.store)


def test_undo_gives_the_slot_back_with_what_was_said(desk: Desk) -> None:
    said: dict[str, Any] = {"parts": RIGHT | {"video": "unsure"}, "text": {"object": "Ann's text."}, "note": "why"}
    slot_id = desk.claim("ann")
    first = desk.judge("ann", slot_id, "edit", **said)
    assert desk.undo("ann") == (first, slot_id)
    row = desk.row(slot_id)
    assert (row.state, row.holder_id, desk.item(row.item_id).state) == ("leased", desk.ids["ann"], "sighted")
    with desk.store.read() as connection:
        kept = connection.execute(select(draft)).one()
        assert connection.execute(select(slot).where(slot.c.kind == "blind", slot.c.state != "void")).first() is None
    assert kept.body["decision"] == "edit"
    assert kept.body["text"] | {"object": ""} == {part: kept.body["text"][part] for part in RIGHT} | {"object": ""}
    assert (kept.body["text"]["object"], kept.body["note"], kept.body["parts"]) == ("Ann's text.", "why", said["parts"])
    assert desk.claim("ann", "sighted") == slot_id
    desk.judge("ann", slot_id, "accept")
    check(desk.store)


def test_undo_of_a_blind_judgement_goes_on_from_the_reveal(desk: Desk) -> None:
    desk.do("ann", "accept")
    assert desk.do("ben", "accept", "blind").state == "accepted"
    _, slot_id = desk.undo("ben")
    assert slot_id is not None
    desk.judge("ben", slot_id, "reject")
    assert desk.item(desk.row(slot_id).item_id).state == "adjudicate"
    check(desk.store)


def test_what_others_said_of_the_same_text_still_counts_after_an_undo(desk: Desk) -> None:
    desk.do("ann", "accept")
    about = desk.do("ben", "accept", "blind")
    _, slot_id = desk.undo("ann")
    assert slot_id is not None
    assert desk.item(about.id).state == "sighted"
    desk.judge("ann", slot_id, "accept")
    assert desk.item(about.id).state == "accepted"


def test_undo_ends_where_somebody_settled_it(desk: Desk) -> None:
    with pytest.raises(Problem, match="nothing of yours"):
        desk.undo("ann")
    desk.do("ann", "flag")
    desk.do("eve", "accept", "adjudicate")
    with pytest.raises(Problem, match="adjudicator settled it"):
        desk.undo("ann")
    desk.undo("eve")
    desk.undo("ann")
    check(desk.store)


def test_undo_ends_at_the_export_and_after_the_last_few(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, settings=replace(SMALL, undo_last=2))))
    for _ in range(3):
        about = desk.do("ann", "accept", "sighted")
    desk.undo("ann")
    desk.undo("ann")
    with pytest.raises(Problem, match="nothing of yours among your last 2"):
        desk.undo("ann")
    about = desk.do("ben", "reject", "sighted")
    store.write(lambda c: c.execute(update(item).where(item.c.id == about.id).values(exported_at=1.0)).rowcount)
    with pytest.raises(Problem) as exported:
        desk.undo("ben")
    assert (exported.value.status, exported.value.code) == (409, "cannot_undo")


def test_a_short_expression_becomes_an_item_that_its_author_never_judges(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, wants_short=True)))
    slot_id = desk.claim("ann")
    for wrong in (None, "too short", "word " * 21):
        with pytest.raises(Problem) as refused:
            desk.judge("ann", slot_id, short=wrong)
        assert list(refused.value.extra["fields"]) == ["short"]
    desk.judge("ann", slot_id, short=" the left red bar ")
    with store.read() as connection:
        short = connection.execute(select(item).where(item.c.kind == "short")).one()
        parts = connection.execute(select(text_version.c.parts).where(text_version.c.id == short.text_id)).scalar()
    assert (short.state, short.author_id, parts) == ("blind", desk.ids["ann"], {"short": "the left red bar"})
    assert len(short.public_id) == 12
    assert desk.why("ann", "blind")["code"] == "all_done"
    for slot_id in (desk.claim("ben", "blind"), desk.claim("ben", "blind", prefetch=True)):  # both before any reveal
        desk.point("ben", slot_id)
        assert desk.row(slot_id).video_id == short.video_id
    while (next_id := desk.ask("ben", "blind").slot_id) is not None:
        is_short = desk.row(next_id).item_kind == "short"
        if is_short:
            desk.judge("ben", next_id, "edit", text={"short": "the upright red bar"})
        else:
            desk.judge("ben", next_id)
    assert desk.item(short.id).state == "blind"
    assert desk.why("ben", "blind")["code"] == "all_done"  # what is left is what ben wrote
    assert desk.do("cy", "accept", "blind").kind == "short"
    assert desk.item(short.id).state == "accepted"
    check(store)


def test_a_suggested_short_expression_is_confirmed_or_replaced(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, wants_short=True)))
    store.write(lambda c: c.execute(update(item).values(suggested_short="the left  red bar")).rowcount)
    first = desk.claim("ann", "sighted")
    with store.read() as connection:
        view = item_views.slot_view(connection, desk.ids["ann"], first, 0.0)
    assert view is not None
    assert view["item"]["suggested_short"] == "the left  red bar"
    for unsaid in (None, "the left red bar", " the left  red bar"):
        with pytest.raises(Problem) as refused:
            desk.judge("ann", first, short=unsaid)
        assert list(refused.value.extra["fields"]) == ["short"]
    desk.judge("ann", first, short="the left  red bar", short_is_right=True)
    desk.judge("ann", desk.claim("ann", "sighted"), short="the bar that moves")
    with store.read() as connection:
        rows = select(item.c.state, item.c.author_id, text_version.c.parts).join_from(
            item, text_version, text_version.c.id == item.c.text_id
        )
        found = connection.execute(rows.where(item.c.kind == "short").order_by(item.c.id)).all()
    assert [row.parts["short"] for row in found] == ["the left red bar", "the bar that moves"]
    assert {(row.state, row.author_id) for row in found} == {("blind", desk.ids["ann"])}  # others look for both
    blind = desk.claim("ben", "blind")
    with store.read() as connection:
        view = item_views.slot_view(connection, desk.ids["ben"], blind, 0.0)
    assert view is not None
    assert view["item"]["suggested_short"] is None
    check(store)


def test_a_short_expression_goes_with_the_judgement_it_came_with(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, wants_short=True)))
    desk.judge("ann", desk.claim("ann"), short="the left red bar")
    _, slot_id = desk.undo("ann")
    assert slot_id is not None
    with store.read() as connection:
        assert connection.execute(select(item.c.state).where(item.c.kind == "short")).scalar() == "dropped"
        assert connection.execute(select(draft.c.body)).scalar_one()["short"] == "the left red bar"
    desk.judge("ann", slot_id, "accept", short="the other red bar")
    check(store)


def test_the_log_names_what_was_done_and_no_text(desk: Desk) -> None:
    desk.do("ann", "edit", "sighted", text={"object": "Secret words."})
    desk.undo("ann")
    with desk.store.read() as connection:
        rows = list(audit.rows(connection))
    assert [row["action"] for row in rows] == ["claim", "submit", "undo"]
    assert {row["actor"] for row in rows} == {f"person:{desk.ids['ann']}"}
    assert "Secret" not in "".join(row["body"] for row in rows)


def test_an_edit_sets_the_level_of_length_anew(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=1, wants_short=True)))
    long = desk.do("ann", "edit", "sighted", text={"object": "word " * 70}, short="the left red bar")
    assert long.strata["length"] == "medium"
    with store.read() as connection:
        short = connection.execute(select(item).where(item.c.kind == "short")).one()
    assert short.strata["length"] == "short"
    for slot_id in (desk.claim("ben", "blind"), desk.claim("ben", "blind", prefetch=True)):
        desk.point("ben", slot_id)
    while (next_id := desk.ask("ben", "blind").slot_id) is not None:
        if desk.row(next_id).item_kind == "short":
            desk.judge("ben", next_id, "edit", text={"short": "the bar that " + "moves " * 12})
        else:
            desk.judge("ben", next_id)
    assert desk.item(short.id).strata["length"] == "long"
    desk.undo("ben")
    if desk.item(short.id).text_id != short.text_id:
        desk.undo("ben")
    assert desk.item(short.id).strata["length"] == "short"
    check(store)


def test_two_people_find_what_is_in_the_overlap_of_the_blind_pass(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=2, wants_short=True)))
    store.write(lambda c: set_overlap(c, 1.0, now=1.0, column="blind_overlap"))
    desk.judge("ann", desk.claim("ann", "sighted"), short="the left red bar")
    desk.judge("ann", desk.claim("ann", "sighted"), "reject")
    for who in ("ben", "cy"):
        first = desk.claim(who, "blind")
        second = desk.claim(who, "blind", prefetch=True)
        assert desk.row(first).item_id != desk.row(second).item_id  # never both answers to one item
        assert desk.ask("dan", "blind").slot_id is None or who == "ben"
        for slot_id in (first, second):
            desk.point(who, slot_id)
        for slot_id in (first, second):
            desk.judge(who, slot_id)
        with store.read() as connection:
            states = connection.execute(select(item.c.state).order_by(item.c.id)).scalars().all()
        assert states == ["accepted" if who == "cy" else "blind", "dropped", "accepted" if who == "cy" else "blind"]
        if who == "ben":
            desk.store.write(lambda c: put_back_all(c, desk.ids["dan"]))
    with store.read() as connection:
        pairs = agreement(connection).blind_pairs
    assert (pairs["hit"].n, pairs["hit"].figures["raw"].value) == (2, 1)
    check(store)
