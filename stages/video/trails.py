"""Follows points of the background through a video, wherever they are, whatever their motion: their paths are trails.

The fit of the camera's motion needs corners that surely belong together. Whether there is more than one depth in the
background shows in the others: so there is one in every part of the image that has any texture, weak or strong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.corners import NO_CORNERS, Corners, follow

# Pixels of the small image (long side about 320 px).
_TILE_PX = 20  # one point in a tile: about 140 in all
_RENEW_FRAMES = 6  # a second: tiles that lost their point get another
_LEAST_STRENGTH = 1e-4  # cv2.cornerMinEigenVal: sand has it, sky has not
_BLOCK_PX = 3


@dataclass(eq=False)
class Trail:
    """Holds the path of one point of the background.

    Attributes:
        first: annotated frame of the first of `points`.
        points: (x, y) in full-resolution pixels, one a frame.
    """

    first: int
    points: list[tuple[float, float]] = field(default_factory=list)


class TrailTracker:
    """Follows points of the background.

    Attributes:
        trails: all, ended or not, in the order of their start.
    """

    def __init__(self, scale: float) -> None:
        """Start a video; `scale` is full-resolution pixels per pixel of the small images."""
        self.trails: list[Trail] = []
        self._scale = scale
        self._frames = 0
        self._last: NDArray[np.uint8] | None = None
        self._corners: Corners = NO_CORNERS
        self._open: list[Trail] = []

    def add(self, grey_HW: NDArray[np.uint8], background: Callable[[], NDArray[np.uint8]]) -> None:
        """Take the next annotated frame.

        Args:
            grey_HW: the frame, with a long side of about 320 px.
            background: returns where new points may be, `_HW`, 1 there.
        """
        if self._last is not None and len(self._corners):
            self._corners, found_N = follow(self._last, grey_HW, self._corners)
            self._keep(found_N)
            for trail, corner in zip(self._open, self._corners, strict=True):
                trail.points.append(self._full(corner))
        if self._frames % _RENEW_FRAMES == 0:
            self._renew(grey_HW, background())
        self._last = grey_HW
        self._frames += 1

    def _keep(self, kept_N: NDArray[np.bool_]) -> None:
        self._corners = self._corners[kept_N]
        self._open = [trail for trail, kept in zip(self._open, kept_N.tolist(), strict=True) if kept]

    def _renew(self, grey_HW: NDArray[np.uint8], background_HW: NDArray[np.uint8]) -> None:
        """Drop points that something covers, and start one in every tile that has none."""
        height, width = (size // _TILE_PX * _TILE_PX for size in grey_HW.shape)
        x_N, y_N = np.rint(self._corners[:, 0]).astype(int).T
        inside_N = (x_N >= 0) & (x_N < width) & (y_N >= 0) & (y_N < height)
        inside_N[inside_N] = background_HW[y_N[inside_N], x_N[inside_N]] > 0
        self._keep(inside_N)
        strength_HW = cv2.cornerMinEigenVal(grey_HW, _BLOCK_PX) * background_HW
        split = strength_HW[:height, :width].reshape(height // _TILE_PX, _TILE_PX, width // _TILE_PX, _TILE_PX)
        tiles = split.transpose(0, 2, 1, 3).reshape(-1, _TILE_PX**2)
        taken = np.zeros(len(tiles), bool)
        taken[y_N[inside_N] // _TILE_PX * (width // _TILE_PX) + x_N[inside_N] // _TILE_PX] = True
        free = np.flatnonzero(~taken & (tiles.max(axis=1) > _LEAST_STRENGTH))
        row, column = np.divmod(free, width // _TILE_PX)
        down, right = np.divmod(tiles[free].argmax(axis=1), _TILE_PX)
        corners = np.stack([column * _TILE_PX + right, row * _TILE_PX + down], axis=-1).astype(np.float32)[:, None]
        new = [Trail(self._frames, [self._full(corner)]) for corner in corners]
        self.trails += new
        self._open += new
        self._corners = np.concatenate([self._corners, corners])

    def _full(self, corner: NDArray[np.float32]) -> tuple[float, float]:
        x, y = (corner[0] * self._scale).tolist()
        return x, y
