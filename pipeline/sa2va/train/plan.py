"""Which videos are learned from in which step: fixed by the settings before the run, so that it can go on anywhere."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.check import check_videos
from pipeline.data.clips import Clips
from pipeline.data.videos import Video, excluded_videos, read_videos
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.dataset import official_steps, share, steps
from pipeline.sa2va.train.loop import Place

Micro = list[tuple[int, int]]  # (epoch, index of the video) of each example of a micro-batch


def read_data(config: TrainConfig) -> tuple[list[Video], Clips]:
    """The videos to train on, all of them checked, none of them of the benchmark.

    Raises:
        ValueError: every row that cannot be trained on (unless they are to be left out), or nothing is left.
    """
    exclude = excluded_videos(Path(config.split)) if config.split else frozenset[str]()
    root = Path(config.sav_root) if config.sav_root else None
    sources = [Path(source) for source in config.sources]
    videos = read_videos(sources, root, exclude=exclude, official=config.official)
    clips = Clips([Path(store) for store in config.stores])
    return check_videos(videos, clips, workers=max(1, config.loader_workers), on_bad=config.on_bad), clips


def plan_steps(config: TrainConfig, lengths: Sequence[int]) -> list[Micro]:
    """All optimiser steps of the run, whoever takes their videos.

    Args:
        config: of the run; of its workers and micro-batches nothing counts.
        lengths: of each index of the dataset.
    """
    optim, repeats = config.optim, config.data.repeats
    planned: list[Micro] = []
    for epoch in range(optim.epochs):
        drawn = {"batch": optim.batch, "seed": config.seed, "epoch": epoch}
        of_epoch = (
            official_steps(len(lengths) // repeats, repeats=repeats, **drawn)
            if config.official
            else steps(lengths, **drawn)
        )
        planned += [[(epoch, index) for index in step] for step in of_epoch]
    return planned


def plan(config: TrainConfig, lengths: Sequence[int], place: Place) -> list[list[Micro]]:
    """All optimiser steps of one worker: the micro-batches of each; an empty one where there is no video left for it.

    Args:
        config: of the run.
        lengths: of each index of the dataset.
        place: which worker this is.

    Raises:
        ValueError: there are more workers than videos in a batch.
    """
    optim = config.optim
    if optim.batch < place.world:
        raise ValueError(
            f"a batch must have a video for each worker, got {optim.batch} videos and {place.world} workers: take "
            "fewer workers or a larger batch"
        )
    planned = []
    for step in plan_steps(config, lengths):
        mine = share(range(len(step)), micro_batch=optim.micro_batch, rank=place.rank, world_size=place.world)
        planned.append([[step[n] for n in micro] for micro in mine])
    return planned
