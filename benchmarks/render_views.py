"""render_views against two references: the naive way, and one linear decode by PyAV without looking at a pixel.

`python -m benchmarks.render_views`. The naive way makes the same pictures and facts, but for each object by itself: it
reads every frame with OpenCV and decodes every mask of the file. Rounds alternate between the three; medians and their
ratios are printed.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from benchmarks.clips import draw_clip
from manifests.io import Folder
from manifests.schema import MASK_STRIDE, Row
from pipeline import build_manifest
from stages import facts
from stages.render_views import RenderViews
from stages.select_objects import SelectConfig
from stages.video.camera import CameraTracker
from stages.video.colour import ColourSampler
from stages.video.images import bounded, fit, shrink_mask
from stages.video.times import FrameTimes
from stages.video.track import Track
from stages.video.views import ObjectViews, ViewConfig, uniform_indices

ROUNDS = 3
SIZE = (1280, 720)
CASES = {1: "", 4: "naive/ours >= 8, ours/decode <= 1.5", 12: "ours/decode <= 2"}  # objects: what is wanted


def linear_decode(video: Path) -> None:
    """Decode every frame, convert none."""
    with av.open(video) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def _resized(image_HW: NDArray[Any], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image_HW, size), np.uint8)


def naive(row: Row, sav: Folder) -> None:
    """The pictures and facts of one object, as one would write it for one object."""
    config = ViewConfig()
    capture = cv2.VideoCapture(sav.path(row.video_path))
    frames: list[NDArray[np.uint8]] = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    entries = json.loads(sav.read_bytes(row.anno_path))["masklet"]
    masks_TN = [[np.ascontiguousarray(coco.decode(rle)) for rle in entry] for entry in entries]

    size = fit(row.width_px, row.height_px, 320)
    camera = CameraTracker(row.width_px / size[0])
    for index, masks in enumerate(masks_TN):
        grey_HW = cv2.cvtColor(frames[index * MASK_STRIDE], cv2.COLOR_BGR2GRAY)
        camera.add(_resized(grey_HW, size), partial(_resized, np.max(masks, axis=0), size))
    tracks, colours = [], {}
    for position in range(len(masks_TN[0])):
        masks_T = [masks[position] for masks in masks_TN]
        moments = [cv2.moments(mask, binaryImage=True) for mask in masks_T]
        areas_px = [round(each["m00"]) for each in moments]
        best = int(np.argmax(areas_px))
        boxes_px = [cv2.boundingRect(mask) for mask in masks_T]
        centres_px = np.array([(each["m10"], each["m01"]) for each in moments]) / np.maximum(areas_px, 1)[:, np.newaxis]
        object_id = f"{row.video_id}/manual/{position}"
        tracks.append(Track(object_id, areas_px, boxes_px, centres_px))
        colours[object_id] = ColourSampler()
        views = ObjectViews(config)
        for slot, index in enumerate(uniform_indices(len(entries), config.frames)):
            small_HW3 = bounded(frames[index * MASK_STRIDE], config.video_long_px)
            mask_HW = shrink_mask(masks_T[index], (small_HW3.shape[1], small_HW3.shape[0]))
            colours[object_id].add(small_HW3, mask_HW > 0, best=index == best)
            if object_id == row.object_id:
                views.add_uniform(small_HW3, mask_HW, slot)
        if object_id == row.object_id:
            views.add_best(frames[best * MASK_STRIDE], masks_T[best], boxes_px[best])
            views.columns()
    facts.measure(
        tracks,
        height_px=row.height_px,
        width_px=row.width_px,
        times=FrameTimes.steady(row.frame_count, row.video_fps),
        camera_steps=camera.steps,
        trails=camera.trails,
        colours=colours,
    )


def naive_all(rows: Sequence[Row], sav: Folder) -> None:
    """Render object by object: every video is decoded once for each of its objects."""
    for row in rows:
        naive(row, sav)


def main() -> None:
    """Print the time of the three ways to render, and their ratios."""
    print(f"{SIZE[0]}x{SIZE[1]}, 240 frames, H.264; medians of {ROUNDS} alternating rounds, seconds")
    print(f"{'objects':>7} {'ours':>7} {'naive':>7} {'decode':>7} {'naive/ours':>11} {'ours/decode':>12}  wanted")
    with tempfile.TemporaryDirectory() as scratch:
        sav = Folder(scratch)
        for objects in CASES:
            draw_clip(Path(scratch) / "sav_train" / "bench", f"clip_{objects}", objects, size=SIZE)
        tables = build_manifest.build(sav.fs, sav.path(), ["bench"], SelectConfig(max_objects=100))
        rows = [Row.model_validate(row) for table in tables for row in table.to_pylist()]
        for objects, wanted in CASES.items():
            mine = [row for row in rows if row.video_id == f"clip_{objects}"]
            assert [row.status for row in mine] == ["pending"] * objects
            video = Path(sav.path(mine[0].video_path))
            stage = RenderViews(ViewConfig(), sav)
            ways: list[Callable[[], object]] = [
                partial(stage.process, mine),
                partial(naive_all, mine, sav),
                partial(linear_decode, video),
            ]
            ours_s, naive_s, decode_s = (statistics.median(times) for times in zip(*_rounds(ways), strict=True))
            print(
                f"{objects:7} {ours_s:7.3f} {naive_s:7.3f} {decode_s:7.3f} {naive_s / ours_s:11.1f} "
                f"{ours_s / decode_s:12.2f}  {wanted}"
            )


def _rounds(ways: Sequence[Callable[[], object]]) -> list[list[float]]:
    ours, _, decode = ways
    ours()  # warm-up: imports, tables, the file in memory
    decode()
    rounds = []
    for _ in range(ROUNDS):
        times = []
        for way in ways:
            started_s = time.perf_counter()
            way()
            times.append(time.perf_counter() - started_s)
        rounds.append(times)
    return rounds


if __name__ == "__main__":
    main()
