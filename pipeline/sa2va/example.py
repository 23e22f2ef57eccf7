"""Turn what was read of a video into a training example, and several examples into a batch.

Shapes: B videos, L tokens, F frames and O objects of one video, N = all frames of a batch, S = side of SAM 2's image
(1024), M = S / 4 = side of its mask logits (256).
"""

import sys
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
from pipeline.sa2va.pixels import squares
from pipeline.sa2va.text import (
    ANSWER_ABSENT,
    ANSWERS_OFFICIAL,
    IGNORED,
    ChatTurn,
    check_first_turn,
    conversation,
    refuse_special_tokens,
    training_answer,
    training_question,
    training_questions,
)
from stages.video.images import Image

LOGITS_STRIDE = 4  # SAM 2's mask logits have a quarter of its image's side


@dataclass(frozen=True, slots=True)
class Batch:
    """Holds one or several videos as the model takes them; a dataset gives one video, `collate` joins several.

    Text is padded on the right, frames stand one video after the other.

    Attributes:
        video_ids_B: SA-V's id of every video.
        object_ids_B: for every video its masklets, in the order of their turns.
        input_ids_BL: int64, the whole conversation.
        labels_BL: int64, the same tokens where an answer is learned, else IGNORED.
        attention_BL: bool, False where the text is padded.
        mllm: what the MLLM's family wants beside the text, such as pixel_values and image_grid_thw.
        sam_frames_N3SS: uint8, red green blue, not normalised.
        masks_B: for every video uint8 (O, F, M, M), 0 or 1; all zero where the object is not visible.
        sources_B: for every video the data set of a mixture that it comes from; "" where there is no mixture.
    """

    video_ids_B: tuple[str, ...]
    object_ids_B: tuple[tuple[str, ...], ...]
    input_ids_BL: Tensor
    labels_BL: Tensor
    attention_BL: Tensor
    mllm: dict[str, Tensor]
    sam_frames_N3SS: Tensor
    masks_B: tuple[Tensor, ...]
    sources_B: tuple[str, ...] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """Return a copy whose tensors are on `device`."""

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


