"""How inference computes: no gradients kept, bf16 where the device or the weights call for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def device_of(model: nn.Module) -> torch.device:
    """Where the model's weights are."""
    return next(model.parameters()).device


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Within it: inference mode, the model in eval mode, bf16 autocast on CUDA or with bf16 weights.

    Training mode comes back afterwards, so that pictures can be made in the middle of a training run. Not to be left
    open across a `yield`: the modes belong to the thread, and would hold for whoever iterates.
    """
    training = [module for module in model.modules() if module.training]
    device = device_of(model)
    low = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
    model.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=low or device.type == "cuda"),
        ):
            yield
    finally:
        for module in training:
            module.training = True
