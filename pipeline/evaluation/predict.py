"""Predictions of a model on a split: made a video at a time, written and read in the official format.

`results.json`: video -> expression -> {index, video_id, exp_id, text_prediction, frames, exp, prediction_masks}, the
masks as COCO RLE, one a frame. The official script writes the whole prompt as exp, ours the expression.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from manifests.outputs import PREDICTIONS, SPLIT_EXPRESSIONS
from pipeline.evaluation.json_files import MismatchError, read_json, some, write_text
from pipeline.evaluation.sources import MADE_WITH
from pipeline.evaluation.split import Jpegs, Split, SplitExpression, SplitVideo, find_frames
from pipeline.sa2va.checkpoint.sidecar import read_trained_on
from stages.video import rle
from stages.video.images import Image
from stages.video.rle import Rle

logger = logging.getLogger(__name__)

# (frames of a video, texts) -> per text the model's reply and its masks_THW in the frames' size, in their order
Segment = Callable[[Sequence[Image], Sequence[str]], Sequence[tuple[str, NDArray[np.bool_]]]]
_FRAMES = "frames_sha256"  # in MADE_WITH: video -> of the JPEGs that it was predicted from

Missing = Literal["refuse", "zero"]
Predictions = dict[str, dict[str, list[Rle | None]]]  # video -> expression -> a mask a frame, not checked yet
_WAY_OUT = (
    "Predict on this split again. --missing zero counts expressions without a prediction as empty masks; the rest "
    "cannot be scored."
)


def predict(split: Split, segment: Segment, folder: Path, made_with: dict[str, Any]) -> Path:
    """Predict all expressions, a video at a time, so that the same command goes on after a kill.

    Videos whose file is there already are left as they are.

    Args:
        split: with its frames as JPEGs.
        segment: the model.
        folder: gets `videos/<video>.json` and, when all are done, `results.json`.
        made_with: what else the predictions depend on (model, settings); must stay the same when going on.

    Returns:
        The path of `results.json`.

    Raises:
        MismatchError: frames are missing.
        ValueError: the folder has predictions made with something else, or a frame cannot be read.
    """
    check_predict(split, folder, made_with)
    frames = find_frames(split)
    before = read_json(folder / MADE_WITH) if (folder / MADE_WITH).exists() else {}
    now = _made_with(split, made_with) | {_FRAMES: before.get(_FRAMES, {})}
    write_text(folder / MADE_WITH, json.dumps(now, indent=1) + "\n")
    index = 0
    parts = []
    with tqdm(total=sum(len(video.expressions) for video in split.videos), unit="expression") as progress:
        for video in split.videos:
            part = _part(folder, video)
            parts.append(part)
            if not part.exists():
                now[_FRAMES][video.video_id] = _frames_sha256(frames, video)
                write_text(folder / MADE_WITH, json.dumps(now, indent=1) + "\n")
                segmented = segment(Jpegs(frames, video), [expression.text for expression in video.expressions])
                pairs = zip(video.expressions, segmented, strict=True)
                write_results(
                    part,
                    [
                        results_entry(index + k, video, expression, reply, masks_THW)
                        for k, (expression, (reply, masks_THW)) in enumerate(pairs)
                    ],
                )
            index += len(video.expressions)
            progress.update(len(video.expressions))
    of_videos = [of_video for part in parts for of_video in read_json(part).values()]
    write_results(folder / PREDICTIONS, [entry for of_video in of_videos for entry in of_video.values()])
    return folder / PREDICTIONS


def check_predict(split: Split, folder: Path, made_with: dict[str, Any]) -> None:
    """Refuse what `predict` would refuse, before a model is loaded; its arguments and errors are the same."""
    frames = find_frames(split)
    now = _made_with(split, made_with)
    if not (folder / MADE_WITH).exists():
        return
    before = read_json(folder / MADE_WITH)
    sha256s = before.pop(_FRAMES, {}) if isinstance(before, dict) else None
    if not isinstance(sha256s, dict):
        raise ValueError(f"{folder / MADE_WITH} must say what the predictions were made with; remove the folder")
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        changes = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing)
        raise ValueError(
            f"predictions in {folder} are all made with the same, but {changes}. Give another --out or another "
            "NAME=, or remove the folder"
        )
    done = [video for video in split.videos if _part(folder, video).exists()]
    # the file of a run that stopped before this was written down has no sum
    changed = [
        video.video_id
        for video in done
        if video.video_id in sha256s and sha256s[video.video_id] != _frames_sha256(frames, video)
    ]
    if changed:
        raise ValueError(
            f"the predictions in {folder} were made from other frames than those in {frames} for {len(changed)} "
            f"videos: {some(changed)}. Remove these videos' files from {folder / 'videos'} to predict them again, give "
            "another --out, or bring the frames back"
        )
    logger.info("%s: %d videos were predicted before", folder, len(done))


def _made_with(split: Split, made_with: dict[str, Any]) -> dict[str, Any]:
    """Return what the predictions depend on, as it reads after being written: lists for tuples."""
    content: dict[str, Any] = json.loads(
        json.dumps({**made_with, "split_sha256": _sha256(split.folder / SPLIT_EXPRESSIONS)})
    )
    return content


def _part(folder: Path, video: SplitVideo) -> Path:
    """Return the path of a video's predictions."""
    return folder / "videos" / f"{video.video_id}.json"


