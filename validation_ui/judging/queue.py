"""Hands out slots: decides which item a person judges next, or says why there is none.

One conditional UPDATE chooses the best free slot that the person may have and leases it to them, so no slot is ever
leased to two people. A lease that has run out is taken over by the next person who claims. The claims of one person run
one after the other, because every transaction locks that person's row.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from validation_ui.judging import gold, items
from validation_ui.judging.leases import lock_person, log, mark_seen, put_back, slot_row
from validation_ui.problem import Problem
from validation_ui.schema import (
    ADJUDICATORS,
    Role,
    SlotKind,
    SlotState,
    Standing,
    item,
    judgement,
    pointing,
    seen,
    skipped,
    slot,
    text_version,
)
from validation_ui.settings import Settings

_ORDER = (SlotKind.ADJUDICATE, SlotKind.BLIND, SlotKind.SIGHTED)  # finish what was started first
_ME: BindParameter[int] = bindparam("me")
_NOW: BindParameter[float] = bindparam("now")
_SAW = select(seen.c.at).where(seen.c.person_id == _ME, seen.c.video_id == item.c.video_id)
_ANSWERED = select(pointing.c.id).where(pointing.c.slot_id == slot.c.id, pointing.c.person_id == _ME)
_SPOILT = and_(slot.c.kind == SlotKind.BLIND, _SAW.exists(), ~_ANSWERED.exists())
_LEASES = (
    select(slot.c.id, slot.c.kind, slot.c.item_id, slot.c.claimed_at, item.c.video_id, _SPOILT.label("spoilt"))
    .join_from(slot, item)
    .where(slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
    .order_by(slot.c.claimed_at.is_(None), slot.c.claimed_at.desc(), slot.c.id)
)
_LEASE = update(slot).where(slot.c.id == bindparam("slot"), slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
_JUDGED = select(func.count()).where(judgement.c.person_id == _ME).scalar_subquery()
_PASSED = select(func.count()).where(skipped.c.person_id == _ME).scalar_subquery()
_ENDED = select(_JUDGED + _PASSED)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Holds the id of the leased slot, or None and the reason: `why` has the keys code, message and counts."""

    slot_id: int | None
    why: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Asker:
    """The person who asks, and what they hold: item ids, and the videos of the blind slots among them."""

    id: int
    settings: Settings
    now: float
    prefetch: bool
    items: Collection[int]
    blind_videos: Collection[str]

    @property
    def until(self) -> float:
        """When a lease that begins now ends."""
        return self.now + (self.settings.prefetch_lease_s if self.prefetch else self.settings.lease_s)

    @property
    def started(self) -> float | None:
        """When the person begins to look at the item; None if it is prefetched for later."""
        return None if self.prefetch else self.now


def claim(
    connection: Connection,
    *,
    person_id: int,
    role: Role,
    kinds: Sequence[SlotKind],
    now: float,
    prefetch: bool = False,
) -> ClaimResult:
    """Lease the best slot that this person may have.

    Args:
        connection: in a transaction.
        person_id: the person who asks.
        role: their role; only adjudicators and admins are given items that reviewers disagree on.
        kinds: the passes to choose from; ignored in the entry test.
        now: the time of the server's clock.
        prefetch: reserve the item after the present one, for a short time. If False, a slot that the person already
            holds is returned again, also one that was prefetched.
    """
    settings = Settings.load(connection)
    me = lock_person(connection, person_id)
    if me.standing in (Standing.FAILED, Standing.STOPPED):
        return ClaimResult(None, _barred(Standing(me.standing)))
    if me.standing == Standing.ENTRY and gold.finish_entry(connection, person_id, me.entry_round, settings, now):
        return claim(connection, person_id=person_id, role=role, kinds=kinds, now=now, prefetch=prefetch)
    in_entry = me.standing == Standing.ENTRY
    asked = [kind for kind in _ORDER if kind in kinds and (kind != SlotKind.ADJUDICATE or role in ADJUDICATORS)]
    asked = [SlotKind.SIGHTED] if in_entry else asked
    held = _held(connection, person_id, asked)
    asker = _Asker(
        person_id,
        settings,
        now,
        prefetch,
        [row.item_id for row in held],
        [row.video_id for row in held if row.kind == SlotKind.BLIND],
    )
    resumed = _resume(connection, held, asked, asker)
    if resumed is not None:
        return ClaimResult(resumed)
    if in_entry:
        done, of = gold.entry_progress(connection, person_id, me.entry_round, settings)
        slot_id = _gold(connection, asker, me.entry_round) if done + len(held) < of else None
    else:
        slot_id = _best(connection, asker, asked)
    if slot_id is None:
        return ClaimResult(None, _why_none(connection, asked, settings, now, in_entry=in_entry))
    row = slot_row(connection, slot_id)
    if row.kind != SlotKind.BLIND:
        mark_seen(connection, person_id, row.video_id, now)
    log(connection, now, person_id, "prefetch" if prefetch else "claim", slot_id, {"item": row.public_id})
    return ClaimResult(slot_id)


