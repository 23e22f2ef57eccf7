"""Agreement of a project: who is compared with whom, in figures of `agreement.py` and with intervals by video.

Only live judgements of real items count. Two sighted judgements of an item are independent and of the same text: the
measure of the reviewers. A sighted and a blind one of the same text are compared as well, but only texts that the first
accepted come to the second, so kappa and alpha of their decisions are near 0 by construction; the blind hit rate is
what that pass measures. Counted is the first blind answer to an item: no adjudicator had a hand in it.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, func, select

from validation_ui.agreement import FIGURES, Sums
from validation_ui.intervals import bootstrap
from validation_ui.schema import Decision, Gold, SlotKind, item, judgement, masklet, pointing
from validation_ui.settings import PARTS, Settings
from validation_ui.stats import Share

DECISIONS = {Decision.REJECT: 0, Decision.ACCEPT: 1, Decision.EDIT: 1}  # a flag is no verdict
VERDICTS = {"right": 0, "wrong": 1, "unsure": 2}

Pair = tuple[str, Row[Any], Row[Any] | None]  # video id, first judgement, second one or None (a missing cell)


@dataclass(frozen=True)
class Figure:
    """A figure and its 95% interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Agreement on one question."""

    n: int  # items with two answers
    videos: int  # that these items stand in
    figures: dict[str, Figure]  # raw, kappa, alpha, ac1


@dataclass(frozen=True)
class Blind:
    """How often the object was found from the text alone."""

    hit: Share
    chance_area_frac: float | None  # by a random point: mean share of the frame that the object covers
    chance_object_frac: float | None  # by a random object: mean of 1 / objects in the video


@dataclass(frozen=True)
class Stratum:
    """Figures of the items of one kind."""

    items: int  # that were judged
    accepted: Share  # by the first sighted judgement, or the first blind one of a short expression
    sighted: Comparison
    blind_hit: Share


@dataclass(frozen=True)
class Agreement:
    """Everything that is published on agreement."""

    sighted: dict[str, Comparison]  # decision and each part
    sighted_blind: dict[str, Comparison]
    blind: Blind
    strata: dict[str, dict[str, Stratum]]  # kind, size, length, … -> value -> figures


def agreement(connection: Connection) -> Agreement:
    """The figures as of now; the same judgements give the same intervals."""
    seed = Settings.load(connection).seed
    by_item: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in _judgements(connection):
        by_item[row.item_id].append(row)
    sighted = [pair for rows in by_item.values() if (pair := _sighted(rows))]
    crossed = [pair for rows in by_item.values() if (pair := _crossed(rows))]
    first_blind = [row for rows in by_item.values() if (row := _first(rows, SlotKind.BLIND))]
    strata: dict[str, dict[str, list[list[Row[Any]]]]] = defaultdict(lambda: defaultdict(list))
    for rows in by_item.values():
        for name, value in {"kind": rows[0].item_kind, **rows[0].strata}.items():
            strata[name][str(value)].append(rows)
    return Agreement(
        sighted=_questions(sighted, seed),
        sighted_blind=_questions(crossed, seed),
        blind=_blind(connection, first_blind),
        strata={
            name: {value: _stratum(groups, seed) for value, groups in sorted(values.items())}
            for name, values in sorted(strata.items())
        },
    )


def _judgements(connection: Connection) -> Sequence[Row[Any]]:
    query = (
        select(
            *(judgement.c.item_id, judgement.c.kind, judgement.c.text_id, judgement.c.decision, judgement.c.parts),
            *(item.c.video_id, item.c.kind.label("item_kind"), item.c.strata, item.c.overlap),
            *(judgement.c.pointing_id, pointing.c.hit, pointing.c.chance_frac),
        )
        .join(item, item.c.id == judgement.c.item_id)
        .outerjoin(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.undone_at.is_(None), item.c.gold == Gold.NONE)
        .order_by(judgement.c.id)
    )
    return connection.execute(query).all()


def _first(rows: Iterable[Row[Any]], kind: SlotKind) -> Row[Any] | None:
    return next((row for row in rows if row.kind == kind), None)


def _sighted(rows: Sequence[Row[Any]]) -> Pair | None:
    found = [row for row in rows if row.kind == SlotKind.SIGHTED]
    if not found or not found[0].overlap:
        return None
    return found[0].video_id, found[0], found[1] if len(found) > 1 else None


def _crossed(rows: Sequence[Row[Any]]) -> Pair | None:
    """The first sighted and the first blind judgement of one text."""
    blind = _first(rows, SlotKind.BLIND)
    sighted = blind and _first((row for row in rows if row.text_id == blind.text_id), SlotKind.SIGHTED)
    return (sighted.video_id, sighted, blind) if sighted else None


def _questions(pairs: Sequence[Pair], seed: int) -> dict[str, Comparison]:
    found = {"decision": _decisions(pairs, seed)}
    for part in (part for parts in PARTS.values() for part in parts):
        answers = [
            (video, *(VERDICTS.get(row.parts.get(part), -1) if row else -1 for row in both)) for video, *both in pairs
        ]
        found[part] = _compare(answers, len(VERDICTS), seed)
    return found


def _decisions(pairs: Sequence[Pair], seed: int) -> Comparison:
    answers = [(video, *(DECISIONS.get(row.decision, -1) if row else -1 for row in both)) for video, *both in pairs]
    return _compare(answers, 2, seed)


def _compare(answers: Sequence[tuple[Any, ...]], categories: int, seed: int) -> Comparison:
    """Figures of (video id, first rating, second rating) tuples, -1 = none."""
    answers = [answer for answer in answers if max(answer[1:]) >= 0]
    ratings_N2 = np.array([answer[1:] for answer in answers], np.int64).reshape(-1, 2)
    names, videos_N = np.unique([answer[0] for answer in answers] or np.zeros(0, str), return_inverse=True)
    sums_N = Sums.of(ratings_N2, categories)
    total, intervals = sums_N.total(), bootstrap(sums_N, videos_N, FIGURES, seed=seed)
    both_N = (ratings_N2 >= 0).all(axis=1)
    figures = {name: Figure(*map(_known, (float(of(total)), *intervals[name]))) for name, of in FIGURES.items()}
    return Comparison(int(both_N.sum()), len(np.unique(videos_N[both_N])), figures)


def _blind(connection: Connection, rows: Sequence[Row[Any]]) -> Blind:
    count = func.count().label("count")
    objects = dict(connection.execute(select(masklet.c.video_id, count).group_by(masklet.c.video_id)).tuples().all())
    return Blind(
        hit=_hits(rows),
        chance_area_frac=_mean([row.chance_frac for row in rows if row.pointing_id]),
        chance_object_frac=_mean([1 / objects[row.video_id] for row in rows if row.pointing_id]),
    )


def _hits(rows: Iterable[Row[Any]]) -> Share:
    hits = [bool(row.hit) for row in rows if row.pointing_id]
    return Share.of(sum(hits), len(hits))


def _stratum(groups: Sequence[Sequence[Row[Any]]], seed: int) -> Stratum:
    firsts = [row.decision in (Decision.ACCEPT, Decision.EDIT) for row, *_ in groups]
    return Stratum(
        items=len(groups),
        accepted=Share.of(sum(firsts), len(firsts)),
        sighted=_decisions([pair for rows in groups if (pair := _sighted(rows))], seed),
        blind_hit=_hits(row for rows in groups if (row := _first(rows, SlotKind.BLIND))),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