class Encoder:
    """Makes a batch of one video in a loader's process; the same arguments give the same batch in any process."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, family: Family, config: DataConfig, sam_side_px: int
    ) -> None:
        """Take the MLLM's tokenizer, which must have [SEG], its family, and the side of SAM 2's image."""
        self._tokenizer, self._family, self._config, self._side_px = tokenizer, family, config, sam_side_px

    def __call__(
        self,
        *,
        video_id: str,
        object_ids: Sequence[str],
        texts: Sequence[str],
        frames: Sequence[Image],
        masks_OFMM: NDArray[np.uint8],
        seed: int,
        absent: Sequence[str] = (),
        source: str = "",
    ) -> Batch:
        """Encode a video, without its last turns and their masks where they exceed the configured number of tokens.

        Official prompts cut the text in the middle of a turn and keep all masks; the model then sees fewer [SEG] than
        masks.

        Args:
            video_id: SA-V's.
            object_ids: O masklets, in the order of their turns; one may come again.
            texts: an expression for every object.
            frames: F images, in the order of time.
            masks_OFMM: 0 or 1.
            seed: decides which templates are drawn, and where the texts that fit nothing stand.
            absent: texts that fit nothing in the video: they are asked about among the others, and have no mask.
            source: data set of a mixture that the video comes from.

        Raises:
            ValueError: shapes do not agree, or a text cannot be encoded; the message has the video's id.
        """
        try:
            self._check(object_ids, texts, frames, masks_OFMM)
            rng = Random(seed)
            turns = self._turns(texts, rng)
            for text in absent:
                question = training_question(text, rng=rng, templates=self._config.official_questions)
                turns.insert(rng.randrange(len(turns) + 1), ChatTurn(question, ANSWER_ABSENT))
            pixels = self._family.pixels(frames, self._config.pixels)
            talk = conversation(
                self._tokenizer,
                self._family.visual_text(pixels.tokens_F),
                turns,
                max_tokens=self._config.max_tokens,
                whole_turns=not self._config.official_prompts,
            )
        except ValueError as error:
            raise ValueError(f"video {video_id}: {error}") from error
        kept_turns = turns if self._config.official_prompts else turns[: talk.turns]
        kept = sum(turn.answer != ANSWER_ABSENT for turn in kept_turns)
        return Batch(
            video_ids_B=(video_id,),
            object_ids_B=(tuple(object_ids[:kept]),),
            input_ids_BL=talk.input_ids_L[None],
            labels_BL=talk.labels_L[None],
            attention_BL=torch.ones(1, len(talk.input_ids_L), dtype=torch.bool),
            mllm=pixels.tensors,
            sam_frames_N3SS=squares(frames, self._side_px, self._config.pixels.official),
            masks_B=(torch.from_numpy(np.ascontiguousarray(masks_OFMM[:kept])),),
            sources_B=(source,),
        )

    def _turns(self, texts: Sequence[str], rng: Random) -> list[ChatTurn]:
        config, turns = self._config, []
        for text in texts:
            question = training_question(text, rng=rng, templates=config.official_questions)
            turns.append(ChatTurn(question, training_answer(rng, config.official_prompts)))
        return turns

    def _check(
        self,
        object_ids: Sequence[str],
        texts: Sequence[str],
        frames: Sequence[Image],
        masks_OFMM: NDArray[np.uint8],
    ) -> None:
        objects, side = len(texts), self._side_px // LOGITS_STRIDE
        if len(object_ids) != objects:
            raise ValueError(f"each object must have a text, got {len(object_ids)} objects, {objects} texts")
        wanted = (objects, len(frames), side, side)
        if masks_OFMM.shape != wanted or masks_OFMM.dtype != np.uint8:
            got = f"{masks_OFMM.dtype} {masks_OFMM.shape}"
            raise ValueError(f"masks must be uint8 (objects, frames, M, M) = {wanted}, got {got}")


class TextCheck:
    """Checks texts by the rules of `Encoder` before there are examples; can be copied to another process."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, family: Family, config: DataConfig) -> None:
        """Take the MLLM's tokenizer, which must have [SEG], its family, and what is drawn."""
        self._tokenizer, self._family, self._config = tokenizer, family, config
        self._more_tokens: dict[tuple[int, int], int] = {}

    def __call__(self, text: str, size: tuple[int, int]) -> None:
        """Check that a text can be that of the first turn, whichever question is drawn.

        Args:
            text: the expression.
            size: (height, width) of the frames in pixels.

        Raises:
            ValueError: it has a special token of the tokenizer in it, cannot be encoded, or is too long.
        """
        config = self._config
        max_tokens = sys.maxsize if config.official_prompts else config.max_tokens  # the release cuts what is too long
        ours = [training_answer(Random(0), official=False), *([ANSWER_ABSENT] if config.negatives_frac else [])]
        answers = ANSWERS_OFFICIAL if config.official_prompts else ours
        visual = self._family.visual_text([1] * config.frames)
        refuse_special_tokens(self._tokenizer, text)
        for question in training_questions(text, config.official_questions):
            turn = ChatTurn(question, max(answers, key=len))
            more_tokens = self._more_tokens_of(size)
            check_first_turn(self._tokenizer, visual, turn, more_tokens=more_tokens, max_tokens=max_tokens)

    def _more_tokens_of(self, size: tuple[int, int]) -> int:
        """Return the number of tokens of a conversation's frames, but for one of every frame."""
        if size not in self._more_tokens:
            black_HW3 = np.zeros((*size, 3), np.uint8)
            [tokens] = self._family.pixels([black_HW3], self._config.pixels).tokens_F
            self._more_tokens[size] = self._config.frames * (tokens - 1)
        return self._more_tokens[size]


def collate(examples: Sequence[Batch], family: Family, pad_id: int = 0) -> Batch:
    """Join examples in their order and pad their texts on the right.

    Args:
        examples: at least one, each of one video; all of one family.
        family: joins what the MLLM sees.
        pad_id: stands where `attention_BL` is False; may be a token that also occurs in texts.

    Raises:
        ValueError: there are no examples.
    """
    if not examples:
        raise ValueError("a batch must have at least one example, got none")

    def padded(rows: list[Tensor], value: float) -> Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value)

    return Batch(
        video_ids_B=tuple(video_id for example in examples for video_id in example.video_ids_B),
        object_ids_B=tuple(ids for example in examples for ids in example.object_ids_B),
        input_ids_BL=padded([example.input_ids_BL[0] for example in examples], pad_id),
        labels_BL=padded([example.labels_BL[0] for example in examples], IGNORED),
        attention_BL=padded([example.attention_BL[0] for example in examples], False),
        mllm=family.join([example.mllm for example in examples]),
        sam_frames_N3SS=torch.cat([example.sam_frames_N3SS for example in examples]),
        masks_B=tuple(masks for example in examples for masks in example.masks_B),
        sources_B=tuple(source for example in examples for source in example.sources_B),
    )
