"""A Segmenter of a checkpoint's folder, with the settings that it was trained with."""

import logging
from dataclasses import replace
from pathlib import Path

import torch

from pipeline.sa2va.checkpoint.read import is_sa2va, load_sa2va
from pipeline.sa2va.checkpoint.settings import read_settings
from pipeline.sa2va.config import InferConfig, official_infer
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.model import Sa2va

logger = logging.getLogger("refsav")


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
    """A model ready to answer: float32 on a CPU, else bf16.

    Args:
        folder: a Sa2VA checkpoint: ours, the official ones, or Sa2VA-i's.
        official: the released inference in every choice; else the consistent path, pictures and questions as the
            checkpoint was trained with.
        device: torch's name for it; empty: a GPU where there is one.
        sam2_checkpoint: of SAM 2 as it was published, for the consistent path of a checkpoint that has no copy of its
            mask decoder (the official ones).
        frames: key frames; None: 5.
        batch: texts at a time; None: 8.
        max_new_tokens: of an answer; None: 64, official 2048.

    Raises:
        ValueError: no such checkpoint or device, or one without what the path needs.
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
    place = _device(device)
    logger.info("loading %s to %s", folder, place)
    model = load_sa2va(folder, device=place, dtype=torch.float32 if place.type == "cpu" else torch.bfloat16)
    if sam2_checkpoint:
        give_original_decoder(model, sam2_checkpoint)
    return Segmenter(model, config)


def check_model(folder: Path, *, official: bool = False, device: str = "", sam2_checkpoint: str = "") -> None:
    """Whether `load_segmenter` will find what it needs; of weights nothing but names and shapes is read.

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
        ValueError: no checkpoint of the SAM 2 that is in the model.
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
