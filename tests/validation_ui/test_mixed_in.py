"""What is mixed in unmarked, rejected texts and texts without a target: nobody can tell it, and no quota counts it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, add_item, add_masklet, add_waiting, fill
from validation_ui.database import Database
from validation_ui.exporting.benchmark import read_chosen
from validation_ui.judging import item_views, pointing
from validation_ui.schema import Source, item, slot
from validation_ui.settings import Settings
from validation_ui.statistics.agreement import agreement, no_target_answers
from validation_ui.statistics.progress import progress, reviewers

NOTHING = "the bar that is not there"


def project(store: Database, settings: Settings = SMALL, **kwargs: Any) -> Desk:
    """Two videos of two objects; v0 has a third object with a rejected text, and a text without a target."""

    def work(c: Connection) -> dict[str, int]:
        ids = fill(c, videos=2, objects=2, settings=settings, **kwargs)
        at = add_masklet(c, "v0", 2)
        ids["rejected"] = add_item(c, at, "v0", "rejected", priority=1, source=Source.REJECTED)
        ids["absent"] = add_waiting(c, ids["v0_o0"], "absent", NOTHING)
        return ids

    return Desk(store, store.write(work))


def sighted(desk: Desk, who: str = "ann") -> None:
    while desk.ask(who, "sighted").slot_id is not None:
        desk.do(who, "accept", "sighted")


def blind(desk: Desk, who: str, answer: Callable[[Any], str], decision: Callable[[Any], str]) -> None:
    """All of the blind pass: point at everything, then judge everything."""
    while (slot_id := desk.ask(who, "blind").slot_id) is not None:
        about = desk.item(desk.row(slot_id).item_id)
        if not is_answered(desk, who, slot_id):
            desk.point(who, slot_id, answer(about))
        if desk.find(who, slot_id):
            desk.judge(who, slot_id, decision(about))


def is_answered(desk: Desk, who: str, slot_id: int) -> bool:
    with desk.store.read() as connection:
        return pointing.view(connection, desk.ids[who], slot_id) is not None


def absent_if_nothing(about: Any) -> str:
    return "absent" if about.source == "no_target" else "pointed"


def reject_if_nothing(about: Any) -> str:
    return "reject" if about.source == "no_target" else "accept"


def test_both_are_judged_to_their_end_and_count_for_nothing(store: Database) -> None:
    desk = project(store)
    sighted(desk)
    blind(desk, "ben", absent_if_nothing, reject_if_nothing)
    check(store)
    assert {desk.item(desk.ids[name]).state for name in ("rejected", "absent", "v0_o0")} == {"accepted"}
    with store.read() as connection:
        told, figures = progress(connection, 0.0), agreement(connection)
        assert [told.quotas[name].accepted for name in ("videos", "long", "short")] == [2, 4, 0]
        assert told.states is not None
        assert sum(told.states["long"].values()) == 4
        assert sum(told.states["short"].values()) == 0
        assert figures.blind.hit.n == 4
        assert {name for values in figures.strata.values() for name in values} >= {"long"}
        assert sum(stratum.items for stratum in figures.strata["kind"].values()) == 4
        by_name = {who.name: who for who in reviewers(connection)}
        assert (by_name["ann"].judged, by_name["ann"].work.judged) == (4, 5)
        assert (by_name["ben"].blind_hit.hits, by_name["ben"].blind_hit.n, by_name["ben"].work.judged) == (4, 4, 6)
        assert by_name["ben"].final_accepts == 4
        names = {one.item_id for one in read_chosen(connection)}
        assert names == {desk.ids[f"v{v}_o{n}"] for v in (0, 1) for n in (0, 1)}
        with_absent = [one for one in read_chosen(connection, no_target=True) if one.item_id not in names]
        assert [(one.text, one.no_target, one.blind_hits) for one in with_absent] == [(NOTHING, True, 1)]
        assert no_target_answers(connection).absent.hits == 1


def test_a_quota_is_not_filled_by_what_was_mixed_in(store: Database) -> None:
    desk = project(store, replace(SMALL, long=2, per_video=1, videos=2))
    rejected = desk.ids["rejected"]
    while desk.item(rejected).state != "blind":
        desk.do("ann", "accept", "sighted")
    sighted(desk)
    blind(desk, "ben", absent_if_nothing, reject_if_nothing)
    check(store)
    with store.read() as connection:
        assert progress(connection, 0.0).quotas["long"].accepted == 2
    states = Counter(desk.item(desk.ids[name]).state for name in ("v0_o0", "v0_o1", "v1_o0", "v1_o1"))
    assert states == {"accepted": 2, "surplus": 2}
    assert desk.item(rejected).state == "accepted"  # of no object of the split, so never surplus


@pytest.mark.parametrize(
    ("answer", "decision", "state"),
    [
        ("absent", "reject", "accepted"),
        ("absent", "flag", "accepted"),
        ("absent", "edit", "accepted"),
        ("absent", "accept", "dropped"),  # after the reveal they find that the text fits
        ("ambiguous", "reject", "dropped"),
        ("pointed", "accept", "dropped"),
    ],
)
def test_absent_is_right_where_nothing_fits(store: Database, answer: str, decision: str, state: str) -> None:
    desk = project(store)
    sighted(desk)
    blind(
        desk,
        "ben",
        lambda about: answer if about.source == "no_target" else "pointed",
        lambda about: decision if about.source == "no_target" else "accept",
    )
    about = desk.item(desk.ids["absent"])
    assert about.state == state
    with store.read() as connection:
        told = no_target_answers(connection)
        assert connection.execute(select(slot.c.state).where(slot.c.item_id == about.id)).scalars().all() == ["done"]
    assert (told.absent.hits, told.absent.n) == (answer == "absent", 1)
    assert (told.ambiguous, told.pointed) == (answer == "ambiguous", answer == "pointed")
    assert not [one for one in _chosen(store, no_target=True) if one.no_target] or state == "accepted"
    check(store)
    if decision != "edit":
        desk.undo("ben")  # an undo is like that of any item
    check(store)


def _chosen(store: Database, *, no_target: bool) -> list[Any]:
    with store.read() as connection:
        return list(read_chosen(connection, no_target=no_target))


def test_a_text_without_a_target_waits_for_the_text_of_its_object(store: Database) -> None:
    desk = project(store)
    assert desk.why("ben", "blind")["code"] == "all_done"
    slot_id = desk.claim("ann", "sighted")
    assert desk.row(slot_id).item_id == desk.ids["v0_o0"]
    desk.judge("ann", slot_id, "reject")
    check(store)
    with store.read() as connection:
        theirs = select(func.count()).where(slot.c.item_id == desk.ids["absent"])
        assert connection.execute(theirs).scalar_one() == 0, "nobody is used up for it alone"


def shape(value: Any) -> Any:
    """A view without what differs between any two items: keys, kinds of values, lengths of names."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return (type(value).__name__, value if isinstance(value, bool | None) else None)


