"""The optimiser and its learning rate: linear warm-up, then cosine to zero (paper, implementation details)."""

import math
from collections.abc import Iterable

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from pipeline.sa2va.config import OptimConfig


def lr_factor(step: int, steps: int, config: OptimConfig) -> float:
    """Share of `config.lr` at optimiser step `step` (from 0) of `steps`."""
    warmup = math.ceil(config.warmup_frac * steps)
    if step < warmup:
        return config.warmup_start + (1 - config.warmup_start) * step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def optimiser(parameters: Iterable[nn.Parameter], steps: int, config: OptimConfig) -> tuple[AdamW, LambdaLR]:
    """AdamW with the same weight decay on everything (as released), and its schedule over `steps` steps."""
    trained = list(parameters)
    on_gpu = bool(trained) and trained[0].is_cuda
    adam = AdamW(trained, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=on_gpu)
    return adam, LambdaLR(adam, lambda step: lr_factor(step, steps, config))
