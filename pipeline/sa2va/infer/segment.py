"""Segment a video from texts: what the command, the evaluation and any other code call.

Shapes: N texts, T frames, H x W pixels.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.sa2va.checkpoint.read import is_sa2va, load_sa2va
from pipeline.sa2va.checkpoint.sidecar import read_settings
from pipeline.sa2va.config import InferConfig, official_infer
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.infer.generate import Generation, encode_prompts, generate
from pipeline.sa2va.infer.paths import Consistent, Official
from pipeline.sa2va.infer.tracker import MaskPath, Propagation, propagate
from pipeline.sa2va.model import Sa2va, device_of, inference
from pipeline.sa2va.pixels import squares
from stages.video.images import Image

logger = logging.getLogger("refsav")


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Holds the masks of one text in a video.

    Attributes:
        text: as it was given.
        masks_THW: all False where the model sees no object, or answered without [SEG].
        answer: what the model answered.
    """

    text: str
    masks_THW: NDArray[np.bool_]
    answer: str


@dataclass(frozen=True, slots=True)
class FrameMasks:
    """Holds one frame and the masks of all texts on it, (N, H, W)."""

    image_HW3: Image
    masks_NHW: NDArray[np.bool_]


class Segmenter:
    """Segments videos with one model."""

    def __init__(self, model: Sa2va, config: InferConfig | None = None) -> None:
        """Take a model, on the device where it is to run.

        Raises:
            ValueError: the consistent path is wanted, and the model has no original mask decoder.
        """
        self._model, self._config = model, config or InferConfig()
        paths: dict[str, type[Consistent | Official]] = {"consistent": Consistent, "official": Official}
        self._path: MaskPath = paths[self._config.path](model, self._config.frames)

    def segment(self, frames: Sequence[Image], texts: Sequence[str]) -> list[Segmentation]:
        """Return the masks of every text on every frame; `stream` does the same without holding N * T * H * W bytes.

        Args:
            frames: T annotated frames (6 a second), uint8 (H, W, 3), red green blue. They may be read when indexed:
                every frame is indexed once, the key frames first, the others in order from another thread.
            texts: expressions, answered and tracked together.

        Raises:
            ValueError: there are no frames or texts, a text is empty or has a special token in it, or frames differ in
                size.
        """
        generations, stream = self.stream(frames, texts)
        masks_NTHW = np.zeros(0, bool)
        for t, step in enumerate(stream):
            if t == 0:
                masks_NTHW = np.empty((len(texts), len(frames), *step.masks_NHW.shape[1:]), bool)
            masks_NTHW[:, t] = step.masks_NHW
        answers = [generation.text for generation in generations]
        return [Segmentation(*row) for row in zip(texts, masks_NTHW, answers, strict=True)]

    def stream(self, frames: Sequence[Image], texts: Sequence[str]) -> tuple[list[Generation], Iterator[FrameMasks]]:
        """Return the answers, and an iterator over all frames that makes their masks when asked; see `segment`."""
        if not len(frames):
            raise ValueError("a video must have at least one frame, got none")
        if not texts:
            raise ValueError("at least one text must be given, got none")
        keys = self._path.key_frames(len(frames))
        seen = {t: frames[t] for t in keys}
        for t, frame in seen.items():
            _check_size(frame, seen[keys[0]], t)
        generations = self.ask([seen[t] for t in keys], texts)
        return generations, self._masks(frames, seen, generations)

    def ask(self, frames: Sequence[Image], texts: Sequence[str]) -> list[Generation]:
        """Return what the model answers to every text, shown these frames; no masks are made."""
        config = self._config
        pixels = self._model.family.pixels(frames, config.pixels)
        asked = encode_prompts(self._model, texts, pixels.tokens_F, config)
        limits = {"max_new_tokens": config.max_new_tokens, "batch": config.batch}
        return generate(self._model, asked, pixels.tensors, **limits)

    def _masks(
        self, frames: Sequence[Image], seen: dict[int, Image], generations: Sequence[Generation]
    ) -> Iterator[FrameMasks]:
        model, config, keys = self._model, self._config, list(seen)
        first_HW3 = seen[keys[0]]
        size = first_HW3.shape[:2]
        named = [n for n, generation in enumerate(generations) if generation.seg_h is not None]
        if not named:
            for t in range(len(frames)):
                image_HW3 = seen.pop(t) if t in seen else frames[t]
                yield FrameMasks(image_HW3, np.zeros((len(generations), *size), bool))
            return

        def read(t: int) -> Tensor:
            if t not in seen:
                seen[t] = frames[t]
                _check_size(seen[t], first_HW3, t)
            return squares([seen[t]], model.sam_side_px, config.pixels.official)[0]

        states = [generation.seg_h for generation in generations if generation.seg_h is not None]
        propagation = Propagation(model, self._path, self._language(states), len(frames), size, config.batch)
        for t, masks_nHW in enumerate(propagate(propagation, read, len(frames), keys)):
            masks_NHW = np.zeros((len(generations), *size), bool)
            masks_NHW[named] = masks_nHW
            yield FrameMasks(seen.pop(t), masks_NHW)

    def _language(self, states: Sequence[Tensor]) -> Tensor:
        """Project hidden states to language tokens (n, D)."""
        with inference(self._model):
            projection = self._model.text_hidden_fcs
            dtype = next(projection.parameters()).dtype
            language_ND: Tensor = projection(torch.stack(list(states)).to(device_of(self._model), dtype))
            return language_ND


