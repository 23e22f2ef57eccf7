"""What the two ways from a language token to the masks of a video differ in.

Shapes: N objects, D = SAM 2's width, M = side of its mask logits, H x W = the video's frames.
"""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.sa2va.decode import Heads
from pipeline.sa2va.infer.track import Maps


class MaskPath(Protocol):
    """Made of a model; holds nothing of a video.

    Attributes:
        colour_dtype: what the mean and deviation of SAM 2's colours are rounded to.
    """

    colour_dtype: torch.dtype

    def key_frames(self, frames: int) -> list[int]:
        """Which of a video's frames the MLLM sees and masks are made on from its answer, in order."""

    def seed(self, maps: Maps, language_ND: Tensor, size: tuple[int, int]) -> Heads:
        """Masks of a key frame, from the language tokens; `size` = (H, W)."""

    def fine(self, maps: Maps) -> list[Tensor]:
        """The finer maps as the decoder of `decode` wants them, for one object."""

    def decode(self, attended_NDmm: Tensor, fine: list[Tensor]) -> Heads:
        """Masks of a frame that is only tracked."""

    def masks(self, logits_N1MM: Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Masks (N, H, W) at the size of the video."""
