"""Finds where corners of the background may be in small grey images, and follows them to the next frame.

Points are (x, y) in pixels of the small image, long side about 320 px.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW_PX = 11
_PYRAMID_LEVELS = 3  # follows moves up to about 60 px, a fifth of the image between two frames
_BACK_ERROR_PX = 0.7  # a corner followed forth and back must return this close
_MASK_MARGIN_PX = 4  # masks are a little too small as a rule, and a corner's window looks over the edge

Corners = NDArray[np.float32]  # (N, 1, 2), as OpenCV wants them
NO_CORNERS: Corners = np.empty((0, 1, 2), np.float32)


def background(grey_HW: NDArray[np.uint8], foreground_HW: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return where corners may be looked for, `_HW`, 1 there.

    Args:
        grey_HW: the image.
        foreground_HW: all masks, 1 inside.

    Raises:
        ValueError: image and foreground differ in size.
    """
    if grey_HW.shape != foreground_HW.shape:
        raise ValueError(f"foreground must have the picture's size {grey_HW.shape}, got {foreground_HW.shape}")
    grown_HW = cv2.dilate(foreground_HW, np.ones((2 * _MASK_MARGIN_PX + 1,) * 2, np.uint8))
    return np.asarray(1 - grown_HW, np.uint8)


def follow(
    before_HW: NDArray[np.uint8], after_HW: NDArray[np.uint8], corners: Corners
) -> tuple[Corners, NDArray[np.bool_]]:
    """Find where `corners` are one frame later, (N, 1, 2), and which of them were surely found there, (N,)."""
    if not len(corners):
        return NO_CORNERS, np.empty(0, bool)
    window = (_WINDOW_PX, _WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before_HW, after_HW, corners, np.empty_like(corners), winSize=window, maxLevel=_PYRAMID_LEVELS
    )
    # The way back starts at the corners themselves, so it needs no pyramid.
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(
        after_HW, before_HW, moved, corners.copy(), winSize=window, maxLevel=0, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    returned = np.abs(back - corners).max(axis=(1, 2)) < _BACK_ERROR_PX
    return np.asarray(moved, np.float32), returned & (found[:, 0] == 1) & (found_back[:, 0] == 1)
