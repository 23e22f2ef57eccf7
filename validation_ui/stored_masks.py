"""Masks of masklets as the database stores them: COCO RLE in the upright source's size, one for every annotated frame.

Points are (x, y) as fractions of the width and the height, from the upper left corner.
"""

import json
import math
import zlib
from collections.abc import Sequence

import numpy as np

from manifests.schema import MASK_STRIDE
from stages.video.rle import Rle, areas_px, boxes_px, decode

_SMALL_FRAC = 0.01  # of the frame; a smaller object is hit by a point near it
_NEAR_FRAC = 0.01  # of the diagonal: how near


def annotated(frame_count: int) -> list[int]:
    """Return the source frames that have masks."""
    return list(range(0, frame_count, MASK_STRIDE))


def packed_json(rles: bytes) -> bytes:
    """Unpack a masklet's counts to a JSON list of strings and nulls."""
    return zlib.decompress(rles)


def unpack(rles: bytes) -> list[str | None]:
    """Return a masklet's counts in every annotated frame, None where it is not visible."""
    counts: list[str | None] = json.loads(packed_json(rles))
    return counts


def area_px(counts: str | None, size: Sequence[int]) -> int:
    """Return the area of one mask in pixels; size is (height, width)."""
    return 0 if counts is None else int(areas_px([{"size": list(size), "counts": counts}])[0])


def contains(counts: str | None, size: Sequence[int], x: float, y: float) -> bool:
    """Tell whether a point is in one mask, or near it if the mask is small.

    Args:
        counts: of the mask, None if nothing is visible.
        size: (height, width), pixels.
        x: from the left, share of the width.
        y: from the top, share of the height.
    """
    if counts is None:
        return False
    height, width = size
    rle: Rle = {"size": [height, width], "counts": counts}
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    near_px = _NEAR_FRAC * math.hypot(height, width)
    left, top, box_width, box_height = boxes_px([rle])[0]
    if not (-near_px <= column - left <= box_width + near_px and -near_px <= row - top <= box_height + near_px):
        return False  # most masks: to decode one takes longer than the rest of the answer
    mask_HW = decode(rle)
    if mask_HW[row, column]:
        return True
    if mask_HW.sum() >= _SMALL_FRAC * height * width:
        return False
    rows, columns = np.nonzero(mask_HW)
    distance_2 = (rows - row) ** 2 + (columns - column) ** 2
    return bool(len(rows)) and bool(distance_2.min() <= near_px**2)
