"""Write a Sa2VA in the official Hugging Face layout, so that the official code loads it, with LoRA merged.

Beside weights and config.json stand tokenizer, processors and chat template in a form that all versions read:
transformers 5 writes these files in ways that 4.x, which the official code needs, cannot read; 5 reads 4's. The folder
appears complete or not at all. The official code itself is copied beside if the user has it.
"""

import json
import logging
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.configs import code_files, to_official
from pipeline.sa2va.checkpoint.read import ORIGINAL_FILE, is_sa2va
from pipeline.sa2va.checkpoint.sidecar import SETTINGS_FILE, CheckpointSettings, write_settings
from pipeline.sa2va.checkpoint.weights import element_bytes, write_file, write_shards
from pipeline.sa2va.config import PixelsConfig
from pipeline.sa2va.families import unwrapped
from pipeline.sa2va.lora import merged
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.official_code import model_files

MAX_SHARD_BYTES = 5_000_000_000
logger = logging.getLogger(__name__)
_AS_THEY_ARE = ("chat_template.jinja", "chat_template.json", "generation_config.json")
_PROCESSORS = {"image_processor": "preprocessor_config.json", "video_processor": "video_preprocessor_config.json"}
_ONLY_5 = ("backend", "is_local", "local_files_only", "model_specific_special_tokens")


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
    """Write `model`, which does not change, to `folder`; an older checkpoint of ours there is replaced at the end.

    Args:
        model: prepared for training or not.
        folder: is made.
        dtype: type of the weights.
        pixels: sizes of images that the model was trained with, for refsav.json.
        official_prompts: whether it was trained with the released templates, for refsav.json.
        official_code: the user's clone of the release, or its folder of Hugging Face files, to be copied; without
            them `load_sa2va` reads the checkpoint, and the official code does after they were put there.
        max_shard_bytes: size of one file.

    Raises:
        ValueError: `check_export` says why.
    """
    check_export(folder, model.family.name, official_code)
    unfinished, old = scratch_folders(folder)
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
        for path in sorted(model_files(official_code, model.family.name, code_files(model.family.name)).glob("*.py")):
            shutil.copyfile(path, unfinished / path.name)
    settings = CheckpointSettings(
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
        name: partial(_join, [state[ours] for ours in group], dtype) for name, group in groups.items()
    }
    sizes = {name: sum(state[ours].numel() for ours in group) * element_bytes(dtype) for name, group in groups.items()}
    write_shards(makers, sizes, unfinished, max_shard_bytes)
    (unfinished / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    unfinished.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def check_export(folder: Path, family: str, official_code: Path | None = None) -> None:
    """Check that a model of `family` can be written to `folder` with `official_code`, which needs no model yet.

    Raises:
        ValueError: `folder` holds something that is not a checkpoint written here, or a file of `official_code` is not
            there or of another family.
    """
    ours = is_sa2va(folder) and (folder / SETTINGS_FILE).is_file()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"a checkpoint is not written over other things, and {folder} holds some: name another folder")
    if official_code:
        model_files(official_code, family, code_files(family))


def scratch_folders(folder: Path) -> tuple[Path, Path]:
    """Return where a checkpoint is written before it appears in `folder`, and where the one that it replaces goes."""
    return folder.with_name(f".{folder.name}.tmp"), folder.with_name(f".{folder.name}.old")


def _state(model: Sa2va) -> dict[str, Tensor]:
    """Return every tensor of the layout under our name for it."""
    rest = {
        name: tensor
        for name, tensor in model.state_dict().items()
        if not name.startswith((names.MLLM, names.ORIGINAL_DECODER))
    }
    return rest | {names.MLLM + name: tensor for name, tensor in merged(model).items()}


def _join(pieces: list[Tensor], dtype: torch.dtype) -> Tensor:
    """Join pieces to one tensor of the layout, a copy on the CPU: safetensors refuses tensors that share memory."""
    if len(pieces) == 1:
        return pieces[0].detach().to("cpu", dtype, copy=True)
    return torch.cat([piece.detach().to("cpu", dtype) for piece in pieces])


def write_side_files(model: Sa2va, folder: Path) -> None:
    """Write the model's tokenizer with its [SEG], and copy what its base has of the other files."""
    model.tokenizer.save_pretrained(folder)
    _rewrite_tokenizer_config(folder / "tokenizer_config.json", _added(model.tokenizer))
    _write_vocabulary(model.tokenizer, folder)
    for name in (*_AS_THEY_ARE, *_PROCESSORS.values()):
        if (source := _of_base(model.config.base, name)) and not (folder / name).exists():
            shutil.copyfile(source, folder / name)
    together = _of_base(model.config.base, "processor_config.json")
    nested = json.loads(together.read_text(encoding="utf-8")) if together else {}
    for part, name in _PROCESSORS.items():
        content = nested.get(part)
        if content and not (folder / name).exists():
            kind = {"processor_class": nested["processor_class"]} if "processor_class" in nested else {}
            _write(folder / name, content | kind)
    if not (folder / _PROCESSORS["image_processor"]).exists():
        logger.warning(
            "%s has no image processor to be copied into the checkpoint; official code for a Qwen wants one",
            model.config.base,
        )


def _of_base(base: str, name: str) -> Path | None:
    """Find a file of the base checkpoint in its folder or in the hub's cache; nothing is downloaded."""
    local = Path(base).expanduser() / name
    if local.is_file():
        return local
    if Path(base).expanduser().is_dir() or base.count("/") != 1 or base.startswith(("/", ".", "~")):
        return None
    cached = try_to_load_from_cache(base, name)
    return Path(cached) if isinstance(cached, str) else None


def _write_vocabulary(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write what a tokenizer in plain Python is read from (vocab.json, merges.txt, added_tokens.json): 5 does not.

    The released evaluation of an InternVL asks for such a tokenizer.
    """
    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if bpe["type"] != "BPE":
        logger.warning(
            "the tokenizer is a %s, no BPE: the checkpoint gets no vocab.json and merges.txt, so a tokenizer in plain "
            "Python (use_fast=False), as the released evaluation of an InternVL asks for, cannot be read from it",
            bpe["type"],
        )
        return
    pairs = [pair if isinstance(pair, str) else " ".join(pair) for pair in bpe["merges"]]
    (folder / "vocab.json").write_text(json.dumps(bpe["vocab"], ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", encoding="utf-8")
    _write(folder / "added_tokens.json", {entry["content"]: int(token) for token, entry in _added(tokenizer).items()})


def _added(tokenizer: PreTrainedTokenizerFast) -> dict[str, dict[str, Any]]:
    """Return the tokens beside the vocabulary by their id, as 4.x has them in tokenizer_config.json."""
    names = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {
        str(token): {name: getattr(entry, name) for name in names}
        for token, entry in sorted(tokenizer.added_tokens_decoder.items())
    }


def _rewrite_tokenizer_config(path: Path, added: dict[str, dict[str, Any]]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content = {name: value for name, value in content.items() if name not in _ONLY_5}
    if content.get("tokenizer_class") == "TokenizersBackend":
        content["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(content.get("extra_special_tokens"), list):  # 4.x wants a dict there, and fails on a list
        content["additional_special_tokens"] = content.pop("extra_special_tokens")
    _write(path, content | {"added_tokens_decoder": added})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
