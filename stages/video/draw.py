"""The pictures of one object that a writer is shown (paper, section 3.3), as arrays and as JPEG.

Shapes: `_HW3` height x width x (blue, green, red) uint8; `_HW` height x width, uint8, 0 or 1 (masks).
Boxes are (x, y, width, height) in pixels.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.frames import Picture, fit, shrink

YELLOW = (0, 255, 255)
_SHEET_WIDTH_PX, _SHEET_TOP_PX, _SHEET_ROW_PX = 800, 168, 112


def shrink_mask(mask_HW: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Mask at (width, height); a pixel is set if half of what it covers is."""
    # pycocotools decodes column-major: the transpose is contiguous, so reduce that one
    return np.ascontiguousarray(shrink(mask_HW.T, size[::-1]).T)


def contour(picture_HW3: Picture, mask_HW: NDArray[np.uint8], thickness_px: int) -> Picture:
    """Copy of the picture with a yellow line just outside the mask, so that a small object stays visible."""
    drawn_HW3 = picture_HW3.copy()
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


def crop(picture_HW3: Picture, box: Sequence[int], context_frac: float, min_side_px: int) -> Picture:
    """The box with `context_frac` of its side added on each side, at least `min_side_px`, cut at the border."""
    height_px, width_px = picture_HW3.shape[:2]
    x, y, width, height = box
    half_x = max(width * (0.5 + context_frac), min_side_px / 2)
    half_y = max(height * (0.5 + context_frac), min_side_px / 2)
    left, right = max(0, round(x + width / 2 - half_x)), min(width_px, round(x + width / 2 + half_x))
    top, bottom = max(0, round(y + height / 2 - half_y)), min(height_px, round(y + height / 2 + half_y))
    return picture_HW3[top:bottom, left:right]


def black_outside(picture_HW3: Picture, mask_HW: NDArray[np.uint8]) -> Picture:
    """The picture with every pixel outside the mask black."""
    return np.asarray(cv2.bitwise_and(picture_HW3, picture_HW3, mask=mask_HW), np.uint8)


def bounded(picture_HW3: Picture, long_px: int) -> Picture:
    """The picture with its long side at most `long_px`."""
    size = fit(picture_HW3.shape[1], picture_HW3.shape[0], long_px)
    return shrink(picture_HW3, size)


def jpeg(picture_HW3: Picture, quality: int) -> bytes:
    """JPEG bytes of the picture."""
    done, buffer = cv2.imencode(".jpg", picture_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, f"cv2 could not encode a picture of shape {picture_HW3.shape}"
    return buffer.tobytes()


class Sheet:
    """All views of one object on one small picture: crop, masked, scene above, the uniform frames below."""

    def __init__(self) -> None:
        self._canvas_HW3 = np.full((_SHEET_TOP_PX + 2 * _SHEET_ROW_PX, _SHEET_WIDTH_PX, 3), 24, np.uint8)

    def put(self, picture_HW3: Picture, row: int, column: int) -> None:
        """Paste a view into cell (row, column): three cells in row 0, four in rows 1 and 2."""
        columns = 3 if row == 0 else 4
        height_px = _SHEET_TOP_PX if row == 0 else _SHEET_ROW_PX
        top = 0 if row == 0 else _SHEET_TOP_PX + (row - 1) * _SHEET_ROW_PX
        left, right = (round(_SHEET_WIDTH_PX * c / columns) for c in (column, column + 1))
        scale = min((right - left) / picture_HW3.shape[1], height_px / picture_HW3.shape[0])
        size = max(1, int(picture_HW3.shape[1] * scale)), max(1, int(picture_HW3.shape[0] * scale))
        small_HW3 = shrink(picture_HW3, size)
        y, x = top + (height_px - size[1]) // 2, left + (right - left - size[0]) // 2
        self._canvas_HW3[y : y + size[1], x : x + size[0]] = small_HW3

    def jpeg(self) -> bytes:
        """The sheet as JPEG, about 30 kB."""
        return jpeg(self._canvas_HW3, 70)
