"""A tiny Sa2VA and batches for it, made without the reading of videos."""

import copy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from pipeline.sa2va.build import build
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.example import Batch
from pipeline.sa2va.lora import prepare
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.text import IGNORED
from tests.pipeline.sa2va.tiny import TINY_SAM2, TINY_SAM2_SIDE_PX, make_tiny_mllm, tiny_pixels

MASK_SIDE = TINY_SAM2_SIDE_PX // 4
_FOLDERS: list[TemporaryDirectory[str]] = []  # removed when the process ends


@cache
def base(family: str = "qwen3_vl", tied: bool | None = None) -> Path:
    """One checkpoint for the whole test process; nothing writes to it."""
    folder = TemporaryDirectory(prefix="refsav-tiny-")
    _FOLDERS.append(folder)
    return make_tiny_mllm(Path(folder.name), family, tied=tied)


def config(family: str = "qwen3_vl", *, tied: bool | None = None, **choices: object) -> ModelConfig:
    settings: dict[str, Any] = {"lora_rank": 4, "lora_alpha": 8} | choices
    return ModelConfig(base=str(base(family, tied)), sam2=TINY_SAM2, **settings)


def tiny_model(settings: ModelConfig | None = None, *, dtype: torch.dtype = torch.float32) -> Sa2va:
    """Prepared for training; its LoRA layers do something already. The caller's own."""
    return copy.deepcopy(_prepared(settings or config(), dtype))


@cache
def _prepared(settings: ModelConfig, dtype: torch.dtype) -> Sa2va:
    model = build(settings, dtype=dtype)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        prepare(model, settings)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_(std=0.05)
    return model


def tiny_batch(model: Sa2va, objects: tuple[int, ...] = (2, 1), frames: int = 2, seed: int = 3) -> Batch:
    """A conversation with a [SEG] for each of a video's objects, over drawn noise; a video for each of `objects`."""
    side_px = TINY_SAM2_SIDE_PX
    tokenizer, texts, tensors, masks, sam = model.tokenizer, [], [], [], []
    for number, count in enumerate(objects):
        rng = np.random.default_rng([seed, number])
        pictures = [rng.integers(0, 256, (36, 64, 3), dtype=np.uint8) for _ in range(frames)]
        sam.append(rng.integers(0, 256, (frames, 3, side_px, side_px), dtype=np.uint8))
        made = model.family.pixels(pictures, tiny_pixels())
        ids = tokenizer(model.family.visual_text(made.tokens_F)).input_ids
        labels = [IGNORED] * len(ids)
        for turn in range(count):
            asked = tokenizer(f" Please describe the object {turn}").input_ids
            answer = tokenizer("It is [SEG].<|im_end|>").input_ids
            ids, labels = ids + asked + answer, labels + [IGNORED] * len(asked) + answer
        texts.append((torch.tensor(ids), torch.tensor(labels)))
        tensors.append(made.tensors)
        masks_OFMM = np.zeros((count, frames, MASK_SIDE, MASK_SIDE), np.uint8)
        for mask_MM in masks_OFMM.reshape(-1, MASK_SIDE, MASK_SIDE):
            top, left = rng.integers(0, MASK_SIDE // 2, 2)
            mask_MM[top : top + 12, left : left + 9] = 1
        masks.append(torch.from_numpy(masks_OFMM))
    ids_B, labels_B = (list(each) for each in zip(*texts, strict=True))
    pad = torch.nn.utils.rnn.pad_sequence
    return Batch(
        video_ids_B=tuple(f"sav_{b:06d}" for b in range(len(objects))),
        object_ids_B=tuple(tuple(f"{o}" for o in range(count)) for count in objects),
        input_ids_BL=pad(ids_B, batch_first=True),
        labels_BL=pad(labels_B, batch_first=True, padding_value=IGNORED),
        attention_BL=pad([torch.ones(len(ids), dtype=torch.bool) for ids in ids_B], batch_first=True),
        mllm=model.family.join(tensors),
        sam_frames_N3SS=torch.from_numpy(np.concatenate(sam)),
        masks_B=tuple(masks),
    )
