"""Reads mp4 files with PyAV: what a video is (`probe`), all of its frames (`walk`), or chosen ones (`read_frames`).

Nothing else in the project opens a video. Frames come out upright, and only what is asked for is converted.

Shapes: `_HW3` is height x width x 3 and `_HW` height x width (grey), uint8. Indices are source frames in display order,
from 0.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from manifests.row_results import RowError
from manifests.schema import Reason
from stages.video.images import BgrImage, Image, fit, shrink, to_rgb
from stages.video.source_file import HEAD_BYTES, breaks_off, foreign, readable
from stages.video.times import FrameTimes
from stages.video.upright import Turn

_SKIPPING = ("h264", "hevc")  # decoders known to take skip_frame packet by packet


@dataclass(frozen=True)
class Frame:
    """Holds a decoded frame; its pixels are converted when they are asked for.

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
        """Return (height, width) in pixels, upright."""
        return self.turn.size(self.raw.height, self.raw.width)

    def bgr(self) -> BgrImage:
        """Return the upright frame in full resolution, blue first (it is cheaper to reduce it afterwards)."""
        return self.turn.apply(self.raw.to_ndarray(format="bgr24"))

    def rgb(self) -> Image:
        """Return the upright frame in full resolution, red first."""
        return to_rgb(self.bgr())

    def grey(self, long_px: int) -> NDArray[np.uint8]:
        """Return the upright luminance `_HW`, with a long side of at most `long_px`."""
        if self.raw.format.name.startswith(("yuv4", "yuvj4", "nv12")) and self.raw.format.components[0].bits == 8:
            plane = self.raw.planes[0]  # is luminance already
            lines_HW = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
            luma_HW = lines_HW[: self.raw.height, : self.raw.width]
        else:
            luma_HW = np.asarray(self.raw.to_ndarray(format="gray"), np.uint8)
        return self.turn.apply(shrink(luma_HW, fit(self.raw.width, self.raw.height, long_px)))


@dataclass(frozen=True)
class Probe:
    """Holds what is known of a video from its first frame and its packets.

    Attributes:
        size: (height, width) in pixels, upright.
        times: when its frames are shown.
    """

    size: tuple[int, int]
    times: FrameTimes

    @property
    def frame_count(self) -> int:
        """Return the number of frames that the index names; whether all of them decode is not known."""
        return len(self.times.start_s)


def probe(source: Path | BinaryIO, name: str, reason: Reason = Reason.DECODE_ERROR) -> Probe:
    """Look at a video's index, and decode its first frame. Nothing else in the project tells when a frame is shown.

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
            raise ValueError("no frame decodes: get the file again")
        if cut := _cut(source):
            raise ValueError(cut)
        size = Turn.of(first).size(first.height, first.width)
        return Probe(size, FrameTimes.of_packets(packets, stream.time_base or Fraction(0)))


def walk(source: Path | BinaryIO, name: str) -> Iterator[Frame]:
    """Decode all frames once, and give them in display order.

    Args:
        source: a local path or a seekable binary file.
        name: what errors call it.

    Raises:
        RowError: DECODE_ERROR when the container does not open, decoding breaks off, frames differ in size, or their
            timestamps go backwards.
        FatalError: a local file is there and cannot be read now.
    """
    index, size, last = 0, None, None
    with _opened(source, name, Reason.DECODE_ERROR) as (container, stream):
        stream.codec_context.thread_type = "AUTO"
        try:
            for raw in container.decode(stream):
                frame = Frame(index, raw, Turn.of(raw))
                size = size or frame.size
                if frame.size != size:
                    raise ValueError(f"the next one is {frame.size}, the first {size} (height, width)")
                if last is not None and raw.pts is not None and raw.pts <= last:
                    raise ValueError("the timestamp of the next one goes backwards: get the original")
                yield frame
                last = raw.pts
                index += 1
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ValueError(f"decoding broke off after {index} frames: {_plain(error)}") from error


def read_frames(path: Path, wanted: set[int]) -> dict[int, Image]:
    """Decode chosen source frames, by index; equal bit by bit to what `walk` gives.

    SA-V's mp4 files have a keyframe every 250 frames or so: all frames up to the last wanted one must be decoded, but
    not converted, and those that no other frame refers to need not even be decoded (FFmpeg's skip_frame NONREF).

    Raises:
        ValueError: the file does not decode so far, or has fewer frames.
    """
    try:
        found = _read_sparsely(path, wanted)
    except (av.error.FFmpegError, IndexError, OSError, ValueError):
        found = {}  # the plain way says what is wrong
    if found.keys() >= wanted:
        return found
    return _read_plainly(path, wanted)


def packet_places(path: Path) -> list[tuple[int, int]]:
    """Return where the video's packets lie in the file: (first byte, number of bytes), in the order they are stored."""
    with av.open(path) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]


