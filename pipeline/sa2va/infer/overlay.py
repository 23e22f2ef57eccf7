"""Draw masks on frames: a colour for every text, a legend above, as mp4 and as one sheet.

Shapes: `_HW3` red green blue uint8; N texts.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from stages.video.images import Image, encode_jpeg, fit
from stages.video.video_writer import VideoWriter

# far apart from one another, and light enough to be read as text on black
COLOURS = ((255, 82, 82), (64, 156, 255), (255, 214, 10), (48, 209, 88), (191, 90, 242), (255, 149, 0), (100, 230, 230))
_TINT_FRAC = 0.4
_BACKGROUND = (18, 18, 20)
_ENCODING = {"crf": "20", "preset": "veryfast"}
_TIME_BASE = Fraction(1, 12_000)  # seconds
_SHEET_COLUMNS, _SHEET_CELL_PX = 4, 400


def overlay(image_HW3: Image, masks_NHW: NDArray[np.bool_]) -> Image:
    """Return a copy of the frame with every mask tinted, and a line along its edge that shows where masks overlap.

    Args:
        image_HW3: is not changed.
        masks_NHW: mask n has colour n of COLOURS, which begin again.
    """
    drawn_HW3 = np.ascontiguousarray(image_HW3).copy()
    width_px = max(2, round(max(image_HW3.shape[:2]) / 400))
    for n, mask_HW in enumerate(masks_NHW):
        tint = _TINT_FRAC * np.array(_colour(n))
        drawn_HW3[mask_HW] = (drawn_HW3[mask_HW] * (1 - _TINT_FRAC) + tint).astype(np.uint8)
    for n, mask_HW in enumerate(masks_NHW):
        outlines, _ = cv2.findContours(mask_HW.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn_HW3, outlines, -1, (0, 0, 0), width_px + 2, cv2.LINE_AA)
        cv2.drawContours(drawn_HW3, outlines, -1, _colour(n), width_px, cv2.LINE_AA)
    return drawn_HW3


def legend(texts: Sequence[str], width_px: int) -> Image:
    """Return a strip of this width with a line for every text, cut off with an ellipsis where it is too long."""
    size_px = max(12, round(width_px / 55))
    line_px, font = round(1.5 * size_px), ImageFont.load_default(size_px)
    strip = PilImage.new("RGB", (width_px, line_px * len(texts) + size_px // 2), _BACKGROUND)
    pen = ImageDraw.Draw(strip)
    for n, text in enumerate(texts):
        top = size_px // 4 + n * line_px
        square = (size_px // 2, top + size_px // 4, size_px // 2 + size_px, top + size_px // 4 + size_px)
        pen.rectangle(square, fill=_colour(n))
        left = 2 * size_px
        pen.text((left, top), _shortened(text, font, width_px - left - size_px // 2), fill=(235, 235, 235), font=font)
    return np.asarray(strip, np.uint8)


class OverlayVideo:
    """Writes an H.264 file frame by frame; to be used in a `with`."""

    def __init__(self, path: Path, texts: Sequence[str]) -> None:
        self._writer = VideoWriter(path, time_base=_TIME_BASE, encoding=_ENCODING)
        self._texts, self._legend_LW3 = list(texts), np.zeros((0, 0, 3), np.uint8)

    def write(self, drawn_HW3: Image, time_s: float) -> None:
        """Append an overlay that is shown from `time_s` on; all must have the size of the first."""
        if not self._legend_LW3.size:
            self._legend_LW3 = legend(self._texts, drawn_HW3.shape[1])
        self._writer.write(np.concatenate([self._legend_LW3, drawn_HW3]), round(time_s / _TIME_BASE))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


def sheet_frames(frames: int, most: int = 12) -> list[int]:
    """Choose the frames that a sheet shows: spread over the video, its ends included."""
    return [round(t) for t in np.linspace(0, frames - 1, min(most, frames)).tolist()]


def cell(drawn_HW3: Image, label: str) -> Image:
    """Reduce an overlay to the size that a sheet shows it at, with `label` in its corner."""
    size = fit(drawn_HW3.shape[1], drawn_HW3.shape[0], _SHEET_CELL_PX)
    small = PilImage.fromarray(np.asarray(cv2.resize(drawn_HW3, size, interpolation=cv2.INTER_AREA), np.uint8))
    pen, font = ImageDraw.Draw(small), ImageFont.load_default(14)
    left, top, right, bottom = pen.textbbox((4, 2), label, font=font)
    pen.rectangle((0, 0, right + 4, bottom + 3), fill=_BACKGROUND)
    pen.text((4, 2), label, fill=(235, 235, 235), font=font)
    return np.asarray(small, np.uint8)


def sheet(cells: Sequence[Image], texts: Sequence[str]) -> bytes:
    """Return one JPEG: the legend, and below it the cells from left to right and from top to bottom.

    Args:
        cells: at least one, all of the same size.
        texts: those of the legend.
    """
    height_px, width_px = cells[0].shape[:2]
    columns = min(_SHEET_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    canvas_HW3 = np.full((rows * (height_px + 4), columns * (width_px + 4), 3), _BACKGROUND, np.uint8)
    for i, cell_HW3 in enumerate(cells):
        y, x = (i // columns) * (height_px + 4) + 2, (i % columns) * (width_px + 4) + 2
        canvas_HW3[y : y + height_px, x : x + width_px] = cell_HW3
    framed_HW3 = np.concatenate([legend(texts, canvas_HW3.shape[1]), canvas_HW3])
    return encode_jpeg(np.ascontiguousarray(framed_HW3[..., ::-1]), 88)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room_px: int) -> str:
    line = " ".join(text.split())
    if font.getlength(line) <= room_px:
        return line
    fits, too_long = 0, len(line)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if font.getlength(f"{line[:middle]} …") <= room_px else (fits, middle)
    return f"{line[:fits].rstrip()} …"


def _colour(n: int) -> tuple[int, int, int]:
    return COLOURS[n % len(COLOURS)]
