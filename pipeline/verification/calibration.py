"""Precision and recall of the gates of a run against people's verdicts, and the threshold that reaches a precision.

People judge a sample in which rejected texts are rarer or more frequent than in the run. So the share of right texts is
taken within each group of texts that ended alike and passed alike, and the groups are put together by their numbers in
the run, which are known exactly. Precision is the share of right texts among those that passed a gate, recall the share
of those that passed among the right ones that reached it.

The intervals are a Bayesian bootstrap over videos with Jeffreys' half counts in each group, as in `corrected`. A group
of which nobody judged a text may be right or wrong as a whole: then there is an interval for both, and no estimate.

Shapes: V videos with a verdict, B draws, G groups.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.verification.corrected import DRAWS, LEAST_TEXTS, LEAST_VIDEOS, SLICE, TAILS, Rate, interval
from pipeline.verification.run_texts import GATES, LINEUP, RunText

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class GateRate:
    """A rate with its interval, or why there is none; an interval alone, or `at_least`, holds all the same."""

    rate: Rate
    why_not: str | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class GateQuality:
    """How good a gate is.

    Attributes:
        gate: its name.
        passed: texts of the run that passed it.
        rejected: texts of the run that did not.
        judged_passed: of these, how many have a verdict.
        judged_rejected: the same of those that it rejected.
        precision: share of right texts among those that passed.
        recall: share of those that passed among the right ones.
    """

    gate: str
    passed: int
    rejected: int
    judged_passed: int
    judged_rejected: int
    precision: GateRate
    recall: GateRate


@dataclass(frozen=True)
class Threshold:
    """A threshold of the line-up's pick rate; `value` is None if none reaches the wanted precision, and `why_not` why.

    `tried` has the quality of the gate at every threshold that makes a difference, lowest first.
    """

    wanted: float
    value: float | None
    why_not: str | None
    tried: tuple[tuple[float, GateQuality], ...]

    @property
    def quality(self) -> GateQuality | None:
        """The quality of the gate at the threshold."""
        return dict(self.tried)[self.value] if self.value is not None else None


Judged = Sequence[tuple[RunText, bool | None]]  # the texts of a run with people's verdicts, None where there is none


def gate_qualities(judged: Judged, seed: int = 0, draws: int = DRAWS) -> list[GateQuality]:
    """Return the quality of every gate that the run had.

    Args:
        judged: all texts of the run.
        seed: of the random weights.
        draws: B, the number of draws.
    """
    found = []
    for gate in GATES:
        reached = [(text, verdict) for text, verdict in judged if gate in text.passed]
        if reached:
            found.append(_quality(gate, reached, [text.passed[gate] for text, _ in reached], seed, draws))
    return found


def lineup_threshold(judged: Judged, wanted: float, seed: int = 0, draws: int = DRAWS) -> Threshold:
    """Find the lowest pick rate from which on texts are right with the wanted precision.

    It is reached if the whole interval lies above the wanted precision: of several thresholds, one may seem to reach it
    by chance. Thresholds are compared by the trials that were held; with another threshold a few texts would have had
    one more or one less.

    Args:
        judged: all texts of the run.
        wanted: the precision, in (0, 1).
        seed: of the random weights.
        draws: B, the number of draws.
    """
    reached = [(text, verdict) for text, verdict in judged if LINEUP in text.passed and text.pick_rate is not None]
    tried = [
        (rate, _quality(LINEUP, reached, [text.singled_out(rate) for text, _ in reached], seed, draws))
        for rate in sorted(
            {text.pick_rate for text, _ in reached if text.pick_rate and text.singled_out(text.pick_rate)}
        )
    ]
    value = next((rate for rate, found in tried if (found.precision.rate.low or 0.0) >= wanted), None)
    return Threshold(wanted, value, None if value is not None else _why_not(tried, wanted), tuple(tried))


def _why_not(tried: Sequence[tuple[float, GateQuality]], wanted: float) -> str:
    if not tried:
        return "no text of this run was put to a judge that picked its object"
    known = [(rate, found.precision.rate) for rate, found in tried if found.precision.rate.value is not None]
    if not known:
        return tried[0][1].precision.why_not or "too few"
    reaches = next(((rate, found) for rate, found in known if (found.value or 0.0) >= wanted), None)
    if reaches is not None:
        rate, found = reaches
        return (
            f"too few: at a pick rate of {rate:g} it is {found.value:.1%}, but it may be as low as {found.low or 0:.1%}"
        )
    rate, found = max(known, key=lambda one: one[1].value or 0.0)
    return f"it cannot be reached: the best is {found.value:.1%}, at a pick rate of {rate:g}"


@dataclass(frozen=True, eq=False)
class _Groups:
    """Texts that ended alike and passed alike: their number in the run, and the verdicts on them."""

    ends: tuple[str, ...]  # of each group, KEPT or the gate that rejected its texts
    passes_G: NDArray[np.bool_]
    texts_G: NDArray[np.int64]
    right_VG: NDArray[np.int64]
    wrong_VG: NDArray[np.int64]

    @classmethod
    def of(cls, reached: Judged, passes: Iterable[bool]) -> "_Groups":
        names = [(passed, text.end) for (text, _), passed in zip(reached, passes, strict=True)]
        groups = {name: at for at, name in enumerate(sorted(set(names)))}
        videos = {
            video: at for at, video in enumerate(sorted({t.video_id for t, verdict in reached if verdict is not None}))
        }
        right_VG, wrong_VG = (np.zeros((max(1, len(videos)), len(groups)), np.int64) for _ in range(2))
        texts_G = np.zeros(len(groups), np.int64)
        for (text, verdict), name in zip(reached, names, strict=True):
            texts_G[groups[name]] += 1
            if verdict is not None:
                (right_VG if verdict else wrong_VG)[videos[text.video_id], groups[name]] += 1
        passes_G = np.array([passed for passed, _ in groups], bool)
        return cls(tuple(end for _, end in groups), passes_G, texts_G, right_VG, wrong_VG)

    @property
    def judged_VG(self) -> NDArray[np.int64]:
        return self.right_VG + self.wrong_VG

    @property
    def unjudged_G(self) -> NDArray[np.bool_]:
        """Whether nobody judged a text of the group."""
        unjudged_G: NDArray[np.bool_] = self.judged_VG.sum(axis=0) == 0
        return unjudged_G

    def right_G(self) -> _Floats:
        """The share of right texts; 0 where nobody judged one."""
        shares_G: _Floats = self.right_VG.sum(axis=0) / np.maximum(self.judged_VG.sum(axis=0), 1)
        return shares_G

    def right_BG(self, rng: np.random.Generator, draws: int) -> _Floats:
        parts = []
        for start in range(0, draws, SLICE):
            weights_BV = rng.standard_exponential((min(SLICE, draws - start), len(self.right_VG)))
            right_BG = weights_BV @ self.right_VG + rng.standard_gamma(0.5, (len(weights_BV), len(self.texts_G)))
            wrong_BG = weights_BV @ self.wrong_VG + rng.standard_gamma(0.5, (len(weights_BV), len(self.texts_G)))
            parts.append(right_BG / (right_BG + wrong_BG))
        return np.concatenate(parts)


def _quality(gate: str, reached: Judged, passes: Sequence[bool], seed: int, draws: int) -> GateQuality:
    groups = _Groups.of(reached, passes)
    passes_G, texts_G = groups.passes_G, groups.texts_G
    judged_G = groups.judged_VG.sum(axis=0)
    passed, rejected = int(texts_G[passes_G].sum()), int(texts_G[~passes_G].sum())
    judged_passed, judged_rejected = int(judged_G[passes_G].sum()), int(judged_G[~passes_G].sum())
    videos = [int((groups.judged_VG[:, of_G].sum(axis=1) > 0).sum()) for of_G in (passes_G, ~passes_G)]
    few = _few(judged_passed, videos[0], "that passed") if passed else "nothing passed"
    if few:
        precision = recall = GateRate(Rate(None), few)
    else:
        right_BG = groups.right_BG(np.random.default_rng(seed), draws)
        unjudged_G, right_G = groups.unjudged_G, groups.right_G() * texts_G
        worst_BG, best_BG = (np.where(unjudged_G, end, right_BG) * texts_G for end in (0.0, 1.0))
        good, lost = float(right_G[passes_G].sum()), float(right_G[~passes_G].sum())
        least_B, most_B = (drawn_BG[:, passes_G].sum(axis=1) for drawn_BG in (worst_BG, best_BG))
        gained_B, lost_B = (drawn_BG[:, ~passes_G].sum(axis=1) for drawn_BG in (worst_BG, best_BG))
        precision = _figure(groups, unjudged_G & passes_G, good / passed, least_B / passed, most_B / passed)
        if rejected and (few := _few(judged_rejected, videos[1], "that it rejected")):
            at_least = float(np.percentile(least_B / (least_B + rejected), TAILS[0]))
            recall = GateRate(Rate(None), few, at_least)
        elif not right_G.any():
            recall = GateRate(Rate(None), "no judged text is right")
        else:
            bounds = least_B / np.maximum(least_B + lost_B, 1e-9), most_B / np.maximum(most_B + gained_B, 1e-9)
            recall = _figure(groups, unjudged_G, good / (good + lost), *bounds)
    return GateQuality(gate, passed, rejected, judged_passed, judged_rejected, precision, recall)


def _few(texts: int, videos: int, which: str) -> str | None:
    """Return that verdicts are too few, or None if they are enough."""
    if texts < LEAST_TEXTS:
        return f"too few: {texts} judged {which}"
    return f"too few: {videos} video{'s' * (videos != 1)} with a judged text {which}" if videos < LEAST_VIDEOS else None


def _figure(groups: _Groups, unjudged_G: NDArray[np.bool_], value: float, low_B: _Floats, high_B: _Floats) -> GateRate:
    """Return a rate; an interval alone, and why, if it depends on groups of which nobody judged a text."""
    if not unjudged_G.any():
        return GateRate(interval(value, low_B))
    ends = sorted({end for end, unjudged in zip(groups.ends, unjudged_G, strict=True) if unjudged})
    low, high = (float(np.percentile(*one)) for one in zip((low_B, high_B), TAILS, strict=True))
    return GateRate(Rate(None, low, high), f"0 judged of what ended as {' or '.join(ends)}")
