"""Bring an item and its slots in line with what was said of it."""

from typing import Any

from sqlalchemy import BindParameter, Connection, Row, bindparam, func, insert, select, update

from validation_ui import quota
from validation_ui.protocol import ItemFacts, Outcome, Said, derive
from validation_ui.schema import (
    Decision,
    ItemState,
    SlotKind,
    SlotState,
    item,
    judgement,
    pointing,
    slot,
    text_version,
)
from validation_ui.settings import Settings

_FINAL = (ItemState.ACCEPTED, ItemState.SURPLUS, ItemState.DROPPED)
_ACCEPTED = (ItemState.ACCEPTED, ItemState.SURPLUS)
PENDING = (SlotState.OPEN, SlotState.LEASED)
_ITEM: BindParameter[int] = bindparam("item")
_LOCK = select(item).where(item.c.id == _ITEM).with_for_update(key_share=True)
_CHANGE = update(item).where(item.c.id == _ITEM)
_SOURCE = select(judgement.c.id).where(judgement.c.short_item_id == _ITEM, judgement.c.undone_at.is_(None))
_TEXTS = select(text_version.c.id, text_version.c.sha256).where(text_version.c.item_id == _ITEM)
_SAID = (
    select(judgement.c.kind, judgement.c.text_id, judgement.c.decision, judgement.c.new_text_id, pointing.c.hit)
    .outerjoin_from(judgement, pointing, pointing.c.id == judgement.c.pointing_id)
    .where(judgement.c.item_id == _ITEM, judgement.c.undone_at.is_(None))
    .order_by(judgement.c.id)
)
_PENDING_SLOTS = (
    select(slot.c.id, slot.c.kind, slot.c.text_id)
    .where(slot.c.item_id == _ITEM, slot.c.state.in_(PENDING))
    .order_by(slot.c.state, slot.c.n)  # a lease before an open one
)
_VOID = update(slot).where(slot.c.id == bindparam("slot")).values(state=SlotState.VOID, version=slot.c.version + 1)
_LAST_N = select(func.coalesce(func.max(slot.c.n), 0)).where(slot.c.item_id == _ITEM, slot.c.kind == bindparam("pass"))
_OPEN = insert(slot)


def lock_item(connection: Connection, item_id: int) -> Row[Any]:
    """The item's row; whoever else wants to change the item waits until this transaction ends."""
    return connection.execute(_LOCK, {"item": item_id}).one()


def settle(connection: Connection, item_id: int, *, settings: Settings, now: float) -> ItemState:
    """Derive the item's state and text from its live judgements, and open or void slots to match.

    A change of the text raises the item's version. A voided lease is lost to its holder, whose draft stays.
    """
    before = lock_item(connection, item_id)
    if before.gold:
        return ItemState.GOLD
    hashes = _hashes(connection, item_id)
    first_text_id = min(hashes)
    outcome = derive(
        _facts(connection, before, first_text_id), hashes, _said(connection, item_id), max_edits=settings.max_edits
    )
    state = outcome.state
    if state is ItemState.ACCEPTED and before.state in _ACCEPTED:
        state = ItemState(before.state)
    elif state is ItemState.ACCEPTED and not quota.has_room(connection, item_id, before.kind, settings):
        state = ItemState.SURPLUS
    settled_at = None if state not in _FINAL else before.settled_at if state == before.state else now
    after = {
        "state": state,
        "text_id": outcome.text_id,
        "version": before.version + (outcome.text_id != before.text_id),
        "settled_at": settled_at,
    }
    connection.execute(_CHANGE, {"item": item_id, **after})
    _slots(connection, before, first_text_id, outcome)
    return state


def _facts(connection: Connection, row: Row[Any], first_text_id: int) -> ItemFacts:
    if row.kind == "long":
        return ItemFacts(first_text_id, 2 if row.overlap else 1)
    return ItemFacts(first_text_id, 0, withdrawn=connection.execute(_SOURCE, {"item": row.id}).first() is None)


def _hashes(connection: Connection, item_id: int) -> dict[int, str]:
    return {row.id: row.sha256 for row in connection.execute(_TEXTS, {"item": item_id})}


def _said(connection: Connection, item_id: int) -> list[Said]:
    return [
        Said(SlotKind(row.kind), row.text_id, Decision(row.decision), row.new_text_id, row.hit)
        for row in connection.execute(_SAID, {"item": item_id})
    ]


def _slots(connection: Connection, row: Row[Any], first_text_id: int, outcome: Outcome) -> None:
    """Keep the pending slots that are still wanted, void the others, open what is missing."""
    missing = outcome.wanted
    for found in connection.execute(_PENDING_SLOTS, {"item": row.id}).all():
        if missing and found.kind == outcome.state and (found.text_id or first_text_id) == outcome.text_id:
            missing -= 1
        else:
            connection.execute(_VOID, {"slot": found.id})
    if not missing:
        return
    last = connection.execute(_LAST_N, {"item": row.id, "pass": outcome.state}).scalar_one()
    for n in range(last + 1, last + 1 + missing):
        values = {
            "item_id": row.id,
            "kind": SlotKind(outcome.state),
            "n": n,
            "state": SlotState.OPEN,
            "priority": row.priority,
            "text_id": outcome.text_id,
        }
        connection.execute(_OPEN, values)
