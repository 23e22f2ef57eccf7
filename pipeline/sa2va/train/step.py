"""The steps of one worker: forward, backward, clip, step; the same whether it runs through or is resumed.

All chance of a step (points of the losses, dropout) comes from a seed of (run, step, rank) that is set before it, all
chance of an example from (run, epoch, video): so step s of a resumed run is step s of an uninterrupted one, bit for
bit on the same hardware.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import ReduceOp, all_reduce
from torch.nn.parallel import DistributedDataParallel

from pipeline.sa2va.batch import Batch
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.train.watch import PARTS


@dataclass(frozen=True)
class Place:
    """Where this process stands among the workers."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")
    report: Callable[[dict[str, Any]], None] = lambda _: None  # to whoever started the workers, at every checkpoint
    stop: Callable[[], bool] = lambda: False  # whether to end after this step, with a checkpoint

    def seed(self, config: TrainConfig, step: int) -> None:
        """Set all random states for step `step`."""
        torch.manual_seed(int(np.random.SeedSequence([config.seed, step, self.rank]).generate_state(1, np.uint64)[0]))


@dataclass(frozen=True)
class Step:
    """What an optimiser step came to, over all workers.

    Attributes:
        parts: mean of each part of the loss.
        norm: length of the gradient before it was clipped.
        samples: videos.
        tokens: without padding.
    """

    parts: dict[str, float]
    norm: float
    samples: int
    tokens: int


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where it is quick (paper: bf16); on a CPU everything is float32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def do_step(
    config: TrainConfig,
    model: nn.Module,
    trained: Sequence[nn.Parameter],
    adam: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    micro_batches: Sequence[Batch],
    weights: Sequence[float],
    place: Place,
) -> Step:
    """One optimiser step over the micro-batches of all workers.

    Args:
        config: of the run.
        model: in DistributedDataParallel where there are other workers.
        trained: its trained parameters.
        adam: their optimiser.
        schedule: of its rate.
        micro_batches: of this worker.
        weights: of each, by its videos, so that every video of the step counts alike; they add up to the number of
            workers over all of them. 0: the worker has no video left and only keeps step.
        place: which worker this is.

    Raises:
        ValueError: a loss that is not a number, with the videos that gave it.
    """
    sums = torch.zeros(len(PARTS) + 2, device=place.device, dtype=torch.float64)
    for number, (waiting, weight) in enumerate(zip(micro_batches, weights, strict=True), start=1):
        batch = waiting.to(place.device)
        last = number == len(micro_batches)
        gather = nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()
        with gather:
            with autocast(place.device):
                losses = model(batch)
            parts = torch.stack([getattr(losses, name).detach() for name in PARTS])
            if weight and not torch.isfinite(parts).all():
                told = ", ".join(f"{name} {value:g}" for name, value in zip(PARTS, parts.tolist(), strict=True))
                raise ValueError(f"the loss must be a number, got {told} for the videos {', '.join(batch.video_ids_B)}")
            (losses.total * weight).backward()
        if weight:
            sums += torch.cat([parts * weight, _counts(batch)])
    norm = nn.utils.clip_grad_norm_(trained, config.optim.clip_norm)
    adam.step()
    schedule.step()
    adam.zero_grad(set_to_none=True)
    if place.world > 1:
        all_reduce(sums, ReduceOp.SUM)
        sums[: len(PARTS)] /= place.world
    *means, samples, tokens = sums.tolist()
    return Step(dict(zip(PARTS, means, strict=True)), float(norm), int(samples), int(tokens))


def any_of(wishes: Sequence[bool], place: Place) -> list[bool]:
    """Of each wish, whether any worker has it: all of them then do the same at the same step."""
    if place.world == 1:
        return list(wishes)
    told = torch.tensor([float(wish) for wish in wishes], device=place.device)
    all_reduce(told, ReduceOp.MAX)
    return [value > 0 for value in told.tolist()]


def _counts(batch: Batch) -> Tensor:
    videos = torch.tensor(len(batch.video_ids_B), device=batch.attention_BL.device)
    return torch.stack([videos, batch.attention_BL.sum()]).double()
