"""Masks of a video from texts: what the command, the evaluation and any other code call.

Shapes: N texts, T frames, H x W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.infer import ask
from pipeline.sa2va.infer.compute import device_of, inference
from pipeline.sa2va.infer.consistent import Consistent
from pipeline.sa2va.infer.generate import Answer, answers
from pipeline.sa2va.infer.mask_path import MaskPath
from pipeline.sa2va.infer.official import Official
from pipeline.sa2va.infer.propagate import Propagation, propagate
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.pixels import sam_frames
from stages.video.images import Image

Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What one text means in a video.

    Attributes:
        text: as it was given.
        masks_THW: all False where the model sees no object, or said no [SEG].
        answer: what it said.
    """

    text: str
    masks_THW: Masks
    answer: str


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """One frame and the masks of all texts on it, (N, H, W)."""

    frame_HW3: Image
    masks_NHW: Masks


class Segmenter:
    """A model that answers with masks."""

    def __init__(self, model: Sa2va, config: InferConfig | None = None) -> None:
        """Take a model, on the device where it is to run.

        Raises:
            ValueError: the consistent path without an original mask decoder.
        """
        self._model, self._config = model, config or InferConfig()
        paths: dict[str, type[Consistent | Official]] = {"consistent": Consistent, "official": Official}
        self._path: MaskPath = paths[self._config.path](model, self._config.frames)

    def segment(self, frames: Sequence[Image], texts: Sequence[str]) -> list[Segmentation]:
        """Masks of every text on every frame. `stream` is the same for who cannot hold N * T * H * W bytes.

        Args:
            frames: T annotated frames (6 a second), uint8 (H, W, 3), red green blue. May read when indexed: each is
                read once, the key frames first, the others in order from another thread.
            texts: expressions, answered and tracked together.

        Raises:
            ValueError: no frames, no texts, an empty text, one with a special token in it, or frames that differ in
                size.
        """
        found, stream = self.stream(frames, texts)
        masks_NTHW = np.zeros(0, bool)
        for t, step in enumerate(stream):
            if t == 0:
                masks_NTHW = np.empty((len(texts), len(frames), *step.masks_NHW.shape[1:]), bool)
            masks_NTHW[:, t] = step.masks_NHW
        return [Segmentation(*row) for row in zip(texts, masks_NTHW, (each.text for each in found), strict=True)]

    def stream(self, frames: Sequence[Image], texts: Sequence[str]) -> tuple[list[Answer], Iterator[FrameMasks]]:
        """(answers, frames with the masks of all texts, in order and made when asked for); see `segment`."""
        if not len(frames):
            raise ValueError("a video must have at least one frame, got none")
        if not texts:
            raise ValueError("at least one text must be given, got none")
        keys = self._path.key_frames(len(frames))
        seen = {t: frames[t] for t in keys}
        for t, frame in seen.items():
            _check_size(frame, seen[keys[0]], t)
        found = self.ask([seen[t] for t in keys], texts)
        return found, self._masks(frames, seen, found)

    def ask(self, frames: Sequence[Image], texts: Sequence[str]) -> list[Answer]:
        """What the model says of each text, shown these frames; no masks yet."""
        config = self._config
        pixels = self._model.family.pixels(frames, config.pixels)
        asked = ask.prompts(self._model, texts, pixels.tokens_F, config)
        limits = {"max_new_tokens": config.max_new_tokens, "batch": config.batch}
        return answers(self._model, asked, pixels.tensors, **limits)

    def _masks(self, frames: Sequence[Image], seen: dict[int, Image], found: Sequence[Answer]) -> Iterator[FrameMasks]:
        model, config, keys = self._model, self._config, list(seen)
        first_HW3 = seen[keys[0]]
        size = first_HW3.shape[:2]
        named = [n for n, answer in enumerate(found) if answer.seg_h is not None]
        if not named:
            for t in range(len(frames)):
                frame_HW3 = seen.pop(t) if t in seen else frames[t]
                yield FrameMasks(frame_HW3, np.zeros((len(found), *size), bool))
            return

        def read(t: int) -> Tensor:
            if t not in seen:
                seen[t] = frames[t]
                _check_size(seen[t], first_HW3, t)
            return sam_frames([seen[t]], model.sam_side_px, config.pixels.official)[0]

        states = [answer.seg_h for answer in found if answer.seg_h is not None]
        propagation = Propagation(model, self._path, self._language(states), len(frames), size, config.batch)
        for t, masks_nHW in enumerate(propagate(propagation, read, len(frames), keys)):
            masks_NHW = np.zeros((len(found), *size), bool)
            masks_NHW[named] = masks_nHW
            yield FrameMasks(seen.pop(t), masks_NHW)

    def _language(self, states: Sequence[Tensor]) -> Tensor:
        """Language tokens (n, D) of hidden states."""
        with inference(self._model):
            projection = self._model.text_hidden_fcs
            dtype = next(projection.parameters()).dtype
            language_ND: Tensor = projection(torch.stack(list(states)).to(device_of(self._model), dtype))
            return language_ND


def _check_size(frame_HW3: Image, first_HW3: Image, t: int) -> None:
    if frame_HW3.shape != first_HW3.shape:
        raise ValueError(f"all frames of a video must be {first_HW3.shape}, got {frame_HW3.shape} at frame {t}")
