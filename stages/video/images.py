"""An image as an array, and what is done with one everywhere: it is reduced, read, or coded as JPEG."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # `_HW3`: height x width x (red, green, blue)
BgrImage = NDArray[np.uint8]  # `_HW3` with blue first, the order in which OpenCV decodes, draws and encodes


def fit(width_px: int, height_px: int, long_px: int) -> tuple[int, int]:
    """Return (width, height) with the long side at most `long_px`: same shape, never enlarged, at least 1 pixel."""
    scale = min(1.0, long_px / max(width_px, height_px))
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def shrink(array: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Reduce an image of any channel order, or a mask of 0 and 1, to `size` (width, height).

    It is halved as long as that leaves enough: OpenCV does this ten times as fast as averaging over any other area.
    """
    while array.shape[1] >= 2 * size[0] and array.shape[0] >= 2 * size[1]:
        half = (array.shape[1] // 2, array.shape[0] // 2)
        array = np.asarray(cv2.resize(array, half, interpolation=cv2.INTER_AREA), np.uint8)
    if array.shape[1::-1] == size:
        return array
    return np.asarray(cv2.resize(array, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def shrink_mask(mask_HW: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Reduce a mask to `size` (width, height); a pixel is set if half of what it covers is."""
    # a decoded RLE is column-major: its transpose is contiguous, so that is what is reduced
    return np.ascontiguousarray(shrink(mask_HW.T, size[::-1]).T)


def bounded(bgr_HW3: BgrImage, long_px: int) -> BgrImage:
    """Reduce an image of any channel order so that its long side has at most `long_px` pixels."""
    return shrink(bgr_HW3, fit(bgr_HW3.shape[1], bgr_HW3.shape[0], long_px))


def to_rgb(bgr_HW3: BgrImage) -> Image:
    """Return a copy with red first."""
    return np.asarray(cv2.cvtColor(bgr_HW3, cv2.COLOR_BGR2RGB), np.uint8)


def encode_jpeg(bgr_HW3: BgrImage, quality: int) -> bytes:
    """Code an image as JPEG with OpenCV's `quality`, 1 to 100."""
    done, buffer = cv2.imencode(".jpg", bgr_HW3, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, f"cv2 could not encode an image of shape {bgr_HW3.shape}"
    return buffer.tobytes()


def read_image(path: Path) -> Image | None:
    """Read a JPEG or PNG file; None if it is not there or OpenCV cannot decode it."""
    bgr_HW3 = cv2.imread(str(path), cv2.IMREAD_COLOR)
    return None if bgr_HW3 is None else to_rgb(np.asarray(bgr_HW3, np.uint8))
