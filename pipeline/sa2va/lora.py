"""What of a Sa2VA is trained (LoRA on the language model, token rows, [SEG]'s way to the masks), and LoRA merged.

Trained parameters are float32, the frozen ones stay as they are. Nothing is cast to float32 for the sake of training
k-bit models, as the release does: that costs twice the memory for nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import TrainableTokensWrapper
from torch import Tensor, nn

from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.text import SPECIAL_TOKENS

# No mask's loss reaches these parts of the mask decoder. Frozen, they keep SAM 2's weights: else weight decay would
# change them, and workers would wait for their gradients.
UNTRAINED = ("output_hypernetworks_mlps.0.", "iou_prediction_head.", "pred_obj_score_head.")
_ADAPTER = "default"  # peft's name of the only adapter


def prepare(model: Sa2va, config: ModelConfig) -> None:
    """Make `model` trainable, in place: inject adapters, freeze parameters, switch gradient checkpointing.

    All of mask decoder, `text_hidden_fcs` and InternVL's projector is trained. Qwen's mergers are not, as in the
    release. With tied matrices the new rows of both are the same; `full` unties the matrices.

    Raises:
        ValueError: the model was prepared before.
    """
    if any("lora_" in name for name, _ in model.named_parameters()):
        raise ValueError("a model can be prepared only once: it has LoRA layers already")
    mllm, family = model.mllm, model.family
    dtype = mllm.dtype
    model.requires_grad_(False)
    vocabulary = model.tokenizer.get_vocab()
    ids = [vocabulary[token] for token in SPECIAL_TOKENS]
    rows = {"embed_tokens": ids, "lm_head": ids} if config.train_embeddings == "new_rows" else None
    inject_adapter_in_model(
        LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules=_linear_layers(model),
            trainable_token_indices=rows,
        ),
        mllm,
    )
    for layer in mllm.modules():
        if isinstance(layer, LoraLayer):
            layer.cast_input_dtype_enabled = False  # autocast does it after dropout; before it a step takes 8 % longer
    trained: list[nn.Module] = [model.text_hidden_fcs, model.sam2.sam_mask_decoder]
    if family.name == "internvl":
        trained.append(family.projector(mllm))
    if config.train_embeddings == "full":
        trained += _untied(model, dtype)
    for module in trained:
        module.requires_grad_(True)
    for name, parameter in model.sam2.sam_mask_decoder.named_parameters():
        if name.startswith(UNTRAINED):
            parameter.requires_grad_(False)
    for parameter in parameters(model):
        parameter.data = parameter.data.float()
    if config.gradient_checkpointing:
        switch_checkpointing(mllm, True)
    model.config = config


def switch_checkpointing(mllm: Any, on: bool) -> None:
    """Let the language model's layers drop their activations, for the backward pass to compute them again, or not."""
    if not on:
        (getattr(mllm, "activation_checkpointing_disable", None) or mllm.gradient_checkpointing_disable)()
        return
    enable = getattr(mllm, "activation_checkpointing_enable", None) or mllm.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    # transformers 5 then asks for gradients of all embeddings, those of patches too: a graph through a frozen encoder
    if getattr(mllm, "_require_grads_hook", None) is not None:
        mllm.disable_input_require_grads()


def _linear_layers(model: Sa2va) -> str:
    """Return a pattern of the names of every nn.Linear in the language model, without vision encoder and lm_head."""
    language = model.family.language_model(model.mllm)
    path = next(name for name, module in model.mllm.named_modules() if module is language)
    leaves = {name.rpartition(".")[2] for name, module in language.named_modules() if isinstance(module, nn.Linear)}
    return rf"{re.escape(path)}\..*\.({'|'.join(sorted(leaves))})"


def _untied(model: Sa2va, dtype: torch.dtype) -> list[nn.Module]:
    """Give input embeddings and output matrix their own weights and return both; hidden states keep their type."""
    embeddings: Any = model.family.input_embeddings(model.mllm)
    lm_head: Any = model.family.lm_head(model.mllm)
    if lm_head.weight is embeddings.weight:
        lm_head.weight = nn.Parameter(embeddings.weight.detach().clone())
    for config in (model.mllm.config, model.mllm.config.get_text_config()):
        config.tie_word_embeddings = False
    embeddings.register_forward_hook(lambda _module, _inputs, output: output.to(dtype))
    return [embeddings, lm_head]


def parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the trained parameters, in a fixed order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of the trained parameters on the CPU: all that a training checkpoint needs of a model."""
    return {
        name: parameter.detach().to("cpu", copy=True)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


@torch.no_grad()
def load_trainable_state(model: nn.Module, state: dict[str, Tensor]) -> None:
    """Load what `trainable_state` gave; the parameters stay the same objects.

    Raises:
        ValueError: a name is missing, left over, or has another shape; nothing is changed then.
    """
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    shared = wanted.keys() & state.keys()
    wrong = {
        "missing": wanted.keys() - state.keys(),
        "unexpected": state.keys() - wanted.keys(),
        "of another shape": {name for name in shared if wanted[name].shape != state[name].shape},
    }
    if any(wrong.values()):
        problems = "; ".join(f"{kind}: {', '.join(sorted(names))}" for kind, names in wrong.items() if names)
        raise ValueError(f"the state must have the model's trained parameters, got {problems}; was it another config?")
    for name, parameter in wanted.items():
        parameter.copy_(state[name])


@dataclass(frozen=True)
class ModelPart:
    """Holds the parameters of one part of the model."""

    name: str
    parameters: tuple[nn.Parameter, ...]

    def count(self, *, trained: bool = False) -> int:
        """Count the numbers in them, or only the trained ones."""
        return sum(weight.numel() for weight in self.parameters if weight.requires_grad or not trained)


def parts(model: Sa2va) -> list[ModelPart]:
    """Return every parameter once, by the part of the model that it belongs to."""
    family, mllm, sam2 = model.family, model.mllm, model.sam2
    adapters = [
        weight for name, weight in mllm.named_parameters() if "lora_" in name or "trainable_tokens_delta" in name
    ]
    groups: list[tuple[str, Iterable[nn.Parameter]]] = [
        ("LoRA and new token rows", adapters),
        ("token matrices", [*family.input_embeddings(mllm).parameters(), *family.lm_head(mllm).parameters()]),
        ("language model", family.language_model(mllm).parameters()),
        ("projector", family.projector(mllm).parameters()),
        ("vision encoder", mllm.parameters()),
        ("[SEG] projection", model.text_hidden_fcs.parameters()),
        ("mask decoder", sam2.sam_mask_decoder.parameters()),
        ("SAM 2 image encoder", sam2.image_encoder.parameters()),
        ("SAM 2 memory and prompts", sam2.parameters()),
        ("SAM 2's own mask decoder", model.parameters()),
    ]
    taken: set[int] = set()
    result = []
    for name, group in groups:
        own = {id(weight): weight for weight in group if id(weight) not in taken}
        taken |= own.keys()
        if own:
            result.append(ModelPart(name, tuple(own.values())))
    return result


def summary(model: Sa2va) -> str:
    """Return a table of the parts: parameters, and how many of them are trained, in millions."""
    rows = [(part.name, part.count(), part.count(trained=True)) for part in parts(model)]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    lines = [f"{name:<26}{count / 1e6:>12,.2f}{trained / 1e6:>12,.2f}" for name, count, trained in rows]
    return "\n".join([f"{'millions of parameters':<26}{'all':>12}{'trained':>12}", *lines])


@torch.no_grad()
def merged(model: Sa2va) -> dict[str, Tensor]:
    """Merge LoRA and new token rows into the weights of `model.mllm`, under the names of the plain transformers model.

    It is computed in float32, one matrix at a time, and given in the type of the frozen weights; the model does not
    change. What has no adapter is the model's own tensor, not a copy. Tied matrices are one tensor under two names.
    """
    state: dict[str, Tensor] = {}
    done: dict[int, Tensor] = {}  # token matrices by the id of their weight: tied ones are merged once
    inside: set[str] = set()
    for path, wrapped in model.mllm.named_modules(remove_duplicate=False):
        module: Any = wrapped  # peft's layers are typed in part
        if isinstance(wrapped, LoraLayer):
            layer = module.get_base_layer()
            weight = layer.weight
            state[f"{path}.weight"] = (weight.float() + module.get_delta_weight(_ADAPTER).float()).to(weight.dtype)
            if layer.bias is not None:
                state[f"{path}.bias"] = layer.bias
        elif isinstance(wrapped, TrainableTokensWrapper):
            rows = module.token_adapter
            weight = rows.get_base_layer().weight
            if id(weight) not in done:
                index = torch.tensor(rows.token_indices[_ADAPTER], device=weight.device)
                done[id(weight)] = weight.index_copy(0, index, rows.trainable_tokens_delta[_ADAPTER].to(weight))
            state[f"{path}.weight"] = done[id(weight)]
        else:
            continue
        inside.add(f"{path}.")
    prefixes = tuple(inside)
    plain = {name: value for name, value in model.mllm.state_dict().items() if not name.startswith(prefixes)}
    return plain | state
