"""A Sa2VA from its parts, and its plain weights out of it again."""

import copy
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from peft.utils.other import TrainableTokensWrapper
from torch import Tensor

from pipeline.sa2va.checkpoint.read import is_sa2va, load_sa2va
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.families.load import add_special_tokens, load_mllm
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.model import Sa2va

_ADAPTER = "default"  # peft's name for the only one


def build(
    config: ModelConfig, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, seed: int = 0
) -> Sa2va:
    """A Sa2VA, not yet prepared for training; `original_decoder` is SAM 2's decoder as it was before all training.

    Args:
        config: its `base` is an MLLM, which gets [SEG] and a fresh projection, or a Sa2VA checkpoint, taken as it is.
        device: where it goes.
        dtype: of the MLLM and of SAM 2's image encoder; all else is float32.
        seed: of all that is new.

    Raises:
        ValueError: a checkpoint that cannot be read.
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


@torch.no_grad()
def merged(model: Sa2va) -> dict[str, Tensor]:
    """Weights of `model.mllm` under the names of the plain transformers model, LoRA and new token rows put in.

    Computed in float32, one matrix at a time, and given in the type of the frozen weights; the model is not touched.
    What has no adapter is the model's own tensor, not a copy. Tied matrices are one tensor under two names.
    """
    state: dict[str, Tensor] = {}
    done: dict[int, Tensor] = {}  # of a tied matrix
    inside: set[str] = set()
    for path, found in model.mllm.named_modules(remove_duplicate=False):
        module: Any = found  # peft's layers are typed in part
        if isinstance(found, LoraLayer):
            layer = module.get_base_layer()
            weight = layer.weight
            state[f"{path}.weight"] = (weight.float() + module.get_delta_weight(_ADAPTER).float()).to(weight.dtype)
            if layer.bias is not None:
                state[f"{path}.bias"] = layer.bias
        elif isinstance(found, TrainableTokensWrapper):
            rows = module.token_adapter
            weight = rows.get_base_layer().weight
            if id(weight) not in done:
                index = torch.tensor(rows.token_indices[_ADAPTER], device=weight.device)
                done[id(weight)] = weight.index_copy(0, index, rows.trainable_tokens_delta[_ADAPTER].to(weight))
            state[f"{path}.weight"] = done[id(weight)]
        else:
            continue
        inside.add(f"{path}.")
    wrapped = tuple(inside)
    plain = {name: value for name, value in model.mllm.state_dict().items() if not name.startswith(wrapped)}
    return plain | state
