"""Looks for things without a masklet that look and move like an object: SA-V does not mask everything there is.

A twin is a region outside all masks that has the object's main colour and about its area, and that stays at the same
distance from the object in most views: what stands beside it as long as it stands, and goes along where it goes. It
may be a second ball or a patch of wall; so it only makes unsure what is said of "no object".

Images are `_HW3` (blue, green, red), uint8; masks are `_HW`, bool, of the same size.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.colour import TERMS, term_map

_MAIN_FRAC = 0.5  # of its surface an object must have in one colour, else no region of one colour is like it
_AREA_RATIO = 2.0  # between the areas of twins: nearer or farther by 40 %
_FILLED_FRAC = 0.45  # of the region's box: a disc fills 0.79, a road or a wall seen past other things much less
_DRIFT_FRAC = 0.5  # of the object's size, by which the distance may change between views
_VIEWS_FRAC = 0.7  # of the views that show the object must show the twin, and at least
_MIN_VIEWS = 3
_GROWN_PX = 5  # masks end a pixel or two early: the object's own rim is no twin
_MIN_PX = 40  # smaller regions are noise


class TwinWatch:
    """Collects, over the views of one object, the regions that look like it, by where they are relative to it."""

    def __init__(self) -> None:
        self._views: list[tuple[float, NDArray[np.float64]]] = []  # size of the object, px; offsets of regions, (R, 2)

    def add(self, bgr_HW3: NDArray[np.uint8], mask_HW: NDArray[np.bool_], masked_HW: NDArray[np.bool_]) -> None:
        """Look at one view.

        Args:
            bgr_HW3: the frame, long side about 640 px.
            mask_HW: of the object.
            masked_HW: of all objects together.
        """
        area_px = int(mask_HW.sum())
        if area_px < _MIN_PX:
            return
        terms_HW = term_map(bgr_HW3)
        counts = np.bincount(terms_HW[mask_HW], minlength=len(TERMS))
        if counts.max() < _MAIN_FRAC * area_px:
            return
        near = cv2.dilate(masked_HW.astype(np.uint8), np.ones((_GROWN_PX, _GROWN_PX), np.uint8)) > 0
        alike = ((terms_HW == counts.argmax()) & ~near).astype(np.uint8)
        _, _, stats, centres = cv2.connectedComponentsWithStats(alike, connectivity=4)
        areas, boxes = stats[1:, cv2.CC_STAT_AREA], stats[1:, cv2.CC_STAT_WIDTH] * stats[1:, cv2.CC_STAT_HEIGHT]
        like = (areas * _AREA_RATIO >= area_px) & (areas <= area_px * _AREA_RATIO) & (areas >= _FILLED_FRAC * boxes)
        centre = np.argwhere(mask_HW).mean(axis=0)[::-1]
        self._views.append((float(np.sqrt(area_px)), np.asarray(centres[1:][like] - centre, np.float64)))

    def possible(self) -> bool:
        """Return whether a region looked like the object and kept its distance from it in most of the views."""
        needed = max(_MIN_VIEWS, _VIEWS_FRAC * len(self._views))
        for size_px, offsets in self._views:
            for offset in offsets:
                seen = sum(
                    bool(len(others)) and float(np.linalg.norm(others - offset, axis=1).min()) <= _DRIFT_FRAC * size_px
                    for _, others in self._views
                )
                if seen >= needed:
                    return True
        return False
