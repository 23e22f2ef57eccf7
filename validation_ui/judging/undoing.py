"""Undoes judgements: the last ones of a person at their request, or of somebody whose work is to be done again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Table, and_, bindparam, insert, or_, select, update

from validation_ui import audit
from validation_ui.judging import gold, leases
from validation_ui.judging.items import lock_item, settle
from validation_ui.problem import Problem
from validation_ui.schema import (
    UNDONE_BY_ADMIN,
    Account,
    ItemState,
    SlotKind,
    SlotState,
    Standing,
    draft,
    item,
    judgement,
    person,
    slot,
    text_version,
)
from validation_ui.settings import Settings


def undo(connection: Connection, *, person_id: int, now: float) -> tuple[int, int | None]:
    """Undo the person's last judgement: they hold its slot again, with their answer as a draft.

    Returns:
        The judgement's id, and the slot's id or None if the item needs no such judgement any more.

    Raises:
        Problem: 409 cannot_undo.
    """
    me, settings = leases.lock_person(connection, person_id)
    if me.standing in (Standing.FAILED, Standing.STOPPED) or me.account != Account.OPEN:
        raise _cannot("your judgements are stopped")
    last = next(_live(_last(connection, person_id, settings, judgement)), None)
    if last is None:
        raise _cannot(f"there is nothing of yours among your last {settings.undo_last} judgements")
    lock_item(connection, last.item_id)
    last = next(
        row for row in _last(connection, person_id, settings, judgement) if row.id == last.id
    )  # read again, now that the item is locked
    if last.fixed:
        raise _cannot("an adjudicator settled it since, it was exported, or the entry test that it belongs to is over")
    lease = {"state": SlotState.LEASED, "holder_id": person_id, "claimed_at": now}
    connection.execute(
        update(slot)
        .where(slot.c.id == last.slot_id)
        .values(**lease, lease_until=now + settings.lease_s, version=slot.c.version + 1)
    )
    _save_draft(connection, last, now)
    _take_back(connection, last, "person", settings, now)
    audit.append(
        connection,
        at=now,
        actor=f"person:{person_id}",
        action="undo",
        subject=f"slot:{last.slot_id}",
        body={"judgement": last.id, "decision": last.decision},
    )
    mine = select(slot.c.id).where(slot.c.id == last.slot_id, slot.c.state == SlotState.LEASED)
    return last.id, connection.execute(mine).scalar()


def count(connection: Connection, person_id: int, settings: Settings) -> int:
    """Return how many judgements the person can undo now, one after the other."""
    last = _last(connection, person_id, settings, judgement.c.undone_at)
    return sum(1 for _ in takewhile(lambda row: not row.fixed, _live(last)))


def mine(connection: Connection, person_id: int) -> list[dict[str, Any]]:
    """Return the person's last judgements as the page gets them, newest first."""
    settings = Settings.load(connection)
    live = list(_live(_last(connection, person_id, settings, judgement)))
    undoable = count(connection, person_id, settings)
    return [
        {
            "id": row.id,
            "public_id": row.public_id,
            "kind": row.kind,
            "decision": row.decision,
            "at": row.created_at,
            "can_undo": place < undoable,
        }
        for place, row in enumerate(live)
    ]


def stop(connection: Connection, person_id: int, settings: Settings, now: float) -> None:
    """Stop a person who fell below the gold gate, and ask their last judgements of others again."""
    connection.execute(update(person).where(person.c.id == person_id).values(standing=Standing.STOPPED))
    ask_again(connection, person_id, settings, now)


