"""Measures how an object moves by itself: what neither the camera's turning nor its travelling explains of its masks.

If the camera travels, what stands still at another depth than the background seems to move, and no image tells that
from a motion along the same line. So all depths are tried that the object may have: from that of the farthest
background, for it is seen in front of something, to the one at which all of it would be parallax. What holds for all
of them is known; if nothing does, the motion is not. Four things narrow the depths down:

- A camera that does not travel evenly makes a parked thing move in step with it, which a motion of its own would not.
- Points of the background next to the foot of the object stand at its depth, if they move as it does.
- What a camera goes towards grows as much as it is near.
- What goes across the line of the parallax cannot be parallax. Nor can what goes against it, where the ground shows
  which way that is: a camera that goes round something has its background pass the other way.

Shapes: T annotated frames (6 fps), V of them to go by, M = V - 1 moves between these; 2 = (x, y) in pixels.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.video.camera_path import CameraPath
from stages.video.object_depth import possible_shifts, standing
from stages.video.parallax import Parallax, stirs
from stages.video.track import Sight

_STILL_DIAGONAL_FRAC = 0.03  # a path within this extent is no motion worth telling: 44 px of 1280 x 720
_SURE_DIAGONAL_FRAC = 0.06  # before a camera that moves, a path below this may be an error of the camera's
_STILL_SIZE_FRAC = 0.3  # nor is one within this part of the object's own size: limbs move the centre of a mask
_STILL_SHIFT_FRAC = 0.15  # nor is one within this part of the parallax taken out, whose line is known to some degrees
_POSTURE_SIZE_FRAC = 1.0  # going to and fro within its own size is bending or reaching, not travel
_NET_FRAC = 0.4  # a net move below this part of the path's extent, or
_NET_PATH_FRAC = 0.1  # below this part of its length (a bouncing ball), went to and fro
_LEAST_MOVES, _BRIEF_S = 3, 2.0  # what is seen for less may move and not get far
_MOST_GAPS = 2
_ALONG, _MOST_TIMES = 0.8, 5.0  # cosine: within 37 degrees; what is near passes faster than the background
_LONGEST_GAP = 6  # frames out of sight: over more, small errors of the parallax add up to a motion
_DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # by 45 degrees
_SPEED_RATIO = 1.3  # speeds at all depths within this are one speed


@dataclass(frozen=True)
class OwnMotion:
    """Holds the motion of an object by itself, with the camera's motion taken out.

    Attributes:
        name: none, left, right, up, down, up-left …, complex (to and fro); unknown.
        speed_known: whether the figures below are its own, whatever its depth.
        shift_px: (x, y) net move.
        path_px: length of the path.
        speed_px_s: median speed.
        extent_px: diagonal of the box around the path.
    """

    name: str
    speed_known: bool
    shift_px: tuple[float, float]
    path_px: float
    speed_px_s: float
    extent_px: float


def own_motion(
    sight: Sight,
    camera: CameraPath,
    parallax: Parallax | None,
    may_travel: bool,
    width_height_px: tuple[int, int],
    annotated_s: NDArray[np.float64],
) -> OwnMotion:
    """Measure the motion of an object with that of the camera taken out; unknown if the camera's is.

    Args:
        sight: the object through time.
        camera: its path by the background.
        parallax: what depth adds to it; None if the camera does not travel, as far as that was found out.
        may_travel: whether it may do so all the same.
        width_height_px: of the frame.
        annotated_s: (T,) when the annotated frames are shown.
    """
    frames_V = sight.clear_V
    start, end, blind = sight.ends(frames_V)
    moves = np.where(blind, 0.0, end - start - camera.moves(frames_V, start))
    own_px = float(np.sqrt(np.median(sight.areas_T[sight.visible_V])))
    diagonal_px = float(np.hypot(*width_height_px))
    seconds = np.diff(annotated_s[frames_V])

    def without(shift: NDArray[np.float64]) -> OwnMotion:
        return _named(moves - shift, seconds, diagonal_px, own_px, _extent_px(shift))

    if parallax is None or not len(moves):
        ways = [without(np.zeros_like(moves))]
    else:
        blind |= (np.diff(frames_V) > _LONGEST_GAP)[:, np.newaxis]
        moves, rest, unit = (np.where(blind, 0.0, shift) for shift in (moves, *parallax.shifts(frames_V, start)))
        moves = moves - rest
        possible, nearest = possible_shifts(moves, unit, frames_V, sight, camera, parallax)
        ways = [without(shift) for shift in possible]
        if all(way.name != "none" for way in ways):  # it surely moves, wherever it is
            others = without((possible[0] + possible[-1]) / 2), without(nearest)
            ways += [way for way in others if way.name != "none"]  # `standing` decides on that
        if stands := standing(moves, unit, parallax):
            there = without(stands[0])
            if stands[1] or there.name == "none":
                ways.append(replace(ways[0], name="none"))
    if may_travel and _follows(moves.sum(axis=0), np.where(blind, 0.0, camera.moves(frames_V, start)).sum(axis=0)):
        ways.append(replace(ways[0], name="none"))
    name = _common([way.name for way in ways]) if camera.known else "unknown"
    if name == "none" and _too_brief(seconds, ways[0].extent_px, diagonal_px):
        name = "unknown"
    sure_px = _SURE_DIAGONAL_FRAC * diagonal_px
    if parallax and np.count_nonzero(np.diff(frames_V) > 1) > _MOST_GAPS:
        sure_px = np.inf  # whatever passes in front moves the centre of what is left of the mask, again and again
    if name != "none" and stirs(camera, width_height_px[0]) and min(way.extent_px for way in ways) < sure_px:
        name = "unknown"
    speeds = [way.speed_px_s for way in ways]
    least = min(ways, key=lambda way: way.path_px)
    known = name != "unknown" and (name == "none" or max(speeds) <= _SPEED_RATIO * min(speeds))
    return replace(least, name=name, speed_known=known)


def _named(
    moves: NDArray[np.float64], seconds: NDArray[np.float64], diagonal_px: float, own_px: float, shift_px: float
) -> OwnMotion:
    """Sum moves up, and name them; `shift_px` is the extent of the parallax that was taken out."""
    lengths = np.linalg.norm(moves, axis=1)
    extent_px, net = _extent_px(moves), moves.sum(axis=0)
    travels = np.hypot(*net) >= max(_NET_FRAC * extent_px, _NET_PATH_FRAC * lengths.sum())
    posture_px = own_px * (_STILL_SIZE_FRAC if travels else _POSTURE_SIZE_FRAC)
    if extent_px < max(_STILL_DIAGONAL_FRAC * diagonal_px, posture_px, _STILL_SHIFT_FRAC * shift_px):
        name = "none"
    elif not travels:
        name = "complex"
    else:
        name = _DIRECTIONS[round(np.degrees(np.arctan2(net[1], net[0])) / 45) % 8]
    speed_px_s = float(np.median(lengths / seconds)) if len(lengths) else 0.0
    return OwnMotion(name, True, (float(net[0]), float(net[1])), float(lengths.sum()), speed_px_s, extent_px)


def _too_brief(seconds: NDArray[np.float64], extent_px: float, diagonal_px: float) -> bool:
    """Return whether an object is seen so briefly that going on in the same way might be a motion."""
    if len(seconds) < _LEAST_MOVES:
        return True
    return bool(extent_px * max(1.0, _BRIEF_S / seconds.sum()) > _STILL_DIAGONAL_FRAC * diagonal_px > extent_px)


def _follows(net: NDArray[np.float64], background: NDArray[np.float64]) -> bool:
    """Return whether an object goes where the background goes, only faster, as what is near seems to do."""
    far_px, near_px = float(np.linalg.norm(background)), float(np.linalg.norm(net))
    return bool(near_px < _MOST_TIMES * far_px and net @ background > _ALONG * near_px * far_px)


def _extent_px(moves: NDArray[np.float64]) -> float:
    """Return the diagonal of the box around the path that moves make."""
    path = np.vstack([np.zeros(2), np.cumsum(moves, axis=0)])
    return float(np.hypot(*np.ptp(path, axis=0)))


def _common(names: list[str]) -> str:
    """Return what all names agree in: 'up' of 'up' and 'up-left'."""
    if len(set(names)) == 1:
        return names[0]
    words = [word for word in names[0].split("-") if all(word in name.split("-") for name in names)]
    return "-".join(words) or "unknown"
