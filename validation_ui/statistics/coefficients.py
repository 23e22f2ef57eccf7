"""Coefficients of agreement (raw, Cohen's kappa, Krippendorff's alpha, Gwet's AC1) and their 95% intervals.

Sources: Cohen 1960, Educ. Psychol. Meas. 20(1); Krippendorff, Content Analysis, chapter on reliability (nominal data);
Gwet 2008, Br. J. Math. Stat. Psychol. 61(1); Wilson 1927, JASA 22(158). Why all four: docs/validation.md.

Shapes: ratings_NR are N items x R judgements, integers from 0, or -1 where there is none; C categories. Raters differ
from item to item, so column 0 holds the first judgements of the items, column 1 the second ones, and so on. Every
coefficient is computed from sums over items (`Sums`), so all resamples of items are one product of matrices.

An undefined coefficient is nan: no item has two judgements, or (kappa and alpha) only one category was ever used, so
that chance explains everything. AC1 counts all C categories, also unused ones, and is 1 in that case.

Intervals of coefficients are made by a bootstrap over whole videos, as judgements of one video's objects are not
independent of each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ratings = NDArray[np.int64]


@dataclass(frozen=True)
class Sums:
    """Sums over items, from which the coefficients are computed; "…" stands for any leading axes, e.g. of resamples.

    Attributes:
        paired: number of items with at least two judgements, shape (…).
        agreeing: sum over these items of the fraction of their pairs of judgements that agree, shape (…).
        rated: number of items with at least one judgement, shape (…).
        shares: sum over these items of the fraction of their judgements in a category, shape (…, C).
        values: number of judgements of paired items in a category, shape (…, C).
        matches: sum over items of agreeing ordered pairs / (judgements of the item - 1), shape (…): the diagonal of
            Krippendorff's matrix of coincidences.
        crossed: number of items by first and second judgement, shape (…, C, C).
    """

    paired: Floats
    agreeing: Floats
    rated: Floats
    shares: Floats
    values: Floats
    matches: Floats
    crossed: Floats

    @classmethod
    def of(cls, ratings_NR: Ratings, categories: int | None = None) -> Self:
        """Make the sums of every item by itself: the leading axis is N.

        Args:
            ratings_NR: the judgements.
            categories: C; None = the highest rating + 1.

        Raises:
            ValueError: a rating is below -1, or not below `categories`.
        """
        ratings_NR = np.asarray(ratings_NR, np.int64)
        top = int(ratings_NR.max(initial=-1)) + 1
        size = top if categories is None else categories
        if ratings_NR.min(initial=0) < -1 or top > size:
            raise ValueError(f"ratings must be -1 or in 0..{size - 1}, got {ratings_NR.min()} to {ratings_NR.max()}")
        counts_NC = (ratings_NR[:, :, None] == np.arange(size)).sum(axis=1).astype(float)
        total_N = counts_NC.sum(axis=1)
        paired_N = total_N >= 2
        pairs_N = (counts_NC * (counts_NC - 1)).sum(axis=1)
        others_N = np.maximum(total_N - 1, 1)
        first_N, second_N = ratings_NR[:, 0], ratings_NR[:, 1]
        crossed_NCC = (first_N[:, None, None] == np.arange(size)[:, None]) & (
            second_N[:, None, None] == np.arange(size)
        )
        return cls(
            paired=paired_N.astype(float),
            agreeing=pairs_N / np.maximum(total_N * others_N, 1),
            rated=(total_N >= 1).astype(float),
            shares=counts_NC / np.maximum(total_N, 1)[:, None],
            values=counts_NC * paired_N[:, None],
            matches=pairs_N / others_N,
            crossed=crossed_NCC.astype(float),
        )

    def total(self) -> Self:
        """Return the sums over all items, without a leading axis."""
        return type(self)(**{name: value.sum(axis=0) for name, value in vars(self).items()})

    def weighted(self, weights_DN: Floats) -> Self:
        """Return the sums of D resamples, in which item n occurs weights_DN[d, n] times."""
        size = len(self.paired)
        columns = [value.reshape(size, -1) for value in vars(self).values()]
        ends = np.cumsum([column.shape[1] for column in columns])
        # one product of all columns is much faster than one for every field
        parts = np.split(weights_DN @ np.hstack(columns), ends[:-1], axis=1)
        shapes = [(len(weights_DN), *value.shape[1:]) for value in vars(self).values()]
        return type(self)(*(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)))

    def grouped(self, groups_N: NDArray[np.int64]) -> Self:
        """Return the sums of every group of items; groups_N has the group of every item, counted from 0."""
        size = int(groups_N.max(initial=-1)) + 1
        sums = {}
        for name, value in vars(self).items():
            sums[name] = np.zeros((size, *value.shape[1:]))
            np.add.at(sums[name], groups_N, value)
        return type(self)(**sums)


Statistic = Callable[[Sums], Floats]


def raw_of(sums: Sums) -> Floats:
    """Return the fraction of agreeing pairs, averaged over the items with at least two judgements."""
    return _ratio(sums.agreeing, sums.paired)


def kappa_of(sums: Sums) -> Floats:
    """Return Cohen's kappa of the first and the second judgement."""
    counted = sums.crossed.sum(axis=(-2, -1))
    observed = _ratio(np.trace(sums.crossed, axis1=-2, axis2=-1), counted)
    chance = _ratio((sums.crossed.sum(axis=-1) * sums.crossed.sum(axis=-2)).sum(axis=-1), counted**2)
    return _ratio(observed - chance, 1 - chance)


