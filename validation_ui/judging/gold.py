"""Gold items, whose right answer is known: the entry test, and hidden checks among the real items.

The slot of a gold item is made when it is handed out and looks like any other slot. It comes where a real item of the
same pass would have come, and like real items those of a video come together: in the blind pass at once, in the sighted
pass one after the other. Answers to retired gold items are never counted.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    literal,
    select,
    union_all,
    update,
)

from validation_ui import audit
from validation_ui.schema import (
    Decision,
    Gold,
    ItemState,
    SlotKind,
    SlotState,
    Standing,
    item,
    judgement,
    person,
    seen,
    skipped,
    slot,
)
from validation_ui.settings import Settings, seeded_frac

GATE = "gold_gate"  # value of judgement.undone_by
MIN_ANSWERS = 10  # with fewer answers the gate is not applied: one wrong answer would weigh too much
_MORE_FRAC = 0.6  # chance that one more gold item of the video follows in the sighted pass
_LAST = 2**31 - 1  # priority of the slots of gold items: after all others
_LEASE_AGAIN = (
    update(slot)
    .where(slot.c.holder_id == bindparam("me"), slot.c.state == SlotState.OPEN, slot.c.kind == SlotKind.BLIND)
    .where(
        slot.c.item_id.in_(
            select(item.c.id).where(item.c.video_id == bindparam("video"), item.c.state == ItemState.GOLD)
        )
    )
    .values(state=SlotState.LEASED, lease_until=bindparam("until"))
)
_RIGHT = {Gold.GOOD: (Decision.ACCEPT, Decision.EDIT), Gold.SWAPPED: (Decision.REJECT,)}


def is_right(gold: str, decision: Decision, hit: bool | None = None) -> bool:
    """Return whether a decision is the right answer to a gold item of this kind; in the blind pass with the `hit`.

    Who does not find the object of a good text is wrong, whatever they decide after the reveal.
    """
    return decision in _RIGHT[Gold(gold)] and not (gold == Gold.GOOD and hit is False)


def shown_version(connection: Connection, item_id: int, person_id: int, version: int) -> int:
    """Return the version that a gold item has for a person: it rises with their edits, as that of a real item does.

    An edit gives a real item a new text, and its undo gives it the old one again; each raises the version.

    Args:
        connection: a connection to read from.
        item_id: a gold item.
        person_id: the person who sees it.
        version: the item's version in the database, which never changes.
    """
    changes = func.sum(case((judgement.c.undone_at.is_(None), 1), else_=2))
    mine = judgement.c.item_id == item_id, judgement.c.person_id == person_id, judgement.c.new_text_id.is_not(None)
    return version + int(connection.execute(select(func.coalesce(changes, 0)).where(*mine)).scalar_one())


def not_decided(person_id: int) -> ColumnElement[bool]:
    """Build the condition that a person has neither judged nor skipped an `item` row or another one of its object.

    What they are told of other people's slots keeps to such items: a decision on a real item opens slots of its object,
    ends them or leaves them open, and one on a gold item does not.
    """
    decided = (
        select(item.c.masklet_id).join(table, table.c.item_id == item.c.id).where(table.c.person_id == person_id)
        for table in (judgement, skipped)
    )
    return and_(*(item.c.masklet_id.not_in(masklets) for masklets in decided))


def is_due(settings: Settings, person_id: int, claims: int, given: int) -> bool:
    """Return whether the person's next video is one of gold items, so that `gold_frac` of all their items are gold.

    One gold item falls due at a random place in every 1 / `gold_frac` claims, by the seed and the counts alone.

    Args:
        settings: the settings of the project.
        person_id: the person who asks.
        claims: how many items they were given so far, outside of the entry test.
        given: how many of these were gold.
    """
    rounds = int(claims * settings.gold_frac)
    place = claims * settings.gold_frac - rounds
    return (
        rounds + (place >= seeded_frac(settings.seed, "due", person_id, rounds)) > given
        if settings.gold_frac
        else False
    )


@dataclass(frozen=True, slots=True)
class Taker:
    """The person who is given gold items, and how they get them.

    Attributes:
        id: the person.
        kind: the pass, sighted or blind; a blind item is of a video that the person has not seen.
        settings: the settings of the project.
        not_items: ids of items that the person holds.
        entry_round: the round of the entry test; items of earlier rounds may come again, after all others. None = the
            items are hidden among real ones, and never come again.
    """

    id: int
    kind: SlotKind
    settings: Settings
    not_items: Collection[int] = ()
    entry_round: int | None = None


def lease_gold(
    connection: Connection, who: Taker, *, until: float, started: float | None, not_videos: Collection[str]
) -> int | None:
    """Lease a gold item that the person has not had yet; return the slot's id, or None if there is none left.

    Args:
        connection: in a transaction that has locked the person's row.
        who: the person who gets the item.
        until: end of the lease.
        started: when the person begins to look at the item, None if it is prefetched.
        not_videos: ids of videos that the item must not be of.
    """
    rows = connection.execute(_left(who).where(item.c.video_id.not_in(not_videos))).all()
    if not rows:
        return None
    given = select(func.count()).where(judgement.c.person_id == who.id, judgement.c.gold_right.is_not(None))
    number = connection.execute(given).scalar_one() + len(who.not_items)
    seed = who.settings.seed
    answer = Gold.SWAPPED if seeded_frac(seed, "kind", who.id, number) < 0.5 else Gold.GOOD
    best = min(rows, key=lambda row: (row.had, row.gold != answer, seeded_frac(seed, "order", who.id, row.id)))
    return _lease(connection, who, best.id, until, started)


def lease_mates(connection: Connection, who: Taker, *, item_id: int, video_id: str, until: float) -> int:
    """Lease gold items of the same video for later, as real items of a video come together; return how many.

    In the blind pass these are at most as many as real ones; in the sighted pass one, or none by chance.
    """
    if who.kind == SlotKind.SIGHTED and seeded_frac(who.settings.seed, "more", who.id, item_id) >= _MORE_FRAC:
        return 0
    rows = connection.execute(_left(who).where(item.c.video_id == video_id).order_by(item.c.priority)).all()
    rows = rows[: 1 if who.kind == SlotKind.SIGHTED else max(0, who.settings.per_video - 1)]
    for row in rows:
        _lease(connection, who, row.id, until, None)
    return len(rows)


def lease_released(connection: Connection, person_id: int, video_id: str, until: float) -> int:
    """Lease again the blind gold items of a video that the person let go; return how many."""
    return connection.execute(_LEASE_AGAIN, {"me": person_id, "video": video_id, "until": until}).rowcount


def _left(who: Taker) -> Select[Any]:
    """Build the query of the gold items that the person may be given."""
    mine = and_(judgement.c.item_id == item.c.id, judgement.c.person_id == who.id)
    here = and_(mine, judgement.c.entry_round == who.entry_round, judgement.c.undone_at.is_(None))
    had = select(judgement.c.id).where(mine).exists()
    had_now = had if who.entry_round is None else select(judgement.c.id).where(here).exists()
    passed = select(skipped.c.item_id).where(skipped.c.person_id == who.id, skipped.c.item_id == item.c.id)
    if who.entry_round is not None:  # in a later round of the entry test they may come again
        passed = passed.where(skipped.c.entry_round == who.entry_round)
    saw = select(seen.c.at).where(seen.c.person_id == who.id, seen.c.video_id == item.c.video_id)
    left = select(item.c.id, item.c.gold, had.label("had")).where(
        item.c.state == ItemState.GOLD,
        item.c.retired.is_(False),
        ~had_now,
        ~passed.exists(),
        item.c.id.not_in(who.not_items),
    )
    return left.where(~saw.exists()) if who.kind == SlotKind.BLIND else left


def _lease(connection: Connection, who: Taker, item_id: int, until: float, started: float | None) -> int:
    lease = {"state": SlotState.LEASED, "lease_until": until, "claimed_at": started}
    released = slot.c.item_id == item_id, slot.c.holder_id == who.id, slot.c.state == SlotState.OPEN
    again = update(slot).where(*released, slot.c.kind == who.kind).values(**lease).returning(slot.c.id)
    if (kept := connection.execute(again).scalar()) is not None:
        return int(kept)
    connection.execute(select(item.c.id).where(item.c.id == item_id).with_for_update(key_share=True))
    last = select(func.coalesce(func.max(slot.c.n), 0)).where(slot.c.item_id == item_id, slot.c.kind == who.kind)
    values = lease | {
        "item_id": item_id,
        "kind": who.kind,
        "n": connection.execute(last).scalar_one() + 1,
        "holder_id": who.id,
        "priority": _LAST,
        "version": 2,  # that of a real slot which was claimed for the first time
    }
    if (place := _place(connection, who.kind)) is not None:
        values["id"] = place
    return int(connection.execute(insert(slot).values(**values).returning(slot.c.id)).scalar_one())


def _place(connection: Connection, kind: SlotKind) -> int | None:
    """Give a real slot that nobody ever had a new id and return its old one, so that ids do not tell gold items."""
    unused = (
        select(slot)
        .where(slot.c.kind == kind, slot.c.state == SlotState.OPEN, slot.c.version == 1, slot.c.holder_id.is_(None))
        .where(slot.c.id < select(func.max(slot.c.id)).scalar_subquery())  # SQLite gives the last id again
        .order_by(slot.c.priority, slot.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(unused).mappings().first()
    if row is None:
        return None
    connection.execute(delete(slot).where(slot.c.id == row["id"]))
    connection.execute(insert(slot).values(**{name: value for name, value in row.items() if name != "id"}))
    return int(row["id"])


def entry_progress(connection: Connection, person_id: int, entry_round: int, settings: Settings) -> tuple[int, int]:
    """Return how many items of this round of the entry test are answered, and how many there are."""
    there = select(func.count()).where(item.c.state == ItemState.GOLD, item.c.retired.is_(False))
    of = min(settings.entry_items, connection.execute(there).scalar_one())
    return len(_answers(connection, person_id, entry_round)), of


def finish_entry(
    connection: Connection, person_id: int, entry_round: int, settings: Settings, now: float
) -> Standing | None:
    """End the entry test if all its items are answered; return the person's new standing, or None if it goes on."""
    done, of = entry_progress(connection, person_id, entry_round, settings)
    if done < of:
        return None
    right = _answers(connection, person_id, entry_round)
    passed = sum(right) >= settings.entry_right_frac * len(right)
    standing = Standing.ACTIVE if passed else Standing.FAILED
    connection.execute(update(person).where(person.c.id == person_id).values(standing=standing))
    audit.append(
        connection,
        at=now,
        actor=f"person:{person_id}",
        action="entry_test",
        subject=f"person:{person_id}",
        body={"round": entry_round, "right": sum(right), "of": len(right), "standing": standing},
    )
    return standing