def _read_sparsely(path: Path, wanted: set[int]) -> dict[int, Image]:
    """Read what can be found by the packets' times; nothing where they do not tell which frame is which."""
    found: dict[int, Image] = {}
    with av.open(path, metadata_errors="replace") as container:
        stream = _pictures(container)[0]
        decoder = stream.codec_context
        packets = [packet for packet in container.demux(stream) if packet.size]
        shown = sorted({packet.pts for packet in packets if packet.pts is not None and not packet.is_discard})
        if decoder.name not in _SKIPPING or len(shown) != len(packets) or max(wanted) >= len(shown):
            return found
        index_of = {shown[index]: index for index in wanted}
        last = max(n for n, packet in enumerate(packets) if packet.pts in index_of)
        decoder.thread_type = "AUTO"
        shown_last = shown[0] - 1
        for packet in [*packets[: last + 1], None]:
            if packet is not None:
                decoder.skip_frame = "DEFAULT" if packet.pts in index_of else "NONREF"
            for raw in decoder.decode(packet):
                if raw.pts is None or raw.pts <= shown_last:
                    return {}
                shown_last = raw.pts
                if (index := index_of.get(raw.pts)) is not None:
                    found[index] = Frame(index, raw, Turn.of(raw)).rgb()
    return found


def _read_plainly(path: Path, wanted: set[int]) -> dict[int, Image]:
    found: dict[int, Image] = {}
    count = 0
    try:
        for frame in walk(path, str(path)):
            count += 1
            if frame.index in wanted:
                found[frame.index] = frame.rgb()
                if len(found) == len(wanted):
                    return found
    except RowError as error:
        raise ValueError(error.detail) from error
    raise ValueError(f"{path}: must have a frame {max(wanted)}, got {count} frames")


@contextmanager
def _opened(
    source: Path | BinaryIO, name: str, reason: Reason
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a container and its video stream; a RowError says what the file is if they cannot be used.

    FFmpeg is not shown what is no video by its first bytes: text may be a playlist, which it would follow to the net.
    """
    try:
        if message := foreign(_head(source, name, reason), "a video"):
            raise RowError(reason, f"{name}: {message}")
        with av.open(source, mode="r", metadata_errors="replace") as container:
            streams = _pictures(container)
            if not streams:
                kinds = " and ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise ValueError(f"must have a video stream, got {kinds} only: get the file again")
            if streams[0].codec_context is None:
                raise ValueError("FFmpeg knows no decoder for its video stream: encode it as H.264")
            yield container, streams[0]
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, OSError):
            _read_through(source, name, reason)
        raise RowError(reason, f"{name}: {_cut(source) or _plain(error)}") from error


def _pictures(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the streams of moving pictures; a cover is none."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


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
    """Return FFmpeg's message without its number and the name that it was given."""
    if isinstance(error, av.error.FFmpegError):
        return f"FFmpeg says {error.strerror!r}: get the file again"
    return str(error)
