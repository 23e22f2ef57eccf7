"""Which videos are learned from in which step: fixed by the settings before the run, so that it can go on anywhere."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.data.check import check_videos
from pipeline.sa2va.data.clips import Clips
from pipeline.sa2va.data.items import Video, excluded_videos, read_videos
from pipeline.sa2va.data.sampler import batches
from pipeline.sa2va.train.loop import Place

_OFFICIAL_GROUPS = 50  # most optimiser steps whose videos are sorted together

Micro = list[tuple[int, int]]  # (epoch, index of the video) of each example of a micro-batch


def read_data(config: TrainConfig) -> tuple[list[Video], Clips]:
    """The videos to train on, all of them checked, none of them of the benchmark.

    Raises:
        ValueError: every row that cannot be trained on (unless they are to be left out), or nothing is left.
    """
    exclude = excluded_videos(Path(config.split)) if config.split else frozenset[str]()
    videos = read_videos(Path(config.source), Path(config.sav_root) if config.sav_root else None, exclude=exclude)
    clips = Clips(Path(config.store) if config.store else None)
    return check_videos(videos, clips, workers=max(1, config.loader_workers), on_bad=config.on_bad), clips


def plan(config: TrainConfig, lengths: Sequence[int], place: Place) -> list[list[Micro]]:
    """All optimiser steps of this worker: the micro-batches of each.

    Args:
        config: of the run.
        lengths: of each index of the dataset.
        place: which worker this is.

    Raises:
        ValueError: the batch cannot be shared out.
    """
    optim = config.optim
    together = optim.micro_batch * place.world
    if optim.batch % together:
        raise ValueError(
            f"batch must be a multiple of micro_batch x workers = {optim.micro_batch} x {place.world} = {together}, "
            f"got {optim.batch}: take {max(1, round(optim.batch / together)) * together}"
        )
    accumulation = optim.batch // together
    group = optim.batch
    if config.official:
        group *= max(1, min(len(lengths) // (4 * group), _OFFICIAL_GROUPS))
    steps: list[list[Micro]] = []
    for epoch in range(optim.epochs):
        micro = batches(
            lengths,
            micro_batch=optim.micro_batch,
            group=group,
            seed=config.seed,
            epoch=epoch,
            rank=place.rank,
            world_size=place.world,
            official=config.official,
            repeats=config.data.repeats,
        )
        keyed = [[(epoch, index) for index in indices] for indices in micro]
        steps += [keyed[first : first + accumulation] for first in range(0, len(keyed), accumulation)]
    return steps