def ask_again(connection: Connection, person_id: int, settings: Settings, now: float) -> None:
    """Undo the last judgements of a person who fell below the gold gate, and open their slots to others.

    The person is never given these items again.
    """
    last: Select[Any] = (
        select(judgement.c.id, judgement.c.item_id)
        .where(judgement.c.person_id == person_id, judgement.c.gold_right.is_(None), judgement.c.undone_at.is_(None))
        .order_by(judgement.c.id.desc())
        .limit(settings.gold_window)
    )
    last_rows = connection.execute(last).all()
    _lock_items(connection, last_rows)
    ids = [row.id for row in last_rows]
    again = _judgements(judgement).where(judgement.c.id.in_(ids)).order_by(judgement.c.id)
    rows = [row for row in connection.execute(again).all() if not row.fixed]
    leases.put_back_all(connection, person_id)
    _open_again(connection, rows, gold.GATE, settings, now)
    audit.append(
        connection,
        at=now,
        actor=f"person:{person_id}",
        action="gold_gate",
        subject=f"person:{person_id}",
        body={"undone": [row.id for row in rows], "standing": Standing.STOPPED},
    )


@dataclass(frozen=True)
class Redone:
    """What an admin opened again.

    Attributes:
        judgements: ids of the judgements that were undone.
        items: how many items they belong to.
        exported: public ids of the items whose exported text rested on them: a split on disk still has these.
    """

    judgements: list[int]
    items: int
    exported: list[str]


def redoable(person_id: int, since: float) -> Select[Any]:
    """Build the query of the judgements that `redo` undoes: live ones of real items, made at `since` or later."""
    return (
        select(judgement.c.id, judgement.c.item_id, judgement.c.slot_id, judgement.c.short_item_id)
        .where(judgement.c.person_id == person_id, judgement.c.created_at >= since)
        .where(judgement.c.gold_right.is_(None), judgement.c.undone_at.is_(None))
        .order_by(judgement.c.id)
    )


def redo(connection: Connection, *, person_id: int, since: float, by: int, now: float) -> Redone:
    """Undo everything that a person judged since a time, and open it to others; they never get these items again.

    Also what was adjudicated or exported since is opened: an adjudicator's word on the same text still counts, and an
    item that is not accepted any more, or with another text, counts as not exported. Answers to gold items stay, as
    they tell how the person judged.
    """
    _, settings = leases.lock_person(connection, person_id)
    wanted = redoable(person_id, since)
    _lock_items(connection, connection.execute(wanted).all())
    rows = connection.execute(wanted).all()  # read again, now that the items are locked
    touched = sorted({row.item_id for row in rows} | {row.short_item_id for row in rows if row.short_item_id})
    before = _exported(connection, touched)
    _open_again(connection, rows, UNDONE_BY_ADMIN, settings, now)
    after = _exported(connection, touched)
    # what an admin withdrew is in a split on disk, too, and would come back with other judgements
    changed = [i for i in before if after[i] != before[i] or after[i].state != ItemState.ACCEPTED]
    connection.execute(update(item).where(item.c.id.in_(changed)).values(exported_at=None))
    names = (
        connection.execute(select(item.c.public_id).where(item.c.id.in_(changed)).order_by(item.c.id)).scalars().all()
    )
    redone = Redone([row.id for row in rows], len({row.item_id for row in rows}), list(names))
    audit.append(
        connection,
        at=now,
        actor=f"person:{by}",
        action="redo",
        subject=f"person:{person_id}",
        body={"since": since, "judgements": redone.judgements, "exported": redone.exported},
    )
    return redone


