"""Read a Sa2VA in the official Hugging Face layout: ours, ByteDance's Qwen and InternVL ones, and Sa2VA-i's.

It is strict: what is missing, left over or of another shape is reported all at once, before a weight is read. The model
is made without random weights and filled from one file after the other, so memory holds about one model.
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import AutoImageProcessor, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerFast

from pipeline.sa2va.checkpoint import configs, names
from pipeline.sa2va.checkpoint.names import TensorRows
from pipeline.sa2va.checkpoint.sidecar import SETTINGS_FILE, read_settings
from pipeline.sa2va.checkpoint.weights import Shards, open_weights, read_file
from pipeline.sa2va.config import ModelConfig, Sam2Config
from pipeline.sa2va.families import Family, check_tokens, family_of, random_mllm
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.text import SEG

ORIGINAL_FILE = "original_sam_mask_decoder.safetensors"  # SAM 2's own mask decoder; official code does not read it
_TOKENIZERS: Any = AutoTokenizer  # typed in part
_PROCESSORS: Any = AutoImageProcessor
_FEW = 20  # names of a kind that a message lists
# functions of torch.nn.init and methods of tensors, by name: transformers replaces those of torch.nn.init by its own
_RANDOM = {
    *("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_"),
    *("normal_", "trunc_normal_", "uniform_", "erfinv_"),
}


def is_sa2va(folder: Path) -> bool:
    """Return whether `folder` has the config.json of a Sa2VA, whatever else it has."""
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
    """Load a model in eval mode, without LoRA; it can be prepared for more training.

    Args:
        folder: has config.json, safetensors and tokenizer.
        device: where the weights go; "meta": nowhere, only names and shapes are read.
        dtype: type of the MLLM and of SAM 2's image encoder; all else is float32, as `build` has it.
        sam2: which SAM 2 is inside; None: as refsav.json says, or the release's Hiera-L.

    Returns:
        A model whose `original_decoder` is SAM 2's own where the folder has it (ours, Sa2VA-i), else None.

    Raises:
        ValueError: the folder has no Sa2VA, one of a kind that is not supported, or a damaged one; the message says
            what and where, and what to do.
    """
    config, tokenizer, family = describe_sa2va(folder)
    shards = Shards(folder)
    modified = names.has_modified_decoder(shards.shapes)
    settings = read_settings(folder)
    sam2 = sam2 or settings.sam2
    with SkipRandomInit():
        if settings.seg_before_norm not in (None, family.released_before_norm):
            raise ValueError(
                f"{folder / SETTINGS_FILE} must say seg_before_norm {family.released_before_norm} for a {family.name}, "
                f"got {settings.seg_before_norm}: an earlier refsav trained it from another "
                "hidden state; train it again"
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
    places = places_of(shards.shapes, wanted, family.name, modified=modified, folder=folder)
    if model.mllm.device.type == "meta":
        return model
    for name, tensor in shards.tensors():
        for part, piece in zip(places[name], tensor.chunk(len(places[name])), strict=True):
            wanted[part.name].copy_(piece)
    if model.original_decoder is not None and not modified:
        _load_original(model, side_file)
    return model


def describe_sa2va(folder: Path) -> tuple[PretrainedConfig, PreTrainedTokenizerFast, Family]:
    """Read what a Sa2VA says of its MLLM: configuration, tokenizer and family; no weight is read.

    Raises:
        ValueError: a file is missing or damaged, or of a kind that is not supported.
    """
    content, family_name = _config(folder)
    tokenizer = _tokenizer(folder)
    processor = _processor(folder, family_name)
    try:
        config = configs.from_official(content, family_name, _context_id(tokenizer))
        family = family_of(config, processor)
    except Exception as error:  # a value of another kind than expected gives an error of any kind
        raise ValueError(f"{folder / 'config.json'} describes no model that can be built: {error!r}") from error
    check_tokens(tokenizer, family, str(folder))
    return config, tokenizer, family


def _config(folder: Path) -> tuple[dict[str, Any], str]:
    """Read config.json, and return it with the family that it says."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} must be the folder of a Sa2VA checkpoint, but it has no config.json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} must be JSON, got {error}: download or copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object, got {type(content).__name__}")
    try:
        return content, configs.family_of(content)
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is not that of a supported Sa2VA: {error}") from error


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    try:  # with a configuration of its own, or it would run the code that config.json names
        tokenizer: PreTrainedTokenizerFast = _TOKENIZERS.from_pretrained(
            folder, config=PretrainedConfig(), trust_remote_code=False
        )
    except Exception as error:  # tokenizers raise just that
        raise ValueError(f"the tokenizer of {folder} cannot be read: {error}") from error
    if SEG not in tokenizer.get_vocab():
        raise ValueError(
            f"the tokenizer of a Sa2VA has the token {SEG}, that of {folder} has not: take the tokenizer files of the "
            "checkpoint itself, not those of the MLLM that it was trained from"
        )
    return tokenizer


