"""How far the project is and how well every reviewer works; only live judgements count (`undone_at` is null).

A reviewer must not be able to tell gold items by watching a number change, or not change, after an answer. Therefore
their own figures count gold items like all others, and they do not see the states of items (`Progress.without_states`).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Self

from sqlalchemy import Connection, Row, func, select

from validation_ui.judging.items import IN_SPLIT
from validation_ui.judging.team import NEEDED_ADJUDICATORS, advice, needed_reviewers, read_team
from validation_ui.schema import (
    Decision,
    ItemState,
    SlotKind,
    SlotState,
    Source,
    item,
    judgement,
    person,
    pointing,
    slot,
)
from validation_ui.settings import Settings
from validation_ui.statistics.coefficients import wilson
from validation_ui.statistics.unstaffed import Unstaffed, unstaffed

IDLE_S = 300.0  # a longer gap between two judgements does not count as working time
PACE_S = 6 * 3600.0  # the pace of this last time is used to estimate the end
KINDS = ("long", "short")
NO_PERSON_LEFT = "no_person_left"
TOO_FEW = 20  # a rate or coefficient from fewer answers says nothing, and is shown as "too few"
_OPEN = (ItemState.SIGHTED, ItemState.BLIND, ItemState.ADJUDICATE)

JudgementRow = Row[*tuple[Any, ...]]  # a row of a judgement joined with its item and pointing


@dataclass(frozen=True)
class Share:
    """A rate, `hits` of `n`, with Wilson's 95% interval; the fractions are None if `n` is 0."""

    hits: int
    n: int
    frac: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: int, n: int) -> Self:
        """Make the rate of `hits` out of `n`."""
        low, high = wilson(hits, n)
        return cls(hits, n, hits / n, low, high) if n else cls(0, 0, None, None, None)


@dataclass(frozen=True)
class Quota:
    """How far a quota is filled."""

    accepted: int
    quota: int
    surplus: int = 0  # accepted after a quota was filled
    reachable: int = 0  # the most that this project can accept: with all that is open and that somebody may judge


@dataclass(frozen=True)
class PersonWork:
    """The work of a person, gold items included."""

    judged: int
    hours: float  # working time: without gaps of more than IDLE_S
    per_h: float | None  # judgements per hour of working time
    median_s: dict[str, float]  # pass -> median time from the claim to the answer


@dataclass(frozen=True)
class TeamSize:
    """The people who judge, and how many the project needs."""

    reviewers: int
    adjudicators: int
    needed_reviewers: int
    needed_adjudicators: int
    advice: str | None  # what to do if the team is too small


@dataclass(frozen=True)
class Progress:
    """How far the project is."""

    quotas: dict[str, Quota]  # videos, long, short
    ended: int  # items that ended in the last PACE_S; per_h and eta_s are None if there are fewer than TOO_FEW
    per_h: float | None  # accepted expressions per hour, over the last PACE_S
    eta_s: float | None  # time until the quotas are filled or nothing is left that somebody may judge
    team: TeamSize
    # long, short -> state of item -> number; "no_person_left": of its pass, but nobody of the team may judge it
    states: dict[str, dict[str, int]] | None
    slots: dict[str, dict[str, int]] | None  # pass -> {"open", "leased"}

    def without_states(self) -> Self:
        """Return a copy without the fields that a reviewer must not see."""
        return replace(self, states=None, slots=None)


@dataclass(frozen=True)
class Reviewer:
    """The figures of one person; gold items count in `work` and `gold` only, what was mixed in in `work` only."""

    id: int
    name: str
    role: str
    standing: str
    work: PersonWork
    judged: int
    accept_frac: float | None
    edit_frac: float | None
    gold: Share  # right answers among the last `gold_window` to gold items
    blind_hit: Share
    final_accepts: int  # accepted expressions whose last accept was by this person
    final_frac: float | None


