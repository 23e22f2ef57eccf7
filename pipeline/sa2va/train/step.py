"""One optimiser step of a worker: which videos it takes, its learning rate, and forward, backward, clip, step.

Which videos a step takes is fixed by the settings before the run. All chance of a step (points of the losses, dropout)
comes from a seed of (run, step, rank) that is set before it, all chance of an example from (run, epoch, video): so step
s of a resumed run is step s of an uninterrupted one, bit for bit on the same hardware.
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
from pipeline.sa2va.dataset import official_steps, share, steps
from pipeline.sa2va.example import Batch
from pipeline.sa2va.train.metrics_logger import PARTS

Micro = list[tuple[int, int]]  # (epoch, index of the video) of each example of a micro-batch


@dataclass(frozen=True)
class DistContext:
    """Says which of the workers this process is, and how it reports to the process that started them.

    Attributes:
        rank: number of this worker, from 0.
        world_size: number of workers.
        device: where it computes.
        report: called with metrics after every checkpoint.
        stop: says whether to end after this step, with a checkpoint.
    """

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")
    report: Callable[[dict[str, Any]], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False

    def seed(self, config: TrainConfig, step: int) -> None:
        """Set all random states for step `step`."""
        torch.manual_seed(int(np.random.SeedSequence([config.seed, step, self.rank]).generate_state(1, np.uint64)[0]))


@dataclass(frozen=True)
class StepResult:
    """Holds what an optimiser step came to, over all workers.

    Attributes:
        parts: mean of each part of the loss.
        norm: length of the gradient before it was clipped.
        samples: number of videos.
        tokens: number of tokens, without padding.
        by_source: data set of a mixture -> mean loss of its videos in this step; those that had one.
    """

    parts: dict[str, float]
    norm: float
    samples: int
    tokens: int
    by_source: dict[str, float]


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which CUDA computes in bfloat16 (paper: bf16); on a CPU everything stays float32."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def do_step(
    config: TrainConfig,
    model: nn.Module,
    trained: Sequence[nn.Parameter],
    adam: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    micro_batches: Sequence[Batch],
    weights: Sequence[float],
    dist: DistContext,
    sources: Sequence[str] = (),
) -> StepResult:
    """Do one optimiser step over the micro-batches of all workers.

    Args:
        config: settings of the run.
        model: wrapped in DistributedDataParallel where there are other workers.
        trained: its trained parameters.
        adam: their optimiser.
        schedule: sets their learning rate.
        micro_batches: what this worker computes.
        weights: weight of every micro-batch, by its number of videos, so that every video of the step counts alike;
            over all workers they add up to the number of workers. 0: the worker has no video left and only keeps step.
        dist: says which worker this is.
        sources: data sets of a mixture, in the same order for all workers.

    Raises:
        ValueError: the loss or the gradient is not a number; the message has the videos that gave it.
    """
    sums = torch.zeros(len(PARTS) + 2, device=dist.device, dtype=torch.float64)
    of_sources_S2 = torch.zeros(len(sources), 2, device=dist.device, dtype=torch.float64)  # sum of losses, videos
    for number, (on_cpu, weight) in enumerate(zip(micro_batches, weights, strict=True), start=1):
        batch = on_cpu.to(dist.device)
        last = number == len(micro_batches)
        sync = nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()
        with sync:
            with autocast(dist.device):
                losses = model(batch)
            parts = torch.stack([getattr(losses, name).detach() for name in PARTS])
            if weight and not torch.isfinite(parts).all():
                values = ", ".join(f"{name} {value:g}" for name, value in zip(PARTS, parts.tolist(), strict=True))
                raise ValueError(
                    f"the loss must be a number, got {values} for the videos {', '.join(batch.video_ids_B)}"
                )
            (losses.total * weight).backward()
        if weight:
            sums += torch.cat([parts * weight, _counts(batch)])
            if losses.total_B is not None:
                row_B = torch.tensor([sources.index(source) for source in batch.sources_B], device=dist.device)
                one_B = torch.ones_like(losses.total_B)
                of_sources_S2.index_add_(0, row_B, torch.stack([losses.total_B, one_B], dim=1).double())
    norm = nn.utils.clip_grad_norm_(trained, config.optim.clip_norm)
    if not torch.isfinite(norm):  # the same for all workers, and no weight is changed yet
        counted = [batch for batch, weight in zip(micro_batches, weights, strict=True) if weight]
        mine = ", ".join(video_id for batch in counted for video_id in batch.video_ids_B) or "none"
        raise ValueError(
            f"the gradient's length must be a number, got {float(norm):g} in a step to which worker {dist.rank} of "
            f"{dist.world_size} gave the videos {mine}; nothing was changed, and the same command would come to the "
            "same: look at these videos and at the curve. If the loss rose before, begin anew with an optim.lr below "
            f"{config.optim.lr:g}, from the start or, as --base, from a checkpoint before it rose (python -m "
            f"pipeline.train_on_refsav export {config.out or 'OUT'} last). If it did not, leave faulty videos out and "
            "go on with --accept-changed-data"
        )
    adam.step()
    schedule.step()
    adam.zero_grad(set_to_none=True)
    if dist.world_size > 1:
        all_reduce(sums, ReduceOp.SUM)
        sums[: len(PARTS)] /= dist.world_size
        if sources:
            all_reduce(of_sources_S2, ReduceOp.SUM)
    *means, samples, tokens = sums.tolist()
    sums_of = dict(zip(sources, of_sources_S2.tolist(), strict=True))
    by_source = {name: total / count for name, (total, count) in sums_of.items() if count}
    return StepResult(dict(zip(PARTS, means, strict=True)), float(norm), int(samples), int(tokens), by_source)


def any_of(wishes: Sequence[bool], dist: DistContext) -> list[bool]:
    """Return for every wish whether any worker has it, so that all of them do the same at the same step."""
    if dist.world_size == 1:
        return list(wishes)
    wished = torch.tensor([float(wish) for wish in wishes], device=dist.device)
    all_reduce(wished, ReduceOp.MAX)
    return [value > 0 for value in wished.tolist()]


def _counts(batch: Batch) -> Tensor:
    videos = torch.tensor(len(batch.video_ids_B), device=batch.attention_BL.device)
    return torch.stack([videos, batch.attention_BL.sum()]).double()


def lr_factor(step: int, steps: int, config: OptimConfig, micro_batches: int = 0) -> float:
    """Return the share of `config.lr` that optimiser step `step` has.

    It rises linearly and then falls to zero as a cosine (paper, implementation details).

    Args:
        step: counted from 0.
        steps: number of steps of the run.
        config: has the warm-up.
        micro_batches: number of micro-batches of a step; then the rate moves at every micro-batch, by mmengine's
            formulas as in the release, and a step has the rate of its last one. 0: the rate moves at every step.
    """
    if micro_batches:
        return _official_factor((step + 1) * micro_batches - 1, steps * micro_batches, config)
    warmup = math.ceil(config.warmup_frac * steps)
    if step < warmup:
        return config.warmup_start + (1 - config.warmup_start) * step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def _official_factor(at: int, total: int, config: OptimConfig) -> float:
    """Return the share before micro-batch `at` (from 0), by LinearLR and then CosineAnnealingLR."""
    warmup = int(config.warmup_frac * total)
    if at < warmup:
        return config.warmup_start + (1 - config.warmup_start) * at / (warmup - 1) if warmup > 1 else 1.0
    return 0.5 * (1 + math.cos(math.pi * (at - warmup) / max(1, total - warmup)))


def optimiser(
    parameters: Iterable[nn.Parameter], steps: int, config: OptimConfig, micro_batches: int = 0
) -> tuple[AdamW, LambdaLR]:
    """Make AdamW with the same weight decay on everything (as released), and its schedule; see `lr_factor`."""
    trained = list(parameters)
    on_gpu = bool(trained) and trained[0].is_cuda
    adam = AdamW(trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=on_gpu)
    return adam, LambdaLR(adam, lambda step: lr_factor(step, steps, config, micro_batches))


def plan_steps(
    config: TrainConfig, lengths: Sequence[int], of_epoch: Callable[[int], Sequence[int]] | None = None
) -> list[Micro]:
    """Return all optimiser steps of the run, whichever worker takes their videos.

    Args:
        config: settings of the run; neither workers nor micro-batches count.
        lengths: expected characters of text of every index of the dataset.
        of_epoch: the indices that come up in an epoch; None: all of them.

    Raises:
        ValueError: no video comes up in any epoch.
    """
    optim, repeats = config.optim, config.data.repeats
    planned: list[Micro] = []
    for epoch in range(optim.epochs):
        drawn = {"batch": optim.batch, "seed": config.seed, "epoch": epoch}
        if config.official:
            made = official_steps(len(lengths) // repeats, repeats=repeats, **drawn)
        else:
            indices = range(len(lengths)) if of_epoch is None else of_epoch(epoch)
            if not len(indices):  # all sources come up in some epochs only
                continue
            made = [[indices[n] for n in step] for step in steps([lengths[index] for index in indices], **drawn)]
        planned += [[(epoch, index) for index in step] for step in made]
    if not planned:
        raise ValueError(
            f"a run must have a video in an epoch, got none in {optim.epochs}: take more epochs, or repeats"
        )
    return planned


def plan(
    config: TrainConfig,
    lengths: Sequence[int],
    dist: DistContext,
    of_epoch: Callable[[int], Sequence[int]] | None = None,
) -> list[list[Micro]]:
    """Return the micro-batches of every optimiser step of one worker, an empty one where no video is left for it.

    Args:
        config: settings of the run.
        lengths: expected characters of text of every index of the dataset.
        dist: says which worker this is.
        of_epoch: the indices that come up in an epoch; None: all of them.

    Raises:
        ValueError: a batch has fewer videos than there are workers, or no video comes up in any epoch.
    """
    optim = config.optim
    optim.check_workers(dist.world_size)
    planned = []
    for step in plan_steps(config, lengths, of_epoch):
        mine = share(range(len(step)), micro_batch=optim.micro_batch, rank=dist.rank, world_size=dist.world_size)
        planned.append([[step[n] for n in micro] for micro in mine])
    return planned
