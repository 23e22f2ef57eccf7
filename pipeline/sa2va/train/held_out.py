"""Evaluates a model while it is trained, on videos that it does not learn from: a share of the run's own, or a split's.

The share (`eval_frac`) is chosen by the seed and the videos' ids, so it is the same for any number of workers and after
a kill. Every evaluation draws the same frames, questions and points, so that its losses can be compared. Workers share
the videos between them.
"""

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributed import all_gather_object

from pipeline.data.clips import Clips
from pipeline.data.videos import Video, excluded_videos
from pipeline.engines.models import fingerprint
from pipeline.evaluation.metrics import VideoMasks, score_expression
from pipeline.evaluation.score import OVERALL, ExpressionScore, Scores, check_masks, score
from pipeline.evaluation.split import GROUPS, Jpegs, Split, SplitVideo, find_frames, read_split
from pipeline.sa2va.config import DataConfig, InferConfig, TrainConfig
from pipeline.sa2va.dataset import RefSavDataset
from pipeline.sa2va.example import collate
from pipeline.sa2va.infer.segment import Segmentation, Segmenter
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train.metrics_logger import PARTS, SCORE
from pipeline.sa2va.train.step import DistContext, autocast
from stages.video import rle
from stages.video.images import Image

logger = logging.getLogger(__name__)
_FEW = 3


class Evaluated(Protocol):
    """Videos that a model is evaluated on.

    Attributes:
        name: differs between other videos or ways to evaluate, whose figures cannot be compared.
    """

    name: str

    def __len__(self) -> int:
        """Return the number of videos."""

    def of_video(self, model: Sa2va, index: int, device: torch.device) -> Any:
        """Return what one video comes to, as something that `figures` reads."""

    def figures(self, results: Sequence[Any]) -> dict[str, float]:
        """Return the figures of all videos; the order of `results` does not count."""


def hold_out(videos: Sequence[Video], config: TrainConfig) -> tuple[list[Video], list[Video]]:
    """Split `videos` into those that are trained on and those that are held out, both in their order.

    Of each data set of a mixture a video is left to train on, however few it has.

    Raises:
        ValueError: too few videos would be left, or a data set of the mixture has none.
    """
    of_ids: dict[str, set[str]] = {}
    for video in videos:
        of_ids.setdefault(video.video_id, set()).add(video.source)
    left = Counter(source for sources in of_ids.values() for source in sources)
    lost = [one.label for one in config.mixture if not left[one.label]]
    if lost:
        raise ValueError(
            f"every data set of a mixture must have a video to train on, got none of {', '.join(lost)} after faulty "
            "videos, and those of --split and --eval-split, were left out: take it out of the mixture"
        )
    if not config.eval_frac:
        return list(videos), []
    wanted = max(1, round(config.eval_frac * len(of_ids)))
    held: set[str] = set()
    for video_id in sorted(of_ids, key=partial(_drawn, config.seed)):
        if len(held) < wanted and all(left[source] > 1 for source in of_ids[video_id]):
            held.add(video_id)
            left.subtract(of_ids[video_id])
    if len(held) < wanted:
        whose = " of every data set" if config.mixture else ""
        raise ValueError(
            f"eval_frac must leave videos{whose} to train on, got {config.eval_frac:g} of {len(of_ids)} videos"
        )
    kept = [one for one in videos if one.video_id not in held]
    return kept, [one for one in videos if one.video_id in held]


def _drawn(seed: int, video_id: str) -> bytes:
    return hashlib.sha256(f"{seed} {video_id}".encode()).digest()


def check_eval_split(config: TrainConfig) -> None:
    """Check that the split of `config.eval_split`, if there is one, can be evaluated on.

    Raises:
        ValueError: it cannot be read, lacks frames or masks, or has no expression that means an object.
    """
    if config.eval_split:
        split = read_split(Path(config.eval_split))
        find_frames(split)
        check_masks(split)
        if not with_targets(split):
            raise ValueError(
                f"--eval-split must have an expression that means an object, for J&F is of these, got none in "
                f"{config.eval_split}: name another split, or hold out a share with --eval-frac"
            )


