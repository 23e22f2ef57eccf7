"""Reads a video's masks from PNG files: one for every picture, or a folder of them for every object.

A pixel has the number of its object. 255 is "ignore" and belongs to no object; if all masks of a video hold nothing but
0 and 255, as in DAVIS 2016, 255 is its one object. In a folder for one object any pixel that is not 0 belongs to it.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.pictures import by, hole, numbered
from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from stages.video.mask_images import read_index_image
from stages.video.rle import Rle, from_index_image, from_mask

IGNORE = 255
Masks = dict[int, dict[str, Rle]]


def object_ids(masks: Masks) -> list[str]:
    """Return the ids of all objects, numbers in their order."""
    return sorted({one for of_picture in masks.values() for one in of_picture}, key=lambda one: (len(one), one))


def read_masks(folder: Path, position: dict[int, int], size: tuple[int, int], *, every_shown: bool = True) -> Masks:
    """Read a folder of PNG masks, or one with a folder for each object.

    Args:
        folder: of a video.
        position: number of a picture -> its position.
        size: (height, width) of the pictures.
        every_shown: whether a mask without a picture is a fault; else it is not read.

    Returns:
        Position -> id of an object -> its mask.

    Raises:
        ImportFailedError: one is missing, unreadable, or of another size.
    """
    read = partial(_index_images, position=position, size=size, every_shown=every_shown)
    by_object = sorted(one for one in folder.iterdir() if one.is_dir())
    if by_object:
        masks: Masks = {}
        for place in by_object:
            for at, index_HW in read(place, dense=False):
                masks.setdefault(at, {})[place.name] = from_mask(index_HW != 0)
        return dict(sorted(masks.items()))
    found = {at: from_index_image(index_HW) for at, index_HW in read(folder, dense=True)}
    values = {value for objects in found.values() for value in objects}
    ignored = values - {IGNORE} and {IGNORE}
    return {at: {str(v): rle for v, rle in objects.items() if v not in ignored} for at, objects in found.items()}


def _index_images(
    folder: Path, *, position: dict[int, int], size: tuple[int, int], every_shown: bool, dense: bool
) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    files = numbered(folder, (".png",))
    if not files:
        raise ImportFailedError(ImportReason.MASK_MISSING, f"{folder} must have PNG masks, got none")
    gap = hole([position[number] for number in files if number in position]) if dense else None
    if gap:
        names = [path.name for number, path in files.items() if position.get(number) in gap]
        raise ImportFailedError(ImportReason.MASK_MISSING, f"{folder} must have a mask between {' and '.join(names)}")
    for number, path in files.items():
        if number not in position and not every_shown:
            continue
        if number not in position:
            raise ImportFailedError(ImportReason.FRAME_MISSING, f"{path} must have a picture number {number}, got none")
        try:
            index_HW = read_index_image(path)
        except (OSError, ValueError) as error:
            raise ImportFailedError(ImportReason.MASK_UNREADABLE, str(error)) from error
        if index_HW.shape != size:
            raise ImportFailedError(
                ImportReason.SIZE_MISMATCH, f"{path} is {by(index_HW.shape)}, the pictures are {by(size)}"
            )
        yield position[number], index_HW
