"""What an admin may do with one item: ask it again, take it out or put it back, give it to a person, correct its gold.

Nothing is deleted: judgements that are set aside stay in the tables (`undone_by`), and every step is in the audit log.
An item that people were at work on in the meantime is refused with 409 (`mark` tells the state that the admin saw).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from validation_ui import audit
from validation_ui.judging import gold, leases
from validation_ui.judging.eligibility import barred_by_item
from validation_ui.judging.items import PENDING, lock_item, settle
from validation_ui.problem import Problem
from validation_ui.schema import (
    ADJUDICATORS,
    Decision,
    Gold,
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Source,
    Standing,
    item,
    judgement,
    person,
    pointing,
    seen,
    skipped,
    slot,
    text_version,
)
from validation_ui.settings import Settings

REOPENED = "reopened"  # value of judgement.undone_by; unlike UNDONE_BY_ADMIN it bars nobody
ASSIGNED_S = 2 * 24 * 3600.0  # how long an item is kept for the person whom it was given to
LOOKED = "looked at it as admin"  # value of skipped.reason
Since = Literal["last", "start"]


@dataclass(frozen=True)
class Effect:
    """What a step does: sentences for people, and the state of the item afterwards."""

    state: str
    notes: list[str]


@dataclass(frozen=True)
class CandidateJudge:
    """A person who judges, and whether they may judge an item now; `why_not` is None if they may."""

    id: int
    name: str
    role: str
    why_not: str | None


def find(connection: Connection, public_id: str) -> Row[Any]:
    """Return the row of an item by its name in links.

    Raises:
        Problem: 404 there is no such item.
    """
    row = connection.execute(select(item).where(item.c.public_id == public_id)).first()
    if row is None:
        raise Problem(404, "no_item", "There is no item of that name.")
    return row


def mark(connection: Connection, row: Row[Any]) -> str:
    """Return what changes whenever the item changes: an admin sends it back with a step."""
    last = select(func.coalesce(func.max(judgement.c.id), 0), func.count(judgement.c.undone_at))
    newest, undone = connection.execute(last.where(judgement.c.item_id == row.id)).one()
    return f"{row.version}.{newest}.{undone}.{row.state}.{row.gold}.{int(row.retired)}"


def reopen(
    connection: Connection, *, public_id: str, since: Since, seen_mark: str, by: int, note: str, now: float
) -> Effect:
    """Set aside the last judgement of an item, or all of them, and ask for what is missing again.

    Whoever judged it may be asked again, except in the blind pass, for which they have seen the object.

    Raises:
        Problem: 404, or 409 exported, withdrawn, is_gold, nothing_judged, changed, author_exported.
    """
    settings = Settings.load(connection)
    before = _locked(connection, public_id, seen_mark)
    if before.gold:
        raise _refused("is_gold", "A gold item is not asked again: correct its answer, or retire it.")
    if before.exported_at is not None:
        raise _refused(
            "exported", "It is in a final export, whose judgements stay. Withdraw it: the next export leaves it out."
        )
    if before.retired:
        raise _refused("withdrawn", "It was withdrawn. Put it back first.")
    rows = _live(connection, before.id)
    rows = rows[-1:] if since == "last" else rows
    if not rows:
        raise _refused("nothing_judged", "Nobody judged it yet, so there is nothing to set aside.")
    shorts = [row.short_item_id for row in rows if row.short_item_id is not None]
    exported = select(item.c.public_id).where(item.c.id.in_(shorts), item.c.exported_at.is_not(None))
    if (name := connection.execute(exported).scalar()) is not None:
        raise _refused(
            "author_exported", f"The short expression {name}, which was written with it, is in a final export."
        )
    for row in rows:
        free = {"state": SlotState.OPEN, "holder_id": None, "claimed_at": None, "lease_until": None}
        connection.execute(update(slot).where(slot.c.id == row.slot_id).values(**free, version=slot.c.version + 1))
        undone = {"undone_at": now, "undone_by": REOPENED}
        connection.execute(update(judgement).where(judgement.c.id == row.id).values(**undone))
    for short in shorts:
        settle(connection, short, settings=settings, now=now)
    state = settle(connection, before.id, settings=settings, now=now)
    notes = [
        f"{_count(len(rows), 'judgement')} set aside, but kept in the record.",
        f"It goes to the {_PASSES[state]}." if state in _PASSES else f"It is {state} by the judgements that are left.",
    ]
    if shorts:
        notes.append("The short expression that was written with it is taken out as well.")
    notes += _freed(connection, before, state, now)
    notes += _staff(connection, before.id)
    body = {"judgements": [row.id for row in rows], "since": since, "note": note, "state": state}
    _log(connection, now, by, "reopen", public_id, body)
    return Effect(state, notes)


def withdraw(
    connection: Connection, *, public_id: str, withdrawn: bool, seen_mark: str, by: int, note: str, now: float
) -> Effect:
    """Take an item out of the project for good, or put it back where its judgements leave it.

    Raises:
        Problem: 404, or 409 is_gold, changed, or withdrawn (it is so already).
    """
    settings = Settings.load(connection)
    before = _locked(connection, public_id, seen_mark)
    if before.gold:
        raise _refused("is_gold", "A gold item is retired, not withdrawn.")
    if before.retired == withdrawn:
        raise _refused("withdrawn", "It is withdrawn already." if withdrawn else "It is not withdrawn.")
    connection.execute(update(item).where(item.c.id == before.id).values(retired=withdrawn))
    state = settle(connection, before.id, settings=settings, now=now)
    if withdrawn:
        notes = ["It is dropped: nobody is asked about it any more, and no export has it. Its judgements are kept."]
        if before.exported_at is not None:
            notes.append("It is in an export that was made before; the next one leaves it out.")
        notes += _freed(connection, before, state, now)
    else:
        back = f"It goes back to the {_PASSES[state]}." if state in _PASSES else f"It is {state} again."
        notes = [back, *_staff(connection, before.id)]
    body = {"note": note, "before": before.state, "state": state}
    _log(connection, now, by, "withdraw" if withdrawn else "put_back", public_id, body)
    return Effect(state, notes)


def assign(
    connection: Connection, *, public_id: str, person_id: int, seen_mark: str, by: int, note: str, now: float
) -> Effect:
    """Keep the next judgement of an item for one person: they get it with their next claim of that pass.

    After `ASSIGNED_S`, or when they release or skip it, it is free for others again.

    Raises:
        Problem: 404, or 409 changed, no_slot, taken, barred.
    """
    leases.lock_person(connection, person_id)
    before = _locked(connection, public_id, seen_mark)
    free = _free_slot(connection, before, now)
    who = next((one for one in candidates(connection, before, now) if one.id == person_id), None)
    if who is None or who.why_not is not None:
        reason = who.why_not if who else "is not a person who judges"
        raise _refused("barred", f"It cannot be given to this person, who {reason}. Choose somebody else.")
    connection.execute(
        update(slot)
        .where(slot.c.id == free.id)
        .values(
            state=SlotState.LEASED,
            holder_id=person_id,
            lease_until=now + ASSIGNED_S,
            claimed_at=None,
            version=slot.c.version + 1,
        )
    )
    notes = [
        f"The next judgement, in the {_PASSES[free.kind]}, is kept for {who.name} for two days: it is what they get "
        "next in that pass. If they skip it or do not come, others get it.",
    ]
    _log(connection, now, by, "assign", public_id, {"person": person_id, "slot": free.id, "note": note})
    return Effect(before.state, notes)


def correct_gold(
    connection: Connection, *, public_id: str, answer: Gold, seen_mark: str, by: int, note: str, now: float
) -> Effect:
    """Change the known answer of a gold item, and with it whether the answers that people gave were right.

    Raises:
        Problem: 404, or 409 changed, not_gold, same_answer.
    """
    before = _locked(connection, public_id, seen_mark)
    if not before.gold:
        raise _refused("not_gold", "This is no gold item: it has no known answer.")
    if before.gold == answer:
        raise _refused("same_answer", f"Its known answer is {ANSWERS[answer]} already.")
    rows = connection.execute(
        select(judgement.c.id, judgement.c.person_id, judgement.c.decision, judgement.c.gold_right, pointing.c.hit)
        .outerjoin_from(judgement, pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.item_id == before.id, judgement.c.gold_right.is_not(None))
    ).all()
    connection.execute(update(item).where(item.c.id == before.id).values(gold=answer))
    right = 0
    for row in rows:
        now_right = gold.is_right(answer, Decision(row.decision), row.hit)
        right += now_right
        connection.execute(update(judgement).where(judgement.c.id == row.id).values(gold_right=now_right))
    settings = Settings.load(connection)
    failing = [
        one.name
        for one in connection.execute(select(person.c.id, person.c.name).where(person.c.standing == Standing.ACTIVE))
        if any(row.person_id == one.id for row in rows) and gold.fails_gate(connection, one.id, settings)
    ]
    was = sum(bool(row.gold_right) for row in rows)
    notes = [
        f"The right answer becomes {ANSWERS[answer]}. Of {_count(len(rows), 'answer')} {was} counted as right, and "
        f"{right} will."
    ]
    if failing:
        notes.append(f"By that {', '.join(failing)} would be stopped with their next item: too many checks were wrong.")
    notes.append("Who passed or failed the entry test stays so; change a standing under People.")
    _log(connection, now, by, "correct_gold", public_id, {"from": before.gold, "to": answer, "note": note})
    return Effect(before.state, notes)


def look(connection: Connection, *, public_id: str, by: int, now: float) -> None:
    """Record that an admin looks at an item with its object and judgements, so they are never asked about it."""
    row = find(connection, public_id)
    leases.lock_person(connection, by)
    leases.mark_seen(connection, by, row.video_id, now)
    judged = select(judgement.c.id).where(judgement.c.item_id == row.id, judgement.c.person_id == by)
    there = select(skipped.c.at).where(skipped.c.item_id == row.id, skipped.c.person_id == by)
    if row.gold or connection.execute(judged).first() or connection.execute(there).first():
        return  # to skip a gold item would count as a wrong answer
    connection.execute(insert(skipped).values(person_id=by, item_id=row.id, reason=LOOKED, at=now))
    _log(connection, now, by, "look", public_id, {})


def candidates(connection: Connection, row: Row[Any], now: float) -> list[CandidateJudge]:
    """Return everybody who judges, with the reason if they may not judge the item in the pass that it waits in."""
    if row.state not in _PASSES:
        return []
    kind = SlotKind(row.state)
    may = select(person.c.id).join_from(person, item, item.c.id == row.id).where(*barred_by_item(person.c.id, kind))
    free = set(connection.execute(may).scalars())
    author = select(text_version.c.author_id).where(text_version.c.id == row.text_id)
    wrote = {row.author_id, connection.execute(author).scalar()}
    live = select(judgement.c.person_id).where(judgement.c.item_id == row.id)
    judged = set(connection.execute(live).scalars())
    passed = dict(
        connection.execute(select(skipped.c.person_id, skipped.c.reason).where(skipped.c.item_id == row.id)).all()
    )
    saw = set(connection.execute(select(seen.c.person_id).where(seen.c.video_id == row.video_id)).scalars())
    held = connection.execute(
        select(slot.c.holder_id, slot.c.kind, slot.c.item_id)
        .join_from(slot, item, item.c.id == slot.c.item_id)
        .where(item.c.video_id == row.video_id, slot.c.state == SlotState.LEASED, slot.c.lease_until >= now)
    ).all()
    found = []
    people = select(person.c.id, person.c.name, person.c.role, person.c.standing).order_by(person.c.name_key)
    for one in connection.execute(people.where(person.c.role != Role.READER)):
        clash = [h for h in held if h.holder_id == one.id and (h.kind == SlotKind.BLIND) != (kind == SlotKind.BLIND)]
        why_not = None
        if one.standing != Standing.ACTIVE:
            why_not = f"is not at work (standing: {one.standing})"
        elif kind == SlotKind.ADJUDICATE and one.role not in ADJUDICATORS:
            why_not = "is no adjudicator"
        elif one.id not in free:
            why_not = (
                "wrote its text"
                if one.id in wrote
                else "judged it"
                if one.id in judged
                else "looked at it as admin"
                if passed.get(one.id) == LOOKED
                else "skipped it"
                if one.id in passed
                else "has seen a mask of its video"
                if one.id in saw
                else "may not judge it"
            )
        elif clash:
            why_not = "is at work on another item of its video, in another pass"
        found.append(CandidateJudge(one.id, one.name, one.role, why_not))
    return found


ANSWERS = {Gold.GOOD: "accept", Gold.SWAPPED: "reject"}
_PASSES = {
    ItemState.SIGHTED: "sighted pass",
    ItemState.BLIND: "blind pass",
    ItemState.ADJUDICATE: "adjudication",
}


def _locked(connection: Connection, public_id: str, seen_mark: str) -> Row[Any]:
    row = lock_item(connection, find(connection, public_id).id)
    if mark(connection, row) != seen_mark:
        raise _refused("changed", "Somebody worked on it since you opened it. Look at it again, then decide.")
    return row


def _live(connection: Connection, item_id: int) -> Sequence[Row[Any]]:
    wanted = select(judgement).where(judgement.c.item_id == item_id, judgement.c.undone_at.is_(None))
    return connection.execute(wanted.order_by(judgement.c.id)).all()


def _free_slot(connection: Connection, row: Row[Any], now: float) -> Row[Any]:
    """Return the slot of the item that nobody is at work on."""
    pending = (
        select(slot, person.c.name)
        .outerjoin_from(slot, person, person.c.id == slot.c.holder_id)
        .where(slot.c.item_id == row.id, slot.c.state.in_(PENDING))
        .order_by(slot.c.n)
    )
    rows = connection.execute(pending).all()
    if not rows or row.gold:
        raise _refused("no_slot", "Nothing of it waits for anybody now.")
    free = [one for one in rows if one.state == SlotState.OPEN or (one.lease_until or 0.0) < now]
    if not free:
        raise _refused("taken", f"{rows[0].name} has it now. Wait until they have answered or left it.")
    return free[0]


def _freed(connection: Connection, before: Row[Any], state: str, now: float) -> list[str]:
    """Tell that an item is accepted no more, and how many surplus items took its place with it."""
    if before.state != ItemState.ACCEPTED or state == ItemState.ACCEPTED or before.source != Source.KEPT:
        return []
    moved = item.c.state == ItemState.ACCEPTED, item.c.settled_at == now, item.c.id != before.id
    promoted = connection.execute(select(func.count()).select_from(item).where(*moved)).scalar_one()
    return ["It leaves the split." + (f" {_count(promoted, 'surplus item')} take its place." if promoted else "")]


def _staff(connection: Connection, item_id: int) -> list[str]:
    """Tell who may judge the item next."""
    row = connection.execute(select(item).where(item.c.id == item_id)).one()
    people = candidates(connection, row, float("inf"))
    names = [one.name for one in people if one.why_not is None]
    if not people:
        return []
    if not names:
        return ["Nobody of the team may judge it then: it would wait for a new person."]
    return [f"Who may judge it then: {', '.join(names)}."]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" + ("" if n == 1 else "s")


def _log(connection: Connection, now: float, by: int, action: str, public_id: str, body: dict[str, Any]) -> None:
    audit.append(connection, at=now, actor=f"person:{by}", action=action, subject=f"item:{public_id}", body=body)


def _refused(code: str, message: str) -> Problem:
    return Problem(409, code, message)
