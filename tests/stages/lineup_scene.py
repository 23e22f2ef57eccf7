"""Drawn frames for line-ups: coloured shapes with exact masks."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.lineup import LineupFrame, LineupMask
from stages.video.images import encode_jpeg
from stages.video.rle import from_mask

Shape = tuple[int, int, int]  # x, y, radius; a radius of 0 is out of sight


def object_ids(count: int) -> list[str]:
    return [f"sav_000001/manual/{number}" for number in range(count)]


def frame(
    shapes: Sequence[Shape], time_s: float = 0.0, size: tuple[int, int] = (360, 640), ids: Sequence[str] = ()
) -> LineupFrame:
    """Discs on grey; later ones lie in front of earlier ones."""
    image_HW3 = np.full((*size, 3), 120, np.uint8)
    masks: list[NDArray[np.uint8]] = []
    for number, (x, y, radius) in enumerate(shapes):
        mask_HW = np.zeros(size, np.uint8)
        if radius:
            cv2.circle(mask_HW, (x, y), radius, 1, -1)
        image_HW3[mask_HW > 0] = ((40 + 60 * number) % 256, 90, (200 - 50 * number) % 256)
        for before_HW in masks:
            before_HW[mask_HW > 0] = 0
        masks.append(mask_HW)
    names = ids or object_ids(len(shapes))
    seen = [
        LineupMask(object_id=name, counts=from_mask(mask_HW)["counts"])
        for name, mask_HW in zip(names, masks, strict=True)
        if mask_HW.any()
    ]
    return LineupFrame(time_s=time_s, size=list(size), jpeg=encode_jpeg(image_HW3, 95), seen=seen)


def picture(jpeg: bytes) -> NDArray[np.uint8]:
    """A JPEG as an image, blue first."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
