"""Predictions of a model on a split, a file for each video as it is done: the same command goes on after a kill."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.evaluation.files import read_json, write_text
from pipeline.evaluation.jpegs import Frame, Jpegs, find_frames
from pipeline.evaluation.predictions import RESULTS, results_entry, write_results
from pipeline.evaluation.split import META, Split

logger = logging.getLogger(__name__)

RUN = "run.json"  # what the predictions were made with


# (frames of a video, texts) -> per text the model's answer and its masks_THW in the frames' size, in their order
Segment = Callable[[Sequence[Frame], Sequence[str]], Sequence[tuple[str, NDArray[np.bool_]]]]


def predict(split: Split, segment: Segment, folder: Path, made_with: dict[str, Any]) -> Path:
    """Predict all expressions, a video at a time; videos whose file is there already are left as they are.

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
    write_text(folder / RUN, json.dumps(_made_with(split, made_with), indent=1) + "\n")
    index = 0
    parts = []
    with tqdm(total=sum(len(video.expressions) for video in split.videos), unit="expression") as progress:
        for video in split.videos:
            part = folder / "videos" / f"{video.video_id}.json"
            parts.append(part)
            if not part.exists():
                found = segment(Jpegs(frames, video), [each.text for each in video.expressions])
                pairs = zip(video.expressions, found, strict=True)
                write_results(
                    part,
                    [
                        results_entry(index + k, video, each, answer, masks_THW)
                        for k, (each, (answer, masks_THW)) in enumerate(pairs)
                    ],
                )
            index += len(video.expressions)
            progress.update(len(video.expressions))
    write_results(
        folder / RESULTS, [entry for part in parts for each in read_json(part).values() for entry in each.values()]
    )
    return folder / RESULTS


def check_predict(split: Split, folder: Path, made_with: dict[str, Any]) -> None:
    """Whether `predict` can begin or go on; arguments and errors as there."""
    find_frames(split)
    now = _made_with(split, made_with)
    if not (folder / RUN).exists():
        return
    before = read_json(folder / RUN)
    differing = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if differing:
        changes = "; ".join(f"{key} was {before.get(key)!r}, is {now.get(key)!r}" for key in differing)
        raise ValueError(
            f"predictions in {folder} are all made with the same, but {changes}. Give another --out or another "
            "NAME=, or remove the folder"
        )
    logger.info("%s: %d videos were predicted before", folder, len(list((folder / "videos").glob("*.json"))))


def _made_with(split: Split, made_with: dict[str, Any]) -> dict[str, Any]:
    """What the predictions depend on, as it reads after being written: lists for tuples."""
    content: dict[str, Any] = json.loads(json.dumps({**made_with, "split_sha256": _sha256(split.folder / META)}))
    return content


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