def alpha_of(sums: Sums) -> Floats:
    """Return Krippendorff's alpha for nominal categories; items with one judgement do not count."""
    n = sums.values.sum(axis=-1)
    return 1 - _ratio((n - 1) * (n - sums.matches), n**2 - (sums.values**2).sum(axis=-1))


def ac1_of(sums: Sums) -> Floats:
    """Return Gwet's AC1; chance agreement is estimated from all items, also those with one judgement."""
    categories = sums.shares.shape[-1]
    shares = _ratio(sums.shares, sums.rated[..., None])
    chance = (shares * (1 - shares)).sum(axis=-1) / max(categories - 1, 1)
    return _ratio(raw_of(sums) - chance, 1 - chance)


FIGURES: dict[str, Statistic] = {"raw": raw_of, "kappa": kappa_of, "alpha": alpha_of, "ac1": ac1_of}


def raw(ratings_NR: Ratings) -> float:
    """Return the raw agreement of these ratings, 0 to 1."""
    return float(raw_of(Sums.of(ratings_NR).total()))


def cohen_kappa(ratings_NR: Ratings) -> float:
    """Return Cohen's kappa of two columns of ratings; items that lack one of them are left out.

    Raises:
        ValueError: there are not two columns.
    """
    if ratings_NR.shape[1] != 2:
        raise ValueError(f"Cohen's kappa is of two judgements an item, got {ratings_NR.shape[1]}")
    return float(kappa_of(Sums.of(ratings_NR).total()))


def krippendorff_alpha(ratings_NR: Ratings) -> float:
    """Return Krippendorff's alpha of these ratings for nominal categories."""
    return float(alpha_of(Sums.of(ratings_NR).total()))


def gwet_ac1(ratings_NR: Ratings, categories: int | None = None) -> float:
    """Return Gwet's AC1 of these ratings for `categories` possible categories (None = the highest rating + 1)."""
    return float(ac1_of(Sums.of(ratings_NR, categories).total()))


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide; the result is nan where the divisor is 0 (or within 1e-12 of it, by rounding)."""
    below = np.where(np.abs(below) < 1e-12, np.nan, below)
    return np.asarray(above / below, np.float64)


DRAWS = 2000
Z = 1.959963984540054  # of the normal distribution at 97.5%

Interval = tuple[float, float]


def bootstrap(
    sums_N: Sums,
    videos_N: NDArray[np.int64],
    figures: dict[str, Statistic],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> dict[str, Interval]:
    """Compute percentile intervals of several coefficients over the same resamples of videos.

    Args:
        sums_N: the sums of every item (`Sums.of`).
        videos_N: the video of every item, as any integers.
        figures: name -> function that computes the coefficient.
        seed: seed of the resamples; the same seed and items give the same intervals.
        draws: number of resamples.

    Returns:
        Name -> (low, high); (nan, nan) if there are fewer than two videos or the coefficient is undefined everywhere.
    """
    names, groups_N = np.unique(videos_N, return_inverse=True)
    count = len(names)
    if count < 2:
        return dict.fromkeys(figures, (math.nan, math.nan))
    weights_DV = _weights(count, draws, seed)
    resampled = sums_N.grouped(groups_N).weighted(weights_DV)
    intervals = {}
    for name, figure in figures.items():
        values_D = figure(resampled)
        values_D = values_D[np.isfinite(values_D)]
        low, high = np.quantile(values_D, [0.025, 0.975]) if len(values_D) else (math.nan, math.nan)
        intervals[name] = (float(low), float(high))
    return intervals


@lru_cache(maxsize=4)
def _weights(count: int, draws: int, seed: int) -> NDArray[np.float64]:
    """Return how often every one of `count` videos occurs in every resample, shape (draws, count)."""
    picks = np.random.default_rng(seed).integers(count, size=(draws, count))
    picks += np.arange(draws)[:, None] * count  # one histogram for all resamples
    return np.bincount(picks.ravel(), minlength=draws * count).reshape(draws, count).astype(float)


def wilson(hits: int, n: int) -> Interval:
    """Return Wilson's 95% interval of the rate `hits` / `n`; (nan, nan) for n = 0."""
    if n == 0:
        return math.nan, math.nan
    rate, z2 = hits / n, Z**2 / n
    centre = (rate + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * math.sqrt(rate * (1 - rate) / n + z2 / (4 * n))
    return max(0.0, centre - half), min(1.0, centre + half)