def fails_gate(connection: Connection, person_id: int, settings: Settings) -> bool:
    """Return whether too few of the person's last hidden gold answers are right.

    Answers from before the last time that the gate stopped this person are not counted.
    """
    right = _answers(connection, person_id, None)[: settings.gold_window]
    return len(right) >= min(MIN_ANSWERS, settings.gold_window) and sum(right) < settings.gold_right_frac * len(right)


def _answers(connection: Connection, person_id: int, entry_round: int | None) -> list[bool]:
    """Return for every live gold answer whether it was right, newest first; a skipped item counts as wrong.

    Args:
        connection: a connection to read from.
        person_id: whose answers.
        entry_round: those of this round of the entry test; None = the hidden ones since the gate last stopped them.
    """
    binds = {"me": person_id} if entry_round is None else {"me": person_id, "round": entry_round}
    return [bool(row.right) for row in connection.execute(_answers_of(entry_round is None), binds)]


@cache
def _answers_of(hidden: bool) -> Select[Any]:
    me: BindParameter[int] = bindparam("me")
    closed = select(func.coalesce(func.max(judgement.c.undone_at), 0.0)).where(
        judgement.c.person_id == me, judgement.c.undone_by == GATE
    )

    def counts(entry_round: Column[int], at: Column[float]) -> ColumnElement[bool]:
        if hidden:
            return and_(entry_round.is_(None), at > closed.scalar_subquery())
        return entry_round == bindparam("round")

    judged = (
        select(judgement.c.created_at.label("at"), judgement.c.id, judgement.c.gold_right.label("right"))
        .join_from(judgement, item, item.c.id == judgement.c.item_id)
        .where(judgement.c.person_id == me, judgement.c.gold_right.is_not(None), judgement.c.undone_at.is_(None))
        .where(item.c.retired.is_(False), counts(judgement.c.entry_round, judgement.c.created_at))
    )
    left = (
        select(skipped.c.at, literal(_LAST), false())  # of one moment, after the judgements
        .join_from(skipped, item, item.c.id == skipped.c.item_id)
        .where(skipped.c.person_id == me, item.c.gold != Gold.NONE)
        .where(item.c.retired.is_(False), counts(skipped.c.entry_round, skipped.c.at))
    )
    both = union_all(judged, left).subquery()
    return select(both.c.right).order_by(both.c.at.desc(), both.c.id.desc())