def _held(connection: Connection, person_id: int, asked: Collection[SlotKind]) -> list[Row[Any]]:
    """Return the person's leases, also those that have run out; the one that they look at comes first.

    Two sorts of leases are put back here: prefetched slots of a kind that is no longer asked for, and blind slots whose
    video the person has seen a mask of since, e.g. by a link.
    """
    held = []
    for row in connection.execute(_LEASES, {"me": person_id}).all():
        if row.spoilt or (row.claimed_at is None and row.kind not in asked):
            with suppress(Problem):  # somebody took it meanwhile
                put_back(connection, person_id, row.id, holder_id=None)
        else:
            held.append(row)
    return held


def _resume(
    connection: Connection,
    held: Sequence[Row[Any]],
    asked: Collection[SlotKind],
    asker: _Asker,
) -> int | None:
    """Renew the lease of a slot that the person holds already and return its id; None if they hold no such slot."""
    for row in held:
        if row.kind not in asked or (asker.prefetch and row.claimed_at is not None):
            continue
        lease = {"lease_until": asker.until, "claimed_at": row.claimed_at or asker.started}
        if connection.execute(_LEASE, {"slot": row.id, "me": asker.id, **lease}).rowcount:
            return int(row.id)
    return None


def _best(connection: Connection, asker: _Asker, asked: Sequence[SlotKind]) -> int | None:
    for kind in asked:
        if kind == SlotKind.SIGHTED and gold.is_due(asker.settings, asker.id, _claims(connection, asker)):
            slot_id = _gold(connection, asker)
            if slot_id is not None:
                return slot_id
        slot_id = _take(connection, asker, kind)
        if slot_id is not None:
            return slot_id
    return None


def _claims(connection: Connection, asker: _Asker) -> int:
    """Count the items that the person was given so far: judged, skipped or held."""
    ended: int = connection.execute(_ENDED, {"me": asker.id}).scalar_one()
    return ended + len(asker.items)


def _gold(connection: Connection, asker: _Asker, entry_round: int | None = None) -> int | None:
    return gold.lease_gold(
        connection,
        person_id=asker.id,
        until=asker.until,
        started=asker.started,
        settings=asker.settings,
        not_items=asker.items,
        not_videos=asker.blind_videos,
        entry_round=entry_round,
    )


def _take(connection: Connection, asker: _Asker, kind: SlotKind) -> int | None:
    videos_full = False
    binds: dict[str, Any] = {
        "me": asker.id,
        "now": asker.now,
        "until": asker.until,
        "started": asker.started,
        "held_items": asker.items,
        "blind_videos": asker.blind_videos,
    }
    if kind == SlotKind.SIGHTED:
        accepted = items.count_accepted(connection)
        if accepted.is_full("long", asker.settings):
            return None
        videos_full = accepted.videos >= asker.settings.videos
        binds["per_video"] = asker.settings.per_video
    row = connection.execute(_lease_best(kind, videos_full), binds).first()
    return int(row.id) if row else None


@cache  # to build the statement takes longer than to run it
def _lease_best(kind: SlotKind, videos_full: bool) -> ReturningUpdate[int]:
    """Build the UPDATE that leases the best free slot of one kind and returns the slot's id, or no row.

    Its parameters are `me`, `now`, `until`, `started`, `per_video` (sighted pass only), `held_items` (items that the
    person holds) and `blind_videos` (videos of their blind slots: another item of such a video would show them a mask).

    Args:
        kind: the pass.
        videos_full: the split takes no more videos, only more objects of those it has; for the sighted pass.
    """
    free = slot.alias("free")
    # literals, not parameters: the planner uses the partial index ix_slot_free only if it sees these values
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
    """Build the condition that the person `me` may judge an `item` row in this pass."""
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
        rules.append(items.video_has_room(bindparam("per_video"), videos_full=videos_full))
    return and_(*rules)


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


def _barred(standing: Standing) -> dict[str, Any]:
    """Return the reason for a person whose standing does not allow any judgement."""
    return _reason("entry_failed" if standing == Standing.FAILED else "stopped")


def _why_none(
    connection: Connection, asked: Collection[SlotKind], settings: Settings, now: float, *, in_entry: bool
) -> dict[str, Any]:
    """Return the reason why there is no slot of these kinds, with counts of open and held slots.

    `next_free_at` is the time when the first of the held leases ends.
    """
    if in_entry:
        return _reason("entry_held")
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
    full = SlotKind.SIGHTED in asked and items.count_accepted(connection).is_full("long", settings)
    if full:
        return _reason("quota_reached", counts)
    if not row.pending:
        return _reason("all_done", counts)
    return _reason("not_for_you" if counts["open"] else "held", counts)


def _reason(code: str, counts: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"code": code, "message": _MESSAGES[code], "counts": counts or {}}
