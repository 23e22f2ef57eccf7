"""Qwen3-VL and Qwen2.5-VL: frames keep their shape and become as many tokens as their size asks for.

Each frame is an image of its own, not part of a Qwen video: the patch's two moments are the same picture,
and the three-dimensional positions count one image after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from pipeline.sa2va.config import QWEN_PATCH_PX, PixelsConfig
from pipeline.sa2va.families.base import Family, FramePixels, child, first
from pipeline.sa2va.pixels import resize
from stages.video.images import Image


@dataclass(frozen=True)
class Qwen(Family):
    """What both have in common; a token is 28 px wide in Qwen2.5-VL, 32 in Qwen3-VL.

    Attributes:
        patch_px: side of what the vision encoder sees as one.
        merge: side of the square of patches that becomes one token.
        moments: pictures in a patch.
    """

    start: ClassVar[str] = "<|vision_start|>"
    context: ClassVar[str] = "<|image_pad|>"
    end: ClassVar[str] = "<|vision_end|>"
    patch_px: int
    merge: int
    moments: int

    def pixels(self, frames: Sequence[Image], config: PixelsConfig) -> FramePixels:
        """Frames in the sizes of Qwen's own rule for `config`'s pixels.

        Returns:
            `pixel_values` uint8 (patches, 3 * patch_px ** 2) and `image_grid_thw` (F, 3): 1, rows and columns of
            patches. Patches of a token stand together.

        Raises:
            ValueError: a frame that is more than 200 times as long as high.
        """
        patches, grid = [], []
        for given_HW3 in frames:
            frame_HW3 = _first_resized(given_HW3) if config.resize_twice else given_HW3
            height, width = frame_HW3.shape[:2]
            height_px, width_px = smart_resize(
                height, width, factor=self.patch_px * self.merge, min_pixels=config.min_px, max_pixels=config.max_px
            )
            patches.append(self._patches(resize(frame_HW3, height_px, width_px, official=config.official)))
            grid.append([1, height_px // self.patch_px, width_px // self.patch_px])
        grid_F3 = torch.tensor(grid)
        tokens_F = (grid_F3.prod(-1) // self.merge**2).tolist()
        pixels = torch.from_numpy(np.concatenate(patches))
        return FramePixels({"pixel_values": pixels, "image_grid_thw": grid_F3}, tokens_F)

    def _patches(self, frame_HW3: Image) -> Image:
        height, width, _ = frame_HW3.shape
        side = self.patch_px * self.merge
        shape = (height // side, self.merge, self.patch_px, width // side, self.merge, self.patch_px, 3)
        # token row, token column, patch row, patch column, colour, pixel row, pixel column
        ordered = frame_HW3.reshape(shape).transpose(0, 3, 1, 4, 6, 2, 5)
        return ordered.reshape(-1, 3 * self.patch_px**2)

    def floats(self, pixels: Tensor) -> Tensor:
        """As the model's forward wants them, float32 (patches, 3 * moments * patch_px ** 2)."""
        patches_P3pp = self._normalised(pixels.view(-1, 3, self.patch_px, self.patch_px))
        return patches_P3pp[:, :, None].expand(-1, -1, self.moments, -1, -1).flatten(1)

    def vision(self, mllm: nn.Module) -> nn.Module:
        """The vision encoder, its projector at the end of it."""
        return first(mllm, "visual")

    def projector(self, mllm: nn.Module) -> nn.Module:
        """The last merger; Qwen3-VL has more of them, one for each deepstack layer, in `vision`."""
        return child(self.vision(mllm), "merger")


def _first_resized(frame_HW3: Image) -> Image:
    """As qwen_vl_utils gives a frame to the processor: sides of multiples of 28 px, 4 to 16,384 such squares."""
    height, width = frame_HW3.shape[:2]
    square = QWEN_PATCH_PX**2
    size = smart_resize(height, width, factor=QWEN_PATCH_PX, min_pixels=4 * square, max_pixels=16_384 * square)
    return resize(frame_HW3, *size, official=True)


class Qwen3VL(Qwen):
    """Qwen3-VL."""

    name: ClassVar[str] = "qwen3_vl"
    released_before_norm: ClassVar[bool] = True


class Qwen25VL(Qwen):
    """Qwen2.5-VL."""

    name: ClassVar[str] = "qwen2_5_vl"
