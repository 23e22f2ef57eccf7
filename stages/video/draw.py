"""Draws the views of one object that a writer is shown (paper, section 3.3).

Shapes: `_HW3` height x width x (blue, green, red) uint8; `_HW` height x width, uint8, 0 or 1 (masks).
Boxes are (x, y, width, height) in pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.images import BgrImage, encode_jpeg, shrink

YELLOW = (0, 255, 255)
_SHEET_WIDTH_PX, _SHEET_TOP_PX, _SHEET_ROW_PX = 800, 168, 112


def contour(bgr_HW3: BgrImage, mask_HW: NDArray[np.uint8], thickness_px: int) -> BgrImage:
    """Draw a yellow line just outside the mask on a copy of the image, so that a small object stays visible."""
    drawn_HW3 = bgr_HW3.copy()
    x, y, width, height = cv2.boundingRect(mask_HW)
    if width == 0:
        return drawn_HW3
    margin = thickness_px + 2
    x0, y0 = max(0, x - margin), max(0, y - margin)
    part = np.s_[y0 : y + height + margin, x0 : x + width + margin]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * thickness_px + 1,) * 2)
    grown_HW = cv2.dilate(mask_HW[part], kernel)
    drawn_HW3[part][(grown_HW > 0) & (mask_HW[part] == 0)] = YELLOW
    return drawn_HW3


def crop(bgr_HW3: BgrImage, box: Sequence[int], context_frac: float, min_side_px: int) -> BgrImage:
    """Crop to the box with `context_frac` of its side added on both sides, at least `min_side_px`."""
    height_px, width_px = bgr_HW3.shape[:2]
    x, y, width, height = box
    half_x = max(width * (0.5 + context_frac), min_side_px / 2)
    half_y = max(height * (0.5 + context_frac), min_side_px / 2)
    left, right = max(0, round(x + width / 2 - half_x)), min(width_px, round(x + width / 2 + half_x))
    top, bottom = max(0, round(y + height / 2 - half_y)), min(height_px, round(y + height / 2 + half_y))
    return bgr_HW3[top:bottom, left:right]


def black_outside(bgr_HW3: BgrImage, mask_HW: NDArray[np.uint8]) -> BgrImage:
    """Make every pixel outside the mask black, on a copy."""
    return np.asarray(cv2.bitwise_and(bgr_HW3, bgr_HW3, mask=mask_HW), np.uint8)


class Sheet:
    """All views of one object on one small image: crop, masked and scene above, the uniform frames below."""

    def __init__(self) -> None:
        self._canvas_HW3 = np.full((_SHEET_TOP_PX + 2 * _SHEET_ROW_PX, _SHEET_WIDTH_PX, 3), 24, np.uint8)

    def put(self, bgr_HW3: BgrImage, row: int, column: int) -> None:
        """Paste a view into cell (row, column): three cells in row 0, four in rows 1 and 2."""
        columns = 3 if row == 0 else 4
        height_px = _SHEET_TOP_PX if row == 0 else _SHEET_ROW_PX
        top = 0 if row == 0 else _SHEET_TOP_PX + (row - 1) * _SHEET_ROW_PX
        left, right = (round(_SHEET_WIDTH_PX * c / columns) for c in (column, column + 1))
        scale = min((right - left) / bgr_HW3.shape[1], height_px / bgr_HW3.shape[0])
        size = max(1, int(bgr_HW3.shape[1] * scale)), max(1, int(bgr_HW3.shape[0] * scale))
        small_HW3 = shrink(bgr_HW3, size)
        y, x = top + (height_px - size[1]) // 2, left + (right - left - size[0]) // 2
        self._canvas_HW3[y : y + size[1], x : x + size[0]] = small_HW3

    def jpeg(self) -> bytes:
        """Return the sheet as JPEG, about 30 kB."""
        return encode_jpeg(self._canvas_HW3, 70)
