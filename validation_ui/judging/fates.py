"""Tells a person what became of a slot that they held, so that nobody finds their work gone without a reason."""

from typing import Any

from sqlalchemy import Connection, Row, select

from validation_ui.judging import gold, items, leases
from validation_ui.schema import ItemState, SlotState, Standing, item, judgement, person, skipped, slot
from validation_ui.settings import Settings

_MESSAGES = {
    "yours": "This item is still yours.",
    "answered": "You answered this item already, here or in another tab.",
    "skipped": "You skipped this item, here or in another tab.",
    "barred": "This item is no longer yours: your judgements are stopped. Ask an admin how to go on.",
    "taken": "This item is no longer yours: your time for it ran out, and somebody else has it or had it since.",
    "answered_by_other": "This item is no longer yours: your time for it ran out, and somebody else has answered it.",
    "quota_reached": "This item is no longer needed: the split has all the expressions of its kind that it needs.",
    "settled": "This item is no longer needed: it was settled without this answer.",
    "withdrawn": "This item is no longer yours: it was withdrawn, or its text was changed by somebody else.",
}
_KEPT = " What you wrote stays in this browser; copy it if you need it, and take the next item."
_MINE = frozenset({"yours", "answered", "skipped"})


def fate(connection: Connection, person_id: int, slot_id: int) -> dict[str, Any]:
    """Return {"code", "message"}: what became of a slot for this person.

    The codes are the keys of `_MESSAGES`. Gold items get the same codes as others. Slots that follow from the person's
    own decisions are told like slots that do not exist (e.g. after a restore): after one on a gold item there are none.
    """
    row = connection.execute(
        select(slot, item.c.state.label("item_state"), item.c.kind.label("item_kind"))
        .add_columns(gold.not_decided(person_id).label("may_be_told"))
        .join_from(slot, item)
        .where(slot.c.id == slot_id)
    ).first()
    code = "taken" if row is None else _code(connection, person_id, row)
    return {"code": code, "message": _MESSAGES[code] + ("" if code in _MINE else _KEPT)}


def _code(connection: Connection, person_id: int, row: Row[Any]) -> str:
    mine = (judgement.c.slot_id == row.id, judgement.c.person_id == person_id, judgement.c.undone_at.is_(None))
    if connection.execute(select(judgement.c.id).where(*mine)).first() is not None:
        return "answered"
    left = (skipped.c.item_id == row.item_id, skipped.c.person_id == person_id)
    if connection.execute(select(skipped.c.at).where(*left)).first() is not None:
        return "skipped"
    standing = connection.execute(select(person.c.standing).where(person.c.id == person_id)).scalar_one()
    if standing in (Standing.FAILED, Standing.STOPPED):
        return "barred"
    if row.state in leases.KEPT:
        return "yours" if row.holder_id == person_id else "taken"
    if not row.may_be_told:
        return "taken"
    if row.state == SlotState.DONE:
        return "answered_by_other"
    if row.item_state == ItemState.GOLD:  # void because the person let it go; others would have a real item now
        return "taken"
    if row.item_state == ItemState.SURPLUS:
        return "quota_reached"
    if row.item_state in (ItemState.ACCEPTED, ItemState.DROPPED):
        return "settled"
    kind = "short" if row.item_kind == "short" else "long"
    full = items.count_accepted(connection).is_full(kind, Settings.load(connection))
    return "quota_reached" if full else "withdrawn"
