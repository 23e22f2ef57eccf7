"""Compares several models on one split: figures with intervals, differences to the first model, the same by stratum.

A 95 % interval says how much a figure depends on which videos happen to be in the split: whole videos are resampled,
for expressions of a video share its frames, and often its object. Videos are drawn within those that have long
expressions only, short ones only or both: no draw then lacks a group. (Where one of these kinds has a single video,
from all videos together; draws that lack a group are left out.) All models are looked at on the same draws, so the
interval of a difference leaves out how hard the drawn videos are.

Shapes: D draws, V videos, N expressions, K = 4 figures: J, F, A, JF.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.schema import SIZES_FRAC, size_name
from pipeline.evaluation.score import FIGURES, OVERALL, REJECTION, ExpressionScore, Scores, no_group
from pipeline.evaluation.split import GROUPS, NO_TARGET

DRAWS = 2000
QUANTILES = (0.025, 0.975)
GROUP = "group"  # the facet of the official figures
_SHARES = ((0.5, "less than half"), (0.9, "most frames"))

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FigureInterval:
    """A figure and its 95 % interval, all in the figure's unit; None where fewer than two videos say anything."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        """Write it with two decimals."""
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Draws:
    """Resamples of the videos of a split.

    Attributes:
        video_N: position of the video of every expression.
        weights_DV: how often a video stands in a draw.
    """

    video_N: NDArray[np.int64]
    weights_DV: Values

    @classmethod
    def make(cls, video_ids: Sequence[str], groups: Sequence[str], *, seed: int, draws: int = DRAWS) -> "Draws":
        """Draw videos with replacement, as often as `draws` says.

        Args:
            video_ids: of every expression.
            groups: of every expression, long or short.
            seed: the same seed and expressions give the same draws.
            draws: how many.
        """
        names, video_N = np.unique(video_ids, return_inverse=True)
        has: list[set[str]] = [set() for _ in names]
        for video, group in zip(video_N, groups, strict=True):
            has[video].add(group)
        kind_V = np.array(["+".join(sorted(groups_there)) for groups_there in has])
        if np.unique(kind_V, return_counts=True)[1].min() < 2:
            kind_V[:] = "any"
        weights_DV = np.zeros((draws, len(names)))
        generator = np.random.default_rng(seed)
        for kind in np.unique(kind_V):
            members = np.flatnonzero(kind_V == kind)
            weights_DV[:, members] = generator.multinomial(len(members), np.full(len(members), 1 / len(members)), draws)
        return cls(video_N, weights_DV)

    def means(self, values_NK: Values, chosen_N: NDArray[np.bool_]) -> tuple[Values, Values]:
        """Return means over the chosen expressions: of the split, (K,), and of every draw, (D, K); nan = none."""
        videos = self.weights_DV.shape[1]
        counts_V = np.bincount(self.video_N, chosen_N, videos)
        sums_VK = np.stack([np.bincount(self.video_N, chosen_N * column, videos) for column in values_NK.T], axis=1)
        with np.errstate(invalid="ignore"):
            means_DK = (self.weights_DV @ sums_VK) / (self.weights_DV @ counts_V)[:, None]
        if np.count_nonzero(counts_V) < 2:
            means_DK = np.full_like(means_DK, np.nan)  # one video cannot say how much videos differ
        return np.array([np.mean(column) for column in values_NK[chosen_N].T]), means_DK


def interval(value: float, draws_D: Values) -> FigureInterval:
    """Return the percentile interval; draws without the figure are left out."""
    known = draws_D[np.isfinite(draws_D)]
    if not len(known):
        return FigureInterval(float(value), None, None)
    low, high = np.quantile(known, QUANTILES)
    return FigureInterval(float(value), float(low), float(high))


@dataclass(frozen=True, slots=True)
class Line:
    """A model's figures of one group or stratum, in percent.

    Attributes:
        facet: "group", or what the stratum is about.
        level: long, short or overall; or the stratum.
        figures: J, F, A, JF; of the level NO_TARGET N-acc, T-acc and their mean with J&F.
        differences: of the same figures to the first model, on the same videos; None for the first.
    """

    model: str
    facet: str
    level: str
    expressions: int
    videos: int
    figures: dict[str, FigureInterval]
    differences: dict[str, FigureInterval] | None


