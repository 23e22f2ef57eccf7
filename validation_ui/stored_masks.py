"""Masks of masklets as they are stored: COCO RLE at the upright source's size, one for each annotated frame.

Points are (x, y) as fractions of the width and the height, from the upper left corner.
"""

import json
import math
import zlib
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from manifests.schema import MASK_STRIDE

_SMALL_FRAC = 0.01  # of the frame; a smaller object is hit by a point near it
_NEAR_FRAC = 0.01  # of the diagonal: how near


def annotated(frame_count: int) -> list[int]:
    """Source frames that have masks."""
    return list(range(0, frame_count, MASK_STRIDE))


def packed_json(rles: bytes) -> bytes:
    """A masklet's counts as a JSON list of strings and nulls."""
    return zlib.decompress(rles)


def unpack(rles: bytes) -> list[str | None]:
    """A masklet's counts at each annotated frame, None where it is not visible."""
    counts: list[str | None] = json.loads(packed_json(rles))
    return counts


def area_px(counts: str | None, size: Sequence[int]) -> int:
    """Area of one mask; size is (height, width)."""
    return 0 if counts is None else int(coco.area({"size": list(size), "counts": counts.encode()}))


def contains(counts: str | None, size: Sequence[int], x: float, y: float) -> bool:
    """Whether a point is in one mask, or near it if the mask is small.

    Args:
        counts: of the mask, None if nothing is visible.
        size: (height, width), pixels.
        x: from the left, share of the width.
        y: from the top, share of the height.
    """
    if counts is None:
        return False
    height, width = size
    rle = {"size": [height, width], "counts": counts.encode()}
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    near_px = _NEAR_FRAC * math.hypot(height, width)
    left, top, box_width, box_height = coco.toBbox(rle)
    if not (-near_px <= column - left <= box_width + near_px and -near_px <= row - top <= box_height + near_px):
        return False  # most masks: to decode one takes longer than the rest of the answer
    mask_HW = coco.decode(rle)
    if mask_HW[row, column]:
        return True
    if mask_HW.sum() >= _SMALL_FRAC * height * width:
        return False
    rows, columns = np.nonzero(mask_HW)
    distance_2 = (rows - row) ** 2 + (columns - column) ** 2
    return bool(len(rows)) and bool(distance_2.min() <= near_px**2)