def progress(connection: Connection, now: float) -> Progress:
    """Count items and slots, with a few queries, as pages ask for this often."""
    settings = Settings.load(connection)
    team = read_team(connection)
    left = unstaffed(connection, team)
    states = _states(connection, left)
    quotas = _quotas(connection, settings, states, left)
    accepted = item.c.state == ItemState.ACCEPTED
    lately, ended, first_at, first_end_at = connection.execute(
        select(
            func.count().filter(accepted, item.c.settled_at > now - PACE_S),
            func.count().filter(item.c.settled_at > now - PACE_S),
            func.min(item.c.settled_at).filter(accepted),
            func.min(item.c.settled_at),
        ).where(item.c.state.in_([ItemState.ACCEPTED, ItemState.SURPLUS, ItemState.DROPPED]), IN_SPLIT)
    ).one()
    ended_per_h = ended / _hours(first_end_at, now)
    to_end = sum(_to_end(states[kind], quotas[kind], settings) for kind in KINDS)
    return Progress(
        quotas=quotas,
        ended=ended,
        per_h=lately / _hours(first_at, now) if ended >= TOO_FEW else None,
        eta_s=to_end / ended_per_h * 3600 if ended >= TOO_FEW else None,
        team=TeamSize(
            len(team.reviewers),
            len(team.adjudicators),
            needed_reviewers(settings),
            NEEDED_ADJUDICATORS,
            advice(team, settings),
        ),
        states=states,
        slots=_slots(connection, now),
    )


def _hours(first_at: float | None, now: float) -> float:
    return min(PACE_S, max(now - (first_at or now), 60.0)) / 3600


def _states(connection: Connection, left: Sequence[Unstaffed]) -> dict[str, dict[str, int]]:
    names = [str(state) for state in ItemState if state != ItemState.GOLD]
    states = {kind: dict.fromkeys([*names, NO_PERSON_LEFT], 0) for kind in KINDS}
    query = select(item.c.kind, item.c.state, func.count()).where(item.c.state != ItemState.GOLD, IN_SPLIT)
    for kind, state, count in connection.execute(query.group_by(item.c.kind, item.c.state)):
        states[kind][state] = count
    for one in left:
        states[one.kind][one.state] -= 1
        states[one.kind][NO_PERSON_LEFT] += 1
    return states


def _quotas(
    connection: Connection, settings: Settings, states: dict[str, dict[str, int]], left: Sequence[Unstaffed]
) -> dict[str, Quota]:
    """Return how far each quota is filled, and how far this project's candidates can fill it."""
    rows = _by_video(connection, left)
    # videos that are in the split already, then those with most to give, as far as the quota of videos goes
    rows.sort(key=lambda row: (-row["accepted"], -min(row["long"], settings.per_video)))
    rows = rows[: max(settings.videos, sum(row["accepted"] for row in rows))]
    reachable = {kind: sum(min(row[kind], settings.per_video) for row in rows) for kind in KINDS}
    videos = Quota(sum(row["accepted"] for row in rows), settings.videos, reachable=len(rows))
    return {"videos": videos} | {
        kind: Quota(
            counts[ItemState.ACCEPTED],
            getattr(settings, kind),
            counts[ItemState.SURPLUS],
            max(counts[ItemState.ACCEPTED], reachable[kind]),
        )
        for kind, counts in states.items()
    }


