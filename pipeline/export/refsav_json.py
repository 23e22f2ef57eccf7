"""Writes the kept rows as `Ref-SAV.json`, the training file that the official Sa2VA code reads.

That code (Sa2VA@9832e1a, datasets/sa2va_data_03_refvos.py) makes one sample of each entry. It joins paths to its folder
`sam_v_full`, which is SAV_ROOT; reads every frame with OpenCV and keeps every 4th; decodes every mask; and dies if the
two counts differ. The key of an object is its column in the mask file, not its `masklet_id`. An entry names one mask
file, so a video with kept manual and automatic objects has two entries.
"""

import json
import math
import textwrap
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow.compute as pc

from manifests.schema import MASK_STRIDE, GivenText, Status
from pipeline.export.annotations import Annotations
from stages.audit_texts import why_failed

_LEVELS = ("object_description", "scene_description", "video_description")
_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "masklet_position", "video_path", "anno_path"),
    *("frame_count", "areas_px", "expression", "short_expression", "given_texts", *_LEVELS),
)


def entries(annotations: Annotations) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the entries of `Ref-SAV.json`: the name, `<video_id>_<manual|auto>`, and its paths and objects.

    `formated` (the official spelling) is the expression. `short_caps` has the short one, if there is one: the key is
    that of the official file, whose training code reads `formated` alone; ours reads both. `object_id` and the three
    descriptions are ours. Of an audit the first given text is `formated`, and `short_caps` has the others that passed.

    Raises:
        ValueError: the official code could not read a kept row; the message has its object_id.
    """
    status = annotations.select(["status"])["status"]
    kept = annotations.rows(_COLUMNS, np.flatnonzero(pc.equal(status, Status.KEPT.value).to_numpy()))
    # An object_id begins with video and type, so the rows of one mask file are neighbours.
    for name, rows in groupby(kept, lambda row: f"{row['video_id']}_{row['masklet_type']}"):
        objects = list(rows)
        for row in objects:
            _check(row, objects[0])
        objects.sort(key=lambda row: int(row["masklet_position"]))
        yield (
            name,
            {
                "video_path": _kept_as_is(objects[0]["video_path"]),
                "anno_path": _kept_as_is(objects[0]["anno_path"]),
                "objects": {
                    str(row["masklet_position"]): {
                        "formated": row["expression"],
                        **({"short_caps": short} if (short := _short_texts(row)) else {}),
                        "object_id": row["object_id"],
                        **{level: row[level] for level in _LEVELS if row[level] is not None},
                    }
                    for row in objects
                },
            },
        )


def text(annotations: Annotations) -> Iterator[str]:
    """Yield the text of `Ref-SAV.json`, in parts."""
    return as_json(entries(annotations))


def as_json(entries: Iterable[tuple[str, object]]) -> Iterator[str]:
    """Yield an object of these names and values as indented JSON, in parts: one value is in memory at a time."""
    before = "{"
    for name, entry in entries:
        yield f"{before}\n {json.dumps(name)}: "
        yield textwrap.indent(json.dumps(entry, indent=1, ensure_ascii=False), " ").lstrip()
        before = ","
    yield "{}\n" if before == "{" else "\n}\n"


def _short_texts(row: dict[str, Any]) -> list[str]:
    if row["short_expression"]:
        return [row["short_expression"]]
    others = (GivenText.model_validate(given) for given in row["given_texts"][1:])
    return [given.text for given in others if why_failed(given) is None]


def _check(row: dict[str, Any], first: dict[str, Any]) -> None:
    """Check a kept row; `first` is the first row of the same mask file."""
    where = row["object_id"]
    stated = f"{row['video_id']}/{row['masklet_type']}/{row['masklet_position']}"
    if where != stated:
        raise ValueError(
            f"{where}: an object_id must be <video_id>/<masklet_type>/<masklet_position>, got {stated} in these columns"
        )
    for column in ("video_path", "anno_path"):
        if row[column] != first[column]:
            raise ValueError(
                f"{where}: all rows of a video must have the same {column}, got {row[column]}, and {first[column]} for "
                f"{first['object_id']}: take a video that is in two shards from one of them"
            )
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
    """Return a path that the official code leaves as it is.

    It takes `sav_000/sav_train/sav_000/` for an error and drops the first part, although Sa2VA's own instructions lay
    the files out so. A `.` between the parts prevents that, and does not change which file the path names.
    """
    above, middle, below = path.partition("/sav_train/")
    return f"{above}/.{middle}{below}" if middle and above.rpartition("/")[2] == below.partition("/")[0] else path