def warn_of_seen(config: TrainConfig, held: Sequence[Video], trained_on: frozenset[str]) -> None:
    """Log where the evaluation on the way says less than it seems to.

    Args:
        config: settings of the run; its splits can be read.
        held: of `hold_out`.
        trained_on: ids of the videos that the base model has learned from.
    """
    ids = excluded_videos(Path(config.eval_split)) if config.eval_split else {video.video_id for video in held}
    learned = "evaluated on %d videos that the base model has learned from (%s): their J&F is too high"
    chosen = "%d videos of --eval-split are in --split too (%s): a checkpoint chosen as best is chosen by the benchmark"
    benchmark = excluded_videos(Path(config.split)) if config.split else frozenset[str]()
    for message, shared in ((learned, ids & trained_on), (chosen, ids & benchmark)):
        if shared:
            logger.warning(message, len(shared), ", ".join([*sorted(shared)[:_FEW], *["…"] * (len(shared) > _FEW)]))


def evaluated(
    config: TrainConfig, held: Sequence[Video], clips: Clips, dataset_of: Callable[[Sequence[Video]], RefSavDataset]
) -> Evaluated | None:
    """Return the videos that a run is evaluated on, at most `config.eval_videos` of them; None where it is on none.

    Args:
        config: settings of the run.
        held: of `hold_out`.
        clips: where they are read from.
        dataset_of: makes examples of videos as those of training are made.
    """
    by_id = partial(_drawn, config.seed)
    if config.eval_split:
        split = read_split(Path(config.eval_split))
        some = sorted(with_targets(split), key=lambda one: by_id(one.video_id))[: config.eval_videos]
        return _OfSplit(Split(split.folder, tuple(some)), config.data)
    if held:
        return _HeldOut(
            sorted(held, key=lambda one: by_id(one.video_id))[: config.eval_videos], clips, dataset_of, config
        )
    return None


def evaluate(model: Sa2va, on: Evaluated, dist: DistContext) -> dict[str, float]:
    """Return the figures of a model on videos: J, F and J&F in percent, and the loss where it is known.

    All workers must call it together; all get the same. The model is as it was afterwards, the random state is not.

    Raises:
        ValueError: a video cannot be read; it is named.
    """
    was_training = model.training
    model.eval()
    mine = [on.of_video(model, index, dist.device) for index in range(dist.rank, len(on), dist.world_size)]
    model.train(was_training)
    everyone: list[Any] = [mine]
    if dist.world_size > 1:
        everyone = [None] * dist.world_size
        all_gather_object(everyone, mine)
    return on.figures([result for of_worker in everyone for result in of_worker])


class _HeldOut:
    """Videos of the run's own data: losses as in training, and masks on all annotated frames."""

    def __init__(
        self,
        videos: Sequence[Video],
        clips: Clips,
        dataset_of: Callable[[Sequence[Video]], RefSavDataset],
        config: TrainConfig,
    ) -> None:
        self._videos, self._clips, self._dataset, self._config = videos, clips, dataset_of(videos), config
        self.name = _name_of("held out", videos)

    def __len__(self) -> int:
        return len(self._videos)

    def of_video(
        self, model: Sa2va, index: int, device: torch.device
    ) -> tuple[dict[str, float], list[tuple[float, float]]]:
        """Return the parts of the loss, and J and F of every expression."""
        video = self._videos[index]
        torch.manual_seed(self._config.seed + index)  # points of the losses
        batch = collate([self._dataset[0, index]], family=model.family)
        with torch.no_grad(), autocast(device):
            losses = model(batch.to(device))
        reader = self._clips.reader(video)
        frames = range(reader.annotated_count)
        texts = [expression.text for expression in video.expressions]
        segmented = _segment(model, self._config.data, reader.images(frames), texts)
        pairs = zip(segmented, (reader.rles(one, frames) for one in video.expressions), strict=True)
        return {name: float(getattr(losses, name)) for name in PARTS}, [_j_and_f(one, truth) for one, truth in pairs]

    def figures(self, results: Sequence[tuple[dict[str, float], list[tuple[float, float]]]]) -> dict[str, float]:
        """Return the losses as means over videos, J and F as means over expressions."""
        parts = {name: _mean([losses[name] for losses, _ in results]) for name in PARTS}
        j, f = (100 * _mean([pair[n] for _, of_video in results for pair in of_video]) for n in (0, 1))
        return {"loss": sum(parts.values()), **parts, "J": j, "F": f, SCORE: (j + f) / 2}


