"""Frames of a video: one linear decode with PyAV, upright; only what is asked for is converted. And their times.

Shapes: `_HW3` is height x width x (blue, green, red), uint8, OpenCV's order; `_HW` is height x width, uint8 grey.
Indices are source frames in display order, from 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import cv2
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from manifests.schema import Reason
from stages.base import RowError
from stages.video.content import HEAD_BYTES, breaks_off, foreign
from stages.video.storage import readable
from stages.video.times import FrameTimes
from stages.video.upright import Turn

Picture = NDArray[np.uint8]


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
    """A decoded frame whose pixels are converted on demand.

    Attributes:
        index: number of the source frame.
        raw: as decoded, not turned.
        turn: what makes it upright.
    """

    index: int
    raw: av.VideoFrame
    turn: Turn

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, upright."""
        return self.turn.size(self.raw.height, self.raw.width)

    def bgr(self) -> Picture:
        """Upright colour picture `_HW3`, full resolution (cheaper to reduce afterwards than while converting)."""
        return self.turn.apply(self.raw.to_ndarray(format="bgr24"))

    def grey(self, long_px: int) -> Picture:
        """Upright luminance `_HW`, long side at most `long_px`."""
        if self.raw.format.name.startswith(("yuv4", "yuvj4", "nv12")) and self.raw.format.components[0].bits == 8:
            plane = self.raw.planes[0]  # is luminance already
            lines_HW = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            luma_HW = lines_HW[: self.raw.height, : self.raw.width]
        else:
            luma_HW = np.asarray(self.raw.to_ndarray(format="gray"), np.uint8)
        return self.turn.apply(shrink(luma_HW, fit(self.raw.width, self.raw.height, long_px)))


@dataclass(frozen=True)
class Probe:
    """What a video is, by its first frame and its packets: nothing more is decoded.

    Attributes:
        size: (height, width) in pixels, upright.
        times: when its frames are shown.
    """

    size: tuple[int, int]
    times: FrameTimes


def probe(source: Path | BinaryIO, name: str, reason: Reason = Reason.DECODE_ERROR) -> Probe:
    """Look at a video. Nothing else in the project tells when a frame is shown.

    Args:
        source: a local path or a seekable binary file.
        name: what errors call it.
        reason: of the error.

    Raises:
        RowError: it cannot be used, and why: what the file is if no video; no frame decodes; its end is missing; its
            timestamps or its display matrix make no sense.
        FatalError: a local file is there and cannot be read now.
    """
    with _opened(source, name, reason) as (container, stream):
        stream.codec_context.thread_count = 1  # more would decode frames ahead of the first
        packets: list[tuple[int | None, int | None]] = []
        first = None
        for packet in container.demux(stream):
            if packet.size > 0 and not (packet.is_corrupt or packet.is_discard):
                packets.append((packet.pts, packet.duration))
            if first is None:
                first = next(iter(packet.decode()), None)
        if not isinstance(first, av.VideoFrame):
            raise ValueError("no frame decodes")
        if cut := _cut(source):
            raise ValueError(cut)
        size = Turn.of(first).size(first.height, first.width)
        return Probe(size, FrameTimes.of_packets(packets, stream.time_base or Fraction(0)))


def walk(source: Path | BinaryIO, name: str) -> Iterator[Frame]:
    """Every frame in display order, decoded once.

    Args:
        source: a local path or a seekable binary file.
        name: what errors call it.

    Raises:
        RowError: DECODE_ERROR when the container does not open, decoding breaks off, or frames differ in size.
        FatalError: a local file is there and cannot be read now.
    """
    index, size = 0, None
    with _opened(source, name, Reason.DECODE_ERROR) as (container, stream):
        stream.codec_context.thread_type = "AUTO"
        try:
            for raw in container.decode(stream):
                frame = Frame(index, raw, Turn.of(raw))
                size = size or frame.size
                if frame.size != size:
                    raise ValueError(f"the next one is {frame.size}, the first {size} (height, width)")
                yield frame
                index += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ValueError(f"decoding broke off after {index} frames: {_plain(error)}") from error


@contextmanager
def _opened(
    source: Path | BinaryIO, name: str, reason: Reason
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A container and its video stream. Whatever is wrong with them is told in a RowError that says what the file is.

    FFmpeg is not shown what is no video by its first bytes: text may be a playlist, which it would follow to the net.
    """
    try:
        if told := foreign(_head(source, name, reason), "a video"):
            raise RowError(reason, f"{name}: {told}")
        with av.open(source, mode="r", metadata_errors="replace") as container:
            pictures = [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]
            if not pictures:
                kinds = " and ".join(sorted({each.type for each in container.streams})) or "nothing"
                raise ValueError(f"must have a video stream, got {kinds} only: get the file again")
            if pictures[0].codec_context is None:
                raise ValueError("FFmpeg knows no decoder for its video stream: encode it as H.264")
            yield container, pictures[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, OSError):
            _read_through(source, name, reason)
        raise RowError(reason, f"{name}: {_cut(source) or _plain(error)}") from error


def _head(source: Path | BinaryIO, name: str, reason: Reason) -> bytes:
    if isinstance(source, Path):
        with readable(name, reason), source.open("rb") as file:
            return file.read(HEAD_BYTES)
    source.seek(0)
    head = source.read(HEAD_BYTES)
    source.seek(0)
    return head


def _read_through(source: Path | BinaryIO, name: str, reason: Reason) -> None:
    """Find out whether a file that FFmpeg could not read is at fault, or the storage that it lies on."""
    if isinstance(source, Path):
        with readable(name, reason), source.open("rb") as file:
            while file.read(2**20):
                pass


def _cut(source: Path | BinaryIO) -> str | None:
    if isinstance(source, Path):
        with source.open("rb") as file:
            return breaks_off(file)
    return breaks_off(source)


def _plain(error: Exception) -> str:
    """What FFmpeg says, without its number and the name that it was given."""
    if isinstance(error, av.error.FFmpegError):
        return f"FFmpeg says {error.strerror!r}: get the file again"
    return str(error)
