"""Hands out slots: decides which item a person judges next, or says why there is none.

One conditional UPDATE (`eligibility`) chooses the best free slot that the person may have and leases it to them, so no
slot is ever leased to two people. A lease that has run out is taken over by the next person who claims. The claims of
one person run one after the other, because every transaction locks that person's row.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, case, func, or_, select, update

from validation_ui.judging import batches, gold, undoing
from validation_ui.judging.eligibility import Asker, QueueTurn, lease_batch, lease_best, seen_lately
from validation_ui.judging.leases import end_left, give_up, lock_person, log, mark_seen, slot_row
from validation_ui.problem import Problem
from validation_ui.schema import (
    ADJUDICATORS,
    Account,
    ItemState,
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
)

_ORDER = (SlotKind.ADJUDICATE, SlotKind.BLIND, SlotKind.SIGHTED)
_ME: BindParameter[int] = bindparam("me")
_SAW = select(seen.c.at).where(seen.c.person_id == _ME, seen.c.video_id == item.c.video_id)
_LEASES = (
    select(slot.c.id, slot.c.kind, slot.c.item_id, slot.c.claimed_at, slot.c.lease_until, item.c.video_id)
    .add_columns(
        item.c.state,
        item.c.gold,
        pointing.c.id.label("pointing_id"),
        pointing.c.hit,
        pointing.c.revealed_at,
        and_(slot.c.kind == SlotKind.BLIND, _SAW.exists(), pointing.c.id.is_(None)).label("spoilt"),
    )
    .join_from(slot, item, item.c.id == slot.c.item_id)
    .outerjoin(pointing, and_(pointing.c.slot_id == slot.c.id, pointing.c.person_id == _ME))
    .where(slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
    .order_by(slot.c.claimed_at.is_(None), slot.c.claimed_at.desc(), slot.c.id)
)
_LEASE = update(slot).where(slot.c.id == bindparam("slot"), slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
_GOLD = select(item.c.id).where(item.c.state == ItemState.GOLD)
_JUDGED = select(func.count()).where(judgement.c.person_id == _ME, judgement.c.entry_round.is_(None))
_PASSED = select(func.count()).where(skipped.c.person_id == _ME, skipped.c.entry_round.is_(None))
_ENDED = select(
    _JUDGED.scalar_subquery().label("judged"),
    _PASSED.scalar_subquery().label("passed"),
    _JUDGED.where(judgement.c.gold_right.is_not(None)).scalar_subquery().label("judged_gold"),
    _PASSED.where(skipped.c.item_id.in_(_GOLD)).scalar_subquery().label("passed_gold"),
)


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """Holds the id of the leased slot, or None and the reason: `why` has the keys code, message and counts."""

    slot_id: int | None
    why: dict[str, Any] | None = None


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
    me, settings = lock_person(connection, person_id)
    if me.account != Account.OPEN:
        return ClaimResult(None, _reason("paused"))
    if me.standing in (Standing.FAILED, Standing.STOPPED):
        return ClaimResult(None, _barred(Standing(me.standing)))
    if me.standing == Standing.ENTRY and gold.finish_entry(connection, person_id, me.entry_round, settings, now):
        return claim(connection, person_id=person_id, role=role, kinds=kinds, now=now, prefetch=prefetch)
    if not prefetch:  # that is often enough
        end_left(connection, person_id, now)
    in_entry = me.standing == Standing.ENTRY
    asked = [kind for kind in _ORDER if kind in kinds and (kind != SlotKind.ADJUDICATE or role in ADJUDICATORS)]
    asked = [SlotKind.SIGHTED] if in_entry else asked
    held = _held(connection, person_id, asked, now, settings.lease_s)
    who = Asker(connection, me, settings, now, held, prefetch)
    resumed = _resume(connection, who, asked)
    if resumed is not None:
        return ClaimResult(_begin(connection, who, resumed, in_entry=in_entry))
    if prefetch and sum(row.claimed_at is not None for row in who.held) > 1:
        return ClaimResult(None, _reason("begun"))
    if in_entry:
        done, of = gold.entry_progress(connection, person_id, me.entry_round, settings)
        slot_id = _gold(connection, who, SlotKind.SIGHTED, me.entry_round) if done + len(held) < of else None
    elif gold.fails_gate(connection, person_id, settings):  # e.g. who skips gold items
        undoing.stop(connection, person_id, settings, now)
        return ClaimResult(None, _barred(Standing.STOPPED))
    else:
        slot_id = _best(connection, who, asked)
    if slot_id is None:
        return ClaimResult(None, _why_none(connection, asked, who, in_entry=in_entry))
    row = slot_row(connection, slot_id)
    log(connection, now, person_id, "prefetch" if prefetch else "claim", slot_id, {"item": row.public_id})
    return ClaimResult(_begin(connection, who, row, in_entry=in_entry))


def _begin(connection: Connection, who: Asker, row: Row[Any], *, in_entry: bool) -> int:
    """Note what the person sees from now on; of a blind or gold item, lease the ones that come with it too.

    Args:
        connection: in a transaction.
        who: the person.
        row: the slot that they are given, with its columns id, kind, item_id, and gold and video_id of the item.
        in_entry: whether they take the entry test.

    Returns:
        The slot's id.
    """
    slot_id = int(row.id)
    if who.prefetch:
        return slot_id
    if row.kind != SlotKind.BLIND:
        mark_seen(connection, who.id, row.video_id, who.now)
    if any(one.video_id == row.video_id and one.id != slot_id for one in who.held):
        return slot_id
    if row.gold and not in_entry:
        taker = gold.Taker(who.id, SlotKind(row.kind), who.settings, [*who.items, row.item_id])
        is_blind = row.kind == SlotKind.BLIND
        until = who.now + (who.settings.lease_s if is_blind else who.settings.prefetch_lease_s)
        gold.lease_mates(connection, taker, item_id=row.item_id, video_id=row.video_id, until=until)
    elif row.kind == SlotKind.BLIND:
        lease_batch(who, row.video_id)
    return slot_id


def _held(
    connection: Connection, person_id: int, asked: Collection[SlotKind], now: float, leased_s: float
) -> list[Row[Any]]:
    """Return the person's leases, also those that have run out; the one that they look at comes first.

    Two sorts of leases are put back here: prefetched slots of a kind that is no longer asked for, and blind slots whose
    video the person has seen a mask of since, e.g. by a link. What an admin gave to the person stays theirs.
    """
    held = []
    for row in connection.execute(_LEASES, {"me": person_id}).all():
        is_prefetched = row.claimed_at is None and (row.lease_until or 0.0) <= now + leased_s
        if row.spoilt or (is_prefetched and row.kind not in asked):
            with suppress(Problem):  # somebody took it meanwhile
                give_up(connection, person_id, row.id)
        else:
            held.append(row)
    return held


def _resume(connection: Connection, who: Asker, asked: Collection[SlotKind]) -> Row[Any] | None:
    """Renew the lease of a slot that the person holds already and return its row; None if they hold no such slot.

    A blind item that is answered but not shown yet waits for the other ones of its video, which come before all else.
    """
    rows = list(who.held)
    waiting = {row.video_id for row in rows if row.pointing_id and row.revealed_at is None}
    complete = waiting - _unanswered(rows)
    shown = {video_id for video_id in complete if batches.reveal(who, video_id)}
    if complete - shown:  # more of these videos may have been leased to them
        rows = [row for row in connection.execute(_LEASES, {"me": who.id}).all() if not row.spoilt]
    if waiting - shown:
        rows.sort(key=lambda row: row.video_id not in waiting)
    unanswered = _unanswered(rows)
    for row in rows:
        waits = row.video_id in waiting - shown and row.pointing_id is not None
        if row.kind not in asked or (who.prefetch and row.claimed_at is not None):
            continue
        if waits and (row.hit is not None or row.video_id in unanswered):
            continue
        lease = {"lease_until": max(who.until, row.lease_until or 0.0), "claimed_at": row.claimed_at or who.started}
        if connection.execute(_LEASE, {"slot": row.id, "me": who.id, **lease}).rowcount:
            return row
    return None


def _unanswered(rows: Collection[Row[Any]]) -> set[str]:
    """Return the videos of which a person holds a blind item that they have not answered."""
    return {row.video_id for row in rows if row.kind == SlotKind.BLIND and row.pointing_id is None}


def _best(connection: Connection, who: Asker, asked: Sequence[SlotKind]) -> int | None:
    is_due = who.settings.gold_frac > 0 and gold.is_due(who.settings, who.id, *_given(connection, who))
    among = seen_lately(who) if SlotKind.SIGHTED in asked else []
    for turn in QueueTurn:
        if turn.kind not in asked or (turn is QueueTurn.SIGHTED_KNOWN and not among):
            continue
        may_be_gold = is_due and turn not in (QueueTurn.ADJUDICATE, QueueTurn.SIGHTED_KNOWN)
        place = connection.begin_nested() if may_be_gold else None
        slot_id = lease_best(who, turn, among)
        if place is not None and slot_id is not None:
            place.rollback()  # the real item waits: a gold item comes in its place
            return _gold(connection, who, turn.kind) or lease_best(who, turn, among)
        if place is not None:
            place.commit()
        if slot_id is not None:
            return slot_id
    return None


def _given(connection: Connection, who: Asker) -> tuple[int, int]:
    """Count the items that the person was given outside of the entry test, judged, skipped or held; and gold ones."""
    ended = connection.execute(_ENDED, {"me": who.id}).one()
    held = sum(row.state == ItemState.GOLD for row in who.held)
    return ended.judged + ended.passed + len(who.held), ended.judged_gold + ended.passed_gold + held


def _gold(connection: Connection, who: Asker, kind: SlotKind, entry_round: int | None = None) -> int | None:
    return gold.lease_gold(
        connection,
        gold.Taker(who.id, kind, who.settings, who.items, entry_round),
        until=who.until,
        started=who.started,
        not_videos=[row.video_id for row in who.held],
    )


_MESSAGES = {
    "entry_failed": "You did not pass the entry test. An admin may let you try again.",
    "stopped": "Your judgements are stopped: too many of the check items were wrong, or an admin stopped them. "
    "Ask an admin how to go on.",
    "entry_held": "The rest of your entry test is open already. Answer that first.",
    "begun": "Something that you have begun comes next.",
    "paused": "An admin has paused your account. What you judged counts. Ask them when you want to go on.",
    "quota_reached": "The split has all the expressions it needs. There is nothing left to start.",
    "all_done": "All done: nothing of this kind waits for anybody now, except what you left to others by your own "
    "judgements or skips.",
    "held": "Others are at work on all that is left of this kind. Some of it may come free later.",
    "kept": "You are kept for adjudication: if you judged what is left now, nobody could settle a dispute about it. "
    "A second adjudicator would free you.",
    "wait": "Somebody is at work on the videos that are left. What remains of them may come to you soon.",
    "not_for_you": "What is left of this kind is for other people: you judged or skipped it, wrote its text, or "
    "saw its video before.",
}


def _barred(standing: Standing) -> dict[str, Any]:
    """Return the reason for a person whose standing does not allow any judgement."""
    return _reason("entry_failed" if standing == Standing.FAILED else "stopped")


def _why_none(connection: Connection, asked: Collection[SlotKind], who: Asker, *, in_entry: bool) -> dict[str, Any]:
    """Return the reason why there is no slot of these kinds, with counts of open and held slots.

    `next_free_at` is the time when the first of the held leases ends.
    """
    if in_entry:
        return _reason("entry_held")
    held = and_(slot.c.state == SlotState.LEASED, slot.c.lease_until >= who.now)
    pending = or_(slot.c.state == SlotState.OPEN, slot.c.state == SlotState.LEASED)
    counted = select(item.c.id).where(item.c.state != ItemState.GOLD, gold.not_decided(who.id))
    row = connection.execute(
        select(
            func.count().label("pending"),
            func.coalesce(func.sum(case((held, 1), else_=0)), 0).label("held"),
            func.min(case((held, slot.c.lease_until))).label("until"),
        ).where(slot.c.kind.in_(asked), pending, slot.c.item_id.in_(counted))
    ).one()
    counts = {"open": row.pending - row.held, "held": row.held, "next_free_at": row.until}
    full = SlotKind.SIGHTED in asked and who.accepted.is_full("long", who.settings)
    if full:
        return _reason("quota_reached", counts)
    if not row.pending:
        return _reason("all_done", counts)
    if not counts["open"]:
        return _reason("held", counts)
    is_kept = who.role in ADJUDICATORS and who.team.adjudicators == {who.id}
    return _reason("kept" if is_kept and set(asked) != {SlotKind.ADJUDICATE} else "not_for_you", counts)


def _reason(code: str, counts: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"code": code, "message": _MESSAGES[code], "counts": counts or {}}
