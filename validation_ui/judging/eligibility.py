"""Which free slot a person may have: the rules of the protocol, and the care that the team lasts for all passes.

Every sight of a mask uses a person up for the blind pass of that video, and every judgement for the adjudication of
that item. With a small team the order therefore matters: one person does the sighted work of a video, one the blind
pass of all its items at once, and somebody is left to find what an adjudicator or an editor wrote. `QueueTurn` names
the steps in which `queue` looks for work; only the last ones use people up, and only when nobody is at work on the
video.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BindParameter,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate, Update

from validation_ui.judging import gold, items
from validation_ui.judging.team import Team, judges, read_team
from validation_ui.schema import (
    ADJUDICATORS,
    UNDONE_BY_ADMIN,
    ItemState,
    Role,
    SlotKind,
    SlotState,
    has_any,
    item,
    judgement,
    person,
    seen,
    skipped,
    slot,
    text_version,
)
from validation_ui.settings import Settings

SPARE = 2  # people who are kept fresh for the blind pass of a video: one for it, one for what is written later
_ME: BindParameter[int] = bindparam("me")
_NOW: BindParameter[float] = bindparam("now")
_RECENT = select(seen.c.video_id).where(seen.c.person_id == _ME).order_by(seen.c.at.desc(), seen.c.video_id).limit(20)
_SEEN_LATELY = select(item.c.id).where(
    item.c.video_id.in_(_RECENT), item.c.state == ItemState.SIGHTED, item.c.priority < bindparam("horizon")
)


class QueueTurn(Enum):
    """The steps in which work is looked for, best first; `kind` is the pass."""

    ADJUDICATE = SlotKind.ADJUDICATE, "settle"
    SIGHTED_KNOWN = SlotKind.SIGHTED, "known"  # in videos that the person saw lately
    BLIND_READY = SlotKind.BLIND, "ready"  # no more items of the video will come to the blind pass soon
    SIGHTED_SPARE = SlotKind.SIGHTED, "spare"  # enough people are left who never saw the video
    BLIND_LAST = SlotKind.BLIND, "last"
    SIGHTED_LAST = SlotKind.SIGHTED, "last"

    @property
    def kind(self) -> SlotKind:
        """The pass that is looked through."""
        kind: SlotKind = self.value[0]
        return kind


@dataclass(frozen=True)
class Asker:
    """The person who asks for work, and what they hold.

    Attributes:
        connection: in a transaction that has locked the person's row.
        me: that row.
        settings: the settings of the project.
        now: the time of the server's clock.
        prefetch: whether the item is reserved for later.
        held: their leases, with the columns id, kind, item_id, video_id and claimed_at.
    """

    connection: Connection
    me: Row[Any]
    settings: Settings
    now: float
    held: Sequence[Row[Any]] = ()
    prefetch: bool = False

    @property
    def id(self) -> int:
        """The id of the person."""
        return int(self.me.id)

    @cached_property
    def role(self) -> Role:
        """The role of the person."""
        return Role(self.me.role)

    @cached_property
    def team(self) -> Team:
        """Everybody who judges; read when it is needed first, as most claims give an item that is held already."""
        return read_team(self.connection, self.me)

    @cached_property
    def accepted(self) -> items.Accepted:
        """How many items are accepted, counted once for all turns of a claim; `has_room` counts again, with a lock."""
        return items.count_accepted(self.connection)

    @property
    def until(self) -> float:
        """When a lease that begins now ends."""
        return self.now + (self.settings.prefetch_lease_s if self.prefetch else self.settings.lease_s)

    @property
    def started(self) -> float | None:
        """When the person begins to look at the item; None if it is prefetched for later."""
        return None if self.prefetch else self.now

    @property
    def items(self) -> list[int]:
        """The ids of the items that they hold."""
        return [row.item_id for row in self.held]

    @property
    def blind_videos(self) -> list[str]:
        """The videos of their blind slots, of which they must not see a mask now."""
        return [row.video_id for row in self.held if row.kind == SlotKind.BLIND]

    def binds(self) -> dict[str, Any]:
        """Return the parameters that all statements of this module share."""
        return {
            "me": self.id,
            "now": self.now,
            "until": self.until,
            "started": self.started,
            "held_items": self.items,
            "blind_videos": self.blind_videos,
            "mask_videos": [row.video_id for row in self.held if row.kind != SlotKind.BLIND],
            "spares_adjudicators": self.team.spares_adjudicators,
            "fresh_count": len(self.team.for_blind() - {self.id}),
            "other_count": len(self.team.without(self.id)),
            "is_admin": self.role == Role.ADMIN,
            "horizon": horizon(self.settings),
        }


def horizon(settings: Settings) -> int:
    """Return the priority from which on items are spare, if `pass_frac` of those before are accepted."""
    return min(2**31 - 1, int(settings.long / max(settings.pass_frac, 1e-9)) + 1)


def seen_lately(who: Asker) -> list[int]:
    """Return the ids of items in the sighted pass, in the videos that the person saw a mask of last."""
    binds = {"me": who.id, "horizon": horizon(who.settings)}
    return list(who.connection.execute(_SEEN_LATELY, binds).scalars())


def lease_best(who: Asker, turn: QueueTurn, among: Collection[int] = ()) -> int | None:
    """Lease the best free slot of one turn and return its id; `among` are the item ids for `SIGHTED_KNOWN`."""
    binds, videos_full = who.binds(), False
    if turn is QueueTurn.SIGHTED_KNOWN:
        binds["among"] = sorted(among)
    if turn.kind == SlotKind.SIGHTED:
        if who.accepted.is_full("long", who.settings):
            return None
        videos_full = who.accepted.videos >= who.settings.videos
        binds["per_video"] = who.settings.per_video
    statement = _lease_best(turn, videos_full, who.role in ADJUDICATORS, who.team.is_large_enough)
    row = who.connection.execute(statement, binds).first()
    return int(row.id) if row else None


def lease_batch(who: Asker, video_id: str) -> int:
    """Lease all free blind slots of a video that the person may have, for later; return how many."""
    binds = who.binds() | {"video": video_id, "until": who.now + who.settings.lease_s, "started": None}
    return who.connection.execute(_lease_batch(who.role in ADJUDICATORS), binds).rowcount


@cache  # to build the statement takes longer than to run it
def _lease_best(turn: QueueTurn, videos_full: bool, adjudicates: bool, is_large: bool) -> ReturningUpdate[int]:
    """Build the UPDATE that leases the best free slot of a turn and returns the slot's id, or no row.

    Args:
        turn: the step.
        videos_full: the split takes no more videos, only more objects of those it has; for the sighted pass.
        adjudicates: the person is an adjudicator, and kept for that.
        is_large: the team is large enough to finish an item, so nothing is begun that it cannot finish.
    """
    free = slot.alias("free")
    rules = [_may_judge(turn.kind), _has_care(turn, is_large)]
    if turn.kind == SlotKind.SIGHTED:
        rules.append(items.video_has_room(item, videos_full=videos_full))
    if turn is QueueTurn.SIGHTED_KNOWN:
        rules.append(free.c.item_id.in_(bindparam("among", expanding=True)))
    if adjudicates and turn.kind != SlotKind.ADJUDICATE:
        rules.append(_is_spared(turn.kind))
    best = (
        select(free.c.id)
        .join_from(free, item, item.c.id == free.c.item_id)
        .where(free.c.kind == turn.kind, _is_free(free), *rules)
        .order_by(free.c.priority, free.c.id)
        .limit(1)
        .with_for_update(of=free, skip_locked=True)
    )
    return _lease().where(slot.c.id == best.scalar_subquery()).returning(slot.c.id)


@cache
def _lease_batch(adjudicates: bool) -> Any:
    free, twin = slot.alias("free"), slot.alias("twin")
    rules = [_may_judge(SlotKind.BLIND), *([_is_spared(SlotKind.BLIND)] if adjudicates else [])]
    of_item = select(twin.c.id).where(twin.c.item_id == free.c.item_id, twin.c.kind == free.c.kind)
    mine = and_(twin.c.state == SlotState.LEASED, twin.c.holder_id == _ME)
    first = and_(twin.c.n < free.c.n, _is_free(twin))
    rules.append(~of_item.where(or_(mine, first)).correlate(free).exists())  # one slot of an item
    found = (
        select(free.c.id)
        .join_from(free, item, item.c.id == free.c.item_id)
        .where(item.c.video_id == bindparam("video"), free.c.kind == SlotKind.BLIND, _is_free(free), *rules)
        .with_for_update(of=free, skip_locked=True)
    )
    return _lease().where(slot.c.id.in_(found))


def _is_free(free: Any) -> ColumnElement[bool]:
    # the planner uses the partial index ix_slot_free only if it sees these values in the statement
    pending = has_any(free.c.state, items.PENDING)
    return and_(pending, or_(free.c.state == SlotState.OPEN, free.c.lease_until < _NOW))


def _lease() -> Update:
    return (
        update(slot)
        .where(or_(slot.c.state == SlotState.OPEN, slot.c.lease_until < _NOW))
        .values(
            state=SlotState.LEASED,
            holder_id=_ME,
            lease_until=bindparam("until"),
            claimed_at=bindparam("started"),
            version=slot.c.version + case((slot.c.holder_id == _ME, 0), else_=1),
        )
    )


def _may_judge(kind: SlotKind) -> ColumnElement[bool]:
    """Build the condition that the protocol lets the person `me` judge an `item` row in this pass."""
    rules = [
        *barred_by_item(_ME, kind),
        item.c.id.not_in(bindparam("held_items", expanding=True)),
        item.c.video_id.not_in(bindparam("blind_videos", expanding=True)),
    ]
    if kind == SlotKind.BLIND:  # the other items of a video that is being answered are leased with the first one
        rules[-1] = item.c.video_id.not_in(bindparam("mask_videos", expanding=True))
    return and_(item.c.state == kind, *rules)


def barred_by_item(who: Any, kind: SlotKind) -> list[ColumnElement[bool]]:
    """Build the conditions under which person `who` may judge an `item` row; they hold whatever anybody holds."""
    judged = select(judgement.c.id).where(
        judgement.c.item_id == item.c.id,
        judgement.c.person_id == who,
        or_(judgement.c.undone_at.is_(None), has_any(judgement.c.undone_by, (gold.GATE, UNDONE_BY_ADMIN))),
    )
    wrote = select(text_version.c.id).where(text_version.c.id == item.c.text_id, text_version.c.author_id == who)
    passed = select(skipped.c.item_id).where(skipped.c.item_id == item.c.id, skipped.c.person_id == who)
    saw = select(seen.c.at).where(seen.c.video_id == item.c.video_id, seen.c.person_id == who)
    barring = [judged, wrote, passed, *([saw] if kind == SlotKind.BLIND else [])]
    # named, as the item's row may come from two queries further out
    outer = [item, *([who.table] if isinstance(who, Column) else [])]
    is_author = item.c.author_id == who
    return [or_(item.c.author_id.is_(None), ~is_author), *(~one.correlate(*outer).exists() for one in barring)]


def _count_who_saw(*who: ColumnElement[bool]) -> Any:
    """Build the number of others of the team who saw a mask of the item's video; `who` are more conditions on them."""
    return (
        select(func.count())
        .join_from(seen, person, person.c.id == seen.c.person_id)
        .where(seen.c.video_id == item.c.video_id, person.c.id != _ME, judges(person), *who)
        .correlate(item)
        .scalar_subquery()
    )


