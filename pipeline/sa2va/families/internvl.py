"""InternVL: each frame is squeezed to one square and becomes a fixed number of tokens (448 px, 256)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from pipeline.sa2va.config import PixelsConfig
from pipeline.sa2va.families.base import Family, FramePixels, first
from pipeline.sa2va.pixels import squares
from stages.video.images import Image


@dataclass(frozen=True)
class InternVL(Family):
    """transformers' InternVL (the checkpoints whose names end in -hf), with any language model inside.

    Attributes:
        side_px: of the square.
        tokens: a frame; not cut into tiles, which is for single pictures.
    """

    name: ClassVar[str] = "internvl"
    start: ClassVar[str] = "<img>"
    context: ClassVar[str] = "<IMG_CONTEXT>"
    end: ClassVar[str] = "</img>"
    side_px: int
    tokens: int

    def pixels(self, frames: Sequence[Image], config: PixelsConfig) -> FramePixels:
        """Frames as squares, whatever `config` says of pixels.

        Returns:
            `pixel_values` uint8 (F, 3, side, side).
        """
        return FramePixels(
            {"pixel_values": squares(frames, self.side_px, config.official)}, [self.tokens] * len(frames)
        )

    def floats(self, pixels: Tensor) -> Tensor:
        """As the model's forward wants them, float32 (F, 3, side, side)."""
        return self._normalised(pixels)

    def vision(self, mllm: nn.Module) -> nn.Module:
        """The vision transformer."""
        return first(mllm, "vision_tower")

    def projector(self, mllm: nn.Module) -> nn.Module:
        """`mlp1` of the official names; the release trains it."""
        return first(mllm, "multi_modal_projector")
