"""Why somebody is given nothing: never an error, always a sentence."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from validation_ui import quota
from validation_ui.schema import SlotKind, SlotState, Standing, slot
from validation_ui.settings import Settings

_MESSAGES = {
    "entry_failed": "You did not pass the entry test. An admin may let you try again.",
    "stopped": "Your judgements are stopped: too many of the check items were wrong, or an admin stopped them. "
    "Ask an admin how to go on.",
    "entry_held": "The rest of your entry test is open already. Answer that first.",
    "quota_reached": "The split has all the expressions it needs. There is nothing left to start.",
    "all_done": "All done: nothing of this kind waits for anybody now.",
    "held": "Others are at work on all that is left of this kind. Some of it may come free later.",
    "not_for_you": "What is left of this kind is for other people: you judged or skipped it, wrote its text, or "
    "saw its video before.",
}


def barred(standing: Standing) -> dict[str, Any]:
    """Why a person whose standing forbids it is given nothing."""
    return _answer("entry_failed" if standing == Standing.FAILED else "stopped")


def why(
    connection: Connection, asked: Collection[SlotKind], settings: Settings, now: float, *, in_entry: bool
) -> dict[str, Any]:
    """Why there is nothing of these kinds. `counts`: open and held slots, and when the first lease ends."""
    if in_entry:
        return _answer("entry_held")
    held = and_(slot.c.state == SlotState.LEASED, slot.c.lease_until >= now)
    pending = or_(slot.c.state == SlotState.OPEN, slot.c.state == SlotState.LEASED)
    row = connection.execute(
        select(
            func.count().label("pending"),
            func.coalesce(func.sum(case((held, 1), else_=0)), 0).label("held"),
            func.min(case((held, slot.c.lease_until))).label("until"),
        ).where(slot.c.kind.in_(asked), pending)
    ).one()
    counts = {"open": row.pending - row.held, "held": row.held, "next_free_at": row.until}
    full = SlotKind.SIGHTED in asked and quota.filled(connection).is_full("long", settings)
    if full:
        return _answer("quota_reached", counts)
    if not row.pending:
        return _answer("all_done", counts)
    return _answer("not_for_you" if counts["open"] else "held", counts)


def _answer(code: str, counts: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"code": code, "message": _MESSAGES[code], "counts": counts or {}}
