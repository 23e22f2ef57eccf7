"""Scores of one model: the figures of every expression, means of groups, the official files.

Rounding and means are the official ones (tools/eval/eval_ref_sav.py of the release): J, F, A and JF of an expression
are percentages with two decimals; a group's J, F and A are means of these over its expressions, its JF is (J + F) / 2;
overall is the mean of the groups, so the few short expressions weigh as much as the many long ones.

Expressions that fit nothing in their video are in no group. N-acc is the share of them whose predicted masks are all
empty, T-acc the share of the others with any mask, in percent; a mask is empty if it has no pixel. Their mean with J&F
ranks models that reject as well as segment (as the MeViSv2 track of LSVOS does).
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from manifests.outputs import SCORES_CSV, SCORES_JSON
from pipeline.evaluation.json_files import MismatchError, write_text
from pipeline.evaluation.metrics import VideoMasks, joined, mask_faults, score_expression
from pipeline.evaluation.predict import Predictions
from pipeline.evaluation.split import GROUPS, NO_TARGET, Split, SplitVideo
from stages.video.rle import Rle

FIGURES = ("J", "F", "A", "JF")
REJECTION = ("N-acc", "T-acc", "mean")  # the mean of J&F, N-acc and T-acc
OVERALL = "overall"
_PAIRS_A_PROCESS = 4000  # masks that take about as long as a process to start, 1 to 2 s


@dataclass(frozen=True, slots=True)
class ExpressionScore:
    """The figures of an expression in percent, rounded to two decimals; and what its object is like."""

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
    any_mask: bool = True  # whether the prediction has a pixel in any frame


@dataclass(frozen=True)
class Scores:
    """The scores of one model.

    Attributes:
        name: what tables call the model.
        rows: in the order of the split.
    """

    name: str
    rows: tuple[ExpressionScore, ...]

    def groups(self, names: Sequence[str] = GROUPS) -> dict[str, dict[str, float]]:
        """Return group, and overall if both are asked for -> J, F, A, JF in percent.

        Raises:
            ValueError: a group has no expression; its mean would be NaN.
        """
        means = {}
        for name in names:
            rows = [row for row in self.rows if row.group == name]
            if not rows:
                raise ValueError(no_group(name, Counter(row.group for row in self.rows)))
            j, f, a = (float(np.mean([getattr(row, key) for row in rows])) for key in ("j", "f", "a"))
            means[name] = {"J": j, "F": f, "A": a, "JF": (j + f) / 2}
        if set(names) == set(GROUPS):
            means[OVERALL] = {key: sum(means[name][key] for name in GROUPS) / len(GROUPS) for key in FIGURES}
        return means

    def rejection(self, names: Sequence[str] = GROUPS) -> dict[str, float] | None:
        """Return N-acc, T-acc and their mean with J&F, in percent; None if every expression has a target.

        Args:
            names: the groups whose expressions have a target; J&F is that of overall if both are asked for.
        """
        without = [row for row in self.rows if row.group == NO_TARGET]
        if not without:
            return None
        means = self.groups(names)
        n_acc = 100 * float(np.mean([not row.any_mask for row in without]))
        t_acc = 100 * float(np.mean([row.any_mask for row in self.rows if row.group in names]))
        jf = means[OVERALL if OVERALL in means else names[0]]["JF"]
        return dict(zip(REJECTION, (n_acc, t_acc, (jf + n_acc + t_acc) / 3), strict=True))


def no_group(name: str, counts: Mapping[str, int]) -> str:
    """Return the message that says why there is no figure for a group, and what to do.

    Args:
        name: the group.
        counts: group -> number of its expressions.
    """
    there = [group for group in GROUPS if counts.get(group)]
    return (
        f"no figure for {name}: the split has "
        + " and ".join(f"{counts.get(group, 0)} {group}" for group in GROUPS)
        + " "
        "expressions (type_id 0 is long, 1 short), and the mean of none is not a number, nor is overall, the mean of "
        f"both. Score what is there with --groups {' '.join(there)}, or add {name} expressions to the split"
    )


def write_scores(scores: Scores, folder: Path, groups: Sequence[str] = GROUPS) -> None:
    """Write `ref_sav_valid.json` and `ref_sav_valid.csv`, as the official scorer names and fills them.

    If expressions without a target are in the split, the first also has their figures, under `no target`, and the
    second their rows, with a type_id of 2.

    Raises:
        ValueError: a group has no expression; nothing is written.
    """
    means = scores.groups(groups)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video_name", "exp_id", "exp", "videxp", "J", "F", "JF", "A", "type_id"))
    for row in scores.rows:
        if row.group in (*groups, NO_TARGET):
            names = (row.video_id, row.exp_id, row.text, f"{row.video_id}_{row.exp_id}")
            writer.writerow([*names, row.j, row.f, row.jf, row.a, (*GROUPS, NO_TARGET).index(row.group)])
    write_text(folder / SCORES_CSV, text.getvalue())
    rejection = scores.rejection(groups)
    content = means if rejection is None else means | {NO_TARGET: rejection}
    write_text(folder / SCORES_JSON, json.dumps(content, indent=4, allow_nan=False) + "\n")


def score(name: str, split: Split, predictions: Predictions, workers: int | None = None) -> Scores:
    """Score a model's predictions with a pool of processes; the result is the same for any number of them.

    Args:
        name: what tables call the model.
        split: as read by `read_split`.
        predictions: as read by `read_predictions`.
        workers: processes; None = as many as pay, up to the number of CPUs.

    Raises:
        MismatchError: masks are malformed or of the wrong size; every one is named.
    """
    check_masks(split, predictions)
    jobs = [(video, predictions[video.video_id]) for video in split.videos]
    pairs = sum(len(video.frames) * len(video.expressions) for video in split.videos)
    workers = workers or min(os.cpu_count() or 1, 1 + pairs // _PAIRS_A_PROCESS)
    workers = min(workers, len(jobs))
    if workers == 1:
        results = [_score_video(job) for job in jobs]
    else:
        # spawn: a forked copy of a process that holds a model or runs threads may hang
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            results = list(pool.map(_score_video, jobs))
    return Scores(name, tuple(row for rows in results for row in rows))


def check_masks(split: Split, predictions: Predictions | None = None) -> None:
    """Check that the masks of a split can be scored, and those of predictions if there are any.

    It takes about a hundredth of the time of scoring, so that nobody predicts for hours what cannot be scored.

    Raises:
        MismatchError: masks are malformed or of the wrong size; every one is named.
    """
    problems = [
        f"{video.video_id}, {what}, {fault}"
        for video in split.videos
        for what, rles_T in _masks_of(video, predictions)
        for fault in mask_faults(rles_T, video.frames, video.height_px, video.width_px)
    ]
    if problems:
        raise MismatchError("masks", problems, "Predict or export again what is named; nothing was scored.")


def _masks_of(video: SplitVideo, predictions: Predictions | None) -> Iterator[tuple[str, list[Rle | None]]]:
    """Give the masks of every object and of every prediction, with a name for what they are of."""
    for anno_id, rles_T in video.masks.items():
        yield f"object {anno_id}", rles_T
    if predictions is not None:
        for exp_id, rles_T in predictions[video.video_id].items():
            yield f"prediction of {exp_id}", rles_T


def _score_video(job: tuple[SplitVideo, Mapping[str, list[Rle | None]]]) -> list[ExpressionScore]:
    """Score a video, in a process of the pool."""
    video, predictions = job
    truths = _truths(video)
    rows = []
    for one in video.expressions:
        pred = VideoMasks.read(predictions[one.exp_id], video.frames, video.height_px, video.width_px)
        gt = truths[one.anno_ids]
        figures = score_expression(pred, gt)
        seen_T = gt.areas_T[gt.areas_T > 0]
        rows.append(
            ExpressionScore(
                video_id=video.video_id,
                exp_id=one.exp_id,
                text=one.text,
                group=one.group,
                j=_percent(figures.j),
                f=_percent(figures.f),
                jf=_percent((figures.j + figures.f) / 2),
                a=_percent(figures.a),
                area_frac=float(np.median(seen_T)) / (video.height_px * video.width_px) if len(seen_T) else 0.0,
                seen_frac=len(seen_T) / len(video.frames),
                strata=one.strata,
                any_mask=bool(pred.areas_T.any()),
            )
        )
    return rows


def _truths(video: SplitVideo) -> dict[tuple[str, ...], VideoMasks]:
    """Return the masks that expressions mean, by the objects they name; empty ones for those that name none."""
    nothing: list[list[Rle | None]] = [[None] * len(video.frames)]
    return {
        anno_ids: VideoMasks.read(
            joined([video.masks[anno_id] for anno_id in anno_ids] or nothing),
            video.frames,
            video.height_px,
            video.width_px,
        )
        for anno_ids in {one.anno_ids for one in video.expressions}
    }


def _percent(fraction: float) -> float:
    """Return percent with two decimals; NumPy's rounding differs from Python's in one case of many thousands."""
    return float(np.round(100 * fraction, 2))
