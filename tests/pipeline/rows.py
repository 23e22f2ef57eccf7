"""Invented annotation rows for the tests of what a run leaves behind: no video, no model, but every kind of row."""

import functools
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Colour, Facts, Neighbour, Reason, Span, Status
from pipeline.export.annotations import Annotations
from pipeline.run.run_json import RunInfo

STAGES = ("select_objects", "render_views", "caption_object", "check_consistency", "compose_expression")
RUN = RunInfo(
    shards=["sav_000"],
    writer="measured",
    models=None,
    engine=None,
    seconds=83.4,
    git_commit="0123abc",
    useless_passes=0,
    versions={"refsav": "0.1.0", "ray": "2.60.0"},
    config={"select_objects": {"min_area_frac": 0.001}},
)
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> {{data}} <!--"

_STOPS = (
    (Status.REJECTED, "select_objects", Reason.PART, "0.94 of its area lies in another"),
    (Status.REJECTED, "select_objects", Reason.TOO_SMALL, "at its best 88 px, 0.00010 of the frame < 0.001"),
    (Status.REJECTED, "check_consistency", Reason.INCONSISTENT, "crop: red; masked: blue"),
    (Status.REJECTED, "compose_expression", Reason.AMBIGUOUS, "same text as manual/1"),
    (Status.FAILED, "render_views", Reason.DECODE_ERROR, "broke off at frame 44 of 96"),
    (Status.POISONED, "caption_object", Reason.UNEXPECTED_ERROR, "Traceback …\nZeroDivisionError: division by zero"),
)


class Held(Annotations):
    """Annotations of a table: as if each of `files` parts of it, taken in turns, were a file of the run."""

    def __init__(self, table: pa.Table, files: int = 3) -> None:
        self._held = {f"{part}": table.take(np.arange(part, table.num_rows, files)) for part in range(files)}
        super().__init__(Folder("nowhere"))

    def _files(self) -> list[str]:
        return list(self._held)

    def _read(self, name: str, columns: Sequence[str]) -> pa.Table:
        return self._held[name].select(columns)


def facts(object_id: str, **changes: object) -> Facts:
    """Facts of an object that stands still in full sight for 4 s, but for `changes`."""
    still = {
        "object_id": object_id,
        "duration_s": 4.0,
        "place_start": "middle left",
        "place_end": "middle left",
        "place_best": "middle left",
        "centre_start_frac": [0.2, 0.5],
        "centre_end_frac": [0.2, 0.5],
        "area_median_frac": 0.04,
        "area_best_frac": 0.05,
        "size": "medium",
        "size_ratio": 1.0,
        "size_change": "stable",
        "shift_frac": [0.0, 0.0],
        "own_shift_px": [0.0, 0.0],
        "own_speed_px_s": 0.0,
        "own_path_px": 0.0,
        "motion": "none",
        "motion_known": True,
        "speed_known": True,
        "camera_known": True,
        "camera_shift_px": [0.0, 0.0],
        "camera_speed_px_s": 0.0,
        "camera_zoom_ratio": 1.0,
        "camera": "static",
        "visible_spans": [Span(start_s=0, end_s=4)],
        "hidden_spans": [],
        "occluded_spans": [],
        "occluded_known": True,
        "enters_s": None,
        "leaves_s": None,
        "colours": [Colour(name="red", share_frac=0.61), Colour(name="white", share_frac=0.2)],
        "colours_best": [Colour(name="red", share_frac=0.7)],
        "colours_known": True,
        "surroundings": [Colour(name="green", share_frac=0.8)],
        "colour_drift_frac": 0.0,
        "camouflage_frac": 0.1,
        "neighbours": [],
    }
    return Facts.model_validate({**still, **changes})


