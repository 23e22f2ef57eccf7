"""What the answer to a blind item brings along is what a claim after it gives; `Desk.answer_on` compares the two."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.review_driver import box_counts
from tests.validation_ui.rows import SMALL, add_item, add_masklet, fill
from validation_ui.database import Database
from validation_ui.judging import leases
from validation_ui.people import accounts
from validation_ui.people.access import Caller
from validation_ui.problem import Problem
from validation_ui.schema import Account, Gold, Role, Standing, item, slot


def desk_of(store: Database, *, objects: int = 2, videos: int = 2, **more: Any) -> Desk:
    """All real items are in the blind pass, by dan."""
    desk = Desk(store, store.write(lambda c: fill(c, videos=videos, objects=objects, **more)))
    for _ in range(videos * objects):
        desk.do("dan", "accept", "sighted")
    return desk


def slot_of(brought: Any) -> int:
    return int(brought["slot"]["id"])


def test_the_other_items_of_the_video_come_one_by_one_and_nothing_with_the_last(store: Database) -> None:
    desk = desk_of(store, objects=3)
    came = [desk.claim("ben", "blind")]
    for answer in ("pointed", "absent"):
        brought = desk.point_on("ben", came[-1], answer)
        assert (brought["slot"]["kind"], brought["masks"], brought["pointing"]) == ("blind", None, None)
        came.append(desk.claim("ben"))
        assert came[-1] == slot_of(brought)
        assert desk.point_on("ben", came[-2], answer) == brought  # sent again
    assert {desk.row(each).video_id for each in came} == {"v0"}
    assert len(set(came)) == 3
    assert desk.point_on("ben", came[-1]) is None  # this one is shown now
    check(store)


def test_what_was_released_or_came_meanwhile_is_brought(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=3)))
    for _ in range(2):
        desk.do("ann", "accept", "sighted")
    first = desk.claim("ben", "blind")
    [other] = held(desk, "ben") - {first}
    desk.release("ben", other)
    brought = desk.point_on("ben", first)
    assert slot_of(brought) == other
    desk.do("ann", "accept", "sighted")
    desk.claim("ben", "blind")
    assert desk.row(slot_of(desk.point_on("ben", other))).public_id == "p_v0_o2"


def held(desk: Desk, who: str) -> set[int]:
    with desk.store.read() as connection:
        rows = select(slot.c.id).where(slot.c.holder_id == desk.ids[who], slot.c.state == "leased")
        return set(connection.execute(rows).scalars())


def test_who_lost_the_item_is_brought_nothing(store: Database, clock: Clock) -> None:
    desk = desk_of(store)
    first = desk.claim("ben", "blind")
    clock.now += 10_000
    assert desk.row(desk.claim("cy", "blind")).video_id == "v0"  # both are cy's now
    with pytest.raises(Problem, match="no longer yours"):
        desk.point_on("ben", first)


def test_who_leaves_the_last_other_item_to_others_is_shown_what_they_answered(store: Database) -> None:
    desk = desk_of(store)
    first = desk.claim("ben", "blind")
    other = slot_of(desk.point_on("ben", first))
    desk.skip("ben", other)
    brought = desk.point_on("ben", first)  # sent again
    assert (slot_of(brought), brought["pointing"]["revealed"]) == (first, True)
    desk.claim("ben")
    desk.judge("ben", first)
    check(store)


@pytest.mark.parametrize("change", [{"account": Account.PAUSED}, {"standing": Standing.STOPPED}])
def test_who_may_not_judge_any_more_is_brought_nothing(store: Database, change: dict[str, Any]) -> None:
    desk = desk_of(store)
    slot_id = desk.claim("ben", "blind")
    admin = Caller(desk.ids["eve"], "eve", Role.ADMIN, Standing.ACTIVE, "")
    store.write(lambda c: accounts.change(c, desk.ids["ben"], by=admin, now=store.now(), **change))
    with pytest.raises(Problem, match="no longer yours"):
        desk.point_on("ben", slot_id)
    assert held(desk, "ben") == set()


def test_gold_items_of_a_video_come_as_others_do(store: Database) -> None:
    desk = desk_of(store, videos=4, gold=4)

    def mates(connection: Any) -> None:
        for n in range(4):
            add_item(connection, add_masklet(connection, f"g{n}", 1), f"g{n}", f"mate_{n}", gold=Gold.GOOD)

    store.write(mates)
    store.write(replace(SMALL, gold_frac=0.5).save)
    shapes: dict[bool, set[str]] = {True: set(), False: set()}
    while (slot_id := desk.ask("ann", "blind").slot_id) is not None:
        is_gold = bool(desk.row(slot_id).gold)
        brought = desk.point_on("ann", slot_id)
        assert bool(desk.row(slot_of(brought)).gold) == is_gold
        shapes[is_gold].add(str({name: shape(value) for name, value in brought.items()}))
        desk.point("ann", desk.claim("ann", "blind"))
        for _ in range(2):
            desk.judge("ann", desk.claim("ann", "blind"))
    assert shapes[True] == shapes[False] != set()
    check(store)


def shape(value: Any) -> Any:
    """The names of the fields and the types of the values."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__


def test_what_an_adjudicator_has_begun_comes_before_what_is_to_settle(store: Database) -> None:
    desk = desk_of(store, adjudicators=("eve", "fay"))
    first = desk.claim("eve", "blind")
    one = desk.claim("ben", "blind")
    other = slot_of(desk.point_on("ben", one, hit=False))
    desk.claim("ben")
    desk.point("ben", other)
    desk.judge("ben", desk.claim("ben"), "reject")  # now there is something to settle
    brought = desk.point_on("eve", first)
    assert (brought["slot"]["kind"], desk.row(slot_of(brought)).video_id) == ("blind", desk.row(first).video_id)
    desk.claim("eve")
    assert desk.point_on("eve", slot_of(brought)) is None
    check(store)


def test_only_the_passes_that_are_asked_for_are_brought(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=2)))
    for _ in range(2):
        desk.do("dan", "accept", "sighted")
    first = desk.claim("ben", "blind")
    brought = desk.point_on("ben", first, "absent", "sighted")
    assert (brought["slot"]["kind"], brought["video"]["media_id"]) == ("sighted", "m_v1")
    brought = desk.point_on("ben", first, "absent", "adjudicate")
    assert (brought["slot"], brought["why"]["code"]) == (None, "all_done")


def test_a_choice_brings_the_next_item_to_choose_in(store: Database) -> None:
    desk = desk_of(store, videos=1)
    store.write(lambda c: add_masklet(c, "v0", 7, box_counts(0, 90, 0, 160)))  # all lies inside
    first = desk.claim("ben", "blind")
    other = slot_of(desk.point_on("ben", first))
    desk.claim("ben")
    assert desk.point_on("ben", other) is None  # its outlines come first
    brought = desk.choose_on("ben", other, 0)
    assert (slot_of(brought), brought["masks"], brought["pointing"]["needs_extent"]) == (first, None, True)
    assert len(brought["pointing"]["outlines"]) == 2
    desk.claim("ben")
    with store.read() as connection:
        assert not leases.has_seen(connection, desk.ids["ben"], "v0")
    assert desk.choose_on("ben", first, 0) is None
    for _ in range(2):
        desk.judge("ben", desk.claim("ben"))
    with store.read() as connection:
        assert set(connection.execute(select(item.c.state)).scalars()) == {"accepted"}
    check(store)
