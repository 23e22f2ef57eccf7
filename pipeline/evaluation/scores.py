"""Scores of one model: figures per expression, means per group, the official files.

Rounding and means are the official ones (tools/eval/eval_ref_sav.py of the release): J, F, A and JF of an expression
are percentages with two decimals; a group's J, F and A are means of these over its expressions, its JF is (J + F) / 2;
overall is the mean of the groups, so the few short expressions weigh as much as the many long ones.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.files import write_text
from pipeline.evaluation.split import GROUPS

FIGURES = ("J", "F", "A", "JF")
OVERALL = "overall"


@dataclass(frozen=True, slots=True)
class ExpressionScore:
    """An expression's figures in percent, rounded to two decimals; and what its object is like."""

    video_id: str
    exp_id: str
    text: str
    group: str
    j: float
    f: float
    jf: float
    a: float
    area_frac: float  # median share of the frame, where the object is seen; 0 if nowhere
    seen_frac: float  # share of the frames in which it is seen
    strata: tuple[tuple[str, str], ...]  # (facet, level) that split.json gives


@dataclass(frozen=True)
class Scores:
    """Of one model.

    Attributes:
        name: what tables call the model.
        rows: in the order of the split.
    """

    name: str
    rows: tuple[ExpressionScore, ...]

    def groups(self, names: Sequence[str] = GROUPS) -> dict[str, dict[str, float]]:
        """Group, and overall if both are asked for -> J, F, A, JF in percent.

        Raises:
            ValueError: a group has no expression; its mean would be NaN.
        """
        found = {}
        for name in names:
            rows = [row for row in self.rows if row.group == name]
            if not rows:
                raise ValueError(no_group(name, Counter(row.group for row in self.rows)))
            j, f, a = (float(np.mean([getattr(row, key) for row in rows])) for key in ("j", "f", "a"))
            found[name] = {"J": j, "F": f, "A": a, "JF": (j + f) / 2}
        if set(names) == set(GROUPS):
            found[OVERALL] = {key: sum(found[name][key] for name in GROUPS) / len(GROUPS) for key in FIGURES}
        return found


def no_group(name: str, counts: Mapping[str, int]) -> str:
    """Why there is no figure for a group, and what to do.

    Args:
        name: the group.
        counts: expressions of each group that there are.
    """
    there = [each for each in GROUPS if counts.get(each)]
    return (
        f"no figure for {name}: the split has " + " and ".join(f"{counts.get(each, 0)} {each}" for each in GROUPS) + " "
        "expressions (type_id 0 is long, 1 short), and the mean of none is not a number, nor is overall, the mean of "
        f"both. Score what is there with --groups {' '.join(there)}, or add {name} expressions to the split"
    )


def write_scores(scores: Scores, folder: Path, groups: Sequence[str] = GROUPS) -> None:
    """Write `ref_sav_valid.json` and `ref_sav_valid.csv`, as the official scorer names and fills them.

    Raises:
        ValueError: a group has no expression; nothing is written.
    """
    means = scores.groups(groups)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video_name", "exp_id", "exp", "videxp", "J", "F", "JF", "A", "type_id"))
    for row in scores.rows:
        if row.group in groups:
            names = (row.video_id, row.exp_id, row.text, f"{row.video_id}_{row.exp_id}")
            writer.writerow([*names, row.j, row.f, row.jf, row.a, GROUPS.index(row.group)])
    write_text(folder / "ref_sav_valid.csv", text.getvalue())
    write_text(folder / "ref_sav_valid.json", json.dumps(means, indent=4, allow_nan=False) + "\n")