# a parameter with the people themselves would be a list as long as the team, and another statement for every length
_COUNTS_FOR_BLIND = or_(person.c.role == Role.REVIEWER, bindparam("spares_adjudicators", type_=Boolean))


def _has_care(turn: QueueTurn, is_large: bool) -> ColumnElement[bool]:
    """Build the condition that the step may use the person up for an `item` row."""
    fresh_who_saw = _count_who_saw(_COUNTS_FOR_BLIND)
    fresh = bindparam("fresh_count") - fresh_who_saw
    rules: list[ColumnElement[bool]] = []
    if turn is QueueTurn.BLIND_READY:
        first, second = _sighted_waits(slot.c.n == 1), _sighted_waits(slot.c.n > 1)
        disputed = _mates(ItemState.ADJUDICATE).exists()
        rules += [~first, ~disputed, or_(fresh >= 1, ~second), ~_somebody_is_at_work()]
    if turn is QueueTurn.SIGHTED_SPARE:
        saw = select(seen.c.at).where(seen.c.video_id == item.c.video_id, seen.c.person_id == _ME)
        is_first = and_(fresh_who_saw == 0, ~_somebody_is_at_work())
        rules.append(or_(saw.correlate(item).exists(), is_first, fresh >= SPARE))
    if turn in (QueueTurn.BLIND_LAST, QueueTurn.SIGHTED_LAST):
        rules.append(~_somebody_is_at_work())
    if turn.kind == SlotKind.SIGHTED and is_large:  # nothing is begun that nobody could find afterwards
        rules.append(bindparam("other_count") - _count_who_saw() >= 1)
    return and_(True, *rules)