def _by_video(connection: Connection, left: Sequence[Unstaffed]) -> list[dict[str, int]]:
    """Return for every video that can give something: whether it is in the split, and its objects of each kind.

    These are objects with an expression that is accepted, or open and somebody may judge it; for short ones also those
    whose reviewer will be asked for one.
    """
    nobody = {one.public_id for one in left}
    rows = connection.execute(
        select(
            item.c.video_id, item.c.masklet_id, item.c.public_id, item.c.kind, item.c.state, item.c.wants_short
        ).where(item.c.state.in_([ItemState.ACCEPTED, *_OPEN]), IN_SPLIT)
    ).all()
    objects: dict[str, dict[str, set[int]]] = defaultdict(lambda: {"accepted": set(), "long": set(), "short": set()})
    for row in rows:
        if row.public_id in nobody:
            continue
        of_video = objects[row.video_id]
        of_video[row.kind].add(row.masklet_id)
        if row.state == ItemState.ACCEPTED:
            of_video["accepted"].add(row.masklet_id)
        if row.state == ItemState.SIGHTED and row.wants_short:
            of_video["short"].add(row.masklet_id)
    return [
        {"accepted": int(bool(of["accepted"])), "long": len(of["long"]), "short": len(of["short"])}
        for of in objects.values()
    ]


def _to_end(counts: dict[str, int], quota: Quota, settings: Settings) -> float:
    """Return how many items must still end until the quota is filled, or until none is left that somebody may judge.

    What fraction is accepted is measured, or `pass_frac` as long as too few have ended.
    """
    kept = counts[ItemState.ACCEPTED] + counts[ItemState.SURPLUS]
    ended = kept + counts[ItemState.DROPPED]
    pass_frac = kept / ended if kept and ended >= TOO_FEW else max(settings.pass_frac, 1e-9)
    candidates = quota.reachable - quota.accepted
    return min(candidates, max(0, quota.quota - quota.accepted) / pass_frac)


def work_of(connection: Connection, person_id: int) -> PersonWork:
    """Return the work of one person."""
    return _work(_judgements(connection, person_id))


def reviewers(connection: Connection) -> list[Reviewer]:
    """Return the figures of everybody who judged something, sorted by name."""
    window = Settings.load(connection).gold_window
    by_person: dict[int, list[JudgementRow]] = defaultdict(list)
    for row in _judgements(connection):
        by_person[row.person_id].append(row)
    finals = _final_accepts(connection)
    people = connection.execute(select(person.c.id, person.c.name, person.c.role, person.c.standing))
    figures = []
    for who in sorted(people, key=lambda who: (who.name, who.id)):
        rows = by_person.get(who.id)
        if not rows:
            continue
        real = [row for row in rows if not row.gold and row.source == Source.KEPT]
        gold = [row.gold_right for row in rows if row.gold and not row.retired and row.gold_right is not None][-window:]
        pointed = [bool(row.hit) for row in real if row.pointing_id]
        finished = finals.get(who.id, 0)
        figures.append(
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
    return figures


def _judgements(connection: Connection, person_id: int | None = None) -> Sequence[JudgementRow]:
    """Return the live judgements, of one person or all, in the order in which they were made."""
    columns = (judgement.c.person_id, judgement.c.kind, judgement.c.decision, judgement.c.spent_s)
    query = (
        select(
            *columns,
            *(judgement.c.created_at, judgement.c.gold_right, item.c.gold, item.c.source, item.c.retired),
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


def _work(rows: Sequence[JudgementRow]) -> PersonWork:
    active_s, before_at = 0.0, float("-inf")
    by_pass: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        took_s = row.spent_s + row.answer_s
        by_pass[row.kind].append(took_s)
        gap_s = row.created_at - before_at
        active_s += gap_s if gap_s <= IDLE_S else min(took_s, IDLE_S)
        before_at = row.created_at
    per_h = len(rows) / active_s * 3600 if active_s else None
    return PersonWork(
        len(rows), active_s / 3600, per_h, {kind: median(times) for kind, times in sorted(by_pass.items())}
    )


def _final_accepts(connection: Connection) -> dict[int, int]:
    """Return person id -> number of accepted expressions whose last live accept was by this person."""
    last = (
        select(func.max(judgement.c.id))
        .join(item, item.c.id == judgement.c.item_id)
        .where(
            item.c.state == ItemState.ACCEPTED,
            IN_SPLIT,
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


def _frac(part: int, total: int) -> float | None:
    return part / total if total else None
