"""The agreement of a project's reviewers: which judgements are compared, with the coefficients of `coefficients.py`.

Only live judgements of real items whose text the run kept count. Two sighted judgements of an item are independent and
of the same text: they measure how reliable the reviewers are. A sighted and a blind judgement of the same text are
compared too, but the blind reviewer only gets texts that the sighted one accepted, so kappa and alpha of their
decisions are near 0 by construction. What the blind pass measures is the hit rate; the first blind answer to an item
counts, before any adjudication. Two people who found the same text are compared if a project asks for that
(`blind_overlap_frac`).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from sqlalchemy import Connection, func, select

from validation_ui.judging.items import IN_SPLIT
from validation_ui.schema import Decision, Gold, SlotKind, Source, item, judgement, masklet, pointing
from validation_ui.settings import PARTS, Settings
from validation_ui.statistics.coefficients import FIGURES, Sums, bootstrap
from validation_ui.statistics.progress import JudgementRow, Share

DECISIONS = {Decision.REJECT: 0, Decision.ACCEPT: 1, Decision.EDIT: 1}  # a flag is not a decision
VERDICTS = {"right": 0, "wrong": 1, "unsure": 2}

Pair = tuple[str, JudgementRow, JudgementRow | None]  # video id, first judgement, second one or None (a missing cell)
RatingPair = tuple[str, int, int]  # video id, first rating, second rating; -1 = none


@dataclass(frozen=True)
class Coefficient:
    """A coefficient and its 95% interval; None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """The agreement on one question."""

    n: int  # items with two answers
    videos: int  # videos of these items
    figures: dict[str, Coefficient]  # raw, kappa, alpha, ac1


@dataclass(frozen=True)
class Blind:
    """How often the object was found from the text alone, and how often it would be by chance."""

    hit: Share
    chance_area_frac: float | None  # for a random point: mean fraction of the frame that the object covers
    chance_object_frac: float | None  # for a random object: mean of 1 / number of objects in the video


@dataclass(frozen=True)
class Stratum:
    """The figures of the items of one stratum."""

    items: int  # judged items
    accepted: Share  # by the first judgement: a sighted one, or a blind one for short expressions
    sighted: Comparison
    blind_hit: Share


@dataclass(frozen=True)
class Agreement:
    """All published figures of agreement."""

    sighted: dict[str, Comparison]  # of the decision and of every part
    sighted_blind: dict[str, Comparison]
    blind_pairs: dict[str, Comparison]  # two people who were asked to find the same text
    blind: Blind
    strata: dict[str, dict[str, Stratum]]  # kind, size, length, … -> value -> figures


@dataclass(frozen=True)
class NoTarget:
    """What people answered to texts that fit nothing in their video; the first blind answer to each counts."""

    absent: Share  # said that the object is absent, which is right
    ambiguous: int
    pointed: int  # at some object


def no_target_answers(connection: Connection) -> NoTarget:
    """Count the answers to texts without a target."""
    query = (
        select(judgement.c.item_id, pointing.c.answer)
        .join(item, item.c.id == judgement.c.item_id)
        .join(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.undone_at.is_(None), item.c.source == Source.NO_TARGET)
        .order_by(judgement.c.id.desc())
    )
    answers = list(dict(connection.execute(query).all()).values())  # the last of a key is the first judgement
    return NoTarget(
        Share.of(answers.count("absent"), len(answers)), answers.count("ambiguous"), answers.count("pointed")
    )


