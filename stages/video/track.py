"""Follows one masklet through its video: where it is seen, cut by the border or covered.

Shapes: T annotated frames (6 fps), V of them visible; 4 = (left, top, right, bottom), 2 = (x, y), in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_BORDER_PX = 2  # a mask this close to the frame's edge may go on beyond it: masks end a pixel or two early
_REFERENCE_FRAMES = 12  # 2 s before and after: longer than most things take to pass in front
_FULL_FRAMES = 3  # of these must show the full size; a lone large mask may be an error
_COVERED_FRAC = 0.6  # of the full size on both sides in time; turning and bending rarely cost so much
_MIN_SAFE_PX = 25  # masks of a few pixels flicker by half without any occlusion


@dataclass(frozen=True, eq=False)
class Track:
    """Holds areas, boxes and centres of the masks of one object.

    Attributes:
        object_id: the masklet.
        areas_px: [T] mask area; 0 = not visible.
        boxes_px: [T][4] tight box (x, y, width, height); zeros = not visible.
        centres_px: (T, 2) mean of the mask's pixels; nan = not visible.
    """

    object_id: str
    areas_px: Sequence[int]
    boxes_px: Sequence[Sequence[int]] | NDArray[np.int64]
    centres_px: NDArray[np.float64]


class Sight:
    """Tells of a track in a frame of known size what of it is cut or covered, and when.

    Attributes:
        track: the track itself.
        areas_T: mask areas, pixels.
        visible_V: annotated frames with a mask, ascending.
        edges_T4: edges of its boxes, right and bottom exclusive; zeros = not visible.
        cut_T4: whether these edges lie at the frame's border.
        entering_T: the border cuts a side that it does not cut most of the time: the object enters or leaves there.
        covered_T: something in front hides a good part of it.
        clear_V: of visible_V those not covered; all of them if none is.
        whole_V: of visible_V those neither covered nor entering; all of them if none is.
    """

    def __init__(self, track: Track, height_px: int, width_px: int) -> None:
        boxes_T4 = np.asarray(track.boxes_px, np.float64)
        self.track = track
        self.areas_T = np.asarray(track.areas_px, np.float64)
        self.visible_V = np.flatnonzero(self.areas_T)
        self.edges_T4 = np.hstack([boxes_T4[:, :2], boxes_T4[:, :2] + boxes_T4[:, 2:]])
        inner_T4 = self.edges_T4 * (1, 1, -1, -1) + (0, 0, width_px, height_px)  # distance to the frame's edge
        self.cut_T4 = (inner_T4 <= _BORDER_PX) & (self.areas_T > 0)[:, np.newaxis]
        mostly_4 = self.cut_T4.sum(axis=0) > 0.5 * len(self.visible_V)
        self.entering_T = (self.cut_T4 & ~mostly_4).any(axis=1)
        self.covered_T = self._dips() & ~self.entering_T
        self.clear_V = self._visible_but(self.covered_T)
        self.whole_V = self._visible_but(self.covered_T | self.entering_T)

    def _visible_but(self, flags_T: NDArray[np.bool_]) -> NDArray[np.intp]:
        chosen_V = self.visible_V[~flags_T[self.visible_V]]
        return chosen_V if len(chosen_V) else self.visible_V

    def _dips(self) -> NDArray[np.bool_]:
        """Return the frames whose area is well under that of the visible frames both before and after.

        An area that only falls (moving away) or only rises is no dip. Where one side has too few frames, because
        the object goes out of sight or the video ends, the other side decides.
        """
        areas_V = self.areas_T[self.visible_V]
        padding = np.full(_REFERENCE_FRAMES, -np.inf)
        windows = sliding_window_view(np.concatenate([padding, areas_V, padding]), _REFERENCE_FRAMES)
        full = np.partition(windows, -_FULL_FRAMES, axis=1)[:, -_FULL_FRAMES]
        before_V, after_V = full[: len(areas_V)], full[len(full) - len(areas_V) :]
        one_sided_V = np.isinf(before_V) | np.isinf(after_V)
        full_V = np.where(one_sided_V, np.maximum(before_V, after_V), np.minimum(before_V, after_V))
        dips_T = np.zeros(len(self.areas_T), bool)
        dips_T[self.visible_V] = (areas_V < _COVERED_FRAC * full_V) & (full_V >= _MIN_SAFE_PX)
        return dips_T

    def size_ratio(self, parts: int) -> float:
        """Return the median area of the last of `parts` equal parts of `whole_V`, divided by that of the first."""
        areas = self.areas_T[self.whole_V]
        length = max(1, len(areas) // parts)
        return float(np.median(areas[-length:]) / np.median(areas[:length]))

    def ends(self, frames_V: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Return a point of the object at both ends of every move between successive `frames_V`.

        A mask cut by the border is followed by its opposite edge, which is the object's own; one cut on both sides
        has no such point along that axis.

        Returns:
            Start and end of the moves, (x, y) in pixels; and along which axis there is no such point. All three are
            (V - 1, 2).
        """
        before, after = frames_V[:-1], frames_V[1:]
        cut = self.cut_T4[before] | self.cut_T4[after]
        low, high = cut[:, :2], cut[:, 2:]
        start, end = (
            np.select(
                [low & ~high, high & ~low],
                [self.edges_T4[frames, 2:], self.edges_T4[frames, :2]],
                self.track.centres_px[frames],
            )
            for frames in (before, after)
        )
        return start, end, low & high
