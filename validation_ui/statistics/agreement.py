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
from typing import Self

import numpy as np
from sqlalchemy import Connection, func, select

from validation_ui.schema import Decision, Gold, SlotKind, item, judgement, masklet, pointing
from validation_ui.settings import PARTS, Settings
from validation_ui.statistics.coefficients import FIGURES, Sums, bootstrap
from validation_ui.statistics.progress import Judged, Share

DECISIONS = {Decision.REJECT: 0, Decision.ACCEPT: 1, Decision.EDIT: 1}  # a flag is no verdict
VERDICTS = {"right": 0, "wrong": 1, "unsure": 2}

Pair = tuple[str, Judged, Judged | None]  # video id, first judgement, second one or None (a missing cell)
Answer = tuple[str, int, int]  # the same as ratings, -1 = none


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
    by_item: dict[int, list[Judged]] = defaultdict(list)
    for row in _judgements(connection):
        by_item[row.item_id].append(row)
    answers = [_Answers.of(rows) for rows in by_item.values()]
    strata: dict[str, dict[str, list[_Answers]]] = defaultdict(lambda: defaultdict(list))
    for each in answers:
        for name, value in {"kind": each.first.item_kind, **each.first.strata}.items():
            strata[name][str(value)].append(each)
    return Agreement(
        sighted=_questions([each.sighted for each in answers if each.sighted], seed),
        sighted_blind=_questions([each.crossed for each in answers if each.crossed], seed),
        blind=_blind(connection, [each.blind for each in answers if each.blind]),
        strata={
            name: {value: _stratum(group, seed) for value, group in sorted(values.items())}
            for name, values in sorted(strata.items())
        },
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was said of one item."""

    first: Judged
    sighted: Pair | None  # of the overlap
    crossed: Pair | None  # the first sighted and the first blind judgement of one text
    blind: Judged | None  # the first

    @classmethod
    def of(cls, rows: Sequence[Judged]) -> Self:
        first, video = rows[0], rows[0].video_id
        sighted = [row for row in rows if row.kind == SlotKind.SIGHTED]
        blind = next((row for row in rows if row.kind == SlotKind.BLIND), None)
        same = next((row for row in sighted if blind and row.text_id == blind.text_id), None)
        return cls(
            first=first,
            sighted=(video, sighted[0], sighted[1] if len(sighted) > 1 else None)
            if first.overlap and sighted
            else None,
            crossed=(video, same, blind) if same else None,
            blind=blind,
        )


def _judgements(connection: Connection) -> Sequence[Judged]:
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


def _questions(pairs: Sequence[Pair], seed: int) -> dict[str, Comparison]:
    found = {"decision": _compare(_decisions(pairs), 2, seed)}
    for part in (part for parts in PARTS.values() for part in parts):
        found[part] = _compare(_verdicts(pairs, part), len(VERDICTS), seed)
    return found


def _decisions(pairs: Iterable[Pair]) -> list[Answer]:
    return [
        (video, DECISIONS.get(one.decision, -1), DECISIONS.get(other.decision, -1) if other else -1)
        for video, one, other in pairs
    ]


def _verdicts(pairs: Iterable[Pair], part: str) -> list[Answer]:
    return [
        (video, VERDICTS.get(one.parts.get(part), -1), VERDICTS.get(other.parts.get(part), -1) if other else -1)
        for video, one, other in pairs
    ]


def _compare(answers: Sequence[Answer], categories: int, seed: int) -> Comparison:
    answers = [answer for answer in answers if max(answer[1:]) >= 0]
    ratings_N2 = np.array([answer[1:] for answer in answers], np.int64).reshape(-1, 2)
    names, videos_N = np.unique([answer[0] for answer in answers] or np.zeros(0, str), return_inverse=True)
    sums_N = Sums.of(ratings_N2, categories)
    total, intervals = sums_N.total(), bootstrap(sums_N, videos_N, FIGURES, seed=seed)
    both_N = (ratings_N2 >= 0).all(axis=1)
    figures = {name: Figure(*map(_known, (float(of(total)), *intervals[name]))) for name, of in FIGURES.items()}
    return Comparison(int(both_N.sum()), len(np.unique(videos_N[both_N])), figures)


def _blind(connection: Connection, rows: Sequence[Judged]) -> Blind:
    query = select(masklet.c.video_id, func.count()).group_by(masklet.c.video_id)
    objects: dict[str, int] = dict(connection.execute(query).all())
    return Blind(
        hit=_hits(rows),
        chance_area_frac=_mean([row.chance_frac for row in rows if row.pointing_id]),
        chance_object_frac=_mean([1 / objects[row.video_id] for row in rows if row.pointing_id]),
    )


def _hits(rows: Iterable[Judged]) -> Share:
    hits = [bool(row.hit) for row in rows if row.pointing_id]
    return Share.of(sum(hits), len(hits))


def _stratum(group: Sequence[_Answers], seed: int) -> Stratum:
    kept = sum(DECISIONS.get(each.first.decision) == 1 for each in group)
    return Stratum(
        items=len(group),
        accepted=Share.of(kept, len(group)),
        sighted=_compare(_decisions([each.sighted for each in group if each.sighted]), 2, seed),
        blind_hit=_hits(each.blind for each in group if each.blind),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
