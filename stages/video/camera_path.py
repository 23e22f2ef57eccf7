"""Chains the steps of the camera over a video, and names its motion as a viewer would.

Points are (x, y) in full-resolution pixels; T annotated frames (6 fps), K = T - 1 steps between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_KNOWN_FRAC = 0.5  # of the steps must be known, or the camera's path is mostly guessed
# What a viewer calls a pan is slow but goes on: 1.5 % of the width a second crosses a seventh of it in 10 s.
_PAN_FRAC_S = 0.015
_SHAKE_FRAC_S = 0.04  # median speed of a camera that goes to and fro; a steady hand stays well below
_ZOOM_PER_S = 0.02  # growth of the background a second: a fifth in 10 s
_MAIN_AXIS = 2.0  # one axis must exceed the other this much to name the move after it


@dataclass(frozen=True, eq=False)
class CameraPath:
    """Holds the motion of the camera over a video.

    Attributes:
        known: false if too few steps could be estimated; the camera then counts as at rest.
        known_K: which steps were estimated; others take the motion of the nearest known in time.
        step_K33: motion of the background from every annotated frame to the next.
        place_T33: the background point at p in the first frame is at place_T33[k] @ (p, 1) in annotated frame k.
        pan_K2: (x, y) by which the view moves in every step; positive x = the camera turns right, positive y = down.
        shift_px: (x, y) summed pan; positive x = the camera turns right, positive y = down.
        speed_px_s: median speed of the background in mid-view.
        zoom_ratio: scale of the background, last / first frame.
        label: static, pans left, pans right, tilts up, tilts down, zooms in, zooms out, moves or unknown.
    """

    known: bool
    known_K: NDArray[np.bool_]
    step_K33: NDArray[np.float64]
    place_T33: NDArray[np.float64]
    pan_K2: NDArray[np.float64]
    shift_px: tuple[float, float]
    speed_px_s: float
    zoom_ratio: float
    label: str

    def moves(self, frames_V: NDArray[np.intp], points_V2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the moves (V - 1, 2) of points of the background between successive `frames_V`.

        Args:
            frames_V: annotated frames; where some are left out between two, the camera's path bridges the gap.
            points_V2: (V - 1, 2) where the points are at the start of every move.
        """
        step_V33 = self.place_T33[frames_V[1:]] @ np.linalg.inv(self.place_T33[frames_V[:-1]])
        after_V2 = np.einsum("vij,vj->vi", step_V33[:, :2, :2], points_V2) + step_V33[:, :2, 2]
        return np.asarray(after_V2 - points_V2, np.float64)


def camera_path(
    steps: Sequence[NDArray[np.float64] | None], *, height_px: int, width_px: int, annotated_s: NDArray[np.float64]
) -> CameraPath:
    """Chain the steps of `CameraTracker`; an unknown one takes the motion of the nearest known step.

    Args:
        steps: of `CameraTracker`.
        height_px: of the frame.
        width_px: of the frame.
        annotated_s: (T,) when the annotated frames appear, T one more than `steps`.
    """
    known = [k for k, step in enumerate(steps) if step is not None]
    known_K = np.array([step is not None for step in steps], bool)
    place_T33, step_K33 = (np.tile(np.eye(3), (count, 1, 1)) for count in (len(steps) + 1, len(steps)))
    if not known or len(known) < _KNOWN_FRAC * len(steps):
        return CameraPath(
            False, known_K, step_K33, place_T33, np.zeros((len(steps), 2)), (0.0, 0.0), 0.0, 1.0, "unknown"
        )
    for k in range(len(steps)):
        step_K33[k, :2] = steps[min(known, key=lambda other: abs(other - k))]
        place_T33[k + 1] = step_K33[k] @ place_T33[k]
    middle = np.array([width_px / 2, height_px / 2, 1.0])
    pan_K2 = (middle - step_K33 @ middle)[:, :2]
    shift, zoom = pan_K2.sum(axis=0), float(np.sqrt(np.linalg.det(place_T33[-1])))
    speed_px_s = float(np.median(np.linalg.norm(pan_K2, axis=1) / np.diff(annotated_s)))
    seconds = float(annotated_s[-1] - annotated_s[0])
    label = _label(shift / width_px / seconds, speed_px_s / width_px, float(np.log(zoom)) / seconds)
    return CameraPath(
        True, known_K, step_K33, place_T33, pan_K2, (float(shift[0]), float(shift[1])), speed_px_s, zoom, label
    )


def _label(pan_frac_s: NDArray[np.float64], speed_frac_s: float, zoom_per_s: float) -> str:
    x, y = np.abs(pan_frac_s)
    if abs(zoom_per_s) >= _ZOOM_PER_S:
        return "moves" if max(x, y) >= _PAN_FRAC_S else "zooms in" if zoom_per_s > 0 else "zooms out"
    if max(x, y) < _PAN_FRAC_S:
        return "moves" if speed_frac_s >= _SHAKE_FRAC_S else "static"
    if x >= _MAIN_AXIS * y:
        return "pans right" if pan_frac_s[0] > 0 else "pans left"
    if y >= _MAIN_AXIS * x:
        return "tilts down" if pan_frac_s[1] > 0 else "tilts up"
    return "moves"
