"""Which tensors of a checkpoint go where in the model; and if they do not fit, every one that does not."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.internvl_names import Part

_FEW = 20  # names of each kind that are told


def places_of(
    shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, Tensor], family: str, *, modified: bool, folder: Path
) -> dict[str, tuple[Part, ...]]:
    """The places of each official tensor, in the order of its rows.

    Args:
        shapes: of the checkpoint's tensors, by official name.
        wanted: the model's tensors. Its `original_decoder` is filled from here only if `modified`.
        family: of the MLLM.
        modified: the checkpoint `has_modified_decoder`.
        folder: of the checkpoint, for messages.

    Raises:
        ValueError: names without a place, places without a name, other shapes: all of them are counted.
    """
    places: dict[str, tuple[Part, ...]] = {}
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
    told = [
        f"{len(found)} {kind}: {', '.join(found[:_FEW])}{' …' if len(found) > _FEW else ''}"
        for kind, found in ((kind, sorted(each)) for kind, each in wrong.items())
        if found
    ]
    if told:
        looks = names.family_of_names(shapes)
        raise ValueError(
            f"the weights of {folder} must be those that its config.json describes, got {'; '.join(told)}. They look "
            f"like those of {f'a Sa2VA with {looks} inside' if looks else 'no Sa2VA'}. Is config.json of another "
            "checkpoint, or SAM 2 another one than Sam2Config or refsav.json says?"
        )