def row(video: int, position: int, *, masklet_type: str = "manual", **changes: object) -> AnnotationRow:
    """A kept row of video `video`, but for `changes`."""
    video_id = f"sav_{video:06d}"
    object_id = f"{video_id}/{masklet_type}/{position}"
    levels = {
        "object_description": f"The object is a red and white thing of medium size, number {position}.",
        "scene_description": "It stands in the middle left of the picture, left of a larger grey thing.",
        "video_description": "Throughout the video it stays where it is, and is hidden from 2.0 to 3.5 seconds.",
    }
    kept = {
        "object_id": object_id,
        "video_id": video_id,
        "shard": "sav_000",
        "masklet_type": masklet_type,
        "masklet_position": position,
        "masklet_id": position + 7,
        "video_path": f"sav_train/sav_000/{video_id}.mp4",
        "anno_path": f"sav_train/sav_000/{video_id}_{masklet_type}.json",
        "height_px": 720,
        "width_px": 1280,
        "frame_count": 96,
        "video_fps": 24.0,
        "areas_px": [0] * 4 + [36_864] * 20,
        "boxes_px": [[0, 0, 0, 0]] * 4 + [[100, 200, 192, 192]] * 20,
        "best_index": 4,
        "status": Status.KEPT,
        "attempts": 1,
        "facts": facts(object_id),
        "video_times_s": [0.25 + 0.5 * k for k in range(8)],
        "caption_crop": "A red thing with white parts.",
        "caption_masked": "A red and white thing.",
        "verdict": "consistent",
        **levels,
        "expression": " ".join(levels.values()),
        "writer": "measured",
        "prompt_ids": ["caption_object@1f2e3d4c", "compose_expression@0badcafe"],
        "seconds_s": 0.42,
    }
    return AnnotationRow.model_validate({**kept, **changes})


def stopped(video: int, position: int, kind: int, **changes: object) -> AnnotationRow:
    """A row that was not kept, for the `kind`-th of the reasons known here."""
    status, stage, reason, detail = _STOPS[kind % len(_STOPS)]
    texts = dict.fromkeys(("caption_crop", "caption_masked", "verdict", "object_description"))
    texts |= dict.fromkeys(("scene_description", "video_description", "expression", "writer"))
    blank: dict[str, Any] = {**texts, "facts": None, "prompt_ids": [], "video_times_s": []}
    state: dict[str, Any] = {"status": status, "stage": stage, "reason": reason, "detail": detail}
    return row(video, position, **{**blank, **state, **changes})


def preview(seed: int, width_px: int = 800, height_px: int = 450) -> bytes:
    """A sheet of coloured views with its number on it, as JPEG."""
    generator = np.random.default_rng(seed)
    sheet = cv2.resize(
        generator.integers(0, 256, (3, 4, 3), np.uint8), (width_px, height_px), interpolation=cv2.INTER_CUBIC
    )
    cv2.putText(sheet, str(seed), (20, 80), cv2.FONT_HERSHEY_SIMPLEX, 2, (255, 255, 255), 3)
    return cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 60])[1].tobytes()


@functools.cache
def thousand() -> pa.Table:
    """1,000 rows in 200 videos: 600 kept, 400 not; every third of those not kept has a preview all the same."""
    sheets = [preview(seed) for seed in range(45)]
    rows = []
    for index in range(1000):
        video, position = divmod(index, 5)
        if position < 3:
            moving = facts(
                f"sav_{video:06d}/manual/{position}",
                area_median_frac=0.0005 * 1.5 ** (index % 14),
                motion="left",
                own_path_px=float(index),
                own_shift_px=[-float(index), 4.2],
                visible_spans=[Span(start_s=0, end_s=2), Span(start_s=3.5, end_s=4)]
                if index % 2
                else [Span(start_s=index % 4, end_s=4)],
                hidden_spans=[Span(start_s=2, end_s=3.5)] if index % 2 else [],
                occluded_spans=[Span(start_s=1.5, end_s=2)] if index % 2 else [],
                neighbours=[
                    Neighbour(
                        object_id=f"sav_{video:06d}/manual/{(position + 1) % 3}",
                        relation="left of",
                        gap_frac=0.1,
                        together_frac=0.9,
                    )
                ],
            )
            changes: dict[str, Any] = {"facts": moving, "preview_jpeg": sheets[index % 45]}
            if index % 3 == 0:
                base = row(video, position)
                changes["expression"] = f"{base.expression} " + "It moves on to the left, and on. " * (index % 9)
            rows.append(row(video, position, **changes))
        else:
            rows.append(
                stopped(video, position, index // 2, preview_jpeg=sheets[index % 45] if index % 3 == 0 else None)
            )
    return to_table(rows, AnnotationRow)
