"""What passes between reading, the model and the losses.

Shapes: B videos, L tokens, F frames and O objects of one video, N = all frames of a batch, S = side of SAM 2's picture
(1024), M = S / 4 = side of its mask logits (256).
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

IGNORED = -100  # label of a token that is not learned


@dataclass(frozen=True, slots=True)
class Example:
    """One video, ready to be batched; made in a loader's worker, on the CPU.

    Attributes:
        video_id: SA-V's.
        object_ids_O: the masklet of each turn.
        input_ids_L: int64, the whole conversation.
        labels_L: int64, the same where the answer is learned, else IGNORED.
        mllm: what the MLLM's family wants beside the text: pixel_values, image_grid_thw …
        sam_frames_F3SS: uint8, red green blue, not normalised.
        masks_OFMM: uint8, 0 or 1; all zero where the object is not visible.
    """

    video_id: str
    object_ids_O: tuple[str, ...]
    input_ids_L: Tensor
    labels_L: Tensor
    mllm: dict[str, Tensor]
    sam_frames_F3SS: Tensor
    masks_OFMM: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Several examples; text padded on the right, frames one video after the other.

    Attributes:
        video_ids_B: one a video.
        object_ids_B: the masklets of each.
        input_ids_BL: int64.
        labels_BL: int64.
        attention_BL: bool, False = padding.
        mllm: as in Example, joined as the family wants it.
        sam_frames_N3SS: uint8.
        masks_B: per video uint8 (O, F, M, M).
    """

    video_ids_B: tuple[str, ...]
    object_ids_B: tuple[tuple[str, ...], ...]
    input_ids_BL: Tensor
    labels_BL: Tensor
    attention_BL: Tensor
    mllm: dict[str, Tensor]
    sam_frames_N3SS: Tensor
    masks_B: tuple[Tensor, ...]

    def to(self, device: torch.device | str) -> "Batch":
        """A copy whose tensors are on `device`."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return replace(
            self,
            input_ids_BL=move(self.input_ids_BL),
            labels_BL=move(self.labels_BL),
            attention_BL=move(self.attention_BL),
            mllm={name: move(value) for name, value in self.mllm.items()},
            sam_frames_N3SS=move(self.sam_frames_N3SS),
            masks_B=tuple(map(move, self.masks_B)),
        )


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The parts of a step's loss, each a scalar with a gradient, weighted as they are summed; and what was predicted.

    Attributes:
        llm: mean cross-entropy of the learned tokens.
        mask: 2.0 x point-sampled binary cross-entropy.
        dice: 0.5 x point-sampled dice.
        logits_B: per video float32 (O, F, M, M), detached: for pictures, not for losses.
    """

    llm: Tensor
    mask: Tensor
    dice: Tensor
    logits_B: tuple[Tensor, ...]

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.llm + self.mask + self.dice
