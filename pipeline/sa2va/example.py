"""From a video's frames, masks and expressions to one example; runs in a loader's process.

Examples to a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedTokenizerBase

from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.families import Family
from pipeline.sa2va.pixels import Frame, sam_frames
from pipeline.sa2va.text import IGNORED, Turn, conversation, training_answer, training_question

LOGITS_STRIDE = 4  # SAM 2's mask logits have a quarter of its picture's side


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
class EncodeInput:
    """What was chosen of a video.

    Attributes:
        video_id: SA-V's.
        object_ids: O masklets, in the order of their turns; one may come again.
        texts: an expression for each.
        frames: F pictures, uint8 (H, W, 3), in the order of time.
        masks_OFMM: uint8, 0 or 1.
        seed: of the templates.
    """

    video_id: str
    object_ids: Sequence[str]
    texts: Sequence[str]
    frames: Sequence[Frame]
    masks_OFMM: NDArray[np.uint8]
    seed: int


class Encoder:
    """Makes examples; the same input gives the same example in any process."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, family: Family, config: DataConfig, sam_side_px: int
    ) -> None:
        """Take the MLLM's tokenizer, which must have [SEG], and its family; `sam_side_px` is SAM 2's picture's side."""
        self._tokenizer, self._family, self._config, self._side_px = tokenizer, family, config, sam_side_px

    def __call__(self, chosen: EncodeInput) -> Example:
        """The example, without the last turns and their masks where they exceed the configured tokens.

        Official prompts cut the text in the middle of a turn and keep all masks; the model then sees fewer [SEG] than
        masks.

        Raises:
            ValueError: shapes that do not agree, or a text that cannot be encoded; with the video's id.
        """
        try:
            return self._encode(chosen)
        except ValueError as error:
            raise ValueError(f"video {chosen.video_id}: {error}") from error

    def _encode(self, chosen: EncodeInput) -> Example:
        official, rng = self._config.official_prompts, Random(chosen.seed)
        self._check(chosen)
        turns = []
        for text in chosen.texts:
            asked = training_question(text, rng=rng, templates=self._config.official_questions)
            turns.append(Turn(asked, training_answer(rng, official)))
        pixels = self._family.pixels(chosen.frames, self._config.pixels)
        talk = conversation(
            self._tokenizer,
            self._family.visual_text(pixels.tokens_F),
            turns,
            max_tokens=self._config.max_tokens,
            whole_turns=not official,
        )
        kept = len(turns) if official else talk.turns
        return Example(
            video_id=chosen.video_id,
            object_ids_O=tuple(chosen.object_ids[:kept]),
            input_ids_L=talk.input_ids_L,
            labels_L=talk.labels_L,
            mllm=pixels.tensors,
            sam_frames_F3SS=sam_frames(chosen.frames, self._side_px, self._config.pixels.official),
            masks_OFMM=torch.from_numpy(np.ascontiguousarray(chosen.masks_OFMM[:kept])),
        )

    def _check(self, chosen: EncodeInput) -> None:
        objects, side = len(chosen.texts), self._side_px // LOGITS_STRIDE
        if len(chosen.object_ids) != objects:
            raise ValueError(f"each object must have a text, got {len(chosen.object_ids)} objects, {objects} texts")
        wanted = (objects, len(chosen.frames), side, side)
        if chosen.masks_OFMM.shape != wanted or chosen.masks_OFMM.dtype != np.uint8:
            got = f"{chosen.masks_OFMM.dtype} {chosen.masks_OFMM.shape}"
            raise ValueError(f"masks must be uint8 (objects, frames, M, M) = {wanted}, got {got}")


def collate(examples: Sequence[Example], family: Family, pad_id: int = 0) -> Batch:
    """The examples in their order, texts padded on the right.

    Args:
        examples: at least one; all of one family.
        family: joins what the MLLM sees.
        pad_id: stands where `attention_BL` is False; may be a token that also occurs in texts.

    Raises:
        ValueError: no examples.
    """
    if not examples:
        raise ValueError("a batch must have at least one example, got none")

    def padded(rows: list[Tensor], value: float) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value)

    ids = [example.input_ids_L for example in examples]
    return Batch(
        video_ids_B=tuple(example.video_id for example in examples),
        object_ids_B=tuple(example.object_ids_O for example in examples),
        input_ids_BL=padded(ids, pad_id),
        labels_BL=padded([example.labels_L for example in examples], IGNORED),
        attention_BL=padded([torch.ones(len(row), dtype=torch.bool) for row in ids], False),
        mllm=family.join([example.mllm for example in examples]),
        sam_frames_N3SS=torch.cat([example.sam_frames_F3SS for example in examples]),
        masks_B=tuple(example.masks_OFMM for example in examples),
    )