def _sha256(*paths: Path) -> str:
    """Return the sum of the files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _frames_sha256(frames: Path, video: SplitVideo) -> str:
    return _sha256(*(frames / video.video_id / f"{name}.jpg" for name in video.frames))


def check_unseen(model: Path, split: Split, *, allow: bool) -> None:
    """Refuse to score a model on videos that it has learned from: the figures would say nothing of others.

    The videos of `split` are compared with those that the checkpoint in the folder `model` says it was trained on.

    Args:
        model: a folder; one that does not say (an official checkpoint) passes.
        split: to be scored on.
        allow: only log what would be refused.

    Raises:
        ValueError: they have videos in common; the first are named.
    """
    learned = read_trained_on(model)
    both = [video.video_id for video in split.videos if video.video_id in learned]
    if not both:
        return
    message = (
        f"a model is scored on videos that it has not learned from, but {model} was trained on {len(both)} of the "
        f"{len(split.videos)} videos in {split.folder}: {some(both)}"
    )
    if not allow:
        raise ValueError(
            f"{message}. Train with --split {split.folder}, which leaves them out; or give --allow-overlap, and do not "
            "compare the figures with others'"
        )
    logger.warning("%s", message)


def read_predictions(path: Path, split: Split, missing: Missing = "refuse") -> Predictions:
    """Read the masks of every expression of a split.

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
    ids = {video.video_id for video in split.videos}
    problems = [f"{video_id}: not a video of the split" for video_id in content if video_id not in ids]
    predictions: Predictions = {}
    for video in split.videos:
        entries = content.get(video.video_id, {})
        if not isinstance(entries, dict):
            problems.append(f"{video.video_id}: its entry is an object, got {str(entries)[:80]}")
            continue
        problems += [f"{video.video_id}: {fault}" for fault in _faults(entries, video, missing)]
        predictions[video.video_id] = {
            one.exp_id: entries[one.exp_id]["prediction_masks"] if one.exp_id in entries else [None] * len(video.frames)
            for one in ([] if problems else video.expressions)
        }
    if problems:
        raise MismatchError(f"{path} does not fit {split.folder}", problems, _WAY_OUT)
    return predictions


def results_entry(
    index: int, video: SplitVideo, expression: SplitExpression, reply: str, masks_THW: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return what `results.json` says of an expression.

    Args:
        index: of the expression in the split, as the official script counts them.
        video: whose frames the masks are of.
        expression: what was asked.
        reply: of the language model.
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
        "text_prediction": reply,
        "frames": list(video.frames),
        "exp": expression.text,
        "prediction_masks": [rle.from_mask(mask_HW) for mask_HW in masks_THW],
    }


def write_results(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Write entries as a `results.json`, or as that part of one, in their order."""
    content: dict[str, dict[str, Any]] = {}
    for entry in entries:
        content.setdefault(entry["video_id"], {})[entry["exp_id"]] = entry
    write_text(path, json.dumps(content, ensure_ascii=False))


def _faults(entries: dict[str, Any], video: SplitVideo, missing: Missing) -> Iterator[str]:
    wanted = {one.exp_id: one for one in video.expressions}
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
        names = list(map(str, frames)) if isinstance(frames, list) else [str(frames)]
        if frames is not None and [PurePath(name).stem for name in names] != list(video.frames):
            got = some(names, 3)
            yield f"expression {exp_id}: frames are those of the split, {some(video.frames, 3)}, got {got}"
        if text is not None and _letters(wanted[exp_id].text) not in _letters(str(text)):
            yield f"expression {exp_id}: the text of the split is {wanted[exp_id].text!r}, got {text!r}"
        nulls = [name for name, mask in zip(video.frames, masks, strict=False) if mask is None]
        if nulls:
            yield f"expression {exp_id}: a mask without a pixel is an RLE too, got null at {some(nulls)}"


def _letters(text: str) -> str:
    """Return what stays of a text in a prompt that was made of it."""
    return "".join(filter(str.isalnum, text.casefold()))
