"""A tiny Sa2VA that segments what it is asked for, and a clip for it: one of each a process."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.pixels import squares
from tests.pipeline.sa2va.infer.clip import drawn_clip, taught_sa2va
from tests.pipeline.sa2va.tiny import TINY_SAM2_SIDE_PX

Clip = tuple[Tensor, NDArray[np.bool_]]
FRAMES = 26


@pytest.fixture(scope="session")
def sa2va() -> Sa2va:
    """Not to be changed."""
    return taught_sa2va()


@pytest.fixture(scope="session")
def clip() -> Clip:
    """(pictures_T3SS as SAM 2 gets them, masks_OTHW)."""
    frames_THW3, masks_OTHW = drawn_clip(FRAMES)
    return squares(list(frames_THW3), TINY_SAM2_SIDE_PX, official=True), masks_OTHW


@pytest.fixture(scope="session")
def folder(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures for the stock predictor: named as it wants them, and saved without loss."""
    folder = tmp_path_factory.mktemp("frames")
    for t, picture_3SS in enumerate(clip[0]):
        Image.fromarray(picture_3SS.permute(1, 2, 0).numpy()).save(folder / f"{t:05d}.jpg", format="PNG")
    return folder


@pytest.fixture(scope="session")
def language(sa2va: Sa2va) -> Tensor:
    """Three language tokens (3, D)."""
    return torch.randn(3, sa2va.sam2.hidden_dim, generator=torch.Generator().manual_seed(1))
