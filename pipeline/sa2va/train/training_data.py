"""Reads what a run is trained on: one data set or several together, or a mixture in which each has its share."""

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from manifests.outputs import NEGATIVES_FILE
from pipeline.data.check import check_videos
from pipeline.data.clips import Clips
from pipeline.data.videos import Video, excluded_videos, read_videos
from pipeline.sa2va.build import load_tokenizer
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.dataset import absent_share_frac
from pipeline.sa2va.example import TextCheck

logger = logging.getLogger(__name__)


def read_data(config: TrainConfig) -> tuple[list[Video], Clips]:
    """Read the videos to train on, check all of them, and leave out those of the benchmark.

    Raises:
        ValueError: rows cannot be trained on and are not to be left out, or no video is left; the message names them.
            Or the base has no tokenizer that can be read.
    """
    splits = [Path(split) for split in (config.split, config.eval_split) if split]
    exclude = frozenset[str]().union(*map(excluded_videos, splits))
    share_frac = config.data.negatives_frac
    videos = [
        replace(video, source=name)
        for name, paths, sav_root in _data_sets(config)
        for video in read_videos(
            paths,
            sav_root,
            exclude=exclude,
            official=config.official,
            absent=share_frac > 0 and (not name or _has_absent(name, paths)),
        )
    ]
    if config.mixture:
        _check_ids(videos)
    clips = Clips([Path(store) for store in config.stores])
    check_text = TextCheck(*load_tokenizer(config.model.base), config.data)
    workers = max(1, config.loader_workers)
    videos = check_videos(videos, clips, workers=workers, on_bad=config.on_bad, check_text=check_text)
    if share_frac:
        _say_share(videos, config)
    return videos, clips


def _data_sets(config: TrainConfig) -> Iterator[tuple[str, list[Path], Path | None]]:
    """Give (name, paths, SAV_ROOT) of every data set; several sources without a mixture are one."""
    root = Path(config.sav_root) if config.sav_root else None
    if not config.mixture:
        yield "", [Path(source) for source in config.sources], root
    for one in config.mixture:
        yield one.label, [Path(one.path)], Path(one.sav_root) if one.sav_root else root


def _has_absent(name: str, paths: Sequence[Path]) -> bool:
    """Tell whether a data set of a mixture has texts without a target; imported and official ones have none."""
    without = [path for path in paths if path.is_file() and not path.with_name(NEGATIVES_FILE).is_file()]
    if without:
        logger.warning("%s has no texts without a target: no %s beside %s", name, NEGATIVES_FILE, without[0])
    return not without


def _check_ids(videos: Sequence[Video]) -> None:
    """Refuse one id for two files: a frame store, checkpoints and benchmarks know a video by its id.

    Raises:
        ValueError: data sets of a mixture have different videos of one id.
    """
    paths: dict[str, Video] = {}
    for video in videos:
        first = paths.setdefault(video.video_id, video)
        if first.video_path != video.video_path:
            raise ValueError(
                f"a video id belongs to one file, got {first.video_path} in {first.source} and {video.video_path} in "
                f"{video.source} for {video.video_id}: import one of them under another --shard, or leave one out"
            )


def repeats_of(config: TrainConfig, videos: Sequence[Video]) -> dict[str, float]:
    """Return how often the videos of each source of a mixture come up in an epoch; nothing where there is no mixture.

    With weights, an epoch has as many videos as all sources together, and every source its share of them.
    """
    counts = Counter(video.source for video in videos)
    weights = {one.label: one.weight for one in config.mixture}
    if not any(weights.values()):
        return {one.label: config.data.repeats * one.repeats for one in config.mixture}
    scale = config.data.repeats * len(videos) / sum(weights.values())
    return {name: scale * weight / counts[name] for name, weight in weights.items() if counts[name]}


def check_shares(config: TrainConfig, videos: Sequence[Video]) -> None:
    """Check that every data set of a mixture comes up in the run at all.

    Raises:
        ValueError: one does not, for it has few videos and comes up seldom.
    """
    counts, epochs = Counter(video.source for video in videos), config.optim.epochs
    for name, times in repeats_of(config, videos).items():
        if math.floor(epochs * times * counts[name]) < 1:
            raise ValueError(
                f"every data set of a mixture must come up in the run, got {counts[name]} videos of {name} {times:g} "
                f"times an epoch in {epochs} epochs: raise its repeats or weight, or the epochs"
            )


def told_mixture(config: TrainConfig, videos: Sequence[Video]) -> Iterator[str]:
    """Give a line for every source of a mixture: what it has, and how much of it an epoch takes."""
    repeats = repeats_of(config, videos)
    for name in (one.label for one in config.mixture):
        mine = [video for video in videos if video.source == name]
        texts = sum(len(video.expressions) for video in mine)
        times = repeats.get(name, 0.0)
        taken = f"{times * len(mine):,.1f}".removesuffix(".0")
        yield f"{name}: {len(mine)} videos, {texts} texts, {times:.2f} times an epoch: {taken} videos"


def _say_share(videos: list[Video], config: TrainConfig) -> None:
    """Log which share of the texts will be without a target.

    Raises:
        ValueError: there are none.
    """
    wanted_frac, share_frac = config.data.negatives_frac, absent_share_frac(videos, config.data)
    without = sum(not video.absent for video in videos)
    if not share_frac:
        raise ValueError(
            f"--negatives {wanted_frac:g} needs texts without a target, got none in {len(videos)} videos of "
            f"{', '.join(config.sources)}: annotate again with this version, or train without --negatives"
        )
    logger.info("%.1f %% of the texts are without a target, asked for %.1f %%", 100 * share_frac, 100 * wanted_frac)
    if without:
        logger.warning("%d of %d videos have no text without a target", without, len(videos))
