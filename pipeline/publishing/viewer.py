"""Makes the viewer of a dataset: `index.html` and data files `viewer/*.js`, which open from disk, without a server.

A page that is opened from disk may not fetch files, but it may run scripts that lie beside it. So every data file is a
call of one function, `refsav(kind, number, data)`, with data as JSON. There are three kinds, loaded when needed:

- `index`: of 10,000 rows what can be searched and filtered; all of them are loaded, one after the other;
- `rows`: of 200 rows all texts and facts that are shown;
- `pictures`: of 10 rows with a picture the views, and, where videos are at hand, frames with the outline of the mask.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import to_json

from manifests.schema import Status
from pipeline.export.annotations import Annotations, Indices
from pipeline.export.report import kept_first
from pipeline.export.static_page import json_object, render_page
from pipeline.publishing.features import IMAGES

PAGE, FOLDER = "index.html", "viewer"
MAX_ROWS = 100_000  # most rows listed: 60 MB of texts to search in, which a browser takes within seconds
MAX_PICTURES = 2_000  # most rows with a picture: about 100 MB, twice as much with frames
_INDEX_ROWS, _DETAIL_ROWS, _PICTURE_ROWS = 10_000, 200, 10
_MOST_NUMBERS = 24  # shown of a list in a column that the page does not know
_LEVELS = ("object_description", "scene_description", "video_description")
_FACTS = (
    "size",
    "motion",
    "camera",
    "place_start",
    "place_end",
    "colours",
    "visible_spans",
    "occluded_spans",
    "duration_s",
)
_SHOWN = (
    *("object_id", "status", "stage", "reason", "detail", "expression", *_LEVELS),
    *("caption_crop", "caption_masked", "verdict", "conflict", "repairs", "contradictions"),
    *("recipe", "models", "prompt_ids", "width_px", "height_px"),
)
_SEARCHED = ("expression", "short_expression", "detail", "caption_crop", "caption_masked")
_HIDDEN = frozenset(  # columns that the viewer has no use for, or shows in another way
    {
        *("video_id", "shard", "masklet_type", "masklet_position", "masklet_id", "video_path", "anno_path"),
        *("frame_count", "video_fps", "areas_px", "boxes_px", "best_index", "part_of", "siblings", "attempts"),
        *("facts", "video_times_s", *IMAGES, "writer", "calls", "seconds_s", "commit"),
        *("short_texts", "minimal"),  # where short_expression is from
        *("lineup", "lineup_before", "catch_trials", "given_texts"),  # trials of a judge, which the report draws
    }
)
# From a row, frames of its video: (JPEG, outlines of the mask as lists of x, y in thousandths of the frame)
FramesOf = Callable[[dict[str, Any]], list[tuple[bytes, list[list[int]]]]]


def write_viewer(
    annotations: Annotations,
    root: Path,
    about: Mapping[str, object],
    *,
    frames_of: FramesOf | None = None,
    max_rows: int = MAX_ROWS,
    max_pictures: int = MAX_PICTURES,
) -> None:
    """Write the viewer into the folder of a dataset.

    Args:
        annotations: the published rows.
        root: the folder of the dataset.
        about: what stands at the top: title, lede and figures.
        frames_of: reads frames and masks of a row; None = only the views that are in the rows.
        max_rows: most rows listed, kept ones first; of more, so many are chosen evenly, and the page says so.
        max_pictures: most rows with a picture, chosen in the same way.
    """
    parts = [pc.equal(batch["status"], Status.KEPT.value) for batch in annotations.batches(["status"], _INDEX_ROWS)]
    kept = np.concatenate([np.zeros(0, bool), *(part.to_numpy() for part in parts)])
    listed = kept_first(np.arange(annotations.num_rows), kept, max_rows)
    with_preview = annotations.valid("preview_jpeg")
    pictured = np.sort(kept_first(np.sort(listed[with_preview[listed]]), kept, max_pictures))
    picture_of = {int(row): number for number, row in enumerate(pictured)}
    (root / FOLDER).mkdir()
    names: dict[str, list[str]] = {"state": [], "reason": [], "size": [], "motion": []}
    _write_rows(annotations, root / FOLDER, listed, picture_of, names)
    _write_pictures(annotations, root / FOLDER, pictured, frames_of)
    head = {
        **about,
        "total": annotations.num_rows,
        "rows": len(listed),
        "pictures": len(pictured),
        "names": names,
        "index_rows": _INDEX_ROWS,
        "detail_rows": _DETAIL_ROWS,
        "picture_rows": _PICTURE_ROWS,
    }
    page = render_page("viewer.html", {"data": json_object(head.items())}, __package__)
    (root / PAGE).write_text("".join(page), encoding="utf-8")


def _write_rows(
    annotations: Annotations, folder: Path, listed: Indices, picture_of: Mapping[int, int], names: dict[str, list[str]]
) -> None:
    """Write the files `index` and `rows`; fill `names` with the values that can be filtered by."""
    places: dict[str, dict[str, int]] = {name: {} for name in names}
    index: list[list[object]] = []
    details: list[dict[str, Any]] = []
    files = {"index": 0, "rows": 0}

    def end(kind: str, held: list[Any]) -> None:
        _write(folder, kind, files[kind], held)
        files[kind] += 1
        held.clear()

    others = [
        field.name
        for field in annotations.schema
        if field.name not in _HIDDEN and field.name not in _SHOWN and not pa.types.is_binary(field.type)
    ]
    columns = [*(name for name in _SHOWN if name in annotations.schema.names), *others, "facts"]
    for number, row in zip(listed.tolist(), annotations.rows(columns, listed), strict=True):
        facts = row.pop("facts")
        values = {
            "state": row["status"],
            "reason": row["reason"],
            "size": facts and facts["size"],
            "motion": facts and facts["motion"],
        }
        codes = [places[name].setdefault(value or "", len(places[name])) for name, value in values.items()]
        text = " ".join([row["object_id"], *(value for name in _SEARCHED if (value := row.get(name)))])
        picture = picture_of.get(number, -1)
        index.append([row["object_id"], *codes, picture, text.lower()])
        shown = {name: value for name, value in row.items() if value not in (None, [], "") and name in _SHOWN}
        more = {name: _told(value) for name, value in row.items() if value not in (None, [], "") and name in others}
        details.append({**shown, "facts": facts and {name: facts[name] for name in _FACTS}, "more": more})
        if len(index) == _INDEX_ROWS:
            end("index", index)
        if len(details) == _DETAIL_ROWS:
            end("rows", details)
    for kind, held in (("index", index), ("rows", details)):
        if held:
            end(kind, held)
    for name, codes_of in places.items():
        names[name] = list(codes_of)


def _told(value: Any) -> Any:
    """Return what the page tells of a column that it does not know.

    Of texts with their proofs these are the texts, and of a long list of numbers, such as an embedding, its length.
    """
    if isinstance(value, list) and all(isinstance(one, dict) and "text" in one for one in value):
        return "; ".join(str(one["text"]) for one in value)
    if isinstance(value, list) and len(value) > _MOST_NUMBERS and not isinstance(value[0], str | dict):
        return f"{len(value):,} values"
    return value


def _write_pictures(annotations: Annotations, folder: Path, pictured: Indices, frames_of: FramesOf | None) -> None:
    columns = ["object_id", "video_id", "masklet_type", "masklet_position", "video_path", "anno_path"]
    columns += ["frame_count", "areas_px", "best_index", "preview_jpeg"]
    held: list[dict[str, object]] = []
    number = 0
    for row in annotations.rows(columns, pictured):
        frames = frames_of(row) if frames_of else []
        held.append(
            {
                "views": base64.b64encode(row["preview_jpeg"]).decode(),
                "frames": [[base64.b64encode(jpeg).decode(), outlines] for jpeg, outlines in frames],
            }
        )
        if len(held) == _PICTURE_ROWS:
            _write(folder, "pictures", number, held)
            number, held = number + 1, []
    if held:
        _write(folder, "pictures", number, held)


def _write(folder: Path, kind: str, number: int, held: Sequence[object]) -> None:
    with (folder / f"{kind}-{number:05d}.js").open("wb") as file:
        file.write(f"refsav({kind!r},{number},[\n".encode())
        for place, one in enumerate(held):
            file.write((b",\n" if place else b"") + to_json(one, inf_nan_mode="null", bytes_mode="base64"))
        file.write(b"\n]);\n")
