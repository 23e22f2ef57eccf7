"""A SA-V video of 33 frames, 160x120, drawn in milliseconds, that a test can bend in any one way."""

import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from stages.video_files import Open, VideoFiles

WIDTH_PX, HEIGHT_PX, FRAMES, ENTRIES = 160, 120, 33, 9
FILES = VideoFiles("sav_000007", "sav_000", ("manual", "auto"))
TIME_BASE = Fraction(1, 24_000)  # seconds
Masklet = Callable[[int], NDArray[np.uint8]]  # annotated frame -> mask_HW


def box(x: int, y: int, width: int, height: int, *, during: Sequence[int] = range(ENTRIES), speed: int = 0) -> Masklet:
    """A rectangle that is visible in some annotated frames and moves right by `speed` pixels in each."""

    def mask_at(t: int) -> NDArray[np.uint8]:
        mask_HW = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8, order="F")
        if t in during:
            mask_HW[y : y + height, x + t * speed : x + t * speed + width] = 1
        return mask_HW

    return mask_at


def entry(mask_HW: NDArray[np.uint8]) -> dict[str, Any]:
    rle = coco.encode(np.asfortranarray(mask_HW))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode()}


def annotation(masklets: Sequence[Masklet], entries: int = ENTRIES) -> dict[str, Any]:
    """With the oddities of the real files: floats, None for scores."""
    number = len(masklets)
    return {
        "video_id": FILES.video_id,
        "video_duration": FRAMES / 24,
        "video_frame_count": float(FRAMES),
        "video_height": float(HEIGHT_PX),
        "video_width": float(WIDTH_PX),
        "masklet": [[entry(masklet(t)) for masklet in masklets] for t in range(entries)],
        "masklet_id": [float(n) for n in range(number)],
        "masklet_first_appeared_frame": [0.0] * number,
        "masklet_stability_score": [None] * number,
        "masklet_num": number,
    }


def write_json(root: Path, masklet_type: str, content: dict[str, Any] | bytes, files: VideoFiles = FILES) -> None:
    path = root / files.anno_path(masklet_type)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def write_mp4(
    root: Path,
    files: VideoFiles = FILES,
    *,
    width_px: int = WIDTH_PX,
    height_px: int = HEIGHT_PX,
    frames: int = FRAMES,
    turn: Mapping[str, Any] | None = None,
    times_s: Sequence[float] | None = None,
) -> Path:
    """Write the mp4 of `files`.

    Args:
        turn: arguments of PyAV's `set_display_rotation`, or of `set_display_matrix`.
        times_s: when each frame is shown; at 24 a second if it is not told.
    """
    path = root / files.video_path
    path.parent.mkdir(parents=True, exist_ok=True)
    noise_HW3 = np.random.default_rng(0).integers(0, 255, (height_px // 8, width_px // 8, 3), np.uint8)
    picture_HW3 = noise_HW3.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        if turn:
            (stream.set_display_matrix if "matrix" in turn else stream.set_display_rotation)(**turn)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(picture_HW3, index, axis=1), format="rgb24")
            frame.pts, frame.time_base = round((times_s[index] if times_s else index / 24) / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def opener(root: Path) -> Open:
    def open_file(path: str) -> BinaryIO:
        return (root / path).open("rb")

    return open_file
