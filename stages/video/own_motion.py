"""How an object moves by itself: what its masks do that neither the camera's turning nor its travelling explains.

If the camera travels, what stands still at another depth than the background seems to move, and no picture tells that
from a motion along the same line. So of such a motion all depths are tried that the object may have: from that of the
farthest background, for it is seen in front of something, to the one at which all of it would be parallax. What holds
for all of them is known; if nothing does, the motion is not. Three things narrow the depths down:

- A camera that does not travel evenly makes a parked thing move in step with it, which a motion of its own would not.
- Points of the background next to the foot of the object stand at its depth, if they move as it does.
- What goes across the line of the parallax, or against it, cannot be parallax.

Shapes: T annotated frames (6 fps), V of them to go by, M = V - 1 moves between these; 2 = (x, y) in pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.video.camera_path import CameraPath
from stages.video.parallax import Parallax
from stages.video.track import Sight

_STILL_DIAGONAL_FRAC = 0.03  # a path within this extent is no motion worth telling: 44 px of 1280 x 720
_STILL_SIZE_FRAC = 0.3  # nor is one within this part of the object's own size: limbs move the centre of a mask
_POSTURE_SIZE_FRAC = 1.0  # going to and fro within its own size is bending or reaching, not travel
_NET_FRAC = 0.4  # a net move below this part of the path's extent, or
_NET_PATH_FRAC = 0.1  # below this part of its length (a bouncing ball), went to and fro
_DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # by 45 degrees
_SURE = 3.0  # times its error, a fitted depth may be wrong
_UNEVEN = 0.5  # times the error of a point in one step, parallax must vary to be told from an even motion
_MIN_MOVES = 9
_ODD_FRAC = 0.4  # of the uneven part of a motion may be left over; else the camera is not what makes it so
_SPEED_RATIO = 1.3  # speeds at all depths within this are one speed


@dataclass(frozen=True)
class OwnMotion:
    """An object's own motion.

    Attributes:
        name: none, left, right, up, down, up-left …, complex (to and fro); unknown.
        speed_is_known: whether the figures below are its own, whatever its depth.
        shift_px: (x, y) net move.
        path_px: length of the path.
        speed_px_s: median speed.
    """

    name: str
    speed_is_known: bool
    shift_px: tuple[float, float]
    path_px: float
    speed_px_s: float


def own_motion(
    sight: Sight, camera: CameraPath, parallax: Parallax | None, width_height_px: tuple[int, int], step_s: float
) -> OwnMotion:
    """The motion of `sight` with that of the camera taken out; unknown if the camera's is."""
    frames_V = sight.clear_V
    start, end, blind = sight.ends(frames_V)
    moves = np.where(blind, 0.0, end - start - camera.moves(frames_V, start))
    own_px = float(np.sqrt(np.median(sight.areas_T[sight.visible_V])))
    diagonal_px = float(np.hypot(*width_height_px))
    seconds = np.diff(frames_V) * step_s
    ways = [_way(moves, diagonal_px, own_px, seconds)]
    if parallax is not None and len(moves):
        rest, unit = (np.where(blind, 0.0, each) for each in parallax.shifts(frames_V, start))
        possible, nearest = _without_parallax(moves - rest, unit, np.diff(frames_V) == 1, sight, parallax)
        ways = [_way(each, diagonal_px, own_px, seconds) for each in possible]
        if all(way.name != "none" for way in ways):
            ways.append(_way(nearest, diagonal_px, own_px, seconds))
    name = _common([way.name for way in ways])
    speeds = [way.speed_px_s for way in ways]
    least = min(ways, key=lambda way: way.path_px)
    alike = max(speeds) <= _SPEED_RATIO * min(speeds) or {way.name for way in ways} == {"none"}
    known = camera.known and name != "unknown"
    return OwnMotion(
        name if camera.known else "unknown", known and alike, least.shift_px, least.path_px, least.speed_px_s
    )


