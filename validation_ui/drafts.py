"""What a reviewer wrote and did not send yet, kept on the server too."""

from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from validation_ui.leases import lease_lost
from validation_ui.problem import Problem
from validation_ui.schema import draft, slot

_MINE = select(draft).where(draft.c.slot_id == bindparam("slot"), draft.c.person_id == bindparam("person"))


def save(
    connection: Connection, *, person_id: int, slot_id: int, body: dict[str, Any], version: int, now: float
) -> int:
    """Keep a draft; its new version. Also after the lease was lost, until somebody answers the slot.

    Args:
        connection: in a transaction.
        person_id: whose.
        slot_id: which they hold, or held last, or have a draft of.
        body: the page's own.
        version: of the draft that this one follows, 0 for the first.
        now: of the server's clock.

    Raises:
        Problem: 409 lease_lost, 412 draft_conflict with the other draft.
    """
    key = (draft.c.slot_id == slot_id, draft.c.person_id == person_id)
    kept = connection.execute(select(draft).where(*key).with_for_update()).first()
    if kept is None:
        held = select(slot.c.id).where(slot.c.id == slot_id, slot.c.holder_id == person_id)
        if connection.execute(held).first() is None:
            raise lease_lost()
    if version != (kept.version if kept else 0):
        raise Problem(
            412,
            "draft_conflict",
            "Another tab of yours has written a newer draft of this item. Choose which to keep.",
            theirs={"body": kept.body, "version": kept.version} if kept else None,
        )
    values = {"body": body, "version": version + 1, "saved_at": now}
    if kept:
        connection.execute(update(draft).where(*key).values(**values))
    else:
        connection.execute(insert(draft).values(slot_id=slot_id, person_id=person_id, **values))
    return version + 1


def view(connection: Connection, person_id: int, slot_id: int) -> dict[str, Any] | None:
    """The person's draft of a slot."""
    kept = connection.execute(_MINE, {"slot": slot_id, "person": person_id}).first()
    return {"body": kept.body, "version": kept.version, "saved_at": kept.saved_at} if kept else None
