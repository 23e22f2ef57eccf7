"""Tiny models of every family as training leaves them, and what they are written as; made once, never changed."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.lora import parameters, prepare
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm

Trained = Callable[[str], Sa2va]
Saved = Callable[[str], Path]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A model of that family whose LoRA, token rows, projection and decoder are not as they were built."""

    @cache
    def make(family: str) -> Sa2va:
        base = make_tiny_mllm(tmp_path_factory.mktemp(family), family)
        config = ModelConfig(base=str(base), sam2=TINY_SAM2, lora_rank=4, lora_alpha=8)
        model = build(config)
        prepare(model, config)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in parameters(model):
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return model

    return make


@pytest.fixture(scope="session")
def saved(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """The checkpoint of `trained`, in bf16."""

    @cache
    def make(family: str) -> Path:
        folder = tmp_path_factory.mktemp("saved") / family
        save_sa2va(trained(family), folder)
        return folder

    return make
