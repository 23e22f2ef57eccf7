"""Draws the views of one object that a writer is shown (paper, section 3.3), and collects them frame by frame.

Shapes: `_HW3` images (blue, green, red), `_HW` masks with 1 inside, uint8; boxes are (x, y, width, height) in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.images import BgrImage, bounded, encode_jpeg, shrink, shrink_mask

YELLOW = (0, 255, 255)
_SHEET_WIDTH_PX, _SHEET_TOP_PX, _SHEET_ROW_PX = 800, 168, 112


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewConfig:
    """Sets the sizes of the views, and how they are drawn."""

    frames: int = 8  # paper, section 3.3
    scene_long_px: int = 1024  # of the masked and the scene view: VLMs of today take about a megapixel
    video_long_px: int = 640  # 8 of them go into one prompt
    crop_long_px: int = 768
    lineup_long_px: int = 640  # 6 of them go into one question, and a text is put to the judge at least twice
    crop_context_frac: float = 0.5  # of the box, on both sides: the crop with context was best in DAM, table 8
    crop_min_px: int = 96  # a smaller crop shows no context
    contour_frac: float = 0.003  # of the long side: thin, 3 px of 1024
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ValueError(f"frames must be at least 1, got {self.frames}")
        for name in ("scene_long_px", "video_long_px", "crop_long_px", "lineup_long_px", "crop_min_px"):
            if getattr(self, name) < 16:
                raise ValueError(f"{name} must be at least 16, got {getattr(self, name)}")
        if self.crop_context_frac < 0 or not 0 < self.contour_frac < 0.1:
            raise ValueError(f"crop_context_frac must be >= 0 and contour_frac in (0, 0.1), got {self}")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality must be in [1, 100], got {self.jpeg_quality}")


def uniform_indices(entries: int, frames: int) -> list[int]:
    """Choose annotated frames evenly from the first to the last of `entries`; all of them if there are no more."""
    indices: list[int] = np.linspace(0, entries - 1, min(frames, entries)).round().astype(int).tolist()
    return indices


class ObjectViews:
    """Draws and collects the views of one object."""

    def __init__(self, config: ViewConfig) -> None:
        self._config = config
        self._sheet = Sheet()
        self._uniform: dict[int, bytes] = {}
        self._best: dict[str, bytes] = {}

    def add_uniform(self, bgr_HW3: BgrImage, mask_HW: NDArray[np.uint8], slot: int) -> None:
        """Take one of the uniform frames, reduced to video_long_px; it gets a contour if the mask is not empty."""
        drawn_HW3 = contour(bgr_HW3, mask_HW, self._thickness_px(bgr_HW3))
        self._uniform[slot] = encode_jpeg(drawn_HW3, self._config.jpeg_quality)
        self._sheet.put(drawn_HW3, 1 + slot // 4, slot % 4)

    def add_best(self, full_HW3: BgrImage, mask_HW: NDArray[np.uint8], box: Sequence[int]) -> None:
        """Take the frame of the largest mask, in full resolution, and make the crop, masked and scene view of it."""
        config = self._config
        scene_HW3 = bounded(full_HW3, config.scene_long_px)
        small_HW = shrink_mask(mask_HW, (scene_HW3.shape[1], scene_HW3.shape[0]))
        crop_HW3 = crop(full_HW3, box, config.crop_context_frac, config.crop_min_px)
        images = {
            "crop_jpeg": bounded(crop_HW3, config.crop_long_px),
            "masked_jpeg": black_outside(scene_HW3, small_HW),
            "scene_jpeg": contour(scene_HW3, small_HW, self._thickness_px(scene_HW3)),
        }
        for column, (name, bgr_HW3) in enumerate(images.items()):
            self._best[name] = encode_jpeg(bgr_HW3, config.jpeg_quality)
            self._sheet.put(bgr_HW3, 0, column)

    def columns(self) -> dict[str, Any]:
        """Return the columns crop_jpeg, masked_jpeg, scene_jpeg, video_jpegs and preview_jpeg of the object's row."""
        uniform = [self._uniform[slot] for slot in sorted(self._uniform)]
        return {**self._best, "video_jpegs": uniform, "preview_jpeg": self._sheet.jpeg()}

    def _thickness_px(self, bgr_HW3: BgrImage) -> int:
        long_px: int = max(bgr_HW3.shape[:2])
        return max(1, round(self._config.contour_frac * long_px))


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
    """Puts all views of one object on one small image: crop, masked and scene above, the uniform frames below."""

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


def frames_of_sheet(jpeg: bytes, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Cut the uniform frames out of a sheet: grey images of up to 200x112 pixels, in order, with the object's contour.

    Args:
        jpeg: the column preview_jpeg.
        size: (width, height) of the video, which says how the frames lie in their cells.
    """
    grey_HW = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    if grey_HW is None or grey_HW.shape != (_SHEET_TOP_PX + 2 * _SHEET_ROW_PX, _SHEET_WIDTH_PX):
        return []
    cell_px = _SHEET_WIDTH_PX // 4
    scale = min(cell_px / size[0], _SHEET_ROW_PX / size[1])
    width_px, height_px = max(1, int(size[0] * scale)), max(1, int(size[1] * scale))
    x, y = (cell_px - width_px) // 2, (_SHEET_ROW_PX - height_px) // 2
    frames = []
    for slot in range(8):
        left, top = slot % 4 * cell_px + x, _SHEET_TOP_PX + slot // 4 * _SHEET_ROW_PX + y
        frames.append(np.asarray(grey_HW[top : top + height_px, left : left + width_px], np.uint8))
    return frames
