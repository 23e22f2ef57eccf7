"""Reads chosen frames and masks of a video, from the frame store or from its own files; no tensor here.

Frame k is annotated frame k, source frame 4k of the video.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.outputs import brief
from manifests.row_results import RowError
from manifests.schema import MASK_STRIDE
from pipeline.data.frame_store import StoredVideo
from pipeline.data.videos import Expression, Video
from stages.video.frames import read_frames
from stages.video.images import Image
from stages.video.masklets import annotated_count, read_entries
from stages.video.rle import Rle, checked, decode, parse, reduced_masks


class Reader(Protocol):
    """Reads one video, wherever it lies."""

    @property
    def annotated_count(self) -> int:
        """Return the number of annotated frames (6 fps)."""

    def images(self, frames: Sequence[int]) -> list[Image]:
        """Read the upright images of these frames, in the order asked for."""

    def rles(self, expression: Expression, frames: Sequence[int]) -> list[Rle]:
        """Read the expression's mask in these frames; its runs are not checked."""


class VideoReader:
    """Reads a video from its mp4 and annotation files; nothing is opened before it is asked for."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._parsed: dict[Path, list[list[Any]]] = {}

    @cached_property
    def annotated_count(self) -> int:
        """Return the number of annotated frames (6 fps)."""
        if self._video.frame_count is not None:
            return annotated_count(self._video.frame_count)
        return len(self._entries(self._video.expressions[0].anno_path))

    def images(self, frames: Sequence[int]) -> list[Image]:
        """Read the upright images of these frames, in the order asked for."""
        images = read_frames(self._video.video_path, {frame * MASK_STRIDE for frame in frames})
        return [images[frame * MASK_STRIDE] for frame in frames]

    def rles(self, expression: Expression, frames: Sequence[int]) -> list[Rle]:
        """Read the expression's mask in these frames; its runs are not checked."""
        path = expression.anno_path
        entries = self._entries(path)
        rles = []
        for frame in frames:
            try:
                rle, fault = checked(entries[frame][expression.column])
            except IndexError as error:
                fault = str(error)
            if fault:
                where = f"masklet[{frame}][{expression.column}]"
                raise ValueError(f"{path}: {where} must be the mask of {expression.object_id}: {fault}")
            rles.append(rle)
        return rles

    def _entries(self, path: Path) -> list[list[Any]]:
        if path not in self._parsed:
            try:
                self._parsed[path] = read_entries(path.read_bytes(), str(path))
            except OSError as error:
                raise ValueError(f"{path}: must be an annotation file of SA-V: {brief(error)}") from error
            except RowError as error:
                raise ValueError(error.detail) from error
        return self._parsed[path]


class Clips:
    """Reads videos; small, picklable, and keeps nothing between two calls.

    Args:
        store: folder of the frame store, or of several; none = mp4 and annotation files. A video that no given store
            has is an error, not read from elsewhere: an epoch that is slow in parts is hard to find.
    """

    def __init__(self, store: Path | Sequence[Path] | None = None) -> None:
        self._stores = [store] if isinstance(store, Path) else list(store or ())

    def reader(self, video: Video) -> Reader:
        """Return a reader that opens the files of a video once, however many things are read."""
        if not self._stores:
            return VideoReader(video)
        stored = [StoredVideo(store, video) for store in self._stores]
        return next((one for one in stored if one.path.exists()), stored[0])

    def annotated_count(self, video: Video) -> int:
        """Return the number of annotated frames of a video."""
        return self.reader(video).annotated_count

    def read(
        self, video: Video, frames: Sequence[int], expressions: Sequence[Expression], mask_px: int | None = None
    ) -> tuple[list[Image], NDArray[np.uint8]]:
        """Read F frames, and the masks of O expressions in them; see `read_clip`."""
        return read_clip(self.reader(video), video, frames, expressions, mask_px)


def read_clip(
    reader: Reader, video: Video, frames: Sequence[int], expressions: Sequence[Expression], mask_px: int | None
) -> tuple[list[Image], NDArray[np.uint8]]:
    """Read F frames of a video, and the masks of O expressions in them.

    Args:
        reader: of `Clips.reader`.
        video: whose it is.
        frames: annotated frames, in any order, also repeated.
        expressions: of this video; one row of masks for every one, also repeated.
        mask_px: side M that masks are reduced to by the official nearest-neighbour rule; None = full size.

    Returns:
        The F images; masks_OFMM, uint8, 1 inside (O F H W of the source in full size).

    Raises:
        ValueError: something is missing, malformed or does not fit together; video, file and position are named.
    """
    try:
        distinct = list({id(one): one for one in expressions}.values())
        rles = [rle for one in distinct for rle in reader.rles(one, frames)]
        masks_KMM = _masks(rles, mask_px)
        images = reader.images(frames)
    except ValueError as error:
        raise ValueError(f"{video.video_id}: {error}") from error
    masks_DFMM = masks_KMM.reshape(len(distinct), len(frames), *masks_KMM.shape[1:])
    row_of = {id(one): row for row, one in enumerate(distinct)}
    return images, masks_DFMM[[row_of[id(one)] for one in expressions]]


def _masks(rles_K: Sequence[Rle], mask_px: int | None) -> NDArray[np.uint8]:
    """Draw masks of one size, or reduce them to `mask_px`."""
    sizes = sorted({(rle["size"][0], rle["size"][1]) for rle in rles_K})
    if len(sizes) > 1:
        raise ValueError(f"all masks must be of one size, got (height, width) {sizes[0]} and {sizes[-1]}")
    if mask_px is not None:
        return reduced_masks(rles_K, mask_px)
    if not rles_K:
        return np.zeros((0, 1, 1), np.uint8)
    errors = parse(rles_K).errors
    if errors:
        raise ValueError(f"masks must be COCO run-length strings: {min(errors.items())[1]}")
    return np.stack([decode(rle) for rle in rles_K])
