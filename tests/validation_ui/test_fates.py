"""What a person is told of a slot that they held."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import fill
from validation_ui.database import Database
from validation_ui.judging.fates import fate
from validation_ui.schema import Standing, item, person, slot
from validation_ui.settings import Settings


@pytest.fixture
def desk(store: Database, clock: Clock) -> Desk:
    return Desk(store, store.write(lambda c: fill(c, gold=2)))


def told(desk: Desk, who: str, slot_id: int) -> str:
    with desk.store.read() as connection:
        found = fate(connection, desk.ids[who], slot_id)
    assert found
    assert found["message"].endswith(".")
    assert ("What you wrote" in found["message"]) == (found["code"] not in ("yours", "answered", "skipped"))
    return str(found["code"])


def late(desk: Desk, clock: Clock) -> None:
    clock.now += 1000


def taken(desk: Desk, clock: Clock) -> None:
    late(desk, clock)
    desk.claim("ben", "sighted")


def given_back(desk: Desk, clock: Clock) -> None:
    taken(desk, clock)
    desk.release("ben", 1)


def answered_by_other(desk: Desk, clock: Clock) -> None:
    taken(desk, clock)
    desk.judge("ben", 1)


def answered(desk: Desk, clock: Clock) -> None:
    desk.judge("ann", 1)


def skipped(desk: Desk, clock: Clock) -> None:
    desk.skip("ann", 1)


def barred(desk: Desk, clock: Clock) -> None:
    change(desk, update(person).where(person.c.name == "ann").values(standing=Standing.STOPPED))


def withdrawn(desk: Desk, clock: Clock) -> None:
    change(desk, update(slot).where(slot.c.id == 1).values(state="void"))


def settled(desk: Desk, clock: Clock) -> None:
    withdrawn(desk, clock)
    change(desk, update(item).where(item.c.public_id == "p_v0_o0").values(state="dropped"))


def surplus(desk: Desk, clock: Clock) -> None:
    withdrawn(desk, clock)
    change(desk, update(item).where(item.c.public_id == "p_v0_o0").values(state="surplus"))


def full(desk: Desk, clock: Clock) -> None:
    withdrawn(desk, clock)
    change(desk, update(item).where(item.c.public_id == "p_v1_o0").values(state="accepted"))
    desk.store.write(Settings(long=1, short=1, videos=1).save)


def change(desk: Desk, statement: object) -> None:
    desk.store.write(lambda c: c.execute(statement).rowcount)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (lambda _desk, _clock: None, "yours"),
        (late, "yours"),
        (taken, "taken"),
        (given_back, "taken"),
        (answered_by_other, "answered_by_other"),
        (answered, "answered"),
        (skipped, "skipped"),
        (barred, "barred"),
        (withdrawn, "withdrawn"),
        (settled, "settled"),
        (surplus, "quota_reached"),
        (full, "quota_reached"),
    ],
)
def test_every_way_to_lose_an_item_is_told(
    desk: Desk, clock: Clock, happens: Callable[[Desk, Clock], None], code: str
) -> None:
    assert desk.claim("ann", "sighted") == 1
    happens(desk, clock)
    assert told(desk, "ann", 1) == code


def test_a_slot_that_does_not_exist_is_told_like_one_of_others(desk: Desk) -> None:
    """A decision on a real item makes slots, one on a gold item does not."""
    desk.claim("ben", "sighted")
    assert told(desk, "ann", 999) == told(desk, "ann", 1) == "taken"
