"""Manifest building per video against the naive way: `python -m benchmarks.manifest`.

Ours: read and check both annotation files, areas, boxes, overlaps of all pairs, first frame and number of frames of the
mp4, selection. Naive: `json.load`, decode every mask with pycocotools, area = sum; no check, no mp4.
Both in one process, in turn, on the same drawn video of 20 s with 5 manual and 9 automatic masklets.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import fsspec
import numpy as np
from pycocotools import mask as coco
from skimage import data

from pipeline.build_manifest import build
from stages.select_objects import SelectConfig
from stages.video_files import VideoFiles

FRAMES, STRIDE, RUNS = 480, 4, 9
TARGET_RATIO = 5.0


def main() -> None:
    """Print the time of the manifest, ours and the reference, and the ratio."""
    print(f"{'video':>10} {'chars/mask':>10} {'naive ms':>9} {'ours ms':>8} {'ratio':>6} {'s per 100 videos':>17}")
    with tempfile.TemporaryDirectory() as root:
        for width_px, height_px in ((1280, 720), (848, 480)):
            files = VideoFiles(f"sav_{width_px}", f"shard_{width_px}", ("manual", "auto"))
            chars = draw_video(Path(root), files, width_px, height_px)
            naive_s, ours_s = alternate(partial(naive, root, files), partial(ours, root, files))
            print(
                f"{width_px:>5}x{height_px:<4} {chars:>10.0f} {naive_s * 1e3:>9.0f} {ours_s * 1e3:>8.0f} "
                f"{naive_s / ours_s:>5.1f}x {ours_s * 100:>17.1f}"
            )
    print(f"target: at least {TARGET_RATIO:.0f}x; medians of {RUNS} alternating runs in one process")


def ours(root: str, files: VideoFiles) -> int:
    """Rows of the manifest."""
    return sum(table.num_rows for table in build(fsspec.filesystem("file"), root, [files.shard], SelectConfig()))


def naive(root: str, files: VideoFiles) -> int:
    """Sum of all areas."""
    total = 0
    for masklet_type in files.masklet_types:
        with open(f"{root}/{files.anno_path(masklet_type)}", encoding="utf-8") as file:
            annotation = json.load(file)
        total += sum(int(coco.decode(rle).sum()) for rles in annotation["masklet"] for rle in rles)
    return total


def alternate(*ways: Callable[[], int]) -> list[float]:
    """Median seconds of each way; they take turns, so that a busy machine slows all alike."""
    seconds: list[list[float]] = [[] for _ in ways]
    for _ in range(RUNS):
        for way, taken in zip(ways, seconds, strict=True):
            start = time.perf_counter()
            way()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def draw_video(root: Path, files: VideoFiles, width_px: int, height_px: int) -> float:
    """Write the files of one video; returns the mean number of characters of an RLE that is not empty."""
    (root / files.video_path).parent.mkdir(parents=True)
    photo_HW3 = cv2.resize(data.astronaut(), (width_px + 2 * FRAMES // STRIDE, height_px))
    with av.open(root / files.video_path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast", "crf": "28"})
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        for index in range(FRAMES):
            view_HW3 = np.ascontiguousarray(photo_HW3[:, index // 2 : index // 2 + width_px], np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view_HW3, format="rgb24")))
        container.mux(stream.encode())
    random = np.random.default_rng(width_px)
    lengths = []
    for masklet_type, number in (("manual", 5), ("auto", 9)):
        frames: list[list[dict[str, Any]]] = [[] for _ in range(FRAMES // STRIDE)]
        for _ in range(number):
            middle = random.uniform(0.2, 0.8, 2) * (width_px, height_px)
            speed, radius = random.uniform(-1, 1, 2), height_px * random.uniform(0.04, 0.16)
            waves = [(n, random.uniform(0, 2 * np.pi), random.uniform(0, 0.6) / n) for n in range(1, 25)]
            for t, rles in enumerate(frames):
                rles.append(blob(width_px, height_px, middle + speed * t, radius, waves, t))
        lengths += [len(rle["counts"]) for rles in frames for rle in rles if len(rle["counts"]) > 8]
        annotation = {
            "video_id": files.video_id,
            "video_frame_count": float(FRAMES),
            "masklet": frames,
            "masklet_id": list(range(number)),
        }
        (root / files.anno_path(masklet_type)).write_text(json.dumps(annotation), encoding="utf-8")
    return statistics.mean(lengths)


def blob(
    width_px: int,
    height_px: int,
    middle: np.ndarray[Any, np.dtype[np.float64]],
    radius: float,
    waves: list[tuple[int, float, float]],
    t: int,
) -> dict[str, Any]:
    """A wavy outline that changes with time, hidden now and then, as SA-V writes it."""
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    wave = 1 + sum(size * np.sin(n * angle + phase + 0.05 * n * t) for n, phase, size in waves)
    outline = middle + radius * np.maximum(wave, 0.1)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    mask_HW = np.zeros((height_px, width_px), np.uint8)
    if t % 40 < 35:
        cv2.fillPoly(mask_HW, [outline.round().astype(np.int32)], 1)
    rle = coco.encode(np.asfortranarray(mask_HW))
    return {"size": [height_px, width_px], "counts": rle["counts"].decode("ascii")}


if __name__ == "__main__":
    main()