def _check_size(image_HW3: Image, first_HW3: Image, t: int) -> None:
    if image_HW3.shape != first_HW3.shape:
        raise ValueError(f"all frames of a video must be {first_HW3.shape}, got {image_HW3.shape} at frame {t}")


def load_segmenter(
    folder: Path,
    *,
    official: bool = False,
    device: str = "",
    sam2_checkpoint: str = "",
    frames: int | None = None,
    batch: int | None = None,
    max_new_tokens: int | None = None,
) -> Segmenter:
    """Load a checkpoint with the settings that it was trained with: float32 on a CPU, else bf16.

    Args:
        folder: a Sa2VA checkpoint: ours, the official ones, or Sa2VA-i's.
        official: infer as released in every choice; else on the consistent path, with images and questions as the
            checkpoint was trained with.
        device: torch's name for it; empty: a GPU where there is one.
        sam2_checkpoint: file of SAM 2 as it was published, for the consistent path of a checkpoint that has no copy of
            its mask decoder (the official ones).
        frames: number of key frames; None: 5.
        batch: texts at a time; None: 8.
        max_new_tokens: longest answer; None: 64, official 2048.

    Raises:
        ValueError: there is no such checkpoint or device, or the checkpoint lacks what the path needs.
    """
    _check_is_sa2va(folder)
    settings = read_settings(folder)
    config = InferConfig(pixels=settings.pixels, official_prompts=settings.official_prompts)
    if official:
        config = official_infer(config)
    config = replace(
        config,
        frames=config.frames if frames is None else frames,
        batch=config.batch if batch is None else batch,
        max_new_tokens=config.max_new_tokens if max_new_tokens is None else max_new_tokens,
    )
    torch_device = _device(device)
    logger.info("loading %s to %s", folder, torch_device)
    dtype = torch.float32 if torch_device.type == "cpu" else torch.bfloat16
    model = load_sa2va(folder, device=torch_device, dtype=dtype)
    if sam2_checkpoint:
        give_original_decoder(model, sam2_checkpoint)
    return Segmenter(model, config)


def check_model(folder: Path, *, official: bool = False, device: str = "", sam2_checkpoint: str = "") -> None:
    """Check that `load_segmenter` will find what it needs; of weights only names and shapes are read.

    Raises:
        ValueError: it will not.
    """
    _check_is_sa2va(folder)
    _device(device)
    read_settings(folder)
    model = load_sa2va(folder, device="meta")
    if sam2_checkpoint:
        give_original_decoder(model, sam2_checkpoint)
    Segmenter(model, official_infer(InferConfig()) if official else None)


def _check_is_sa2va(folder: Path) -> None:
    if not is_sa2va(folder):
        raise ValueError(
            f"{folder} must be the folder of a Sa2VA checkpoint, with a config.json that says so; an MLLM without "
            "[SEG] cannot segment: train it with python -m pipeline.train_on_refsav"
        )


def give_original_decoder(model: Sa2va, sam2_checkpoint: str) -> None:
    """Set `model.original_decoder` to that of a published SAM 2.

    Raises:
        ValueError: the file is no checkpoint of the SAM 2 that is in the model.
    """
    sam2 = build_sam2(replace(model.config.sam2, checkpoint=sam2_checkpoint))
    model.original_decoder = sam2.sam_mask_decoder.requires_grad_(False).to(model.sam2.device)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device must be one that torch can use here, got {name!r}: {error}") from error
    return device
