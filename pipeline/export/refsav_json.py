"""Kept rows as `Ref-SAV.json`, the training file that the official Sa2VA loader reads.

What that loader does (Sa2VA 9832e1a, datasets/sa2va_data_03_refvos.py): one sample per entry; paths are joined to its
`sam_v_full` folder, which is SAV_ROOT; every frame is read with OpenCV and every 4th kept; every mask is decoded; the
two counts must agree, or the worker dies. The key of an object is its column in the mask file, not its `masklet_id`.
An entry names one mask file, so a video with kept manual and automatic objects has two entries.
"""

import json
import math
import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow.compute as pc

from manifests.schema import MASK_STRIDE, Status
from pipeline.export.annotations import Annotations

_LEVELS = ("object_description", "scene_description", "video_description")
_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "masklet_position", "video_path", "anno_path"),
    *("frame_count", "areas_px", "expression", *_LEVELS),
)


def entries(annotations: Annotations) -> Iterator[tuple[str, dict[str, Any]]]:
    """The content of `Ref-SAV.json`, item by item: `"<video_id>_<manual|auto>"`, and its paths and objects.

    `formated` (the loader's spelling) is the expression. `object_id` and the three levels are ours; the loader
    does not look at them.

    Raises:
        ValueError: a kept row that the loader would choke on, named by its object_id.
    """
    status = annotations.select(["status"])["status"]
    kept = annotations.rows(_COLUMNS, np.flatnonzero(pc.equal(status, Status.KEPT.value).to_numpy()))
    # object_ids begin with video and type: the rows of a file are neighbours
    for name, rows in groupby(kept, lambda row: f"{row['video_id']}_{row['masklet_type']}"):
        objects = sorted(rows, key=lambda row: int(row["masklet_position"]))
        for row in objects:
            _check(row)
        yield (
            name,
            {
                "video_path": _kept_as_is(objects[0]["video_path"]),
                "anno_path": _kept_as_is(objects[0]["anno_path"]),
                "objects": {
                    str(row["masklet_position"]): {
                        "formated": row["expression"],
                        "object_id": row["object_id"],
                        **{level: row[level] for level in _LEVELS},
                    }
                    for row in objects
                },
            },
        )


def text(annotations: Annotations) -> Iterator[str]:
    """The file, entry by entry."""
    before = "{"
    for name, entry in entries(annotations):
        yield f"{before}\n {json.dumps(name)}: "
        yield textwrap.indent(json.dumps(entry, indent=1, ensure_ascii=False), " ").lstrip()
        before = ","
    yield "{}\n" if before == "{" else "\n}\n"


def _check(row: dict[str, Any]) -> None:
    where = row["object_id"]
    if not row["expression"]:
        raise ValueError(f"{where}: a kept row must have an expression, got {row['expression']!r}")
    expected = math.ceil(row["frame_count"] / MASK_STRIDE)
    if len(row["areas_px"]) != expected:
        raise ValueError(
            f"{where}: {row['anno_path']} must have a mask for every {MASK_STRIDE}th of {row['frame_count']} frames, "
            f"that is {expected}, got {len(row['areas_px'])}; select_objects rejects such a video"
        )
    for path in (row["video_path"], row["anno_path"]):
        if path.split("/").count("sav_train") > 1:
            raise ValueError(f"{where}: the loader wants a path with one part 'sav_train' at most, got '{path}'")


def _kept_as_is(path: str) -> str:
    """A path that leads the loader to the file where it lies.

    It takes `sav_000/sav_train/sav_000/` for a slip and drops the first part, though Sa2VA's own instructions lay
    files out so. With a `.` between them the two parts are no longer neighbours, and every file system passes over it.
    """
    above, found, below = path.partition("/sav_train/")
    return f"{above}/.{found}{below}" if found and above.rpartition("/")[2] == below.partition("/")[0] else path
