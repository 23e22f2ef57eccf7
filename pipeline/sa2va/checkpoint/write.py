"""Writes a Sa2VA in the official Hugging Face layout, so that the official code loads it; LoRA is put into the weights.

The folder appears whole or not at all. The official code itself is copied beside if the user has it.
"""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.sa2va.build import merged
from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.configs import to_official
from pipeline.sa2va.checkpoint.read import ORIGINAL_FILE, is_sa2va
from pipeline.sa2va.checkpoint.settings import Settings, write_settings
from pipeline.sa2va.checkpoint.shards import element_bytes, write_file, write_shards
from pipeline.sa2va.checkpoint.side_files import copy_code, write_side_files
from pipeline.sa2va.config import PixelsConfig
from pipeline.sa2va.families.base import unwrapped
from pipeline.sa2va.model import Sa2va

MAX_SHARD_BYTES = 5_000_000_000


def save_sa2va(
    model: Sa2va,
    folder: Path,
    *,
    dtype: torch.dtype = torch.bfloat16,
    pixels: PixelsConfig | None = None,
    official_prompts: bool = False,
    official_code: Path | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write `model`, which is not touched, to `folder`; an older checkpoint there is replaced at the end.

    Args:
        model: prepared for training or not.
        folder: is made.
        dtype: of the weights.
        pixels: sizes of pictures that it was trained with, for refsav.json.
        official_prompts: whether it was trained with the released templates, for refsav.json.
        official_code: the user's clone of the release, or its folder of Hugging Face files, to be copied; without
            them `load_sa2va` reads the checkpoint, and the official code does after they were put there.
        max_shard_bytes: of one file.

    Raises:
        ValueError: `folder` holds something else, or `official_code` lacks a file.
    """
    if folder.exists() and not is_sa2va(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"a checkpoint is not written over other things, and {folder} holds some: name another folder")
    unfinished, old = (folder.with_name(f"{folder.name}.{kind}") for kind in ("tmp", "old"))
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    state = _state(model)
    mllm: Any = unwrapped(model.mllm)
    config = to_official(
        mllm.config,
        model.family.name,
        vocabulary=state[names.MLLM + "lm_head.weight"].shape[0],
        dtype=str(dtype).removeprefix("torch."),
    )
    write_side_files(model, unfinished)
    if official_code:
        modules = {path.partition(".")[0] for path in config["auto_map"].values()}
        copy_code(official_code, model.family.name, modules, unfinished)
    settings = Settings(
        sam2=model.config.sam2,
        pixels=pixels or PixelsConfig(),
        official_prompts=official_prompts,
        seg_before_norm=model.seg_before_norm,
    )
    write_settings(settings, unfinished)
    if model.original_decoder is not None:
        original = model.original_decoder.state_dict()
        write_file({name: tensor.to(dtype) for name, tensor in sorted(original.items())}, unfinished / ORIGINAL_FILE)
    groups = names.gather(state, model.family.name)
    makers: dict[str, Callable[[], Tensor]] = {
        name: partial(_join, [state[each] for each in group], dtype) for name, group in groups.items()
    }
    sizes = {name: sum(state[each].numel() for each in group) * element_bytes(dtype) for name, group in groups.items()}
    write_shards(makers, sizes, unfinished, max_shard_bytes)
    (unfinished / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _state(model: Sa2va) -> dict[str, Tensor]:
    """Every tensor of the layout under our name for it."""
    rest = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith((names.MLLM, names.ORIGINAL_DECODER))
    }
    return rest | {names.MLLM + name: tensor for name, tensor in merged(model).items()}


def _join(pieces: list[Tensor], dtype: torch.dtype) -> Tensor:
    """One tensor of the layout, on the CPU; a tensor of its own, for safetensors refuses two that share memory."""
    return (
        torch.cat([piece.detach().to("cpu", dtype) for piece in pieces]) if len(pieces) > 1 else _own(pieces[0], dtype)
    )


def _own(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to("cpu", dtype, copy=True)
