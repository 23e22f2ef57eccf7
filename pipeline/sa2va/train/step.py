"""The steps of one worker: forward, backward, clip, step; the same whether it runs through or is resumed.

All chance of a step (points of the losses, dropout) comes from a seed of (run, step, rank) that is set before it, all
chance of an example from (run, epoch, video): so step s of a resumed run is step s of an uninterrupted one, bit for
bit on the same hardware.


The optimiser and its learning rate: linear warm-up, then cosine to zero (paper, implementation details).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed import ReduceOp, all_reduce
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pipeline.sa2va.config import OptimConfig, TrainConfig
from pipeline.sa2va.data.sampler import official_steps, share, steps
from pipeline.sa2va.example import Batch
from pipeline.sa2va.train.metrics_logger import PARTS

Micro = list[tuple[int, int]]  # (epoch, index of the video) of each example of a micro-batch


@dataclass(frozen=True)
class DistContext:
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
    place: DistContext,
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


def any_of(wishes: Sequence[bool], place: DistContext) -> list[bool]:
    """Of each wish, whether any worker has it: all of them then do the same at the same step."""
    if place.world == 1:
        return list(wishes)
    told = torch.tensor([float(wish) for wish in wishes], device=place.device)
    all_reduce(told, ReduceOp.MAX)
    return [value > 0 for value in told.tolist()]


def _counts(batch: Batch) -> Tensor:
    videos = torch.tensor(len(batch.video_ids_B), device=batch.attention_BL.device)
    return torch.stack([videos, batch.attention_BL.sum()]).double()


def lr_factor(step: int, steps: int, config: OptimConfig, micro_batches: int = 0) -> float:
    """Share of `config.lr` at optimiser step `step` (from 0) of `steps`.

    Args:
        step: from 0.
        steps: of the run.
        config: of the run.
        micro_batches: of a step, as the release counts: its rate moves at every micro-batch, by mmengine's formulas,
            and a step has the one of its last; 0: ours.
    """
    if micro_batches:
        return _official_factor((step + 1) * micro_batches - 1, steps * micro_batches, config)
    warmup = math.ceil(config.warmup_frac * steps)
    if step < warmup:
        return config.warmup_start + (1 - config.warmup_start) * step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _official_factor(at: int, total: int, config: OptimConfig) -> float:
    """Before micro-batch `at` (from 0): LinearLR, whose last step is the whole rate, then CosineAnnealingLR."""
    warmup = int(config.warmup_frac * total)
    if at < warmup:
        return config.warmup_start + (1 - config.warmup_start) * at / (warmup - 1) if warmup > 1 else 1.0
    return 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1, total - warmup)))


def optimiser(
    parameters: Iterable[nn.Parameter], steps: int, config: OptimConfig, micro_batches: int = 0
) -> tuple[AdamW, LambdaLR]:
    """AdamW with the same weight decay on everything (as released), and its schedule; arguments as of `lr_factor`."""
    trained = list(parameters)
    on_gpu = bool(trained) and trained[0].is_cuda
    adam = AdamW(trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=on_gpu)
    return adam, LambdaLR(adam, lambda step: lr_factor(step, steps, config, micro_batches))


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


def plan(config: TrainConfig, lengths: Sequence[int], place: DistContext) -> list[list[Micro]]:
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
