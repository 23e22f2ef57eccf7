"""The official names of weights and ours, both ways, as pure functions of a name.

Ours: `mllm.` + the names of transformers' own class, `grounding_encoder.sam2_model.` + the names of PyPI sam2,
`text_hidden_fcs.`; and `original_decoder.` for SAM 2's own mask decoder where it is known.
Theirs: Sa2VAChatModelQwen (Qwen families) and Sa2VAChatModel (InternVL). Source: the released checkpoints.

One official tensor may be several of ours: OpenGVLab keeps q, k and v of a layer of InternViT in one matrix (and calls
the projector mlp1). `TensorRows` says which rows.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

MLLM = "mllm."
SAM2 = "grounding_encoder.sam2_model."
HEADS = "text_hidden_fcs."
DECODER = SAM2 + "sam_mask_decoder."
ORIGINAL_DECODER = "original_decoder."
MODIFIED_DECODER = SAM2 + "sam_mask_decoder_modified."  # Sa2VA-i: the fine-tuned one, beside SAM 2's own
_THEIR_GAMMA = re.compile(r"(memory_encoder\.fuser\.layers\.\d+)\.g_weight")
_OUR_GAMMA = re.compile(r"(memory_encoder\.fuser\.layers\.\d+)\.gamma")
QKV = ("q_proj", "k_proj", "v_proj")
# Official names and transformers' InternVL, each pair written as the pattern of the one and the text of the other.
_VIT = (
    ("embeddings.class_embedding", "embeddings.cls_token"),
    ("embeddings.position_embedding", "embeddings.position_embeddings"),
    ("embeddings.patch_embedding.", "embeddings.patch_embeddings.projection."),
)
_VIT_LAYER = (
    ("attn.proj.", "attention.projection_layer."),
    ("attn.q_norm.", "attention.q_norm."),
    ("attn.k_norm.", "attention.k_norm."),
    ("norm1.", "layernorm_before."),
    ("norm2.", "layernorm_after."),
    ("ls1", "lambda_1"),
    ("ls2", "lambda_2"),
    ("mlp.", "mlp."),
)
_PROJECTOR = (("0.", "layer_norm."), ("1.", "linear_1."), ("3.", "linear_2."))
_THEIR_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)")
_OUR_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


class TensorRows(NamedTuple):
    """Names rows `at * n / of` to `(at + 1) * n / of` of the tensor `name`, which has n rows."""

    name: str
    at: int = 0
    of: int = 1


def has_modified_decoder(names: Iterable[str]) -> bool:
    """Return whether official `names` are those of Sa2VA-i, which keeps both mask decoders."""
    return any(name.startswith(MODIFIED_DECODER) for name in names)


def ours(name: str, family: str, *, modified: bool = False) -> tuple[TensorRows, ...] | None:
    """Return what the official tensor `name` is called here.

    Args:
        name: official name.
        family: name of the MLLM's family.
        modified: the checkpoint `has_modified_decoder`.

    Returns:
        The tensors that it holds, in the order of their rows; `of` is how many. None if the layout has no such name.
    """
    if name.startswith(HEADS):
        return (TensorRows(name),)
    if name.startswith(SAM2):
        return (TensorRows(_our_sam2(name, modified)),)
    if family == "internvl":
        result = our_internvl(name)
    else:
        result = (TensorRows(_our_qwen(name.removeprefix("model."))),) if name.startswith("model.") else None
    return tuple(part._replace(name=MLLM + part.name) for part in result) if result else None


def theirs(name: str, family: str) -> TensorRows | None:
    """Return which official tensor, or rows of one, our tensor `name` is.

    Returns:
        None for a name that the layout has no place for (`original_decoder.`).
    """
    if name.startswith(HEADS):
        return TensorRows(name)
    if name.startswith(SAM2):
        return TensorRows(_OUR_GAMMA.sub(r"\1.g_weight", name))
    if not name.startswith(MLLM):
        return None
    name = name.removeprefix(MLLM)
    return their_internvl(name) if family == "internvl" else TensorRows("model." + name)


def family_of_names(names: Iterable[str]) -> Literal["qwen", "internvl"] | None:
    """Guess the family from official `names`, for a message where config.json says otherwise."""
    heads = {name.split(".")[0] for name in names}
    if "vision_model" in heads or "language_model" in heads:
        return "internvl"
    return "qwen" if "model" in heads else None


def gather(state_sizes: Mapping[str, object], family: str) -> dict[str, list[str]]:
    """Return the official names, sorted, and for every one our names that it is made of, in order.

    Raises:
        ValueError: the layout has no place for a name, or a part of a matrix is missing.
    """
    parts: dict[str, dict[int, str]] = {}
    of: dict[str, int] = {}
    lost = []
    for name in state_sizes:
        part = theirs(name, family)
        if part is None:
            lost.append(name)
            continue
        parts.setdefault(part.name, {})[part.at] = name
        of[part.name] = part.of
    lost += [name for name, have in parts.items() if len(have) != of[name]]
    if lost:
        raise ValueError(f"every weight needs a place in the official layout, got none for {sorted(lost)[:20]}")
    return {name: [have[index] for index in range(of[name])] for name, have in sorted(parts.items())}


def _our_sam2(name: str, modified: bool) -> str:
    if modified and name.startswith(MODIFIED_DECODER):
        return DECODER + name.removeprefix(MODIFIED_DECODER)
    if modified and name.startswith(DECODER):
        return ORIGINAL_DECODER + name.removeprefix(DECODER)
    return _THEIR_GAMMA.sub(r"\1.gamma", name)


def _our_qwen(name: str) -> str:
    """Return the present name in transformers; before 4.52 the two towers had no common `model.`."""
    if name.startswith("visual."):
        return "model." + name
    if name.startswith(("model.layers.", "model.embed_tokens.", "model.norm.")):
        return "model.language_model." + name.removeprefix("model.")
    return name


def our_internvl(name: str) -> tuple[TensorRows, ...] | None:
    """Return what transformers calls the official `name`: one tensor, three for q, k and v; None if it is unknown."""
    tower, _, rest = name.partition(".")
    if tower == "language_model":
        head, _, tail = rest.partition(".")
        prefix = {"model": "model.language_model.", "lm_head": "lm_head."}.get(head)
        return (TensorRows(prefix + tail),) if prefix else None
    if tower == "mlp1":
        result = _swap(rest, _PROJECTOR, 0)
        return (TensorRows("model.multi_modal_projector." + result),) if result else None
    if tower != "vision_model":
        return None
    vit = "model.vision_tower."
    if layer := _THEIR_LAYER.fullmatch(rest):
        inside = f"{vit}encoder.layer.{layer[1]}."
        if layer[2].startswith("attn.qkv."):
            kind = layer[2].removeprefix("attn.qkv.")
            return tuple(
                TensorRows(f"{inside}attention.{projection}.{kind}", index, 3) for index, projection in enumerate(QKV)
            )
        result = _swap(layer[2], _VIT_LAYER, 0)
        return (TensorRows(inside + result),) if result else None
    result = _swap(rest, _VIT, 0)
    return (TensorRows(vit + result),) if result else None


def their_internvl(name: str) -> TensorRows | None:
    """Return which official tensor, or third of one, transformers' tensor `name` is; None if there is none."""
    if name.startswith("lm_head."):
        return TensorRows("language_model." + name)
    if name.startswith("model.language_model."):
        return TensorRows("language_model.model." + name.removeprefix("model.language_model."))
    if name.startswith("model.multi_modal_projector."):
        result = _swap(name.removeprefix("model.multi_modal_projector."), _PROJECTOR, 1)
        return TensorRows("mlp1." + result) if result else None
    if not name.startswith("model.vision_tower."):
        return None
    rest = name.removeprefix("model.vision_tower.")
    if layer := _OUR_LAYER.fullmatch(rest):
        inside = f"vision_model.encoder.layers.{layer[1]}."
        for index, projection in enumerate(QKV):
            if layer[2].startswith(f"attention.{projection}."):
                return TensorRows(f"{inside}attn.qkv.{layer[2].rpartition('.')[2]}", index, 3)
        result = _swap(layer[2], _VIT_LAYER, 1)
        return TensorRows(inside + result) if result else None
    result = _swap(rest, _VIT, 1)
    return TensorRows("vision_model." + result) if result else None


def _swap(name: str, pairs: Iterable[tuple[str, str]], side: int) -> str | None:
    """Replace the beginning of `name` that stands on `side` of a pair by the other side; None if no pair fits.

    A side that ends with a dot stands for a beginning, any other for the complete name.
    """
    for pair in pairs:
        mine, other = pair[side], pair[1 - side]
        if name == mine or (mine.endswith(".") and name.startswith(mine)):
            return other + name.removeprefix(mine)
    return None
