"""What a person holds: leases of slots, which are renewed and released, and drafts of answers that were not sent yet.

After a lease has run out or was released, its last holder may still answer until somebody else claims the slot. Only
then is the lease lost.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Float,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.sql.dml import Update

from validation_ui import audit
from validation_ui.judging import items
from validation_ui.problem import Problem
from validation_ui.schema import (
    Decision,
    Gold,
    SlotKind,
    SlotState,
    Standing,
    draft,
    has_any,
    item,
    judgement,
    person,
    pointing,
    seen,
    skipped,
    slot,
)
from validation_ui.settings import STORED_SETTINGS, Settings

KEPT = (SlotState.LEASED, SlotState.OPEN)  # states in which the last holder of a slot may still answer it
_ME: BindParameter[int] = bindparam("me")
_SLOT: BindParameter[int] = bindparam("slot")
_VIDEO: BindParameter[str] = bindparam("video")
_PERSON: Select[Any] = (
    select(*(person.c[name] for name in ("id", "role", "standing", "account", "entry_round")), STORED_SETTINGS)
    .where(person.c.id == _ME)
    .with_for_update(of=person, key_share=True)
)
_ROW = (
    select(slot, item.c.public_id, item.c.gold, item.c.video_id, item.c.masklet_id)
    .join_from(slot, item)
    .where(slot.c.id == _SLOT)
)
_SEEN = select(seen.c.at).where(seen.c.person_id == _ME, seen.c.video_id == _VIDEO)
_SAW = select(seen.c.at).where(seen.c.person_id == _ME, seen.c.video_id == item.c.video_id)
_KEPT = _ROW.add_columns(_SAW.exists().label("saw")).where(slot.c.holder_id == _ME, has_any(slot.c.state, KEPT))
# judgements of the item by this person, maybe in another slot; not of gold items, which may come again
_JUDGED = select(judgement.c.id).where(
    judgement.c.item_id == slot.c.item_id,
    judgement.c.person_id == _ME,
    judgement.c.undone_at.is_(None),
    judgement.c.gold_right.is_(None),
)
CHANGE_KEPT = update(slot).where(
    slot.c.id == _SLOT, slot.c.holder_id == _ME, has_any(slot.c.state, KEPT), ~_JUDGED.exists()
)  # matches the slot only if `me` may still answer it
_RENEW = CHANGE_KEPT.values(
    state=SlotState.LEASED,
    lease_until=bindparam("until"),
    claimed_at=func.coalesce(slot.c.claimed_at, bindparam("now")),
)
_RENEW_BATCH = (
    update(slot)
    .where(slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED, slot.c.kind == SlotKind.BLIND)
    .where(slot.c.item_id.in_(select(item.c.id).where(item.c.video_id == _VIDEO)))
    .values(lease_until=bindparam("until"))
)  # the other blind items of the video wait for the same person
_SEE = insert(seen).from_select(
    ["person_id", "video_id", "at"],
    select(cast(_ME, Integer), cast(_VIDEO, String), cast(bindparam("now"), Float(53))).where(~_SEEN.exists()),
)
_GOLD = select(item.c.id).where(item.c.id == slot.c.item_id, item.c.gold != Gold.NONE).exists()
_MINE = update(slot).where(slot.c.holder_id == _ME, slot.c.state == SlotState.LEASED)
_RELEASE = _MINE.values(state=SlotState.OPEN, lease_until=None, version=slot.c.version + 1)
_GIVE_UP = _RELEASE.values(  # a gold item's slot is for this person only
    state=case((_GOLD, SlotState.VOID), else_=SlotState.OPEN), holder_id=None
)
_REVEALED = select(pointing).where(
    pointing.c.slot_id == _SLOT, pointing.c.person_id == _ME, pointing.c.revealed_at.is_not(None)
)
_LEFT = (
    select(slot.c.id.label("slot_id"), slot.c.holder_id)
    .join(pointing, (pointing.c.slot_id == slot.c.id) & (pointing.c.person_id == slot.c.holder_id))
    .where(slot.c.state == SlotState.LEASED, slot.c.lease_until < bindparam("now"))
    .where(slot.c.holder_id != _ME, pointing.c.revealed_at.is_not(None))
    .order_by(slot.c.id + 0)  # by an expression: by the id itself, SQLite walks the whole table in its order
    .with_for_update(of=slot, skip_locked=True)
)


def heartbeat(connection: Connection, *, person_id: int, slot_id: int, now: float) -> float:
    """Renew a lease and return its new end; also one that ran out or was released, if nobody took the slot since.

    Raises:
        Problem: 409 lease_lost.
    """
    return renew(connection, person_id, kept_slot(connection, person_id, slot_id), Settings.load(connection), now)


def renew(connection: Connection, person_id: int, row: Row[Any], settings: Settings, now: float) -> float:
    """Do what `heartbeat` does, for a caller who has the `slot_row` and the settings."""
    until = now + settings.lease_s
    binds = {"slot": row.id, "me": person_id, "until": until, "now": now}
    if connection.execute(_RENEW, binds).rowcount != 1:
        raise lease_lost()
    if row.kind == SlotKind.BLIND:
        connection.execute(_RENEW_BATCH, {"me": person_id, "video": row.video_id, "until": until})
    else:
        mark_seen(connection, person_id, row.video_id, now)
    return until


def release(connection: Connection, *, person_id: int, slot_id: int, now: float) -> None:
    """Release a slot to others. Until somebody claims it, the person can still save its draft or answer it.

    A blind item whose object was revealed stays theirs until the lease ends: nobody else is asked for the answer that
    they gave (`end_left`).

    Raises:
        Problem: 409 lease_lost.
    """
    if _revealed(connection, person_id, slot_id) is None:
        put_back(connection, person_id, slot_id)
    else:
        kept_slot(connection, person_id, slot_id)
    log(connection, now, person_id, "release", slot_id)


def skip(connection: Connection, *, person_id: int, slot_id: int, reason: str, now: float) -> None:
    """Release a slot to others and never give its item to this person again.

    After the object was revealed, the answer that was given counts: the item is judged as flagged. To skip a gold item
    counts as a wrong answer to it.

    Raises:
        Problem: 409 lease_lost.
    """
    me, _ = lock_person(connection, person_id)
    pointed = _revealed(connection, person_id, slot_id)
    if pointed is not None:
        kept_slot(connection, person_id, slot_id)
        _flag(connection, pointed, reason, now)
        connection.execute(delete(draft).where(draft.c.slot_id == slot_id, draft.c.person_id == person_id))
    else:
        row = give_up(connection, person_id, slot_id)
        connection.execute(delete(skipped).where(skipped.c.person_id == person_id, skipped.c.item_id == row.item_id))
        entry_round = me.entry_round if row.gold and me.standing == Standing.ENTRY else None
        values = {"person_id": person_id, "item_id": row.item_id, "reason": reason, "at": now}
        connection.execute(insert(skipped).values(**values, entry_round=entry_round))
    log(connection, now, person_id, "skip", slot_id, {"reason": reason})


def end_left(connection: Connection, person_id: int, now: float) -> None:
    """Count the answers of everybody but this person who saw the object and let their lease run out, as flagged.

    Their draft is kept, and an undo gives them the item back.
    """
    for left in connection.execute(_LEFT, {"me": person_id, "now": now}).all():
        pointed = _revealed(connection, left.holder_id, left.slot_id)
        with suppress(Problem):
            if pointed is None:
                raise lease_lost()
            _flag(connection, pointed, "the lease ran out", now)
            log(connection, now, left.holder_id, "left", left.slot_id)


def _revealed(connection: Connection, person_id: int, slot_id: int) -> Row[Any] | None:
    """Return the person's answer to a blind item if the object was shown to them."""
    return connection.execute(_REVEALED, {"slot": slot_id, "me": person_id}).first()


