"""The official names of weights and ours, both ways, as pure functions of a name.

Ours: `mllm.` + the names of transformers' own class, `grounding_encoder.sam2_model.` + the names of PyPI sam2,
`text_hidden_fcs.`; and `original_decoder.` for SAM 2's own mask decoder where it is known.
Theirs: Sa2VAChatModelQwen (Qwen families) and Sa2VAChatModel (InternVL). Source: the released ones.

One official tensor may be several of ours: InternViT has q, k and v in one matrix. `Part` says which rows.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from pipeline.sa2va.checkpoint.internvl_names import Part, our_internvl, their_internvl

MLLM = "mllm."
SAM2 = "grounding_encoder.sam2_model."
HEADS = "text_hidden_fcs."
DECODER = SAM2 + "sam_mask_decoder."
ORIGINAL_DECODER = "original_decoder."
MODIFIED_DECODER = SAM2 + "sam_mask_decoder_modified."  # Sa2VA-i: the fine-tuned one, beside SAM 2's own
_THEIR_GAMMA = re.compile(r"(memory_encoder\.fuser\.layers\.\d+)\.g_weight")
_OUR_GAMMA = re.compile(r"(memory_encoder\.fuser\.layers\.\d+)\.gamma")


def has_modified_decoder(names: Iterable[str]) -> bool:
    """Whether official `names` are those of Sa2VA-i, which keeps both mask decoders."""
    return any(name.startswith(MODIFIED_DECODER) for name in names)


def ours(name: str, family: str, *, modified: bool = False) -> tuple[Part, ...] | None:
    """What the official tensor `name` is called here.

    Args:
        name: official.
        family: of the MLLM.
        modified: the checkpoint `has_modified_decoder`.

    Returns:
        The tensors that it holds, in the order of their rows; `of` is how many. None if the layout has no such name.
    """
    if name.startswith(HEADS):
        return (Part(name),)
    if name.startswith(SAM2):
        return (Part(_our_sam2(name, modified)),)
    if family == "internvl":
        found = our_internvl(name)
    else:
        found = (Part(_our_qwen(name.removeprefix("model."))),) if name.startswith("model.") else None
    return tuple(part._replace(name=MLLM + part.name) for part in found) if found else None


def theirs(name: str, family: str) -> Part | None:
    """Which official tensor, or rows of one, our tensor `name` is.

    Returns:
        None for a name that the layout has no place for (`original_decoder.`).
    """
    if name.startswith(HEADS):
        return Part(name)
    if name.startswith(SAM2):
        return Part(_OUR_GAMMA.sub(r"\1.g_weight", name))
    if not name.startswith(MLLM):
        return None
    name = name.removeprefix(MLLM)
    return their_internvl(name) if family == "internvl" else Part("model." + name)


def family_of_names(names: Iterable[str]) -> Literal["qwen", "internvl"] | None:
    """What the official `names` look like: for a message where config.json says otherwise."""
    heads = {name.split(".")[0] for name in names}
    if "vision_model" in heads or "language_model" in heads:
        return "internvl"
    return "qwen" if "model" in heads else None


def gather(state_sizes: Mapping[str, object], family: str) -> dict[str, list[str]]:
    """Official names, sorted, each with those of ours that it is made of, in order.

    Raises:
        ValueError: names with no place in the layout, or a matrix of which a part is missing.
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
    """Transformers' present name; before 4.52 the two towers had no common `model.`."""
    if name.startswith("visual."):
        return "model." + name
    if name.startswith(("model.layers.", "model.embed_tokens.", "model.norm.")):
        return "model.language_model." + name.removeprefix("model.")
    return name
