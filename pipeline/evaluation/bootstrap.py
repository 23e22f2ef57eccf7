"""How much a figure depends on which videos happen to be in the split: 95 % intervals by resampling whole videos.

Expressions of a video share its pictures, often its object, so they are not drawn one by one. Videos are drawn within
those that have long expressions only, short ones only or both: no draw then lacks a group. (Where one of these kinds
has a single video, from all videos together; draws that lack a group are left out.) All models are looked at on
the same draws, so the interval of a difference leaves out how hard the drawn videos are.

Shapes: D draws, V videos, N expressions, K figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
QUANTILES = (0.025, 0.975)

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval, all in the figure's unit; None where fewer than two videos say anything."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Two decimals."""
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Draws:
    """Resamples of the videos of a split.

    Attributes:
        video_N: of each expression, the position of its video.
        weights_DV: how often each video stands in each draw.
    """

    video_N: NDArray[np.int64]
    weights_DV: Values

    @classmethod
    def make(cls, video_ids: Sequence[str], groups: Sequence[str], *, seed: int, draws: int = DRAWS) -> "Draws":
        """Draw videos.

        Args:
            video_ids: of each expression.
            groups: of each expression, long or short.
            seed: the same seed and expressions give the same draws.
            draws: how many.
        """
        names, video_N = np.unique(video_ids, return_inverse=True)
        has: list[set[str]] = [set() for _ in names]
        for video, group in zip(video_N, groups, strict=True):
            has[video].add(group)
        kind_V = np.array(["+".join(sorted(each)) for each in has])
        if np.unique(kind_V, return_counts=True)[1].min() < 2:
            kind_V[:] = "any"
        weights_DV = np.zeros((draws, len(names)))
        generator = np.random.default_rng(seed)
        for kind in np.unique(kind_V):
            members = np.flatnonzero(kind_V == kind)
            weights_DV[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), draws)
        return cls(video_N, weights_DV)

    def means(self, values_NK: Values, chosen_N: NDArray[np.bool_]) -> tuple[Values, Values]:
        """Means over the chosen expressions: of the split, shape (K,), and of each draw, shape (D, K); nan = none."""
        videos = self.weights_DV.shape[1]
        counts_V = np.bincount(self.video_N, chosen_N, videos)
        sums_VK = np.stack([np.bincount(self.video_N, chosen_N * column, videos) for column in values_NK.T], axis=1)
        with np.errstate(invalid="ignore"):
            means_DK = (self.weights_DV @ sums_VK) / (self.weights_DV @ counts_V)[:, None]
        if np.count_nonzero(counts_V) < 2:
            means_DK = np.full_like(means_DK, np.nan)  # one video cannot say how much videos differ
        return np.array([np.mean(column) for column in values_NK[chosen_N].T]), means_DK


def interval(value: float, draws_D: Values) -> Interval:
    """Percentile interval; draws without the figure are left out."""
    known = draws_D[np.isfinite(draws_D)]
    if not len(known):
        return Interval(float(value), None, None)
    low, high = np.quantile(known, QUANTILES)
    return Interval(float(value), float(low), float(high))