def compare(
    models: Sequence[Scores], groups: Sequence[str] = GROUPS, *, seed: int = 0, draws: int = DRAWS
) -> list[Line]:
    """Return lines by facet and level; within a level, the models in their order.

    Args:
        models: scores on one split.
        groups: long, short or both; with both there is an overall.
        seed: of the resamples: the same scores give the same intervals.
        draws: number of resamples.

    Raises:
        ValueError: the models were scored on different expressions, two have one name, or a group has no expression.
    """
    first = models[0]
    keys = [(row.video_id, row.exp_id) for row in first.rows]
    for model in models[1:]:
        if [(row.video_id, row.exp_id) for row in model.rows] != keys:
            raise ValueError(f"models are compared on the same expressions, got others for {model.name}")
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise ValueError(f"models have different names, got {', '.join(names)}; name them as NAME=path")
    rows = [row for row in first.rows if row.group in (*groups, NO_TARGET)]
    kept_N = np.array([row.group in (*groups, NO_TARGET) for row in first.rows])
    resampled = Draws.make([row.video_id for row in rows], [row.group for row in rows], seed=seed, draws=draws)
    values = [np.array([(row.j, row.f, row.a) for row in model.rows])[kept_N] for model in models]
    any_mask = [np.array([row.any_mask for row in model.rows])[kept_N] for model in models]

    def lines(facet: str, level: str, parts: Sequence[NDArray[np.bool_]]) -> list[Line]:
        """Return a line for every model, of the mean of the means over `parts`."""
        figures = [_figures(resampled, values_N3, parts) for values_N3 in values]
        return made(facet, level, np.any(parts, axis=0), FIGURES, figures)

    def made(
        facet: str,
        level: str,
        chosen_N: NDArray[np.bool_],
        figure_names: Sequence[str],
        figures: Sequence[tuple[Values, Values]],
    ) -> list[Line]:
        """Return a line for every model, from its figures: of the split, and of every draw."""
        return [
            Line(
                model=name,
                facet=facet,
                level=level,
                expressions=int(chosen_N.sum()),
                videos=len(np.unique(resampled.video_N[chosen_N])),
                figures=_intervals(figure_names, value_K, draws_DK),
                differences=None
                if k == 0
                else _intervals(figure_names, value_K - figures[0][0], draws_DK - figures[0][1]),
            )
            for k, (name, (value_K, draws_DK)) in enumerate(zip(names, figures, strict=True))
        ]

    of_group = {name: np.array([row.group == name for row in rows], bool) for name in groups}
    for name, chosen_N in of_group.items():
        if not chosen_N.any():
            raise ValueError(no_group(name, Counter(row.group for row in first.rows)))
    result = [line for name, chosen_N in of_group.items() for line in lines(GROUP, name, [chosen_N])]
    if set(groups) == set(GROUPS):
        result += lines(GROUP, OVERALL, list(of_group.values()))
    without_N = np.array([row.group == NO_TARGET for row in rows], bool)
    if without_N.any():
        parts = list(of_group.values())
        figures = [
            _rejection(resampled, values_N3, any_N, without_N, parts)
            for values_N3, any_N in zip(values, any_mask, strict=True)
        ]
        result += made(NO_TARGET, OVERALL, without_N, REJECTION, figures)
    for facet, level, chosen in strata([row for row in rows if row.group != NO_TARGET]):
        chosen_N = np.zeros(len(rows), bool)
        chosen_N[~without_N] = chosen
        result += lines(facet, level, [chosen_N])
    return result


def _figures(draws: Draws, values_N3: Values, parts: Sequence[NDArray[np.bool_]]) -> tuple[Values, Values]:
    """Return J, F, A, JF of the split and of every draw: means over the parts of their means over expressions."""
    means = [draws.means(values_N3, part_N) for part_N in parts]
    values_3 = sum((value for value, _ in means), np.zeros(3)) / len(parts)
    draws_D3 = sum((drawn for _, drawn in means), np.zeros(1)) / len(parts)
    return (
        np.append(values_3, (values_3[0] + values_3[1]) / 2),
        np.column_stack([draws_D3, (draws_D3[:, 0] + draws_D3[:, 1]) / 2]),
    )


def _rejection(
    draws: Draws,
    values_N3: Values,
    any_mask_N: NDArray[np.bool_],
    without_N: NDArray[np.bool_],
    parts: Sequence[NDArray[np.bool_]],
) -> tuple[Values, Values]:
    """Return N-acc, T-acc and their mean with J&F, in percent, of the split and of every draw.

    Args:
        draws: of the videos.
        values_N3: J, F, A of every expression.
        any_mask_N: whether its prediction has a pixel in any frame.
        without_N: whether it fits nothing in its video.
        parts: which expressions belong to each group.
    """
    jf_value, jf_D = (figures[..., -1] for figures in _figures(draws, values_N3, parts))
    right_N1 = 100.0 * (any_mask_N != without_N)[:, np.newaxis]
    (n_acc, n_D1), (t_acc, t_D1) = (draws.means(right_N1, of_N) for of_N in (without_N, np.any(parts, axis=0)))
    values, drawn = (n_acc[0], t_acc[0]), (n_D1[:, 0], t_D1[:, 0])
    return (
        np.array([*values, (jf_value + sum(values)) / 3]),
        np.column_stack([*drawn, (jf_D + sum(drawn)) / 3]),
    )


def _intervals(names: Sequence[str], values_K: Values, draws_DK: Values) -> dict[str, FigureInterval]:
    return {name: interval(value, drawn) for name, value, drawn in zip(names, values_K, draws_DK.T, strict=True)}


def levels(row: ExpressionScore) -> dict[str, str]:
    """Return facet -> level of an expression, to see where a model fails.

    - object size: by the median share of the frame that it covers where it is seen.
    - object seen: in what share of the frames.
    - those of split.json, by their own names.
    """
    return {
        "object size": size_name(row.area_frac),
        "object seen": next((name for limit, name in _SHARES if row.seen_frac < limit), "nearly always"),
        **dict(row.strata),
    }


def strata(rows: Sequence[ExpressionScore]) -> Iterator[tuple[str, str, list[bool]]]:
    """Give (facet, level, which rows) of all levels, small before large; facets with one level for all are left out."""
    of_rows = [levels(row) for row in rows]
    order = [*SIZES_FRAC, *(name for _, name in _SHARES)]
    for facet in dict.fromkeys(facet for of_row in of_rows for facet in of_row):
        there = {of_row[facet] for of_row in of_rows if facet in of_row}
        if len(there) == 1 and all(facet in of_row for of_row in of_rows):
            continue
        for level in sorted(there, key=lambda name: (order.index(name) if name in order else len(order), name)):
            yield facet, level, [of_row.get(facet) == level for of_row in of_rows]