def _way(moves: NDArray[np.float64], diagonal_px: float, own_px: float, seconds: NDArray[np.float64]) -> OwnMotion:
    lengths = np.linalg.norm(moves, axis=1)
    path = np.vstack([np.zeros(2), np.cumsum(moves, axis=0)])
    extent_px, net = float(np.hypot(*np.ptp(path, axis=0))), path[-1]
    travels = np.hypot(*net) >= max(_NET_FRAC * extent_px, _NET_PATH_FRAC * lengths.sum())
    limit_px = max(
        _STILL_DIAGONAL_FRAC * diagonal_px, own_px * (_STILL_SIZE_FRAC if travels else _POSTURE_SIZE_FRAC)
    )
    if extent_px < limit_px:
        name = "none"
    elif not travels:
        name = "complex"
    else:
        name = _DIRECTIONS[round(np.degrees(np.arctan2(net[1], net[0])) / 45) % 8]
    speed_px_s = float(np.median(lengths / seconds)) if len(lengths) else 0.0
    return OwnMotion(name, True, (float(net[0]), float(net[1])), float(lengths.sum()), speed_px_s)


def _common(names: list[str]) -> str:
    """What all agree in: 'up' of 'up' and 'up-left'."""
    if len(set(names)) == 1:
        return names[0]
    words = [word for word in names[0].split("-") if all(word in name.split("-") for name in names)]
    return "-".join(words) or "unknown"


def _without_parallax(
    moves: NDArray[np.float64],
    unit: NDArray[np.float64],
    even: NDArray[np.bool_],
    sight: Sight,
    parallax: Parallax,
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """The moves as they would be at the ends of the range of depths that the object may have.

    Args:
        moves: M2, the turning of the camera taken out.
        unit: M2, parallax at depth 1.
        even: M, which moves are of a single step.
        sight: the object.
        parallax: the camera's.

    Returns:
        At the farthest depth and at that of a parked thing; at the nearest, for one that surely moves.
    """
    far = parallax.far if parallax.near_is_known else -np.inf
    energy = float((unit**2).sum())
    if energy < 1e-9:
        return [moves], moves
    parked = float((moves * unit).sum()) / energy
    low, high = (far, max(far, parked)) if parallax.near_is_known else (min(0.0, parked), max(0.0, parked))
    fitted, error = _fitted_depth(moves[even], unit[even], parallax.noise_px)
    low, high, near = np.clip((low, high, parallax.near), fitted - _SURE * error, fitted + _SURE * error).tolist()
    ground = parallax.depths_beside(sight)
    stands = ground is not None and ground[0] <= parked <= ground[1]
    if low <= parked <= high and (stands or abs(parked - fitted) < _SURE * error < np.inf):
        low = high = parked
    return [
        moves - (_changing_depth(moves, unit, far) if depth == parked else np.full((len(moves), 1), depth)) * unit
        for depth in {low, high}
    ], moves - max(near, high) * unit


def _fitted_depth(moves: NDArray[np.float64], unit: NDArray[np.float64], noise_px: float) -> tuple[float, float]:
    """(depth, error) of an object that moves evenly by itself besides; an infinite error if that cannot be told."""
    nothing = 0.0, np.inf
    weights = np.ones((len(moves), 1))
    if len(moves) < _MIN_MOVES:
        return nothing
    for _ in range(5):
        uneven, odd = (each - (weights * each).sum(axis=0) / weights.sum() for each in (unit, moves))
        spread = float((weights * uneven**2).sum())
        if spread < weights.sum() * (_UNEVEN * noise_px) ** 2:
            return nothing
        depth = float((weights * uneven * odd).sum()) / spread
        left = ((odd - depth * uneven) ** 2).sum(axis=1, keepdims=True)
        weights = 1 / (1 + left / max(float(np.median(left)), noise_px**2) / 4)
    parallax, over = float((weights * (depth * uneven) ** 2).sum()), float((weights * left).sum())
    if parallax < weights.sum() * (_UNEVEN * noise_px) ** 2 or over > _ODD_FRAC * (parallax + over):
        return nothing
    return depth, float(np.sqrt(over / (2 * weights.sum()) / (spread / weights.sum()) / weights.sum())) + 0.05 * abs(depth)


def _changing_depth(moves: NDArray[np.float64], unit: NDArray[np.float64], far: float) -> NDArray[np.float64]:
    """Depth at each move, rising or falling evenly, at which most of the moves would be parallax."""
    time = np.linspace(-1, 1, len(moves))
    along, energy = (moves * unit).sum(axis=1), (unit**2).sum(axis=1)
    rows = np.array([[energy.sum(), (energy * time).sum()], [(energy * time).sum(), (energy * time**2).sum()]])
    rows[1, 1] += 0.02 * rows[0, 0]
    base, slope = np.linalg.solve(rows, [along.sum(), (along * time).sum()])
    return np.maximum(base + slope * time, far)[:, None]
