"""What a reviewer who looks for gold items can ask of the server, and gets the same of gold and of real items."""

from dataclasses import replace
from typing import Any

import pytest

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, fill
from validation_ui.database import Database
from validation_ui.judging import fates, item_views
from validation_ui.problem import Problem
from validation_ui.schema import Role

HIDDEN = replace(SMALL, gold_frac=0.5)
KNOWN_SLOTS = 40  # more than there are


@pytest.fixture
def desk(store: Database) -> Desk:
    return Desk(store, store.write(lambda c: fill(c, settings=HIDDEN, videos=8, objects=1, gold=12)))


def slot_view(desk: Desk, slot_id: int) -> dict[str, Any]:
    with desk.store.read() as connection:
        view = item_views.slot_view(connection, desk.ids["ann"], slot_id, 0.0)
    assert view is not None
    return view


def item_view(desk: Desk, public_id: str) -> dict[str, Any]:
    """The item by its link."""
    with desk.store.read() as connection:
        view = item_views.item_view(connection, desk.ids["ann"], Role.REVIEWER, public_id)
    assert view is not None
    return {name: value for name, value in view["item"].items() if name not in ("public_id", "parts")}


def fates_of_all(desk: Desk) -> list[str]:
    """What is told of every slot there may be, whoever has it."""
    with desk.store.read() as connection:
        return [fates.fate(connection, desk.ids["ann"], n)["code"] for n in range(1, KNOWN_SLOTS)]


def probed(desk: Desk) -> tuple[bool, Any]:
    """Whether the next item is gold, and what shows of it while it is edited, undone, edited again and left so."""
    before = fates_of_all(desk)
    slot_id = desk.claim("ann", "sighted")
    row = desk.row(slot_id)
    shown: list[Any] = [len(set(fates_of_all(desk)) - set(before))]
    version = slot_view(desk, slot_id)["item"]["version"]
    for _ in range(2):
        shown += [desk.why("ann", "blind"), version]
        desk.judge("ann", slot_id, "edit", version=version)
        shown += [desk.why("ann", "blind"), item_view(desk, row.public_id)]
        assert desk.undo("ann")[1] == slot_id
        view = slot_view(desk, slot_id)
        with pytest.raises(Problem, match="text changed"):
            desk.judge("ann", slot_id, "reject", version=version)
        version = view["item"]["version"]
        shown.append(view["slot"]["version"])
    desk.judge("ann", slot_id, "accept" if row.gold != "swapped" else "reject", version=version)
    shown.append(item_view(desk, row.public_id))
    after = fates_of_all(desk)
    return bool(row.gold), [*shown, [told for n, told in enumerate(after, 1) if n != slot_id and told != before[n - 1]]]


def test_edits_undos_counts_and_fates_tell_no_gold_item(desk: Desk) -> None:
    told: dict[bool, list[Any]] = {True: [], False: []}
    while not all(told.values()):
        is_gold, shown = probed(desk)
        told[is_gold].append(shown)
    assert all(shown == told[True][0] for shown in told[True] + told[False])
    check(desk.store)


def test_what_one_skipped_is_not_counted_as_left(desk: Desk) -> None:
    """A real item that one skips is open to others, and a gold item is to nobody."""
    while (slot_id := desk.ask("ann", "sighted").slot_id) is not None:
        desk.skip("ann", slot_id)
    assert desk.why("ann", "sighted")["counts"]["open"] == 0
