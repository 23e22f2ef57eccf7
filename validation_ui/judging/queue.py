"""Who judges what next. A slot is handed out by one conditional UPDATE, so nobody is ever given what another has.

Leases that have run out are taken over here, by whoever claims next. Everything one person asks for happens in order,
as each transaction holds their row; what they may have is asked in the same statement that gives it to them.
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
from validation_ui.judging.leases import lock_person, log, put_back, see, slot_row
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
    """A slot, or why there is none: `why` has code, message and counts."""

    slot_id: int | None
    why: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Asker:
    """Who asks, and what they hold: items, and videos in which they are to find something they must not have seen."""

    id: int
    settings: Settings
    now: float
    prefetch: bool
    items: Collection[int]
    blind_videos: Collection[str]

    @property
    def until(self) -> float:
        """End of a lease that begins now."""
        return self.now + (self.settings.prefetch_lease_s if self.prefetch else self.settings.lease_s)

    @property
    def started(self) -> float | None:
        """When they begin to look at what they are given; None: later."""
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
        person_id: who asks.
        role: theirs; only adjudicators and admins are given what reviewers disagree on.
        kinds: passes to choose from. In the entry test there is only that.
        now: of the server's clock.
        prefetch: reserve the one after the present one, for a short time. Otherwise a slot that the person already
            has comes again, also one that was prefetched.
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
        see(connection, person_id, row.video_id, now)
    log(connection, now, person_id, "prefetch" if prefetch else "claim", slot_id, {"item": row.public_id})
    return ClaimResult(slot_id)


def _held(connection: Connection, person_id: int, asked: Collection[SlotKind]) -> list[Row[Any]]:
    """The person's leases, also those that have run out; what they look at first.

    Put back by the way: what was prefetched of a kind no longer asked for, and a blind item whose video they have seen
    since, e.g. by a link.
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
    """A slot that the person has already, its lease renewed."""
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
    """How many items the person was given: judged, skipped, or held."""
    ended: int = connection.execute(_ENDED, {"me": asker.id}).scalar_one()
    return ended + len(asker.items)


def _gold(connection: Connection, asker: _Asker, entry_round: int | None = None) -> int | None:
    return gold.hand_out(
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
        found = items.count_accepted(connection)
        if found.is_full("long", asker.settings):
            return None
        videos_full = found.videos >= asker.settings.videos
        binds["per_video"] = asker.settings.per_video
    row = connection.execute(_lease_best(kind, videos_full), binds).first()
    return int(row.id) if row else None


@cache  # to build it takes longer than to run it
def _lease_best(kind: SlotKind, videos_full: bool) -> ReturningUpdate[int]:
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
    """Why a person whose standing forbids it is given nothing."""
    return _reason("entry_failed" if standing == Standing.FAILED else "stopped")


def _why_none(
    connection: Connection, asked: Collection[SlotKind], settings: Settings, now: float, *, in_entry: bool
) -> dict[str, Any]:
    """Why there is nothing of these kinds. `counts`: open and held slots, and when the first lease ends."""
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