def _flag(connection: Connection, pointed: Row[Any], reason: str, now: float) -> None:
    """Store the blind answer of somebody who leaves the item after they saw the object."""
    row = slot_row(connection, pointed.slot_id)
    about = items.lock_item(connection, row.item_id)
    who = {"slot": row.id, "me": pointed.person_id}
    done = {"state": SlotState.DONE, "holder_id": None, "lease_until": None}
    if connection.execute(CHANGE_KEPT, {**who, **done}).rowcount != 1:
        raise lease_lost()
    values = {
        "slot_id": row.id,
        "item_id": row.item_id,
        "person_id": pointed.person_id,
        "kind": row.kind,
        "text_id": about.text_id,
        "decision": Decision.FLAG,
        "parts": {},
        "note": f"left after the reveal: {reason}" if reason else "left after the reveal",
        "pointing_id": pointed.id,
        "gold_right": False if row.gold else None,
        "spent_s": max(0.0, now - pointed.revealed_at),
        "created_at": now,
    }
    connection.execute(insert(judgement).values(**values))
    items.settle_locked(connection, about, settings=Settings.load(connection), now=now)


def lock_person(connection: Connection, person_id: int) -> tuple[Row[Any], Settings]:
    """Lock a person's row until this transaction ends, so that their requests run one by one.

    Returns:
        The row with id, role, standing, account and entry_round; and the settings of the project, which are read along.

    Raises:
        Problem: 404 there is no such person.
    """
    me = connection.execute(_PERSON, {"me": person_id}).first()
    if me is None:
        raise Problem(404, "no_person", "There is no such person.")
    return me, Settings.of(me.settings)


