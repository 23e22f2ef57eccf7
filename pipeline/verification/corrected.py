"""Corrects a share that an imperfect judge counted, with an interval.

The share of good texts is estimated as Rogan and Gladen do for a disease and an imperfect test (American Journal of
Epidemiology 107, 1978): (passed - false passes) / (true passes - false passes), with the rates of passing that the
catch texts show. From it follows the share of good texts among those that passed.

The interval is a Bayesian bootstrap (Rubin, Annals of Statistics 9, 1981) over videos, because texts of one video share
its difficulty: every video gets a random weight. To each of the rates of the judge and of the texts half a success and
half a failure are added, weighted at random too (Jeffreys' prior; Brown, Cai and DasGupta, Statistical Science 16,
2001): a plain bootstrap of a judge that was never caught would say that it never errs.

Shapes: V videos, B draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.verification.counts import JudgedCounts

DRAWS = 4000
LEAST_TEXTS, LEAST_VIDEOS = 30, 10  # with fewer of any kind no interval is given
_LEAST_GAIN = 0.05  # by so much good texts must pass more often than bad ones, at the lower end of the interval
SLICE = 200  # draws that are held in memory at a time
TAILS = (2.5, 97.5)

DrawnShares = NDArray[np.float64]


class Rate(NamedTuple):
    """A share, and its 95 % interval; None where the counts do not carry it."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Quality:
    """What the judge and the texts of a run are worth.

    Attributes:
        sensitivity: share of the catch texts that single out their object that passed.
        specificity: share of the others that did not pass.
        passed: share of the texts that passed, as counted.
        good: share of the texts that single out their object, corrected.
        good_of_passed: the same among those that passed, which are kept.
        why_not: why there is no corrected share; None if there is one.
    """

    sensitivity: Rate
    specificity: Rate
    passed: Rate
    good: Rate
    good_of_passed: Rate
    why_not: str | None


def quality(judged: JudgedCounts, seed: int = 0, draws: int = DRAWS) -> Quality:
    """Estimate the quality of a judge and of the texts that it judged; see the text of this module.

    Args:
        judged: counts by video.
        seed: of the random weights.
        draws: B, the number of draws.
    """
    texts, unique, other = (int(counts_V.sum()) for counts_V in (judged.texts, judged.unique, judged.other))
    few = [
        f"{number:,} {what}"
        for number, what, least in (
            (texts, "texts", LEAST_TEXTS),
            (unique, "catch texts that single out their object", LEAST_TEXTS),
            (other, "catch texts that do not", LEAST_TEXTS),
            (judged.videos, "videos", LEAST_VIDEOS),
        )
        if number < least
    ]
    passing = _share(judged.passed, judged.texts)
    true_pass, false_pass = _share(judged.unique_passed, judged.unique), _share(judged.other_passed, judged.other)
    plain = (Rate(true_pass), Rate(None if false_pass is None else 1 - false_pass), Rate(passing))
    if few:
        return Quality(*plain, Rate(None), Rate(None), f"too few: {', '.join(few)}")
    drawn_B, true_B, false_B = _rates(judged, np.random.default_rng(seed), draws)
    assert passing is not None
    assert true_pass is not None
    assert false_pass is not None
    rates = (interval(true_pass, true_B), interval(1 - false_pass, 1 - false_B), interval(passing, drawn_B))
    if float(np.percentile(true_B - false_B, TAILS[0])) < _LEAST_GAIN:
        why = "the judge tells nothing: texts that single out their object hardly pass more often than others"
        return Quality(*rates, Rate(None), Rate(None), why)
    good = corrected(np.array([passing]), np.array([true_pass]), np.array([false_pass]))
    good_B = corrected(drawn_B, true_B, false_B)
    good_of = [interval(float(one[0]), drawn) for one, drawn in zip(good, good_B, strict=True)]
    return Quality(*rates, good_of[0], good_of[1], None)


def counted_share(hits_V: NDArray[np.int64], counts_V: NDArray[np.int64], seed: int = 0, draws: int = DRAWS) -> Rate:
    """Return a share that nobody has to correct, with its interval as `quality` finds those of its rates.

    Args:
        hits_V: what has the property, by video.
        counts_V: all of them.
        seed: of the random weights.
        draws: B, the number of draws.
    """
    value = _share(hits_V, counts_V)
    if value is None or int(counts_V.sum()) < LEAST_TEXTS or len(counts_V) < LEAST_VIDEOS:
        return Rate(value)
    (drawn_B,) = _drawn([(hits_V, counts_V)], np.random.default_rng(seed), draws)
    return interval(value, drawn_B)


def corrected(passing_B: DrawnShares, true_B: DrawnShares, false_B: DrawnShares) -> tuple[DrawnShares, DrawnShares]:
    """Return the share of good texts, and their share among those that passed, each within [0, 1].

    Args:
        passing_B: share of all texts that passed.
        true_B: share of the good texts that pass.
        false_B: share of the others that pass.
    """
    gain_B = np.maximum(true_B - false_B, 1e-6)
    good_B = np.clip((passing_B - false_B) / gain_B, 0.0, 1.0)
    passed_B = true_B * good_B + false_B * (1 - good_B)
    return good_B, np.clip(true_B * good_B / np.maximum(passed_B, 1e-9), 0.0, 1.0)


def _rates(judged: JudgedCounts, rng: np.random.Generator, draws: int) -> tuple[DrawnShares, DrawnShares, DrawnShares]:
    """Return B draws of the share of texts that passed, and of the two rates of the judge."""
    pairs = (
        (judged.passed, judged.texts),
        (judged.unique_passed, judged.unique),
        (judged.other_passed, judged.other),
    )
    first, second, third = _drawn(pairs, rng, draws)
    return first, second, third


def _drawn(
    pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], rng: np.random.Generator, draws: int
) -> list[DrawnShares]:
    """Return B draws of the share of each pair of hits and counts by video, with the same weights for all of them."""
    parts = []
    for start in range(0, draws, SLICE):
        weights_BV = rng.standard_exponential((min(SLICE, draws - start), len(pairs[0][0])))
        rates = []
        for hits_V, counts_V in pairs:
            hits_B, misses_B = weights_BV @ hits_V, weights_BV @ (counts_V - hits_V)
            hits_B = hits_B + rng.standard_gamma(0.5, len(weights_BV))
            misses_B = misses_B + rng.standard_gamma(0.5, len(weights_BV))
            rates.append(hits_B / (hits_B + misses_B))
        parts.append(rates)
    return [np.concatenate([rates[at] for rates in parts]) for at in range(len(pairs))]


def _share(hits_V: NDArray[np.int64], counts_V: NDArray[np.int64]) -> float | None:
    return float(hits_V.sum() / counts_V.sum()) if counts_V.sum() else None


def interval(value: float, drawn_B: DrawnShares) -> Rate:
    """Return a share with the interval of its draws, which holds the share also if nothing or all was hit."""
    low, high = np.percentile(drawn_B, TAILS).tolist()
    return Rate(value, min(low, value), max(high, value))
