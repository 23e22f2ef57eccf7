"""A video's chosen frames and masks read from the files of SA-V: mp4 and annotation files.

An mp4 of SA-V has a keyframe every 250 frames or so: all frames up to the last wanted one must be decoded, but not
converted, and those that no other frame refers to need not even be decoded (FFmpeg's skip_frame NONREF). Wanted frames
come out the same bit by bit.

Shapes: `_HW3` is height x width x (red, green, blue), uint8, upright. Frame k is annotated frame k, source frame 4k.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from manifests.schema import MASK_STRIDE
from pipeline.data.videos import Expression, Video
from stages.base import RowError
from stages.video.content import json_text
from stages.video.frames import Frame, walk
from stages.video.upright import Turn

Picture = NDArray[np.uint8]
Rle = tuple[str, int, int]  # run-length string, height, width

_SKIPPING = ("h264", "hevc")  # decoders known to take skip_frame packet by packet


class VideoFiles:
    """One video; nothing is opened before it is asked for."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._parsed: dict[Path, list[list[Any]]] = {}

    @cached_property
    def annotated_count(self) -> int:
        """Annotated frames."""
        if self._video.frame_count is not None:
            return math.ceil(self._video.frame_count / MASK_STRIDE)
        return len(self._masklets(self._video.expressions[0].anno_path))

    def pictures(self, frames: Sequence[int]) -> list[Picture]:
        """The picture_HW3 of each annotated frame, in the order asked for."""
        found = read_frames(self._video.video_path, {frame * MASK_STRIDE for frame in frames})
        return [found[frame * MASK_STRIDE] for frame in frames]

    def rles(self, expression: Expression, frames: Sequence[int]) -> list[Rle]:
        """The expression's mask at each frame."""
        file = expression.anno_path
        entries = self._masklets(file)
        rles = []
        for frame in frames:
            try:
                match entries[frame][expression.column]:
                    case {"size": [int() | float() as h, int() | float() as w], "counts": str(counts)}:
                        rles.append((counts, int(h), int(w)))
                    case other:
                        raise TypeError(f"{str(other)[:60]} is no run-length mask")
            except (IndexError, TypeError) as error:
                where = f"masklet[{frame}][{expression.column}]"
                raise ValueError(f"{file}: {where} must be the mask of {expression.object_id}: {error}") from error
        return rles

    def _masklets(self, file: Path) -> list[list[Any]]:
        if file not in self._parsed:
            try:
                masklets = from_json(json_text(file.read_bytes()), cache_strings="keys")["masklet"]
                if not isinstance(masklets, list):
                    raise TypeError("masklet is no list")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{file}: must be an annotation file of SA-V: {error!r}") from error
            self._parsed[file] = masklets
        return self._parsed[file]


def read_frames(file: Path, wanted: set[int]) -> dict[int, Picture]:
    """Upright pictures `_HW3` of source frames, by index in display order; the same as decoding every frame gives.

    Raises:
        ValueError: the file does not decode so far, or has fewer frames.
    """
    try:
        found = _read_sparsely(file, wanted)
    except (av.error.FFmpegError, IndexError, OSError, ValueError):
        found = {}  # the plain way says what is wrong
    if found.keys() >= wanted:
        return found
    return _read_plainly(file, wanted)


def _read_sparsely(file: Path, wanted: set[int]) -> dict[int, Picture]:
    """What can be found by the packets' times; nothing where they do not tell which frame is which."""
    found: dict[int, Picture] = {}
    with av.open(file, metadata_errors="replace") as container:
        stream = container.streams.video[0]
        decoder = stream.codec_context
        packets = [packet for packet in container.demux(stream) if packet.size]
        shown = sorted({packet.pts for packet in packets if packet.pts is not None and not packet.is_discard})
        if decoder.name not in _SKIPPING or len(shown) != len(packets) or max(wanted) >= len(shown):
            return found
        index_of = {shown[index]: index for index in wanted}
        last = max(n for n, packet in enumerate(packets) if packet.pts in index_of)
        decoder.thread_type = "AUTO"
        for packet in [*packets[: last + 1], None]:
            if packet is not None:
                decoder.skip_frame = "DEFAULT" if packet.pts in index_of else "NONREF"
            for raw in decoder.decode(packet):
                index = index_of.get(raw.pts) if raw.pts is not None else None
                if index is not None:
                    found[index] = _rgb(Frame(index, raw, Turn.of(raw)))
    return found


def _read_plainly(file: Path, wanted: set[int]) -> dict[int, Picture]:
    found: dict[int, Picture] = {}
    count = 0
    try:
        for frame in walk(file, str(file)):
            count += 1
            if frame.index in wanted:
                found[frame.index] = _rgb(frame)
                if len(found) == len(wanted):
                    return found
    except RowError as error:
        raise ValueError(error.detail) from error
    raise ValueError(f"{file}: must have a frame {max(wanted)}, got {count} frames")


def _rgb(frame: Frame) -> Picture:
    return np.asarray(cv2.cvtColor(frame.bgr(), cv2.COLOR_BGR2RGB), np.uint8)
