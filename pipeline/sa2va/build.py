"""Load the MLLM that training starts from, and build a Sa2VA on it; an error says which part is wrong."""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from pipeline.sa2va.checkpoint.read import describe_sa2va, is_sa2va, load_sa2va
from pipeline.sa2va.checkpoint.weights import open_weights
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.families import Family, check_supported, check_tokens, family_of, unwrapped
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.text import SPECIAL_TOKENS

_MODELS: Any = AutoModelForImageTextToText  # typed in part


def load_mllm(
    folder: str, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, Family]:
    """Load model, tokenizer and family of a base checkpoint.

    Args:
        folder: folder that transformers saved, or the name of a model on the Hugging Face hub.
        dtype: type of all weights.
        device: where they go; "meta": nowhere, only their names and shapes are read.

    Raises:
        ValueError: there is no checkpoint, its family is not supported, weights are missing, left over or damaged, or
            the tokenizer lacks the family's tokens.
    """
    tokenizer, family = _tokenizer_of_mllm(folder)
    for path in sorted(Path(folder).expanduser().glob("*.safetensors")):
        with open_weights(path):
            pass  # a damaged file is named
    on_meta = {"device_map": "meta"} if str(device) == "meta" else {}  # then only names and shapes are read
    try:
        model, report = _MODELS.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, ignore_mismatched_sizes=True, **on_meta
        )
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(f"the weights of {folder} cannot be read: {error}") from error
    wrong = {
        kind: sorted(map(str, report.get(f"{kind}_keys") or ())) for kind in ("missing", "unexpected", "mismatched")
    }
    if any(wrong.values()):
        raise ValueError(
            f"the weights of {folder} must be those of its config.json, got "
            + "; ".join(f"{kind}: {', '.join(names)}" for kind, names in wrong.items() if names)
        )
    return model.to(device), tokenizer, family


def load_tokenizer(base: str) -> tuple[PreTrainedTokenizerFast, Family]:
    """Load the tokenizer of a base checkpoint with [SEG], and its family, without a weight.

    Args:
        base: an MLLM or a Sa2VA: folder, or name of an MLLM on the hub.

    Raises:
        ValueError: a file of it cannot be read, or its family is not supported.
    """
    if Path(base).is_dir() and is_sa2va(Path(base)):
        return describe_sa2va(Path(base))[1:]
    tokenizer, family = _tokenizer_of_mllm(base)
    tokenizer.add_tokens(_missing(tokenizer), special_tokens=True)
    return tokenizer, family


def _tokenizer_of_mllm(folder: str) -> tuple[PreTrainedTokenizerFast, Family]:
    _check_folder(folder)
    config = _read(AutoConfig, folder, "config.json")
    family_of(config)  # refused before anything big is read
    tokenizer = _read(AutoTokenizer, folder, "the tokenizer")
    family = family_of(config, _read(AutoImageProcessor, folder, "the image processor"))
    check_tokens(tokenizer, family, folder)
    return tokenizer, family


def _missing(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return the tokens of a Sa2VA that a tokenizer lacks."""
    known = tokenizer.get_vocab()
    return [token for token in SPECIAL_TOKENS if token not in known]


def kind_and_width(folder: str) -> tuple[str, int]:
    """Read (family, width of the language model) from config.json of a base checkpoint, which may be a Sa2VA.

    Raises:
        ValueError: it has no config.json that can be read.
    """
    try:
        config, _ = PretrainedConfig.get_config_dict(folder)
        text = config.get("llm_config") or config.get("text_config") or config
        kind = str(config.get("model_type"))
        if kind == "sa2va_chat":
            vision = str((config.get("vision_config") or {}).get("model_type", ""))
            kind = next((family for family in ("qwen3_vl", "qwen2_5_vl") if vision.startswith(family)), "internvl")
        return kind, int(text.get("hidden_size") or 0)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"config.json of {folder} cannot be read: {error}") from error


def add_special_tokens(mllm: nn.Module, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> dict[str, int]:
    """Add [SEG] and its companions, and make the model's matrices as long as the tokenizer: longer or shorter.

    Where the matrices were longer already (Qwen's are), the new tokens take rows that were there unused, as in the
    release; rows that are new are drawn around the mean of the others, as transformers does. A model that has all of
    the tokens is left alone.

    Args:
        mllm: not yet wrapped by peft.
        tokenizer: the one of the same checkpoint.
        seed: the new rows are drawn from it.

    Returns:
        The id of every token.
    """
    missing = _missing(tokenizer)
    if missing:
        tokenizer.add_tokens(missing, special_tokens=True)
        model: Any = unwrapped(mllm)
        device = next(model.parameters()).device
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            model.resize_token_embeddings(len(tokenizer), mean_resizing=device.type != "meta")
    ids = tokenizer.get_vocab()
    return {token: ids[token] for token in SPECIAL_TOKENS}


def _check_folder(folder: str) -> None:
    """Refuse what is no checkpoint of a supported family, without asking transformers, which may not know it."""
    path = Path(folder).expanduser()
    if path.is_dir():
        config = path / "config.json"
        if not config.is_file():
            raise ValueError(f"{folder} must be a checkpoint, but it has no config.json")
        try:
            content = json.loads(config.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(f"must hold an object, got {type(content).__name__}")
            check_supported(str(content.get("model_type")))
        except (OSError, ValueError) as error:
            raise ValueError(f"{config}: {error}") from error
    elif path.is_absolute() or folder.startswith(".") or folder.count("/") != 1:
        raise ValueError(f"{folder} must be the folder of a checkpoint or a hub name like Qwen/Qwen3-VL-4B-Instruct")


def _read(kind: Any, folder: str, what: str) -> Any:
    try:
        return kind.from_pretrained(folder)
    except Exception as error:  # tokenizers raise just that, and a file of another shape gives an error of any kind
        raise ValueError(f"{what} of {folder} cannot be read: {error}") from error


def build(
    config: ModelConfig, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0
) -> Sa2va:
    """Build a Sa2VA that is not yet prepared for training; its `original_decoder` is the untrained one of SAM 2.

    Args:
        config: its `base` is an MLLM, which gets [SEG] and a fresh projection, or a Sa2VA checkpoint, taken as it is.
        device: where it goes.
        dtype: type of the MLLM and of SAM 2's image encoder; all else is float32.
        seed: all new weights are drawn from it.

    Raises:
        ValueError: a checkpoint cannot be read.
    """
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        if Path(config.base).is_dir() and is_sa2va(Path(config.base)):
            # without a checkpoint of its own, SAM 2's shape and weights are the folder's
            sam2_config = config.sam2 if config.sam2 != type(config.sam2)() else None
            model = load_sa2va(Path(config.base), device=device, dtype=dtype, sam2=sam2_config)
            model.config = config
            if model.original_decoder is None and config.sam2.checkpoint:
                original = build_sam2(config.sam2, device=device).sam_mask_decoder
                model.original_decoder = original.requires_grad_(False)
            return model
        mllm, tokenizer, family = load_mllm(config.base, dtype=dtype, device=device)
        ids = add_special_tokens(mllm, tokenizer, seed=seed)
        sam2 = build_sam2(config.sam2, device=device, dtype=dtype)
        return Sa2va(
            mllm=mllm,
            tokenizer=tokenizer,
            family=family,
            sam2=sam2,
            seg_id=ids["[SEG]"],
            config=config,
            original_decoder=copy.deepcopy(sam2.sam_mask_decoder).requires_grad_(False),
        )