def slot_row(connection: Connection, slot_id: int) -> Row[Any]:
    """Return the row of a slot with those columns of its item that never change."""
    return connection.execute(_ROW, {"slot": slot_id}).one()


def kept_slot(connection: Connection, person_id: int, slot_id: int) -> Row[Any]:
    """Return `slot_row` of a slot that this person holds, or held last and nobody took since; also what `has_seen` is.

    That is in the column `saw`.

    Raises:
        Problem: 409 lease_lost.
    """
    row = connection.execute(_KEPT, {"slot": slot_id, "me": person_id}).first()
    if row is None:
        raise lease_lost()
    return row


def mark_seen(connection: Connection, person_id: int, video_id: str, now: float) -> None:
    """Record that the person saw a mask of the video: from now on they get no blind items of this video."""
    connection.execute(_SEE, {"me": person_id, "video": video_id, "now": now})


def has_seen(connection: Connection, person_id: int, video_id: str) -> bool:
    """Return whether the person has seen a mask of the video."""
    return connection.execute(_SEEN, {"me": person_id, "video": video_id}).first() is not None


def lease_lost() -> Problem:
    """Return the error for a person who lost their lease."""
    return Problem(
        409,
        "lease_lost",
        "This item is no longer yours: your time for it ran out and someone else has it, or it was settled. "
        "What you wrote stays here as a draft. Take the next item.",
    )


def put_back(connection: Connection, person_id: int, slot_id: int) -> Row[Any]:
    """Open a slot that the person holds; they stay its last holder.

    Raises:
        Problem: 409 lease_lost.
    """
    return _put(connection, _RELEASE, person_id, slot_id)


def give_up(connection: Connection, person_id: int, slot_id: int) -> Row[Any]:
    """Open a slot that the person holds, and remove them as the last holder; a gold item's slot becomes void.

    Raises:
        Problem: 409 lease_lost.
    """
    return _put(connection, _GIVE_UP, person_id, slot_id)


def _put(connection: Connection, how: Update, person_id: int, slot_id: int) -> Row[Any]:
    if connection.execute(how.where(slot.c.id == slot_id), {"me": person_id}).rowcount != 1:
        raise lease_lost()
    return slot_row(connection, slot_id)


def leave(connection: Connection, person_id: int, now: float) -> None:
    """Open all slots that a person holds who takes no part any more; where they saw the object, they have answered."""
    shown = (
        select(pointing)
        .join(slot, (slot.c.id == pointing.c.slot_id) & (slot.c.holder_id == pointing.c.person_id))
        .where(slot.c.holder_id == person_id, slot.c.state == SlotState.LEASED, pointing.c.revealed_at.is_not(None))
        .order_by(slot.c.id)
    )
    for pointed in connection.execute(shown).all():
        _flag(connection, pointed, "an admin took them off the work", now)
        log(connection, now, person_id, "left", pointed.slot_id)
    put_back_all(connection, person_id)


def put_back_all(connection: Connection, person_id: int, *kinds: SlotKind) -> None:
    """Open all slots that the person holds, or those of some passes, and remove them as the last holder."""
    given_up = _GIVE_UP.where(slot.c.kind.in_(kinds)) if kinds else _GIVE_UP
    connection.execute(given_up.values(claimed_at=None), {"me": person_id})


def log(
    connection: Connection, now: float, person_id: int, action: str, slot_id: int, body: Mapping[str, Any] | None = None
) -> None:
    """Record in the audit log what a person did with a slot."""
    actor, subject = f"person:{person_id}", f"slot:{slot_id}"
    audit.append(connection, at=now, actor=actor, action=action, subject=subject, body=body)


def save_draft(
    connection: Connection, *, person_id: int, slot_id: int, body: dict[str, Any], version: int, now: float
) -> int:
    """Store a draft and return its new version.

    Args:
        connection: in a transaction.
        person_id: the author of the draft.
        slot_id: a slot that the person holds or held last, or that they have a draft of.
        body: what the page wants to keep; the server does not look into it.
        version: the version of the draft that this one replaces, 0 for the first.
        now: the time of the server's clock.

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
