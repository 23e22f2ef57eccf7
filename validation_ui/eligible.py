"""The statement that gives a slot to a person: which may be theirs, and which of those is best."""

from functools import cache
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, bindparam, case, literal_column, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from validation_ui import gold, quota
from validation_ui.schema import SlotKind, SlotState, item, judgement, seen, skipped, slot, text_version

_ME: BindParameter[Any] = bindparam("me")
_NOW: BindParameter[Any] = bindparam("now")


@cache  # to build it takes longer than to run it
def take(kind: SlotKind, videos_full: bool) -> ReturningUpdate[int]:
    """Lease the best free slot of one kind: one conditional UPDATE, whose row, if any, is the slot's id.

    Binds: `me`, `now`, `lease_until`, `claimed_at`, `per_video`, and what the person holds already: `held_items`, and
    `blind_videos`, in which they are to find something, so must neither see it nor have it revealed by another.

    Args:
        kind: the pass.
        videos_full: whether the split takes no more videos, only more objects of those it has; of the sighted pass.
    """
    free = slot.alias("free")
    # written out, not bound: it must be seen to imply the condition of ix_slot_free
    pending = free.c.state.in_([literal_column("'open'"), literal_column("'leased'")])
    best = (
        select(free.c.id)
        .join_from(free, item, item.c.id == free.c.item_id)
        .where(
            free.c.kind == kind,
            pending,
            or_(free.c.state == SlotState.OPEN, free.c.lease_until < _NOW),
            _is_eligible(kind, videos_full),
        )
        .order_by(free.c.priority, free.c.id)
        .limit(1)
        .with_for_update(of=free, skip_locked=True)
    )
    return (
        update(slot)
        .where(slot.c.id == best.scalar_subquery(), or_(slot.c.state == SlotState.OPEN, slot.c.lease_until < _NOW))
        .values(
            state=SlotState.LEASED,
            holder_id=_ME,
            lease_until=bindparam("until"),
            claimed_at=bindparam("started"),
            version=slot.c.version + case((slot.c.holder_id == _ME, 0), else_=1),
        )
        .returning(slot.c.id)
    )


def _is_eligible(kind: SlotKind, videos_full: bool) -> ColumnElement[bool]:
    """SQL: the person may judge an `item` row in this pass."""
    judged = select(judgement.c.id).where(
        judgement.c.item_id == item.c.id,
        judgement.c.person_id == _ME,
        or_(judgement.c.undone_at.is_(None), judgement.c.undone_by == gold.GATE),
    )
    wrote = select(text_version.c.id).where(text_version.c.id == item.c.text_id, text_version.c.author_id == _ME)
    passed = select(skipped.c.item_id).where(skipped.c.item_id == item.c.id, skipped.c.person_id == _ME)
    rules = [
        item.c.state == kind,
        or_(item.c.author_id.is_(None), item.c.author_id != _ME),
        item.c.id.not_in(bindparam("held_items", expanding=True)),
        ~judged.exists(),
        ~wrote.exists(),
        ~passed.exists(),
        item.c.video_id.not_in(bindparam("blind_videos", expanding=True)),
    ]
    if kind == SlotKind.BLIND:
        saw = select(seen.c.at).where(seen.c.video_id == item.c.video_id, seen.c.person_id == _ME)
        return and_(*rules, ~saw.exists())
    if kind == SlotKind.SIGHTED:
        rules.append(quota.video_has_room(bindparam("per_video"), videos_full=videos_full))
    return and_(*rules)
