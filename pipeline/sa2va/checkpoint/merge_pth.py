"""Put what the official training checkpoint (iter_N.pth) has learned into the model that it began with.

Such a file has only what was trained: LoRA, both token matrices, projection, mask decoder, InternVL's projector. The
rest comes from the MLLM and the SAM 2 that it was trained from. Source of the names: the released code.
"""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.weights import read_pickled
from pipeline.sa2va.model import Sa2va

ALPHA_PER_RANK = 2.0  # LoRA's, in every released configuration
_PREFIXES = {
    "mllm.model.language_model.base_model.model.": "language_model.",
    "mllm.model.mlp1.": "mlp1.",
    "mllm.model.base_model.model.": "model.",
}
_LORA = re.compile(r"(.+)\.lora_([AB])\.default\.weight")
_FEW = 20


@torch.no_grad()
def merge_pth(model: Sa2va, path: Path, *, alpha_per_rank: float = ALPHA_PER_RANK) -> None:
    """Load what was trained into `model`, in place.

    Args:
        model: built from the MLLM and SAM 2 that the training began with, not prepared.
        path: the .pth file; nothing in it is run.
        alpha_per_rank: LoRA's alpha divided by its rank.

    Raises:
        ValueError: the file is no such checkpoint, or weights are missing, left over or of another shape.
    """
    state = _read(path)
    _untie(model)
    wanted = model.state_dict()
    halves: dict[str, dict[str, Tensor]] = {}
    plain: dict[str, Tensor] = {}
    unexpected = []
    for name, tensor in state.items():
        lora = _LORA.fullmatch(name)
        ours = _our_name(f"{lora[1]}.weight" if lora else name, model.family.name)
        if ours not in wanted:
            unexpected.append(name)
        elif lora:
            halves.setdefault(ours, {})[lora[2]] = tensor
        else:
            plain[ours] = tensor
    missing = sorted(_trained(model) - plain.keys() - {name for name, both in halves.items() if len(both) == 2})
    if missing or unexpected:
        raise ValueError(
            f"{path} must have what the official code trains of this MLLM and SAM 2, got {len(missing)} missing: "
            f"{', '.join(missing[:_FEW])}; {len(unexpected)} unexpected: {', '.join(sorted(unexpected)[:_FEW])}"
        )
    for name, both in halves.items():
        plain[name] = wanted[name].float() + alpha_per_rank * (both["B"].float() @ both["A"].float()).to(
            wanted[name].device
        )
    shaped = [name for name, tensor in plain.items() if tensor.shape != wanted[name].shape]
    if shaped:
        shapes = ", ".join(
            f"{name} {tuple(plain[name].shape)}, not {tuple(wanted[name].shape)}" for name in shaped[:_FEW]
        )
        raise ValueError(f"{path} is of another MLLM or SAM 2, {len(shaped)} of another shape: {shapes}")
    for name, tensor in plain.items():
        wanted[name].copy_(tensor)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        content = read_pickled(path)
    except ValueError as error:
        raise ValueError(f"the training checkpoint {error}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"an official training checkpoint is a dict with an entry 'state_dict', {path} is not")
    return state


def _our_name(name: str, family: str) -> str:
    name = name.replace(".modules_to_save.default", "")
    for theirs, released in _PREFIXES.items():
        if name.startswith(theirs):
            name = released + name.removeprefix(theirs)
            break
    parts = names.ours(name, family)
    return parts[0].name if parts and len(parts) == 1 else ""


def _trained(model: Sa2va) -> set[str]:
    """Return our names of what the official code trains."""
    family, mllm = model.family, model.mllm
    modules: dict[str, nn.Module] = {
        "text_hidden_fcs": model.text_hidden_fcs,
        names.DECODER[:-1]: model.sam2.sam_mask_decoder,
    }
    language = family.language_model(mllm)
    paths = {id(module): name for name, module in model.named_modules()}
    linear = [f"{paths[id(module)]}.weight" for module in language.modules() if isinstance(module, nn.Linear)]
    trained = [family.input_embeddings(mllm), family.lm_head(mllm)]
    trained += [family.projector(mllm)] if family.name == "internvl" else []
    modules |= {paths[id(module)]: module for module in trained}
    return {*linear, *(f"{path}.{name}" for path, module in modules.items() for name, _ in module.named_parameters())}


def _untie(model: Sa2va) -> None:
    """Give both token matrices their own weights: the official code trains them separately."""
    embeddings: Any = model.family.input_embeddings(model.mllm)
    lm_head: Any = model.family.lm_head(model.mllm)
    if lm_head.weight is embeddings.weight:
        lm_head.weight = nn.Parameter(embeddings.weight.detach().clone())
    config: Any = model.mllm.config
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
