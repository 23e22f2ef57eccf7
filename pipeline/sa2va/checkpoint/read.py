"""Reads a Sa2VA in the official Hugging Face layout: ours, ByteDance's Qwen and InternVL ones, and Sa2VA-i's.

Strict: what is missing, left over or of another shape is told all at once, before a weight is read. The model is made
without random weights, and filled from one file after the other, so memory holds about one model.
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from pipeline.sa2va.checkpoint import configs, names
from pipeline.sa2va.checkpoint.blank import Blank
from pipeline.sa2va.checkpoint.places import places_of
from pipeline.sa2va.checkpoint.settings import FILE, read_settings
from pipeline.sa2va.checkpoint.shards import Shards, open_weights, read_file
from pipeline.sa2va.config import ModelConfig, Sam2Config
from pipeline.sa2va.families.load import check_tokens, family_of, random_mllm
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.model import Sa2va

ORIGINAL_FILE = "original_sam_mask_decoder.safetensors"  # SAM 2's own mask decoder; official code does not read it
SEG = "[SEG]"
_TOKENIZERS: Any = AutoTokenizer  # typed in part
_PROCESSORS: Any = AutoImageProcessor


def is_sa2va(folder: Path) -> bool:
    """Whether `folder` has the config.json of a Sa2VA, whatever else it has."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == configs.MODEL_TYPE


def load_sa2va(
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    sam2: Sam2Config | None = None,
) -> Sa2va:
    """The model, in eval mode, without LoRA; it can be prepared for more training.

    Args:
        folder: with config.json, safetensors and tokenizer.
        device: where the weights go; "meta": nowhere, names and shapes are only looked at.
        dtype: of the MLLM and SAM 2's image encoder; all else is float32, as `build` has it.
        sam2: which SAM 2 is inside; None as refsav.json says, or the release's Hiera-L.

    Returns:
        A model whose `original_decoder` is SAM 2's own where the folder has it (ours, Sa2VA-i), else None.

    Raises:
        ValueError: not a Sa2VA, one of a kind that is not supported, or damaged: what and where, and what to do.
    """
    content, family_name = _config(folder)
    tokenizer = _tokenizer(folder)
    shards = Shards(folder)
    modified = names.has_modified_decoder(shards.shapes)
    settings = read_settings(folder)
    sam2 = sam2 or settings.sam2
    processor = _processor(folder, family_name)
    try:
        config = configs.from_official(content, family_name, _context_id(tokenizer))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / 'config.json'} describes no model that can be built: {error!r}") from error
    with Blank():
        family = family_of(config, processor)
        check_tokens(tokenizer, family, str(folder))
        if settings.seg_before_norm not in (None, family.released_before_norm):
            raise ValueError(
                f"{folder / FILE} must say seg_before_norm {family.released_before_norm} for a {family.name}, got "
                f"{settings.seg_before_norm}: an earlier refsav trained it from another hidden state; train it again"
            )
        model = Sa2va(
            mllm=random_mllm(config, dtype, device),
            tokenizer=tokenizer,
            family=family,
            sam2=build_sam2(
                Sam2Config(config_file=sam2.config_file, overrides=sam2.overrides), dtype=dtype, device=device
            ),
            seg_id=tokenizer.get_vocab()[SEG],
            config=ModelConfig(base=str(folder), sam2=sam2),
        )
    side_file = folder / ORIGINAL_FILE
    if modified or side_file.is_file():
        model.original_decoder = copy.deepcopy(model.sam2.sam_mask_decoder)
    model.requires_grad_(False)
    wanted = model.state_dict()
    places = places_of(shards.shapes, wanted, family_name, modified=modified, folder=folder)
    if model.mllm.device.type == "meta":
        return model
    for name, tensor in shards.tensors():
        for part, piece in zip(places[name], tensor.chunk(len(places[name])), strict=True):
            wanted[part.name].copy_(piece)
    if model.original_decoder is not None and not modified:
        _load_original(model, side_file)
    return model


def _config(folder: Path) -> tuple[dict[str, Any], str]:
    """config.json and the family that it says."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} must be the folder of a Sa2VA checkpoint, but it has no config.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON, got {error}: download or copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object, got {type(content).__name__}")
    try:
        return content, configs.family_of(content)
    except ValueError as error:
        raise ValueError(f"{path} is not that of a supported Sa2VA: {error}") from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    try:  # with a configuration of its own, or it would run the code that config.json names
        tokenizer: PreTrainedTokenizerFast = _TOKENIZERS.from_pretrained(
            folder, config=PretrainedConfig(), trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the tokenizer of {folder} cannot be read: {error}") from error
    if SEG not in tokenizer.get_vocab():
        raise ValueError(
            f"the tokenizer of a Sa2VA has the token {SEG}, that of {folder} has not: take the tokenizer files of the "
            "checkpoint itself, not those of the MLLM that it was trained from"
        )
    return tokenizer


def _context_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """InternVL's token of a picture; of no meaning for a Qwen, whose config.json says it."""
    return int(tokenizer.get_vocab().get("<IMG_CONTEXT>", -1))


def _processor(folder: Path, family: str) -> Any:
    """The image processor; None where the family's own is meant (InternVL's file describes another use)."""
    if family == "internvl" or not (folder / "preprocessor_config.json").is_file():
        return None
    try:
        return _PROCESSORS.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{folder / 'preprocessor_config.json'} cannot be read: {error}") from error


def _load_original(model: Sa2va, path: Path) -> None:
    assert model.original_decoder is not None
    with open_weights(path):
        tensors = read_file(path)
    try:
        model.original_decoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} must hold the mask decoder of the SAM 2 inside, got {error}") from error
