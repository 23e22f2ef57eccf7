"""Writes the negatives of the kept rows as `negatives.json`: texts that fit nothing in their video, or another object.

The file has an object with a list for every video, in the order of the rows, so the same run gives the same bytes.
Every negative has its proof: for each object the claim that decides, what was measured, and the source frames that
show it (multiples of 4, from the times of the facts).
"""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow.compute as pc

from manifests.schema import MASK_STRIDE, Status
from pipeline.export.annotations import Annotations
from pipeline.export.refsav_json import as_json

_COLUMNS = ("object_id", "video_id", "frame_count", "video_fps", "negatives")
_EARLY = 1e-3  # of an annotated frame: a time is rounded, and an annotated frame begins at it


def entries(annotations: Annotations) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield the id of every video with negatives, and its negatives."""
    status = annotations.select(["status"])["status"]
    kept = annotations.rows(_COLUMNS, np.flatnonzero(pc.equal(status, Status.KEPT.value).to_numpy()))
    for video_id, rows in groupby(kept, lambda row: str(row["video_id"])):
        negatives = [_with_frames(negative, row) for row in rows for negative in row["negatives"]]
        if negatives:
            yield video_id, negatives


def text(annotations: Annotations) -> Iterator[str]:
    """Yield the text of `negatives.json`, in parts."""
    return as_json(entries(annotations))


def _with_frames(negative: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """Return a negative with the object whose text was changed, and source frames in place of times."""
    rulings = [
        {name: value for name, value in ruling.items() if name != "times_s"}
        | {"frames": sorted({_frame(time_s, row) for time_s in ruling["times_s"]})}
        for ruling in negative["rulings"]
    ]
    return {"object_id": row["object_id"], **negative, "rulings": rulings}


def _frame(time_s: float, row: dict[str, Any]) -> int:
    """Return the annotated source frame that is shown at a time."""
    frame_count, video_fps = int(row["frame_count"]), float(row["video_fps"])
    last = math.ceil(frame_count / MASK_STRIDE) - 1
    return MASK_STRIDE * min(last, int(time_s * video_fps / MASK_STRIDE + _EARLY))
