"""Judgements put into a database by hand: what figures and export read, without the queue that makes them."""

from typing import Any

from sqlalchemy import Connection, func, select, update

from tests.validation_ui.rows import new_id
from validation_ui.schema import Decision, ItemState, SlotKind, SlotState, item, judgement, pointing, slot

RIGHT = {"object": "right", "scene": "right", "video": "right"}


def judge(
    connection: Connection,
    item_id: int,
    person_id: int,
    kind: SlotKind = SlotKind.SIGHTED,
    decision: Decision = Decision.ACCEPT,
    *,
    at: float = 1_000_000.0,
    spent_s: float = 60.0,
    hit: bool | None = None,
    answer: str = "pointed",
    **columns: Any,
) -> int:
    """A judgement of the item's current text in a new slot that is done; `hit` adds the pointing of a blind one."""
    text_id = connection.execute(select(item.c.text_id).where(item.c.id == item_id)).scalar_one()
    last = select(func.max(slot.c.n)).where(slot.c.item_id == item_id, slot.c.kind == kind)
    slot_id = new_id(
        connection,
        slot,
        item_id=item_id,
        kind=kind,
        n=(connection.execute(last).scalar() or 0) + 1,
        state=SlotState.DONE,
        holder_id=person_id,
        priority=0,
    )
    if hit is not None:
        columns["pointing_id"] = new_id(
            connection,
            pointing,
            slot_id=slot_id,
            person_id=person_id,
            answer=answer,
            points=[{"frame": 4, "x": 0.25, "y": 0.5}, {"frame": 40, "x": 0.3, "y": 0.5}]
            if answer == "pointed"
            else [],
            hit=hit,
            chance_frac=0.04,
            answer_s=20.0,
            created_at=at - spent_s,
        )
    values = {
        "slot_id": slot_id,
        "item_id": item_id,
        "person_id": person_id,
        "kind": kind,
        "text_id": text_id,
        "decision": decision,
        "parts": RIGHT,
        "spent_s": spent_s,
        "created_at": at,
    }
    return new_id(connection, judgement, **values | columns)


def settle(connection: Connection, item_id: int, state: ItemState = ItemState.ACCEPTED, at: float = 1e6) -> None:
    """Give an item its final state."""
    connection.execute(update(item).where(item.c.id == item_id).values(state=state, settled_at=at))


def accept(
    connection: Connection, item_id: int, sighted: int, blind: int, *, at: float = 1e6, hit: bool = True
) -> None:
    """Both passes, and the state that follows."""
    judge(connection, item_id, sighted, at=at)
    judge(connection, item_id, blind, SlotKind.BLIND, at=at + 60, hit=hit)
    settle(connection, item_id, at=at + 60)
