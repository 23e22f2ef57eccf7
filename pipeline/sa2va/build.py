"""MLLMs from folders and configurations, with every way in which that fails said clearly."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
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

from pipeline.sa2va.checkpoint.shards import open_weights
from pipeline.sa2va.families.base import Family, unwrapped
from pipeline.sa2va.families.internvl import InternVL
from pipeline.sa2va.families.qwen import Qwen3VL, Qwen25VL

_MODELS: Any = AutoModelForImageTextToText  # typed in part
SPECIAL_TOKENS = ("[SEG]", "<p>", "</p>", "<vp>", "</vp>")  # in the order of their ids
_HALF = (0.5, 0.5, 0.5)
_FAMILIES: dict[
    str, tuple[Callable[..., Family], tuple[float, ...], tuple[float, ...]]
] = {  # with mean and deviation of colours
    "qwen3_vl": (Qwen3VL, _HALF, _HALF),
    "qwen2_5_vl": (Qwen25VL, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "internvl": (InternVL, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_SUPPORTED = "supported are qwen3_vl (Qwen3-VL), qwen2_5_vl (Qwen2.5-VL) and internvl (InternVL, names ending in -hf)"
_HINTS = {
    "internvl_chat": "; this is InternVL's own format: use the checkpoint of the same name that ends in -hf",
    "sa2va_chat": "; this is a Sa2VA checkpoint: read it with pipeline.sa2va.checkpoint.read.load_sa2va",
}


def family_of(config: PretrainedConfig, processor: Any = None) -> Family:
    """The family of a configuration.

    Args:
        config: transformers' of the whole model.
        processor: its image processor, asked for the colours' mean and deviation; None: those of the family's
            published checkpoints.

    Raises:
        ValueError: a family that is not supported.
    """
    kind = _supported(type(config).model_type)  # 4.57.0 answers for the language model when an instance is asked
    vision: Any = getattr(config, "vision_config", None)
    family, mean, std = _FAMILIES[kind]
    if processor is not None:
        mean, std = processor.image_mean, processor.image_std
    colours = {"context_token_id": config.image_token_id, "mean_3": tuple(mean), "std_3": tuple(std)}
    if kind == "internvl":
        side_px, patch_px = vision.image_size[0], vision.patch_size[0]  # transformers makes pairs of them
        tokens = round((side_px // patch_px * config.downsample_ratio) ** 2)
        return family(**colours, side_px=side_px, tokens=tokens)
    merge, moments = vision.spatial_merge_size, vision.temporal_patch_size
    return family(**colours, patch_px=vision.patch_size, merge=merge, moments=moments)


def _supported(kind: str) -> str:
    if kind not in _FAMILIES:
        raise ValueError(f"model_type must be of a supported family, got {kind!r}; {_SUPPORTED}{_HINTS.get(kind, '')}")
    return kind


def load_mllm(
    folder: str, *, dtype: torch.dtype, device: torch.device | str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast, Family]:
    """Model, tokenizer and family of a base checkpoint.

    Args:
        folder: as transformers saves one; or the name of one on the Hugging Face hub.
        dtype: of all weights.
        device: where they go; "meta": nowhere, they are only looked at.

    Raises:
        ValueError: no checkpoint there, a family that is not supported, weights missing, left over or damaged, or a
            tokenizer that lacks the family's tokens.
    """
    _check_folder(folder)
    config = _read(AutoConfig, folder, "config.json")
    family_of(config)  # refused before anything big is read
    tokenizer = _read(AutoTokenizer, folder, "the tokenizer")
    family = family_of(config, _read(AutoImageProcessor, folder, "the image processor"))
    check_tokens(tokenizer, family, folder)
    for path in sorted(Path(folder).expanduser().glob("*.safetensors")):
        with open_weights(path):
            pass  # whole, or it says which file is not
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


def kind_and_width(folder: str) -> tuple[str, int]:
    """(family, width of the language model) of a base checkpoint, a Sa2VA's too, as its config.json says.

    Raises:
        ValueError: it has none that can be read.
    """
    try:
        config, _ = PretrainedConfig.get_config_dict(folder)
    except (OSError, ValueError) as error:
        raise ValueError(f"config.json of {folder} cannot be read: {error}") from error
    text = config.get("llm_config") or config.get("text_config") or config
    kind = str(config.get("model_type"))
    if kind == "sa2va_chat":
        vision = str((config.get("vision_config") or {}).get("model_type", ""))
        kind = next((family for family in ("qwen3_vl", "qwen2_5_vl") if vision.startswith(family)), "internvl")
    return kind, int(text.get("hidden_size") or 0)


def random_mllm(config: PretrainedConfig, dtype: torch.dtype, device: torch.device | str = "cpu") -> PreTrainedModel:
    """A model of this configuration with random weights, made where it stays: for measuring without a checkpoint."""
    family_of(config)
    with torch.device(device):
        model: PreTrainedModel = _MODELS.from_config(config, dtype=dtype)
    return model


def check_tokens(tokenizer: PreTrainedTokenizerFast, family: Family, folder: str) -> None:
    """Refuses a tokenizer that does not know how a frame is written, or numbers it differently from the model."""
    known = tokenizer.get_vocab()
    missing = [token for token in (family.start, family.context, family.end) if token not in known]
    if missing:
        raise ValueError(f"the tokenizer of {folder} must have {', '.join(missing)}: is it that of a {family.name}?")
    if known[family.context] != family.context_token_id:
        raise ValueError(
            f"{family.context} must have the id of config.json's image_token_id, {family.context_token_id}, "
            f"got {known[family.context]} from the tokenizer of {folder}"
        )


def add_special_tokens(mllm: nn.Module, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0) -> dict[str, int]:
    """Adds [SEG] and its companions, and makes the model's matrices as long as the tokenizer: longer or shorter.

    Where the matrices were longer already (Qwen's are), the new tokens take rows that were there unused, as in the
    release; rows that are new are drawn around the mean of the others, as transformers does. A model that has all of
    the tokens is left alone.

    Args:
        mllm: not yet wrapped by peft.
        tokenizer: of the same checkpoint.
        seed: of the new rows.

    Returns:
        The id of each token.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in SPECIAL_TOKENS if token not in known]
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
    """Refuses what is no checkpoint of a supported family, without asking transformers, which may not know it."""
    path = Path(folder).expanduser()
    if path.is_dir():
        config = path / "config.json"
        if not config.is_file():
            raise ValueError(f"{folder} must be a checkpoint, but it has no config.json")
        try:
            _supported(str(json.loads(config.read_text()).get("model_type")))
        except ValueError as error:
            raise ValueError(f"{config}: {error}") from error
    elif path.is_absolute() or folder.startswith(".") or folder.count("/") != 1:
        raise ValueError(f"{folder} must be the folder of a checkpoint or a hub name like Qwen/Qwen3-VL-4B-Instruct")


def _read(kind: Any, folder: str, what: str) -> Any:
    try:
        return kind.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise ValueError(f"{what} of {folder} cannot be read: {error}") from error
