"""From a video's frames, masks and expressions to one example; runs in a loader's process."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from pipeline.sa2va import prompts
from pipeline.sa2va.batch import Example
from pipeline.sa2va.config import DataConfig
from pipeline.sa2va.conversation import Turn, conversation
from pipeline.sa2va.families.base import Family
from pipeline.sa2va.pixels import Frame, sam_frames

LOGITS_STRIDE = 4  # SAM 2's mask logits have a quarter of its picture's side


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
            asked = prompts.question(text, rng=rng, templates=self._config.official_questions)
            turns.append(Turn(asked, prompts.answer(rng, official)))
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
