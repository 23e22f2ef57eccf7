"""Masks that a model predicted, in the official format.

`results.json`: video -> expression -> {index, video_id, exp_id, text_prediction, frames, exp, prediction_masks}, the
masks as COCO RLE, one a frame. The official script writes the whole prompt as exp, ours the expression.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.evaluation.files import read_json, write_text
from pipeline.evaluation.masks import Rle
from pipeline.evaluation.problems import MismatchError, some
from pipeline.evaluation.split import Split, SplitExpression, SplitVideo

RESULTS = "results.json"
Missing = Literal["refuse", "zero"]
Predictions = dict[str, dict[str, list[Rle | None]]]  # video -> expression -> a mask a frame, not checked yet
_WAY_OUT = (
    "Predict on this split again. --missing zero counts expressions without a prediction as empty masks; the rest "
    "cannot be scored."
)


def read_predictions(path: Path, split: Split, missing: Missing = "refuse") -> Predictions:
    """The masks of every expression of a split.

    Args:
        path: of a `results.json`.
        split: what was to be predicted.
        missing: what becomes of expressions that have no entry: an error, or empty masks.

    Raises:
        MismatchError: an expression is missing or not of the split, or its text, frames or number of masks differ.
        ValueError: the file is not there or no JSON, or an entry is there twice.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is an object with an entry for each video, got a {type(content).__name__}")
    problems = [f"{video_id}: not a video of the split" for video_id in content if video_id not in _ids(split)]
    found: Predictions = {}
    for video in split.videos:
        entries = content.get(video.video_id, {})
        if not isinstance(entries, dict):
            problems.append(f"{video.video_id}: its entry is an object, got {str(entries)[:80]}")
            continue
        problems += [f"{video.video_id}: {fault}" for fault in _faults(entries, video, missing)]
        found[video.video_id] = {
            each.exp_id: entries[each.exp_id]["prediction_masks"] if each.exp_id in entries else _none(video)
            for each in ([] if problems else video.expressions)
        }
    if problems:
        raise MismatchError(f"{path} does not fit {split.folder}", problems, _WAY_OUT)
    return found


def results_entry(
    index: int, video: SplitVideo, expression: SplitExpression, answer: str, masks_THW: NDArray[np.bool_]
) -> dict[str, Any]:
    """What `results.json` says of an expression.

    Args:
        index: of the expression in the split, as the official script counts them.
        video: whose frames the masks are of.
        expression: what was asked.
        answer: of the language model.
        masks_THW: at the frames of the video, in its size.

    Raises:
        ValueError: the masks are of another shape.
    """
    shape = (len(video.frames), video.height_px, video.width_px)
    if masks_THW.shape != shape:
        raise ValueError(f"{video.video_id}, expression {expression.exp_id}: masks are {shape}, got {masks_THW.shape}")
    return {
        "index": index,
        "video_id": video.video_id,
        "exp_id": expression.exp_id,
        "text_prediction": answer,
        "frames": list(video.frames),
        "exp": expression.text,
        "prediction_masks": [_encode(mask_HW) for mask_HW in masks_THW],
    }


def write_results(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries as a `results.json`, or as that part of one, in their order."""
    content: dict[str, dict[str, Any]] = {}
    for entry in entries:
        content.setdefault(entry["video_id"], {})[entry["exp_id"]] = entry
    write_text(path, json.dumps(content, ensure_ascii=False))


def _faults(entries: dict[str, Any], video: SplitVideo, missing: Missing) -> Iterator[str]:
    wanted = {each.exp_id: each for each in video.expressions}
    lacking = [exp_id for exp_id in wanted if exp_id not in entries]
    if lacking and missing == "refuse":
        yield f"no prediction for expressions {some(lacking)}"
    for exp_id, entry in entries.items():
        if exp_id not in wanted:
            yield f"expression {exp_id}: not of the split"
            continue
        masks = entry.get("prediction_masks") if isinstance(entry, dict) else None
        if not isinstance(masks, list):
            yield f"expression {exp_id}: prediction_masks is a list, got {str(masks)[:80]}"
            continue
        if len(masks) != len(video.frames):
            yield f"expression {exp_id}: a mask for each of the {len(video.frames)} frames, got {len(masks)}"
        frames, text = entry.get("frames"), entry.get("exp")
        if frames is not None and [PurePath(str(name)).stem for name in frames] != list(video.frames):
            got = some(list(map(str, frames)), 3)
            yield f"expression {exp_id}: frames are those of the split, {some(video.frames, 3)}, got {got}"
        if text is not None and _letters(wanted[exp_id].text) not in _letters(str(text)):
            yield f"expression {exp_id}: the text of the split is {wanted[exp_id].text!r}, got {text!r}"
        nulls = [name for name, mask in zip(video.frames, masks, strict=False) if mask is None]
        if nulls:
            yield f"expression {exp_id}: a mask without a pixel is an RLE too, got null at {some(nulls)}"


def _letters(text: str) -> str:
    """What stays of a text in a prompt that was made of it."""
    return "".join(filter(str.isalnum, text.casefold()))


def _ids(split: Split) -> set[str]:
    return {video.video_id for video in split.videos}


def _none(video: SplitVideo) -> list[Rle | None]:
    return [None] * len(video.frames)


def _encode(mask_HW: NDArray[np.bool_]) -> Rle:
    rle: Rle = coco.encode(np.asfortranarray(mask_HW.astype(np.uint8)))
    return {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode()}