def _context_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """Return the id of InternVL's token of an image; it is not used for a Qwen, whose config.json has it."""
    return int(tokenizer.get_vocab().get("<IMG_CONTEXT>", -1))


def _processor(folder: Path, family: str) -> Any:
    """Load the image processor; None where the family's own is to be used (InternVL's file is about another use)."""
    if family == "internvl" or not (folder / "preprocessor_config.json").is_file():
        return None
    try:
        return _PROCESSORS.from_pretrained(folder)
    except Exception as error:  # a file of another shape gives an error of any kind
        raise ValueError(f"{folder / 'preprocessor_config.json'} cannot be read: {error}") from error


def _load_original(model: Sa2va, path: Path) -> None:
    assert model.original_decoder is not None
    with open_weights(path):
        tensors = read_file(path)
    try:
        model.original_decoder.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} must hold the mask decoder of the SAM 2 inside, got {error}") from error


def places_of(
    shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Tensor], family: str, *, modified: bool, folder: Path
) -> dict[str, tuple[TensorRows, ...]]:
    """Return our tensors that every official tensor holds, in the order of its rows.

    Args:
        shapes: shapes of the checkpoint's tensors, by official name.
        wanted: the model's tensors. Its `original_decoder` is filled from here only if `modified`.
        family: name of the MLLM's family.
        modified: the checkpoint `has_modified_decoder`.
        folder: the checkpoint, for messages.

    Raises:
        ValueError: tensors are missing, left over or of another shape; the message counts all of them.
    """
    places: dict[str, tuple[TensorRows, ...]] = {}
    elsewhere = () if modified else (names.ORIGINAL_DECODER,)
    left = {name for name in wanted if not name.startswith(elsewhere)}
    unexpected, shaped = [], []
    for name, shape in shapes.items():
        parts = names.ours(name, family, modified=modified) or ()
        if not parts or not left.issuperset(part.name for part in parts):
            unexpected.append(name)
            continue
        places[name] = parts
        left -= {part.name for part in parts}
        needed = tuple(wanted[parts[0].name].shape)
        if len(parts) > 1:
            needed = (needed[0] * len(parts), *needed[1:])
        if shape != needed:
            shaped.append(f"{name} {shape}, not {needed}")
    official = {part.name if (part := names.theirs(name, family)) else name for name in left}
    _refuse({"missing": official, "unexpected": unexpected, "of another shape": shaped}, folder, shapes)
    return places


def _refuse(wrong: Mapping[str, Iterable[str]], folder: Path, shapes: Iterable[str]) -> None:
    problems = [
        f"{len(named)} {kind}: {', '.join(named[:_FEW])}{' …' if len(named) > _FEW else ''}"
        for kind, named in ((kind, sorted(unsorted)) for kind, unsorted in wrong.items())
        if named
    ]
    if problems:
        looks = names.family_of_names(shapes)
        raise ValueError(
            f"the weights of {folder} must be those that its config.json describes, got {'; '.join(problems)}. They "
            f"look like those of {f'a Sa2VA with {looks} inside' if looks else 'no Sa2VA'}. Is config.json of another "
            "checkpoint, or SAM 2 another one than Sam2Config or refsav.json says?"
        )


class SkipRandomInit(TorchFunctionMode):
    """Skips random initialisation: within the block, functions that fill a tensor with random numbers do nothing.

    Weights that will be read from a file need no random ones first: that saves minutes at 4 B parameters. Memory that
    nobody writes is not taken from the system, and buffers that no file holds (position codes, rotary
    frequencies) are computed as always, which they are not on the meta device.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run `func`, or skip it if it draws random numbers; torch calls this in its place."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