def _mates(state: ItemState) -> Any:
    mate = item.alias("mate")
    return select(mate.c.id).where(mate.c.video_id == item.c.video_id, mate.c.state == state).correlate(item)


def _sighted_waits(which: ColumnElement[bool]) -> ColumnElement[bool]:
    mate = item.alias("mate")
    wanted = (
        select(slot.c.id)
        .join_from(mate, slot, slot.c.item_id == mate.c.id)
        .where(mate.c.video_id == item.c.video_id, mate.c.state == ItemState.SIGHTED)
        .where(slot.c.kind == SlotKind.SIGHTED, has_any(slot.c.state, items.PENDING), which)
        .where(mate.c.priority < bindparam("horizon"))
    )
    return wanted.correlate(item).exists()


def _somebody_is_at_work() -> ColumnElement[bool]:
    """Build the condition that somebody else holds an item of the video, so more may follow for this person soon."""
    mate, work = item.alias("mate"), slot.alias("work")
    wanted = (
        select(work.c.id)
        .join_from(mate, work, work.c.item_id == mate.c.id)
        .where(mate.c.video_id == item.c.video_id, work.c.state == SlotState.LEASED)
        .where(work.c.lease_until >= _NOW, work.c.holder_id != _ME)
    )
    return wanted.correlate(item).exists()


def _is_spared(kind: SlotKind) -> ColumnElement[bool]:
    """Build the condition that an adjudicator may do this and leave somebody to settle the item, or is the last one."""
    judge = person.alias("judge")
    settles = select(judge.c.id).where(
        *(judge.c.id != _ME, has_any(judge.c.role, ADJUDICATORS), judges(judge)),
        *barred_by_item(judge.c.id, SlotKind.ADJUDICATE),
    )
    other = person.alias("other")
    can = select(other.c.id).where(other.c.id != _ME, judges(other), *barred_by_item(other.c.id, kind))
    # who is there before all reviewers is no last one; an admin may try the app alone
    is_last = and_(or_(bindparam("other_count") > 0, bindparam("is_admin")), ~can.correlate(item).exists())
    return or_(settles.correlate(item).exists(), is_last)