def _exported(connection: Connection, item_ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Return state and text of those of the items that were exported."""
    wanted: Select[Any] = select(item.c.id, item.c.state, item.c.text_id).where(
        item.c.id.in_(item_ids), item.c.exported_at.is_not(None)
    )
    return {row.id: row for row in connection.execute(wanted)}


def _lock_items(connection: Connection, rows: Iterable[Row[Any]]) -> None:
    for item_id in sorted({row.item_id for row in rows}):
        lock_item(connection, item_id)


def _open_again(connection: Connection, rows: Sequence[Row[Any]], by: str, settings: Settings, now: float) -> None:
    """Undo judgements and open their slots to anybody."""
    for row in rows:
        connection.execute(
            update(slot)
            .where(slot.c.id == row.slot_id)
            .values(state=SlotState.OPEN, holder_id=None, claimed_at=None, version=slot.c.version + 1)
        )
        _take_back(connection, row, by, settings, now)


def _take_back(connection: Connection, row: Row[Any], by: str, settings: Settings, now: float) -> None:
    connection.execute(update(judgement).where(judgement.c.id == row.id).values(undone_at=now, undone_by=by))
    if row.short_item_id is not None:
        settle(connection, row.short_item_id, settings=settings, now=now)
    settle(connection, row.item_id, settings=settings, now=now)


def _last(connection: Connection, person_id: int, settings: Settings, what: Table | Column[Any]) -> Sequence[Row[Any]]:
    """Return the person's last `undo_last` judgements, newest first; undone ones are included and count."""
    return connection.execute(_last_ones(what), {"me": person_id, "most": settings.undo_last}).all()


@cache
def _last_ones(what: Table | Column[Any]) -> Select[Any]:
    own = judgement.alias("own")
    ids = select(own.c.id).where(own.c.person_id == bindparam("me")).order_by(own.c.id.desc()).limit(bindparam("most"))
    return _judgements(what).where(judgement.c.id.in_(ids)).order_by(judgement.c.id.desc())


def _live(rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    return (row for row in rows if row.undone_at is None)


def _judgements(what: Table | Column[Any]) -> Select[Any]:
    """Build a query of judgements with the flag `fixed`: they cannot be undone any more.

    A judgement is fixed if its item was adjudicated since or exported, or if it belongs to an entry test that is over.
    """
    later, short, judge = judgement.alias("later"), item.alias("short"), person.alias("judge")
    adjudicated = select(later.c.id).where(
        or_(
            and_(later.c.item_id == judgement.c.item_id, later.c.id > judgement.c.id),
            later.c.item_id == judgement.c.short_item_id,
        ),
        later.c.kind == SlotKind.ADJUDICATE,
        later.c.undone_at.is_(None),
    )
    over = or_(judge.c.standing != Standing.ENTRY, judgement.c.entry_round != judge.c.entry_round)
    tested = and_(judgement.c.entry_round.is_not(None), over)
    fixed = or_(adjudicated.exists(), item.c.exported_at.is_not(None), short.c.exported_at.is_not(None), tested)
    return (
        select(what, item.c.public_id, fixed.label("fixed"))
        .join_from(judgement, item, item.c.id == judgement.c.item_id)
        .join(judge, judge.c.id == judgement.c.person_id)
        .outerjoin(short, short.c.id == judgement.c.short_item_id)
    )


def _save_draft(connection: Connection, row: Row[Any], now: float) -> None:
    """Store an undone judgement as a draft, in the form in which the review page keeps it, unless there is one.

    There is one if the person had not sent an answer, and their lease ran out after the reveal.
    """
    there = select(draft.c.version).where(draft.c.slot_id == row.slot_id, draft.c.person_id == row.person_id)
    if connection.execute(there).first() is not None:
        return
    body: dict[str, Any] = {key: getattr(row, key) for key in ("decision", "parts", "reasons", "note", "watched_frac")}
    wrote = select(text_version.c.parts).where(text_version.c.id == row.new_text_id)
    body["text"] = connection.execute(wrote).scalar() if row.new_text_id else None
    body["short"] = _short(connection, row)
    connection.execute(
        insert(draft).values(slot_id=row.slot_id, person_id=row.person_id, body=body, version=1, saved_at=now)
    )


def _short(connection: Connection, row: Row[Any]) -> str | None:
    """Return the short expression that was written with a judgement; that of a gold item is no item of its own."""
    texts = select(text_version.c.parts).order_by(text_version.c.id)
    if row.short_item_id is not None:
        texts = texts.where(text_version.c.item_id == row.short_item_id)
    elif row.gold_right is not None:
        at = text_version.c.created_at == row.created_at
        texts = texts.where(text_version.c.item_id == row.item_id, text_version.c.author_id == row.person_id, at)
    else:
        return None
    return next((parts["short"] for parts in connection.execute(texts).scalars() if "short" in parts), None)


def _cannot(reason: str) -> Problem:
    return Problem(409, "cannot_undo", f"This cannot be undone: {reason}.")
