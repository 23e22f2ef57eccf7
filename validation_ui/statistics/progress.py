"""How far the project is and how each reviewer does; live judgements alone (`undone_at` is null).

A reviewer must not learn which items were gold from a number that moves, or does not, after an answer: their own
figures count gold like any other work, and the states of items are not for them (`Progress.without_states`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Self

from sqlalchemy import Connection, Row, func, select

from validation_ui.schema import Decision, ItemState, SlotKind, SlotState, item, judgement, person, pointing, slot
from validation_ui.settings import Settings
from validation_ui.statistics.coefficients import wilson

IDLE_S = 300.0  # a longer gap between two judgements was no work
PACE_S = 6 * 3600.0  # what the estimate of the end looks back on
KINDS = ("long", "short")

Judged = Row[*tuple[Any, ...]]  # a judgement with what belongs to it


@dataclass(frozen=True)
class Share:
    """A count of a count with its 95% interval after Wilson; the fractions are None while `n` is 0."""

    hits: int
    n: int
    frac: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: int, n: int) -> Self:
        """`hits` of `n`."""
        low, high = wilson(hits, n)
        return cls(hits, n, hits / n, low, high) if n else cls(0, 0, None, None, None)


@dataclass(frozen=True)
class Quota:
    """How much of a quota is filled."""

    accepted: int
    quota: int
    surplus: int = 0  # accepted after a quota was full


@dataclass(frozen=True)
class Own:
    """What a person did, gold items included."""

    judged: int
    per_h: float | None  # over active time
    median_s: dict[str, float]  # by pass, from the claim to the answer


@dataclass(frozen=True)
class Progress:
    """How far the project is."""

    quotas: dict[str, Quota]  # videos, long, short
    per_h: float  # accepted expressions, over the last hours
    eta_s: float | None  # until the quotas are full at this pace; None if nothing was accepted lately
    states: dict[str, dict[str, int]] | None  # long, short -> state of item -> number
    slots: dict[str, dict[str, int]] | None  # pass -> {"open", "leased"}

    def without_states(self) -> Self:
        """What a reviewer may see."""
        return replace(self, states=None, slots=None)


@dataclass(frozen=True)
class Reviewer:
    """How a person does; gold items count in `work` and `gold` alone."""

    id: int
    name: str
    role: str
    standing: str
    work: Own
    judged: int
    accept_frac: float | None
    edit_frac: float | None
    gold: Share  # right ones of the last `gold_window`
    blind_hit: Share
    final_accepts: int  # accepted expressions whose last accept was theirs
    final_frac: float | None


def progress(connection: Connection, now: float) -> Progress:
    """Counts of items and slots; three small queries, for a page that asks again and again."""
    settings = Settings.load(connection)
    states = {kind: {str(state): 0 for state in ItemState if state != ItemState.GOLD} for kind in KINDS}
    for kind, state, count in connection.execute(
        select(item.c.kind, item.c.state, func.count())
        .where(item.c.state != ItemState.GOLD)
        .group_by(item.c.kind, item.c.state)
    ):
        states[kind][state] = count
    accepted = item.c.state == ItemState.ACCEPTED
    videos, lately, first_at = connection.execute(
        select(
            func.count(item.c.video_id.distinct()),
            func.count().filter(item.c.settled_at > now - PACE_S),
            func.min(item.c.settled_at),
        ).where(accepted)
    ).one()
    quotas = {
        kind: Quota(counts[ItemState.ACCEPTED], getattr(settings, kind), counts[ItemState.SURPLUS])
        for kind, counts in states.items()
    }
    hours = min(PACE_S, max(now - (first_at or now), 60.0)) / 3600
    per_h = lately / hours
    left = sum(max(0, quota.quota - quota.accepted) for quota in quotas.values())
    return Progress(
        quotas={"videos": Quota(videos, settings.videos), **quotas},
        per_h=per_h,
        eta_s=left / per_h * 3600 if per_h else None,
        states=states,
        slots=_slots(connection, now),
    )


def own(connection: Connection, person_id: int) -> Own:
    """What one person did."""
    return _work(_judgements(connection, person_id))


def reviewers(connection: Connection) -> list[Reviewer]:
    """Everybody who judged something, by name."""
    window = Settings.load(connection).gold_window
    by_person: dict[int, list[Judged]] = defaultdict(list)
    for row in _judgements(connection):
        by_person[row.person_id].append(row)
    finals = _final_accepts(connection)
    people = connection.execute(select(person.c.id, person.c.name, person.c.role, person.c.standing))
    found = []
    for who in sorted(people, key=lambda who: (who.name, who.id)):
        rows = by_person.get(who.id)
        if not rows:
            continue
        real = [row for row in rows if not row.gold]
        gold = [row.gold_right for row in rows if row.gold and not row.retired and row.gold_right is not None][-window:]
        pointed = [bool(row.hit) for row in real if row.pointing_id]
        finished = finals.get(who.id, 0)
        found.append(
            Reviewer(
                *who,
                work=_work(rows),
                judged=len(real),
                accept_frac=_frac(sum(row.decision == Decision.ACCEPT for row in real), len(real)),
                edit_frac=_frac(sum(row.decision == Decision.EDIT for row in real), len(real)),
                gold=Share.of(sum(gold), len(gold)),
                blind_hit=Share.of(sum(pointed), len(pointed)),
                final_accepts=finished,
                final_frac=_frac(finished, sum(finals.values())),
            )
        )
    return found


def _judgements(connection: Connection, person_id: int | None = None) -> Sequence[Judged]:
    """Live judgements in the order they were made."""
    columns = (judgement.c.person_id, judgement.c.kind, judgement.c.decision, judgement.c.spent_s)
    query = (
        select(
            *columns,
            *(judgement.c.created_at, judgement.c.gold_right, item.c.gold, item.c.retired),
            *(judgement.c.pointing_id, pointing.c.hit, func.coalesce(pointing.c.answer_s, 0.0).label("answer_s")),
        )
        .join(item, item.c.id == judgement.c.item_id)
        .outerjoin(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.undone_at.is_(None))
        .order_by(judgement.c.created_at, judgement.c.id)
    )
    if person_id is not None:
        query = query.where(judgement.c.person_id == person_id)
    return connection.execute(query).all()


def _work(rows: Sequence[Judged]) -> Own:
    active_s, before_at = 0.0, float("-inf")
    by_pass: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        took_s = row.spent_s + row.answer_s
        by_pass[row.kind].append(took_s)
        gap_s = row.created_at - before_at
        active_s += gap_s if gap_s <= IDLE_S else min(took_s, IDLE_S)
        before_at = row.created_at
    per_h = len(rows) / active_s * 3600 if active_s else None
    return Own(len(rows), per_h, {kind: median(times) for kind, times in sorted(by_pass.items())})


def _final_accepts(connection: Connection) -> dict[int, int]:
    """Person to number of accepted expressions whose last live accept they gave."""
    last = (
        select(func.max(judgement.c.id))
        .join(item, item.c.id == judgement.c.item_id)
        .where(
            item.c.state == ItemState.ACCEPTED,
            judgement.c.undone_at.is_(None),
            judgement.c.decision == Decision.ACCEPT,
        )
        .group_by(judgement.c.item_id)
    )
    query = select(judgement.c.person_id, func.count()).where(judgement.c.id.in_(last)).group_by(judgement.c.person_id)
    return dict(connection.execute(query).all())


def _slots(connection: Connection, now: float) -> dict[str, dict[str, int]]:
    leased = (slot.c.state == SlotState.LEASED) & (slot.c.lease_until >= now)
    gold = select(item.c.id).where(item.c.state == ItemState.GOLD)
    counts = {str(kind): {"open": 0, "leased": 0} for kind in SlotKind}
    query = (
        select(slot.c.kind, func.count().filter(leased), func.count())
        .where(slot.c.state.in_([SlotState.OPEN, SlotState.LEASED]), slot.c.item_id.not_in(gold))
        .group_by(slot.c.kind)
    )
    for kind, taken, wanted in connection.execute(query):
        counts[kind] = {"open": wanted - taken, "leased": taken}
    return counts


def _frac(part: int, whole: int) -> float | None:
    return part / whole if whole else None
