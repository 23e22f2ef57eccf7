"""Frames of a video: one linear decode with PyAV, upright; only what is asked for is converted.

Shapes: `_HW3` is height x width x (blue, green, red), uint8, OpenCV's order; `_HW` is height x width, uint8 grey.
Indices are source frames in display order, from 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.schema import Reason
from stages.base import RowError

Picture = NDArray[np.uint8]

# rotation of the display matrix, degrees counter-clockwise, to the turn that makes the frame upright
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, -90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, -180: cv2.ROTATE_180}


def fit(width_px: int, height_px: int, long_px: int) -> tuple[int, int]:
    """(width, height) with the long side at most `long_px`, same shape, never enlarged, at least 1."""
    scale = min(1.0, long_px / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def shrink(array: Picture, size: tuple[int, int]) -> Picture:
    """A picture or mask (0 and 1) reduced to (width, height).

    Halves it as long as that leaves enough: OpenCV does this ten times as fast as averaging over any other area.
    """
    while array.shape[1] >= 2 * size[0] and array.shape[0] >= 2 * size[1]:
        half = (array.shape[1] // 2, array.shape[0] // 2)
        array = np.asarray(cv2.resize(array, half, interpolation=cv2.INTER_AREA), np.uint8)
    if array.shape[1::-1] == size:
        return array
    return np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class Frame:
    """A decoded frame whose pixels are converted on demand."""

    index: int
    raw: av.VideoFrame

    def bgr(self) -> Picture:
        """Upright colour picture `_HW3`, full resolution (cheaper to reduce afterwards than while converting)."""
        return self._upright(np.asarray(self.raw.to_ndarray(format="bgr24"), np.uint8))

    def grey(self, long_px: int) -> Picture:
        """Upright luminance `_HW`, long side at most `long_px`."""
        if self.raw.format.name.startswith(("yuv4", "yuvj4", "nv12")) and self.raw.format.components[0].bits == 8:
            plane = self.raw.planes[0]  # is luminance already
            lines_HW = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            luma_HW = lines_HW[: self.raw.height, : self.raw.width]
        else:
            luma_HW = np.asarray(self.raw.to_ndarray(format="gray"), np.uint8)
        return self._upright(shrink(luma_HW, fit(self.raw.width, self.raw.height, long_px)))

    def _upright(self, array: Picture) -> Picture:
        turn = _TURNS.get(self.raw.rotation)
        return array if turn is None else np.asarray(cv2.rotate(array, turn), np.uint8)


def walk(source: Path | BinaryIO, name: str) -> Iterator[Frame]:
    """Every frame in display order, decoded once.

    Args:
        source: a local path or a seekable binary file.
        name: what errors call it.

    Raises:
        RowError: DECODE_ERROR when the container does not open or decoding breaks off.
    """
    index = 0
    try:
        with av.open(source, mode="r", metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise RowError(Reason.DECODE_ERROR, f"{name}: FFmpeg knows no decoder for its video stream")
            stream.codec_context.thread_type = "AUTO"
            for raw in container.decode(stream):
                yield Frame(index, raw)
                index += 1
    except (av.error.FFmpegError, IndexError, OSError) as error:
        raise RowError(Reason.DECODE_ERROR, f"{name}: decoding broke off after {index} frames: {error}") from error