def test_what_a_person_gets_is_the_same_in_every_field(store: Database) -> None:
    """Of each pass and step: the view before and after the answer, with versions, and the order of the slots' ids."""
    desk = project(store)
    asked = item.c.id == desk.ids["v0_o1"]
    store.write(lambda c: c.execute(item.update().where(asked).values(wants_short=True)).rowcount)
    views: dict[str, list[Any]] = {}
    ids: dict[str, int] = {}

    def note(who: str, slot_id: int, step: str) -> None:
        with store.read() as connection:
            view = item_views.slot_view(connection, desk.ids[who], slot_id, 0.0)
        assert view is not None
        about = desk.item(desk.row(slot_id).item_id)
        exact = view["slot"]["version"], view["item"]["version"], view["slot"]["kind"], view["masks"] is None
        views.setdefault(f"{step} {about.kind}", []).append((about.source, shape(view), exact, view["pointing"]))

    while (slot_id := desk.ask("ann", "sighted").slot_id) is not None:
        if desk.row(slot_id).item_id == desk.ids["v0_o1"]:
            desk.judge("ann", slot_id, "accept", short="the bar further right")
        else:
            note("ann", slot_id, "sighted")
            desk.judge("ann", slot_id, "accept")
    while (slot_id := desk.ask("ben", "blind").slot_id) is not None:
        row = desk.row(slot_id)
        ids[row.public_id] = slot_id
        if not is_answered(desk, "ben", slot_id):
            note("ben", slot_id, "before")
            desk.point("ben", slot_id, "absent")
        if desk.find("ben", slot_id):
            note("ben", slot_id, "revealed")
            desk.judge("ben", slot_id, "reject")
    assert {step: {source for source, *_ in rows} for step, rows in views.items()} == {
        "sighted long": {"kept", "rejected"},
        "before long": {"kept", "rejected"},
        "before short": {"kept", "no_target"},
        "revealed long": {"kept", "rejected"},
        "revealed short": {"kept", "no_target"},
    }
    for step, rows in views.items():
        assert all(row[1:3] == rows[0][1:3] for row in rows), step
        assert all((row[3] or {}).get("hit") in (None, False) for row in rows), "absent is shown as a miss to everybody"
    assert ids["p_absent"] == ids["p_v0_o0"] - 1, "where the short text of an object has its slot"
