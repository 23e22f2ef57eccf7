"""InternVL's official names and transformers', both ways.

OpenGVLab keeps q, k and v of a layer in one matrix and calls the projector mlp1. Source: the released checkpoints.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

QKV = ("q_proj", "k_proj", "v_proj")


class Part(NamedTuple):
    """Rows `at * n / of` to `(at + 1) * n / of` of the tensor `name`, which has n rows."""

    name: str
    at: int = 0
    of: int = 1


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


def our_internvl(name: str) -> tuple[Part, ...] | None:
    """What transformers calls the official `name`: one tensor, three for q, k and v; None for an unknown name."""
    tower, _, rest = name.partition(".")
    if tower == "language_model":
        head, _, tail = rest.partition(".")
        prefix = {"model": "model.language_model.", "lm_head": "lm_head."}.get(head)
        return (Part(prefix + tail),) if prefix else None
    if tower == "mlp1":
        found = _swap(rest, _PROJECTOR, 0)
        return (Part("model.multi_modal_projector." + found),) if found else None
    if tower != "vision_model":
        return None
    vit = "model.vision_tower."
    if layer := _THEIR_LAYER.fullmatch(rest):
        inside = f"{vit}encoder.layer.{layer[1]}."
        if layer[2].startswith("attn.qkv."):
            kind = layer[2].removeprefix("attn.qkv.")
            return tuple(Part(f"{inside}attention.{each}.{kind}", index, 3) for index, each in enumerate(QKV))
        found = _swap(layer[2], _VIT_LAYER, 0)
        return (Part(inside + found),) if found else None
    found = _swap(rest, _VIT, 0)
    return (Part(vit + found),) if found else None


def their_internvl(name: str) -> Part | None:
    """Which official tensor, or third of one, the tensor that transformers calls `name` is; None if there is none."""
    if name.startswith("lm_head."):
        return Part("language_model." + name)
    if name.startswith("model.language_model."):
        return Part("language_model.model." + name.removeprefix("model.language_model."))
    if name.startswith("model.multi_modal_projector."):
        found = _swap(name.removeprefix("model.multi_modal_projector."), _PROJECTOR, 1)
        return Part("mlp1." + found) if found else None
    if not name.startswith("model.vision_tower."):
        return None
    rest = name.removeprefix("model.vision_tower.")
    if layer := _OUR_LAYER.fullmatch(rest):
        inside = f"vision_model.encoder.layers.{layer[1]}."
        for index, each in enumerate(QKV):
            if layer[2].startswith(f"attention.{each}."):
                return Part(f"{inside}attn.qkv.{layer[2].rpartition('.')[2]}", index, 3)
        found = _swap(layer[2], _VIT_LAYER, 1)
        return Part(inside + found) if found else None
    found = _swap(rest, _VIT, 1)
    return Part("vision_model." + found) if found else None


def _swap(name: str, pairs: Iterable[tuple[str, str]], side: int) -> str | None:
    """`name` with the beginning that stands on `side` of a pair replaced by the other; a whole name must be whole."""
    for pair in pairs:
        mine, other = pair[side], pair[1 - side]
        if name == mine or (mine.endswith(".") and name.startswith(mine)):
            return other + name.removeprefix(mine)
    return None
