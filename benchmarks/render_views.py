"""render_views against two references: the naive way, and one linear decode by PyAV without looking at a pixel.

`python -m benchmarks.render_views`. The naive way draws the same pictures, but for each object by itself: it reads
every frame with OpenCV and decodes every mask. Ours measures the facts too (colours, camera motion, tracks). Rounds
alternate between the three; medians and their ratios are printed.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
from pycocotools import mask as coco

from benchmarks.clips import draw_clip
from manifests.io import Folder
from manifests.schema import MASK_STRIDE, Row
from pipeline import build_manifest
from stages.render_views import RenderViews
from stages.select_objects import SelectConfig
from stages.video import draw
from stages.video.views import ObjectViews, ViewConfig, uniform_indices

ROUNDS = 5
SIZE = (1280, 720)
CASES = {1: "", 4: "naive/ours >= 8, ours/decode <= 1.5", 12: "ours/decode <= 2"}  # objects: what is wanted


def linear_decode(video: Path) -> None:
    """Decode every frame, convert none."""
    with av.open(video) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def naive(video: Path, annotation: Path, objects: int) -> None:
    """The same pictures, object by object."""
    config = ViewConfig()
    for position in range(objects):
        capture = cv2.VideoCapture(str(video))
        frames = []
        while (read := capture.read())[0]:
            frames.append(read[1])
        entries = json.loads(annotation.read_text())["masklet"]
        masks = [coco.decode(entry[position]) for entry in entries]
        views = ObjectViews(config)
        for slot, index in enumerate(uniform_indices(len(masks), config.frames)):
            small_HW3 = draw.bounded(frames[index * MASK_STRIDE], config.video_long_px)
            views.add_uniform(small_HW3, draw.shrink_mask(masks[index], small_HW3.shape[1::-1]), slot)
        best = int(np.argmax([mask.sum() for mask in masks]))
        box = cv2.boundingRect(np.ascontiguousarray(masks[best]))
        views.add_best(frames[best * MASK_STRIDE], masks[best], box)
        views.columns()


def main() -> None:
    """Print the table."""
    print(f"{SIZE[0]}x{SIZE[1]}, 240 frames, H.264; medians of {ROUNDS} alternating rounds, seconds")
    print(f"{'objects':>7} {'ours':>7} {'naive':>7} {'decode':>7} {'naive/ours':>11} {'ours/decode':>12}  wanted")
    with tempfile.TemporaryDirectory() as scratch:
        sav = Folder(scratch)
        for objects in CASES:
            draw_clip(Path(scratch) / "sav_train" / "bench", f"clip_{objects}", objects, size=SIZE)
        table = build_manifest.build(sav.fs, sav.path(), ["bench"], SelectConfig(max_objects=100))
        rows = [Row.model_validate(row) for row in table.to_pylist()]
        for objects, wanted in CASES.items():
            mine = [row for row in rows if row.video_id == f"clip_{objects}"]
            assert [row.status for row in mine] == ["pending"] * objects
            video, annotation = Path(sav.path(mine[0].video_path)), Path(sav.path(mine[0].anno_path))
            stage = RenderViews(ViewConfig(), sav)
            ways = [
                partial(stage.process, mine),
                partial(naive, video, annotation, objects),
                partial(linear_decode, video),
            ]
            ours_s, naive_s, decode_s = (statistics.median(times) for times in zip(*_rounds(ways), strict=True))
            print(
                f"{objects:7} {ours_s:7.3f} {naive_s:7.3f} {decode_s:7.3f} {naive_s / ours_s:11.1f} "
                f"{ours_s / decode_s:12.2f}  {wanted}"
            )


def _rounds(ways: Sequence[Callable[[], object]]) -> list[list[float]]:
    for way in ways:
        way()  # warm-up
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
