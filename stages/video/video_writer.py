"""Writes a video as SA-V has it: an mp4, and annotation files with the oddities of the real ones."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from stages.video.images import Image
from stages.video.rle import Rle, areas_px

SMALL_PX, LARGE_PX = 32**2, 96**2  # bounds of masklet_size_bucket, as in COCO


class VideoWriter:
    """Writes an H.264 mp4 frame by frame; to be used in a `with`.

    Args:
        path: of the mp4.
        time_base: seconds; times of frames are whole multiples of it.
        encoding: options of libx264.
        fps: frames a second that the file's header states; what counts is when frames are shown.
        rotation_deg: 0, 90, 180 or 270: frames are stored turned clockwise by this, with a display matrix that turns
            them back, as phones do.
    """

    def __init__(
        self, path: Path, *, time_base: Fraction, encoding: Mapping[str, str], fps: int = 24, rotation_deg: int = 0
    ) -> None:
        self._container = av.open(path, "w", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=fps, options=dict(encoding))
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = self._time_base = time_base
        self._rotation_deg, self._size = rotation_deg, (0, 0)

    def write(self, image_HW3: Image, time: int) -> None:
        """Append a frame to the video.

        Args:
            image_HW3: upright; all have the size of the first. An odd side gets a black line at its end.
            time: when it is shown, in units of the time base; it stays until the next.
        """
        stored_HW3 = np.rot90(image_HW3, k=-(self._rotation_deg // 90))
        height_px, width_px = stored_HW3.shape[:2]
        stored_HW3 = np.pad(stored_HW3, ((0, height_px % 2), (0, width_px % 2), (0, 0)))  # 4:2:0 wants even sides
        if self._size == (0, 0):
            self._size = self._stream.height, self._stream.width = stored_HW3.shape[:2]
            if self._rotation_deg:
                self._stream.set_display_rotation(self._rotation_deg)
        yuv = np.asarray(cv2.cvtColor(np.ascontiguousarray(stored_HW3), cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts, frame.time_base = time, self._time_base
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._container.mux(self._stream.encode(None))
        self._container.close()


def write_masklets(
    path: Path,
    rles_TN: Sequence[Sequence[Rle]],
    *,
    video_id: str,
    masklet_type: str,
    size: tuple[int, int],
    frame_count: int,
    fps: int,
    other: Mapping[str, object] | None = None,
) -> None:
    """Write an annotation file.

    Oddities kept (seen in sav_000001): counts and sizes of the video are floats; a manual file has no stability
    scores (None), an automatic one has a list per annotated frame; `masklet_first_appeared_frame` counts annotated
    frames and is a float in manual files only; averages leave out the frames in which an object is not seen.

    Args:
        path: of the file, `<video id>_<masklet type>.json`.
        rles_TN: masks of N objects in each of T annotated frames.
        video_id: e.g. sav_000001.
        masklet_type: manual or auto.
        size: (height, width) of the upright video, in pixels.
        frame_count: source frames.
        fps: source frames a second.
        other: keys to add, or to write instead of these.
    """
    areas_TN = np.array([areas_px(rles) for rles in rles_TN]).reshape(len(rles_TN), -1)
    seen_TN = areas_TN > 0
    times, number = areas_TN.shape
    first_N = seen_TN.argmax(axis=0)
    sizes_px = areas_TN.sum(axis=0) / np.maximum(seen_TN.sum(axis=0), 1)
    pixels = size[0] * size[1]
    manual = masklet_type == "manual"
    content = {
        "video_id": video_id,
        "video_duration": frame_count / fps,
        "video_frame_count": float(frame_count),
        "video_height": float(size[0]),
        "video_width": float(size[1]),
        "video_resolution": float(pixels),
        "video_environment": "Indoor",
        "video_split": "train",
        "masklet": rles_TN,
        "masklet_id": list(range(number)),
        "masklet_size_rel": [round(float(size_px) / pixels, 10) for size_px in sizes_px],
        "masklet_size_abs": [round(float(size_px), 10) for size_px in sizes_px],
        "masklet_size_bucket": [
            "small" if size_px < SMALL_PX else "medium" if size_px < LARGE_PX else "large" for size_px in sizes_px
        ],
        "masklet_visibility_changes": [
            int(np.count_nonzero(np.diff(seen_TN[first:, n]))) for n, first in enumerate(first_N)
        ],
        "masklet_first_appeared_frame": [float(first) if manual else int(first) for first in first_N],
        "masklet_frame_count": [times] * number,
        "masklet_edited_frame_count": [times // 4 if manual else 0] * number,
        "masklet_type": [masklet_type] * number,
        "masklet_stability_score": [None] * number if manual else np.where(seen_TN, 0.99, 1.0).tolist(),
        "masklet_num": number,
    }
    path.write_text(json.dumps(content | dict(other or {})), encoding="utf-8")
