"""Score predictions on a split: a pool of processes over videos, each mask decoded once."""

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from pipeline.evaluation.masks import Masks, Rle, union
from pipeline.evaluation.metrics import score_expression
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.problems import MismatchError
from pipeline.evaluation.scores import ExpressionScore, Scores
from pipeline.evaluation.split import Split, SplitVideo

_PAIRS_A_PROCESS = 4000  # masks that take about as long as a process to start, 1 to 2 s


def score(name: str, split: Split, predictions: Predictions, workers: int | None = None) -> Scores:
    """Score a model's predictions; the same result for any number of workers.

    Args:
        name: what tables call the model.
        split: as read by `read_split`.
        predictions: as read by `read_predictions`.
        workers: processes; None = as many as pay, up to the number of CPUs.

    Raises:
        MismatchError: masks are malformed or of the wrong size; each is named.
    """
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
    problems = [problem for _, faults in results for problem in faults]
    if problems:
        raise MismatchError("masks", problems, "Predict or export again what is named; nothing was scored.")
    return Scores(name, tuple(row for rows, _ in results for row in rows))


def _score_video(job: tuple[SplitVideo, Mapping[str, list[Rle | None]]]) -> tuple[list[ExpressionScore], list[str]]:
    """(scores, problems) of a video; runs in a process of the pool."""
    video, predictions = job
    truths, problems = _truths(video)
    rows = []
    for each in video.expressions:
        try:
            pred = Masks.read(predictions[each.exp_id], video.frames, video.height_px, video.width_px)
        except ValueError as error:
            problems += [f"{video.video_id}, prediction of {each.exp_id}, {line}" for line in str(error).splitlines()]
            continue
        gt = truths.get(each.anno_ids)
        if gt is None:
            continue
        figures = score_expression(pred, gt)
        seen_T = gt.areas_T[gt.areas_T > 0]
        rows.append(
            ExpressionScore(
                video_id=video.video_id,
                exp_id=each.exp_id,
                text=each.text,
                group=each.group,
                j=_percent(figures.j),
                f=_percent(figures.f),
                jf=_percent((figures.j + figures.f) / 2),
                a=_percent(figures.a),
                area_frac=float(np.median(seen_T)) / (video.height_px * video.width_px) if len(seen_T) else 0.0,
                seen_frac=len(seen_T) / len(video.frames),
                strata=each.strata,
            )
        )
    return rows, problems


def _truths(video: SplitVideo) -> tuple[dict[tuple[str, ...], Masks], list[str]]:
    """The masks that expressions mean, by the objects they name; and what is wrong with objects."""
    problems: list[str] = []
    objects: dict[str, Masks] = {}
    for anno_id, rles in video.masks.items():
        try:
            objects[anno_id] = Masks.read(rles, video.frames, video.height_px, video.width_px)
        except ValueError as error:
            problems += [f"{video.video_id}, object {anno_id}, {line}" for line in str(error).splitlines()]
    wanted = {each.anno_ids for each in video.expressions}
    return {ids: _joined(video, ids, objects) for ids in wanted if all(one in objects for one in ids)}, problems


def _joined(video: SplitVideo, anno_ids: tuple[str, ...], objects: Mapping[str, Masks]) -> Masks:
    if len(anno_ids) == 1:
        return objects[anno_ids[0]]
    together = union([video.masks[anno_id] for anno_id in anno_ids])
    return Masks.read(together, video.frames, video.height_px, video.width_px)


def _percent(fraction: float) -> float:
    """With two decimals; rounded as NumPy does, which differs from Python's round in a case of many thousands."""
    return float(np.round(100 * fraction, 2))
