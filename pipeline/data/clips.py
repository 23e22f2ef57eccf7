"""Chosen frames and masks of a video, from the frame store or from its own files; no tensor here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.data.frame_store import StoredVideo
from pipeline.data.masks import reduced_masks
from pipeline.data.source import Picture, Rle, VideoFiles
from pipeline.data.videos import Expression, Video
from stages.video.rle import MAX_PX, decode, parse


@dataclass(frozen=True, slots=True)
class Clip:
    """What was asked for.

    Attributes:
        frames: F pictures_HW3, red green blue, uint8, upright.
        masks_OFMM: uint8, 1 inside, one row of F for each expression asked for; O F H W of the source where no
            reduction was asked for.
    """

    frames: list[Picture]
    masks_OFMM: NDArray[np.uint8]


class Reader(Protocol):
    """One video, wherever it is read from."""

    @property
    def annotated_count(self) -> int:
        """Annotated frames (6 fps)."""

    def pictures(self, frames: Sequence[int]) -> list[Picture]:
        """Upright picture_HW3, red green blue, of each annotated frame asked for."""

    def rles(self, expression: Expression, frames: Sequence[int]) -> list[Rle]:
        """The expression's mask at each frame: run-length string, height, width."""


class Clips:
    """Reads videos; small, picklable, and keeps nothing between two calls.

    Args:
        store: folder of the frame store, or of several; none = mp4 and annotation files. A video that no given store
            has is an error, not read from elsewhere: an epoch that is slow in parts is hard to find.
    """

    def __init__(self, store: Path | Sequence[Path] | None = None) -> None:
        self._stores = [store] if isinstance(store, Path) else list(store or ())

    def reader(self, video: Video) -> Reader:
        """To read several things of one video with its files opened once."""
        if not self._stores:
            return VideoFiles(video)
        stored = [StoredVideo(store, video) for store in self._stores]
        return next((each for each in stored if each.path.exists()), stored[0])

    def annotated_count(self, video: Video) -> int:
        """Annotated frames of a video."""
        return self.reader(video).annotated_count

    def read(
        self, video: Video, frames: Sequence[int], expressions: Sequence[Expression], mask_px: int | None = None
    ) -> Clip:
        """Frames and masks.

        Args:
            video: whose.
            frames: annotated frames (source frame = 4 times that), in any order, also repeated.
            expressions: of this video; one row of masks each, also repeated.
            mask_px: side M that masks are reduced to by the official nearest-neighbour rule; None = full size.

        Raises:
            ValueError: something is missing, malformed or does not fit together; video, file and position are named.
        """
        return read_clip(self.reader(video), video, frames, expressions, mask_px)


def read_clip(
    reader: Reader, video: Video, frames: Sequence[int], expressions: Sequence[Expression], mask_px: int | None
) -> Clip:
    """As `Clips.read`, with a reader that is open already."""
    try:
        distinct = {id(each): each for each in expressions}
        rles = {key: reader.rles(each, frames) for key, each in distinct.items()}
        sizes = sorted({rle[1:] for of_object in rles.values() for rle in of_object})
        if len(sizes) > 1:
            raise ValueError(f"all masks must be of one size, got (height, width) {sizes[0]} and {sizes[-1]}")
        flat = [counts for of_object in rles.values() for counts, _, _ in of_object]
        masks_KMM = _masks(flat, *sizes[0], mask_px) if flat else np.zeros((0, mask_px or 1, mask_px or 1), np.uint8)
        masks = dict(zip(rles, masks_KMM.reshape(len(rles), len(frames), *masks_KMM.shape[1:]), strict=True))
        pictures = reader.pictures(frames)
    except ValueError as error:
        raise ValueError(f"{video.video_id}: {error}") from error
    stacked = [masks[id(each)] for each in expressions]
    return Clip(pictures, np.stack(stacked) if stacked else masks_KMM.reshape(0, len(frames), *masks_KMM.shape[1:]))


def _masks(counts_K: Sequence[str], height_px: int, width_px: int, mask_px: int | None) -> NDArray[np.uint8]:
    if height_px < 1 or width_px < 1 or height_px * width_px > MAX_PX:
        raise ValueError(f"masks must have a size of at most {MAX_PX} pixels, got {height_px} x {width_px}")
    if mask_px is not None:
        return reduced_masks(counts_K, height_px, width_px, mask_px)
    errors = parse(counts_K, [height_px] * len(counts_K), [width_px] * len(counts_K)).errors
    if errors:
        raise ValueError(f"masks must be COCO run-length strings: {min(errors.items())[1]}")
    size = [height_px, width_px]
    return np.stack([decode({"size": size, "counts": counts.encode()}) for counts in counts_K])
