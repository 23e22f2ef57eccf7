"""Several models on one split: figures with intervals, differences to the first model, and the same by stratum.

Shapes: D draws, N expressions, K = 4 figures: J, F, A, JF.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.bootstrap import DRAWS, Draws, Interval, Values, interval
from pipeline.evaluation.scores import FIGURES, OVERALL, Scores, no_group
from pipeline.evaluation.split import GROUPS
from pipeline.evaluation.strata import strata

GROUP = "group"  # the facet of the official figures


@dataclass(frozen=True, slots=True)
class Line:
    """A model's figures of one group or stratum, in percent.

    Attributes:
        facet: "group", or what the stratum is about.
        level: long, short or overall; or the stratum.
        figures: J, F, A, JF.
        differences: of the same figures to the first model, on the same videos; None for the first.
    """

    model: str
    facet: str
    level: str
    expressions: int
    videos: int
    figures: dict[str, Interval]
    differences: dict[str, Interval] | None


def compare(
    models: Sequence[Scores], groups: Sequence[str] = GROUPS, *, seed: int = 0, draws: int = DRAWS
) -> list[Line]:
    """Lines by facet and level, in each the models in their order.

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
    rows = [row for row in first.rows if row.group in groups]
    kept_N = np.array([row.group in groups for row in first.rows])
    resampled = Draws.make([row.video_id for row in rows], [row.group for row in rows], seed=seed, draws=draws)
    values = [np.array([(row.j, row.f, row.a) for row in model.rows])[kept_N] for model in models]

    def lines(facet: str, level: str, parts: Sequence[NDArray[np.bool_]]) -> list[Line]:
        """Of the mean of the means over `parts`."""
        chosen_N = np.any(parts, axis=0)
        found = [_figures(resampled, each_N3, parts) for each_N3 in values]
        return [
            Line(
                model=name,
                facet=facet,
                level=level,
                expressions=int(chosen_N.sum()),
                videos=len(np.unique(resampled.video_N[chosen_N])),
                figures=_intervals(value_K, draws_DK),
                differences=None if k == 0 else _intervals(value_K - found[0][0], draws_DK - found[0][1]),
            )
            for k, (name, (value_K, draws_DK)) in enumerate(zip(names, found, strict=True))
        ]

    of_group = {name: np.array([row.group == name for row in rows], bool) for name in groups}
    for name, chosen_N in of_group.items():
        if not chosen_N.any():
            raise ValueError(no_group(name, Counter(row.group for row in first.rows)))
    result = [line for name, chosen_N in of_group.items() for line in lines(GROUP, name, [chosen_N])]
    if set(groups) == set(GROUPS):
        result += lines(GROUP, OVERALL, list(of_group.values()))
    for facet, level, chosen in strata(rows):
        result += lines(facet, level, [np.array(chosen)])
    return result


def _figures(draws: Draws, values_N3: Values, parts: Sequence[NDArray[np.bool_]]) -> tuple[Values, Values]:
    """J, F, A, JF of the split and of each draw; means over the parts of their means over expressions."""
    means = [draws.means(values_N3, part_N) for part_N in parts]
    values_3 = sum((value for value, _ in means), np.zeros(3)) / len(parts)
    draws_D3 = sum((drawn for _, drawn in means), np.zeros(1)) / len(parts)
    return (
        np.append(values_3, (values_3[0] + values_3[1]) / 2),
        np.column_stack([draws_D3, (draws_D3[:, 0] + draws_D3[:, 1]) / 2]),
    )


def _intervals(values_K: Values, draws_DK: Values) -> dict[str, Interval]:
    return {name: interval(value, drawn) for name, value, drawn in zip(FIGURES, values_K, draws_DK.T, strict=True)}
