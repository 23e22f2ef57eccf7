"""95% intervals: of figures of agreement by resampling whole videos, of a rate after Wilson.

What is said of objects in one video depends on that video, so items are not drawn one by one.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from validation_ui.agreement import Figure, Sums

DRAWS = 2000
Z = 1.959963984540054  # of the normal distribution at 97.5%

Interval = tuple[float, float]


def bootstrap(
    sums_N: Sums,
    videos_N: NDArray[np.int64],
    figures: dict[str, Figure],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Interval]:
    """Percentile intervals of several figures over the same resamples of videos.

    Args:
        sums_N: one entry an item.
        videos_N: the video of each item, any integers.
        figures: name to figure.
        seed: of the resamples; the same seed and items give the same intervals.
        draws: number of resamples.

    Returns:
        Name to (low, high); (nan, nan) if there are fewer than two videos or no resample has the figure.
    """
    names, groups_N = np.unique(videos_N, return_inverse=True)
    count = len(names)
    if count < 2:
        return dict.fromkeys(figures, (math.nan, math.nan))
    weights_DV = _weights(count, draws, seed)
    resampled = sums_N.grouped(groups_N).weighted(weights_DV)
    found = {}
    for name, figure in figures.items():
        values_D = figure(resampled)
        values_D = values_D[np.isfinite(values_D)]
        low, high = np.quantile(values_D, [0.025, 0.975]) if len(values_D) else (math.nan, math.nan)
        found[name] = (float(low), float(high))
    return found


@lru_cache(maxsize=4)
def _weights(count: int, draws: int, seed: int) -> NDArray[np.float64]:
    """How often each of `count` videos stands in each resample, shape (draws, count): the questions share them."""
    picks = np.random.default_rng(seed).integers(count, size=(draws, count))
    picks += np.arange(draws)[:, None] * count  # one histogram for all resamples
    return np.bincount(picks.ravel(), minlength=draws * count).reshape(draws, count).astype(float)


def wilson(hits: int, n: int) -> Interval:
    """Interval of a rate, `hits` of `n`; (nan, nan) for n = 0."""
    if n == 0:
        return math.nan, math.nan
    rate, z2 = hits / n, Z**2 / n
    centre = (rate + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
