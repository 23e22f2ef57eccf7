"""The drawn clip as CVAT exports it: a track of masks, one of polygons with key frames only, and a box."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from tests.pipeline.importers.drawn import Clip, write_jpegs, write_mp4

# frame of the task -> corners; four corners become five, so that points must be matched
KEY_FRAMES: dict[int, list[tuple[float, float]]] = {
    0: [(20.0, 180.0), (60.0, 180.0), (60.0, 220.0), (20.0, 220.0)],
    10: [(40.0, 180.0), (80.0, 180.0), (80.0, 200.0), (80.0, 220.0), (40.0, 220.0)],
}
OUTSIDE_FROM = 16


def cvat_runs(mask_HW: NDArray[np.bool_]) -> tuple[str, int, int, int, int]:
    """Return runs row by row within the box of a mask, background first, and left, top, width, height."""
    rows, columns = (np.flatnonzero(mask_HW.any(axis=axis)) for axis in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    height, width = int(rows[-1]) - top + 1, int(columns[-1]) - left + 1
    flat = mask_HW[top : top + height, left : left + width].ravel().astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    lengths = np.diff([0, *edges, flat.size]).tolist()
    return ", ".join(map(str, lengths)), left, top, width, height


def write_cvat(
    root: Path,
    drawn: Clip,
    *,
    start: int = 0,
    step: int = 1,
    images: bool = True,
    label: str = "horse",
    every: int = 1,
) -> Path:
    """annotations.xml with images/ or a video beside it; the task takes every `step`-th frame from `start` on."""
    frames = range(start, drawn.count, step)
    root.mkdir(parents=True, exist_ok=True)
    if images:
        write_jpegs(root / "images", [drawn.images[n] for n in frames], [f"frame_{n:06d}" for n in frames])
    else:
        times = [1000 * n for n in range(drawn.count)]
        write_mp4(root / "source.mp4", drawn.images, times, 1 / (drawn.fps * 1000))
    tracks = [
        _track(0, label, [_mask(frame, drawn.masks[frame]["horse"], step) for frame in frames[::every]]),
        _track(1, "sign", _polygons(frames)),
        _track(2, "horse", ['<box frame="0" xtl="1" ytl="1" xbr="9" ybr="9" outside="0" occluded="0" keyframe="1"/>']),
        *(  # single masks, which CVAT exports as tracks of one frame; their group makes them one object
            _track(10 + n, "ball", [_mask(frame, drawn.masks[frame]["ball"], step)], group=4)
            for n, frame in enumerate(frames[::every])
            if drawn.masks[frame]["ball"].any()
        ),
    ]
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("horse", "ball", "sign"))
    path = root / "annotations.xml"
    path.write_text(
        f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>5</id><name>walk</name><size>{len(frames)}</size><mode>interpolation</mode>
    <start_frame>{start}</start_frame><stop_frame>{frames[-1]}</stop_frame>
    <frame_filter>{f"step={step}" if step > 1 else ""}</frame_filter><labels>{labels}</labels>
    <original_size><width>{drawn.size[1]}</width><height>{drawn.size[0]}</height></original_size></task></meta>
  {"".join(tracks)}
</annotations>
"""
    )
    return path


def _track(number: int, label: str, elements: Sequence[str], group: int | None = None) -> str:
    grouped = f' group_id="{group}"' if group else ""
    return f'<track id="{number}" label={quoteattr(label)} source="manual"{grouped}>{"".join(elements)}</track>'


def _mask(frame: int, mask_HW: NDArray[np.bool_], step: int) -> str:
    runs, left, top, width, height = cvat_runs(mask_HW)
    place = f'rle="{runs}" left="{left}" top="{top}" width="{width}" height="{height}" z_order="0"'
    flags = 'occluded="0" keyframe="1"'
    return (
        f'<mask frame="{frame}" outside="0" {flags} {place}/><mask frame="{frame + step}" outside="1" {flags} {place}/>'
    )


def _polygons(frames: range) -> list[str]:
    def polygon(frame: int, corners: Sequence[tuple[float, float]], outside: int) -> str:
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in corners)
        return f'<polygon frame="{frame}" outside="{outside}" occluded="0" keyframe="1" points="{points}"/>'

    keys = [polygon(frames[at], corners, 0) for at, corners in KEY_FRAMES.items() if at < len(frames)]
    gone = [polygon(frames[OUTSIDE_FROM], KEY_FRAMES[10], 1)] if len(frames) > OUTSIDE_FROM else []
    return keys + gone