def agreement(connection: Connection) -> Agreement:
    """Compute the figures from all judgements so far; the same judgements give the same intervals."""
    seed = Settings.load(connection).seed
    by_item: dict[int, list[JudgementRow]] = defaultdict(list)
    for row in _judgements(connection):
        by_item[row.item_id].append(row)
    answers = [_Answers.of(rows) for rows in by_item.values()]
    strata: dict[str, dict[str, list[_Answers]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        for name, value in {"kind": answer.first.item_kind, **answer.first.strata}.items():
            strata[name][str(value)].append(answer)
    return Agreement(
        sighted=_questions([answer.sighted for answer in answers if answer.sighted], seed),
        sighted_blind=_questions([answer.crossed for answer in answers if answer.crossed], seed),
        blind_pairs=_questions([answer.pair for answer in answers if answer.pair], seed)
        | {"hit": _compare([_hit_pair(answer.pair) for answer in answers if answer.pair], 2, seed)},
        blind=_blind(connection, [answer.blind for answer in answers if answer.blind]),
        strata={
            name: {value: _stratum(group, seed) for value, group in sorted(values.items())}
            for name, values in sorted(strata.items())
        },
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """The judgements of one item, paired for the comparisons."""

    first: JudgementRow
    sighted: Pair | None  # the two sighted judgements, if the item is in the overlap
    crossed: Pair | None  # the first sighted and the first blind judgement, if they are of the same text
    blind: JudgementRow | None  # the first blind judgement
    pair: Pair | None  # the first two blind judgements of the same text, if the item is in the overlap of this pass

    @classmethod
    def of(cls, rows: Sequence[JudgementRow]) -> Self:
        first, video = rows[0], rows[0].video_id
        sighted = [row for row in rows if row.kind == SlotKind.SIGHTED]
        blind, second = _two(row for row in rows if row.kind == SlotKind.BLIND)
        same = next((row for row in sighted if blind and row.text_id == blind.text_id), None)
        return cls(
            first=first,
            sighted=(video, sighted[0], sighted[1] if len(sighted) > 1 else None)
            if first.overlap and sighted
            else None,
            crossed=(video, same, blind) if same else None,
            blind=blind,
            pair=(video, blind, second) if first.blind_overlap and blind else None,
        )


def _two(rows: Iterable[JudgementRow]) -> tuple[JudgementRow | None, JudgementRow | None]:
    """Return the first judgement, and the second one if it is of the same text."""
    first, second = (*rows, None, None)[:2]
    return first, second if first and second and first.text_id == second.text_id else None


def _hit_pair(pair: Pair) -> RatingPair:
    video, first, second = pair
    return video, int(bool(first.hit)), int(bool(second.hit)) if second else -1


def _judgements(connection: Connection) -> Sequence[JudgementRow]:
    query = (
        select(
            *(judgement.c.item_id, judgement.c.kind, judgement.c.text_id, judgement.c.decision, judgement.c.parts),
            *(item.c.video_id, item.c.kind.label("item_kind"), item.c.strata, item.c.overlap, item.c.blind_overlap),
            *(judgement.c.pointing_id, pointing.c.hit, pointing.c.chance_frac),
        )
        .join(item, item.c.id == judgement.c.item_id)
        .outerjoin(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(judgement.c.undone_at.is_(None), item.c.gold == Gold.NONE, IN_SPLIT)
        .order_by(judgement.c.id)
    )
    return connection.execute(query).all()


def _questions(pairs: Sequence[Pair], seed: int) -> dict[str, Comparison]:
    comparisons = {"decision": _compare(_decisions(pairs), 2, seed)}
    for part in (part for parts in PARTS.values() for part in parts):
        comparisons[part] = _compare(_verdicts(pairs, part), len(VERDICTS), seed)
    return comparisons


def _decisions(pairs: Iterable[Pair]) -> list[RatingPair]:
    return [
        (video, DECISIONS.get(one.decision, -1), DECISIONS.get(other.decision, -1) if other else -1)
        for video, one, other in pairs
    ]


def _verdicts(pairs: Iterable[Pair], part: str) -> list[RatingPair]:
    return [
        (video, VERDICTS.get(one.parts.get(part), -1), VERDICTS.get(other.parts.get(part), -1) if other else -1)
        for video, one, other in pairs
    ]


def _compare(answers: Sequence[RatingPair], categories: int, seed: int) -> Comparison:
    answers = [answer for answer in answers if max(answer[1:]) >= 0]
    ratings_N2 = np.array([answer[1:] for answer in answers], np.int64).reshape(-1, 2)
    names, videos_N = np.unique([answer[0] for answer in answers] or np.zeros(0, str), return_inverse=True)
    sums_N = Sums.of(ratings_N2, categories)
    total, intervals = sums_N.total(), bootstrap(sums_N, videos_N, FIGURES, seed=seed)
    both_N = (ratings_N2 >= 0).all(axis=1)
    figures = {name: Coefficient(*map(_known, (float(of(total)), *intervals[name]))) for name, of in FIGURES.items()}
    return Comparison(int(both_N.sum()), len(np.unique(videos_N[both_N])), figures)


def _blind(connection: Connection, rows: Sequence[JudgementRow]) -> Blind:
    query = select(masklet.c.video_id, func.count()).group_by(masklet.c.video_id)
    objects: dict[str, int] = dict(connection.execute(query).all())
    return Blind(
        hit=_hits(rows),
        chance_area_frac=_mean([row.chance_frac for row in rows if row.pointing_id]),
        chance_object_frac=_mean([1 / objects[row.video_id] for row in rows if row.pointing_id]),
    )


def _hits(rows: Iterable[JudgementRow]) -> Share:
    hits = [bool(row.hit) for row in rows if row.pointing_id]
    return Share.of(sum(hits), len(hits))


def _stratum(group: Sequence[_Answers], seed: int) -> Stratum:
    kept = sum(DECISIONS.get(answers.first.decision) == 1 for answers in group)
    return Stratum(
        items=len(group),
        accepted=Share.of(kept, len(group)),
        sighted=_compare(_decisions([answers.sighted for answers in group if answers.sighted]), 2, seed),
        blind_hit=_hits(answers.blind for answers in group if answers.blind),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