class _OfSplit:
    """Videos of a split, scored as `evaluate_refsav` does."""

    def __init__(self, split: Split, data: DataConfig) -> None:
        self._split, self._data, self._frames = split, data, find_frames(split)
        self.name = _name_of("split", split.videos)

    def __len__(self) -> int:
        return len(self._split.videos)

    def of_video(self, model: Sa2va, index: int, device: torch.device) -> tuple[ExpressionScore, ...]:
        """Return the scores of the video's expressions."""
        video = self._split.videos[index]
        segmented = _segment(model, self._data, Jpegs(self._frames, video), [one.text for one in video.expressions])
        masks: dict[str, list[rle.Rle | None]] = {
            expression.exp_id: [rle.from_mask(mask_HW) for mask_HW in one.masks_THW]
            for expression, one in zip(video.expressions, segmented, strict=True)
        }
        return score("", Split(self._split.folder, (video,)), {video.video_id: masks}, workers=1).rows

    def figures(self, results: Sequence[tuple[ExpressionScore, ...]]) -> dict[str, float]:
        """Return J, F and J&F: the official mean of long and short expressions, of one kind where there is but one."""
        rows = tuple(row for rows in results for row in rows)
        names = [group for group in GROUPS if any(row.group == group for row in rows)]
        means = Scores("", rows).groups(names)
        figures = means.get(OVERALL) or means[names[0]]
        return {"J": figures["J"], "F": figures["F"], SCORE: figures["JF"]}


def with_targets(split: Split) -> list[SplitVideo]:
    """Return the videos with an expression that means an object: a few of the others alone have no J&F."""
    return [video for video in split.videos if any(one.group in GROUPS for one in video.expressions)]


def _name_of(kind: str, videos: Iterable[Video | SplitVideo]) -> str:
    texts = [[video.video_id, *(one.text for one in video.expressions)] for video in videos]
    return fingerprint(json.dumps([kind, texts]).encode())


def _segment(model: Sa2va, data: DataConfig, frames: Sequence[Image], texts: Sequence[str]) -> list[Segmentation]:
    """Segment a video as `infer_refsav` would with the exported model."""
    config = InferConfig(
        frames=data.frames,
        path="consistent" if model.original_decoder is not None else "official",
        pixels=data.pixels,
        official_prompts=data.official_prompts,
    )
    return Segmenter(model, config).segment(frames, texts)


def _j_and_f(segmented: Segmentation, truth_T: Sequence[rle.Rle]) -> tuple[float, float]:
    """Return J and F of predicted masks, in the size of the true ones: images in a frame store may be smaller."""
    height_px, width_px = truth_T[0]["size"]
    masks_THW: list[NDArray[Any]] = [
        cv2.resize(mask_HW.astype(np.uint8), (width_px, height_px), interpolation=cv2.INTER_NEAREST)
        for mask_HW in segmented.masks_THW
    ]
    names = [f"{t}" for t in range(len(truth_T))]
    predicted, truth = (
        VideoMasks.read(masks, names, height_px, width_px) for masks in (list(map(rle.from_mask, masks_THW)), truth_T)
    )
    figures = score_expression(predicted, truth)
    return figures.j, figures.f


def _mean(values: Sequence[float]) -> float:
    """Return the mean, the same in whatever order the values come."""
    return math.fsum(values) / len(values)
