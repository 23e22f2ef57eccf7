"""The open blind items of a video are answered together by one person, before anything of the video is shown to them.

So a video uses up one person for all its objects, and nobody finds the second object by ruling out the first. The order
is: all points, then the choices between outlines, then all reveals.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, select, update

from validation_ui.judging import gold, leases
from validation_ui.judging.eligibility import Asker, lease_batch
from validation_ui.schema import SlotKind, SlotState, item, pointing, slot

_ME: BindParameter[int] = bindparam("me")
_HELD = (
    select(slot.c.id, slot.c.kind, slot.c.item_id, item.c.video_id, slot.c.claimed_at)
    .add_columns(pointing.c.id.label("pointing_id"), pointing.c.hit, pointing.c.revealed_at)
    .join_from(slot, item, item.c.id == slot.c.item_id)
    .outerjoin(pointing, and_(pointing.c.slot_id == slot.c.id, pointing.c.person_id == _ME))
    .where(slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
    .order_by(slot.c.priority, slot.c.id)
)
_REVEAL = (
    update(pointing)
    .where(pointing.c.id == bindparam("which"), pointing.c.revealed_at.is_(None))
    .values(revealed_at=bindparam("now"))
)


def reveal(who: Asker, video_id: str) -> bool:
    """Show a person what they answered in a video, if nothing of it is left to answer; return whether it is shown.

    Items that came to the blind pass meanwhile are leased to the person first, so that they are answered too. What
    the person holds is read again: they may have answered since.
    """
    connection, now = who.connection, who.now
    who = replace(who, held=connection.execute(_HELD, {"me": who.id}).all(), prefetch=False)
    rows = _of_video(who.held, video_id)
    if not all(row.pointing_id for row in rows):
        return False
    is_new = any(row.revealed_at is None for row in rows) and not leases.has_seen(connection, who.id, video_id)
    if is_new and (lease_batch(who, video_id) or gold.lease_released(connection, who.id, video_id, who.until)):
        return False
    if any(row.hit is None for row in rows):
        return False
    if rows:
        connection.execute(_REVEAL, [{"which": row.pointing_id, "now": now} for row in rows])
        leases.mark_seen(connection, who.id, video_id, now)
    return bool(rows)


def all_answered(connection: Connection, person_id: int, video_id: str) -> bool:
    """Return whether the person has answered all blind items of a video that they hold."""
    held = connection.execute(_HELD, {"me": person_id}).all()
    return all(row.pointing_id for row in _of_video(held, video_id))


def _of_video(rows: Sequence[Row[Any]], video_id: str) -> list[Row[Any]]:
    return [row for row in rows if row.kind == SlotKind.BLIND and row.video_id == video_id]
