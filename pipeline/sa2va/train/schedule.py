"""The optimiser and its learning rate: linear warm-up, then cosine to zero (paper, implementation details)."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pipeline.sa2va.config import OptimConfig


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
