"""Estimates how the camera moves between annotated frames: corners of the background are followed, and a motion fitted.

Points are (x, y) in pixels; a motion is a 2x3 similarity A: the background point p is at A @ (p, 1) one frame later.
"""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.corners import NO_CORNERS, Corners, background, follow
from stages.video.trails import Trail, TrailTracker

# Pixels below are those of the small image (long side about 320 px).
_CORNERS = 100  # enough for a fit with most of them lost; the time taken grows with it
_CORNER_QUALITY = 0.005  # share of the strongest corner's strength: weak ones still count on asphalt or lawn
_FEW_CORNERS = 55  # corners that follow the background are kept from frame to frame until fewer are left
_CORNER_SPACING_PX = 10  # spreads the corners, so that one richly textured thing does not decide for the scene
_FIT_ERROR_PX = 1.0  # what lies farther off the fit is not background, or is parallax
_MIN_INLIERS = 12  # a similarity takes 2 points; fewer than 6 times that would be chance
_MIN_INLIER_FRAC = 0.3  # of the corners followed: below it no single motion explains the scene


class CameraTracker:
    """Follows the background from every annotated frame to the next.

    Attributes:
        steps: one 2x3 similarity for every two successive frames, in full-resolution pixels; None where too little
            background could be followed.
        trails: points all over the background, also those that move otherwise: see parallax.py.
    """

    def __init__(self, scale: float) -> None:
        """Start a video; `scale` is full-resolution pixels per pixel of the small images."""
        self.steps: list[NDArray[np.float64] | None] = []
        self._scale = scale
        self._last: tuple[NDArray[np.uint8], Corners] | None = None
        self._trails = TrailTracker(scale)

    @property
    def trails(self) -> list[Trail]:
        """Return points of the background through time, in the order of their start."""
        return self._trails.trails

    def add(self, grey_HW: NDArray[np.uint8], foreground: Callable[[], NDArray[np.uint8]]) -> None:
        """Take the next annotated frame.

        Args:
            grey_HW: the frame, with a long side of about 320 px.
            foreground: returns the union of all masks at the same size, `_HW`, 1 inside; whatever moves by itself
                should be in it. It is called only when new corners are looked for.

        Raises:
            ValueError: the two differ in size.
        """
        background_HW = cache(lambda: background(grey_HW, foreground()))
        corners = NO_CORNERS
        if self._last is not None:
            small, corners = _background_motion(*self._last, grey_HW)
            self.steps.append(None if small is None else small * (1, 1, self._scale))
        if len(corners) < _FEW_CORNERS:
            corners = _corners(grey_HW, background_HW())
        self._last = grey_HW, corners
        self._trails.add(grey_HW, background_HW)


def _corners(grey_HW: NDArray[np.uint8], background_HW: NDArray[np.uint8]) -> Corners:
    """Find corners of the background, spread over the image."""
    found = cv2.goodFeaturesToTrack(grey_HW, _CORNERS, _CORNER_QUALITY, _CORNER_SPACING_PX, mask=background_HW)
    return NO_CORNERS if found is None else np.asarray(found, np.float32)


def _background_motion(
    before_HW: NDArray[np.uint8], corners: Corners, after_HW: NDArray[np.uint8]
) -> tuple[NDArray[np.float64] | None, Corners]:
    """Fit the similarity that most `corners` follow, in small pixels, and say where those are now; None: few agree."""
    if len(corners) < _MIN_INLIERS:
        return None, NO_CORNERS
    moved, good = follow(before_HW, after_HW, corners)
    if good.sum() < _MIN_INLIERS:
        return None, NO_CORNERS
    motion, inliers = cv2.estimateAffinePartial2D(corners[good], moved[good], ransacReprojThreshold=_FIT_ERROR_PX)
    if motion is None or inliers.sum() < max(_MIN_INLIERS, _MIN_INLIER_FRAC * good.sum()):
        return None, NO_CORNERS
    return np.asarray(motion, np.float64), np.asarray(moved[good][inliers[:, 0] == 1], np.float32)
