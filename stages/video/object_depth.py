"""Finds at which depths an object may be before a camera that travels, and so how much of its motion may be parallax.

Shapes: V annotated frames to go by, M = V - 1 moves between these; 2 = (x, y) in pixels.
"""

import numpy as np
from numpy.typing import NDArray

from stages.video.camera_path import CameraPath
from stages.video.parallax import Parallax
from stages.video.track import Sight

_MIN_MOVES = 9
_SURE = 3.0  # times its error, a fitted depth may be wrong
_ERROR_FRAC = 0.05  # of a depth: no fit is better
_UNEVEN = 0.5  # times the error of a point in one step, parallax must vary to be told from an even motion
_ODD_FRAC = 0.4  # of the uneven part of a motion may be left over; else the camera is not what makes it so
_GROWS = 0.1  # in length: less by what the background's depths make of it says nothing
_SIZE_ERROR = 0.06  # in length: masks are not better
_LINE_FRAC = 0.3  # of its length, a path may stray from the line of the parallax: depths between planes are guesses
_NEARER_FRAC = 0.15  # of the depths of the background, a thing that moves may be nearer than all of it
_BEYOND_FRAC = 0.3  # of the depths of the background, a thing must be beyond it to be too far to stand there
_EVEN_SLOPE = 0.02  # of what the whole weighs: a depth changes only if that explains much


def possible_shifts(
    moves: NDArray[np.float64],
    unit: NDArray[np.float64],
    frames_V: NDArray[np.intp],
    sight: Sight,
    camera: CameraPath,
    parallax: Parallax,
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return what parallax may have added to the moves of an object.

    Args:
        moves: M2, the turning of the camera taken out.
        unit: M2, parallax at depth 1.
        frames_V: the moves are between.
        sight: the object.
        camera: its turning.
        parallax: its travelling.

    Returns:
        The shifts (M2) at the two ends of the range of depths that the object may have, from the farthest background
        to the depth of a parked thing, or at one depth if that is known; and the shifts (M2) of something a little
        nearer than the nearest background. No depth goes beyond what the fit allows.
    """
    far = parallax.far if parallax.near_is_known else -np.inf
    path, path_unit = _path(moves), _path(unit)
    energy = float((path_unit**2).sum())
    if not energy:
        return [np.zeros_like(moves)], np.zeros_like(moves)
    parked = float((path * path_unit).sum()) / energy
    low, high = (far, max(far, parked)) if parallax.near_is_known else (min(0.0, parked), max(0.0, parked))
    single_M = np.diff(frames_V) == 1
    fitted, error = _fitted_depth(moves[single_M], unit[single_M], parallax.noise_px)
    nearest = parallax.near + _NEARER_FRAC * (parallax.near - parallax.far)
    low, high, nearest = np.clip((low, high, nearest), fitted - _SURE * error, fitted + _SURE * error).tolist()
    stands = [(fitted - _SURE * error, fitted + _SURE * error)] if np.isfinite(error) else []
    stands += [
        span for span in (parallax.depths_beside(sight), _depths_by_size(frames_V, sight, camera, parallax)) if span
    ]
    if low <= parked <= high and any(least <= parked <= greatest for least, greatest in stands):
        low = high = parked
    depths = [low] if low == high else [low, high]
    shifts = [unit * (_changing_depth(moves, unit, far) if depth == parked else depth) for depth in depths]
    return shifts, unit * max(nearest, high)


def standing(
    moves: NDArray[np.float64], unit: NDArray[np.float64], parallax: Parallax
) -> tuple[NDArray[np.float64], bool] | None:
    """Return the parallax at the depth that explains most of the path by it, and whether it explains all of the path.

    The depth need not be one of the background: things stand nearer than all of it, and no fit tells where for sure.
    Only beyond the farthest background, where the ground shows which side that is, nothing can stand.

    Args:
        moves: M2, the turning of the camera taken out.
        unit: M2, parallax at depth 1.
        parallax: the travelling of the camera.

    Returns:
        None if nothing can stand there.
    """
    path, path_unit = _path(moves), _path(unit)
    energy = float((path_unit**2).sum())
    if not energy:
        return None
    parked = float((path * path_unit).sum()) / energy
    if parallax.low_is_near and parked < parallax.far - _BEYOND_FRAC * (parallax.near - parallax.far):
        return None
    shift = unit * _changing_depth(moves, unit, parallax.far)
    astray = min(float(((path - _path(each)) ** 2).sum()) for each in (unit * parked, shift))
    return shift, astray <= _LINE_FRAC**2 * float((path**2).sum())


def _depths_by_size(
    frames_V: NDArray[np.intp], sight: Sight, camera: CameraPath, parallax: Parallax
) -> tuple[float, float] | None:
    """Return (least, greatest) depth by how much an object grows as the camera nears or leaves it; None: unknown."""
    cut_V = np.asarray(sight.cut_T4[frames_V].any(axis=1))
    good_M = ~cut_V[:-1] & ~cut_V[1:] & (np.diff(frames_V) == 1)
    if good_M.sum() < _MIN_MOVES:
        return None
    sizes_V = np.log(sight.areas_T[frames_V]) / 2
    steps = frames_V[:-1][good_M]
    zoom = np.log(np.linalg.det(camera.step_K33[steps])) / 2
    growth = float((np.diff(sizes_V)[good_M] - zoom - parallax.rest_K[steps] / parallax.width_px).sum())
    unit = float(parallax.dolly_K[steps].sum()) / parallax.width_px
    if abs(unit) * (parallax.near - parallax.far) < _GROWS:
        return None
    error = _SIZE_ERROR / abs(unit)
    return growth / unit - error, growth / unit + error


def _fitted_depth(moves: NDArray[np.float64], unit: NDArray[np.float64], noise_px: float) -> tuple[float, float]:
    """Return (depth, error) as if the object moved evenly by itself; the error is infinite if that cannot be known."""
    nothing = 0.0, np.inf
    weights = np.ones((len(moves), 1))
    if len(moves) < _MIN_MOVES:
        return nothing
    for _ in range(5):
        uneven, odd = (path - (weights * path).sum(axis=0) / weights.sum() for path in (unit, moves))
        spread = float((weights * uneven**2).sum())
        if spread < weights.sum() * (_UNEVEN * noise_px) ** 2:
            return nothing
        depth = float((weights * uneven * odd).sum()) / spread
        left = ((odd - depth * uneven) ** 2).sum(axis=1, keepdims=True)
        weights = 1 / (1 + left / max(float(np.median(left)), noise_px**2) / 4)
    parallax, over = float((weights * (depth * uneven) ** 2).sum()), float((weights * left).sum())
    if parallax < weights.sum() * (_UNEVEN * noise_px) ** 2 or over > _ODD_FRAC * (parallax + over):
        return nothing
    chance = np.sqrt(over / (2 * float(weights.sum()) * spread))
    return depth, float(chance) + _ERROR_FRAC * abs(depth)


def _changing_depth(moves: NDArray[np.float64], unit: NDArray[np.float64], far: float) -> NDArray[np.float64]:
    """Return the depth at every move, (M, 1), rising or falling evenly, at which most of the path is parallax."""
    time_M1 = np.linspace(-1, 1, len(moves))[:, None]
    columns = np.stack([_path(unit).ravel(), _path(unit * time_M1).ravel()], axis=1)
    square = columns.T @ columns
    square[1, 1] += _EVEN_SLOPE * square[0, 0]
    base, slope = np.linalg.solve(square, columns.T @ _path(moves).ravel())
    return np.asarray(np.maximum(base + slope * time_M1, far), np.float64)


def _path(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the path that moves make, about its middle: sums are less noisy than the moves."""
    path = np.cumsum(moves, axis=0)
    return np.asarray(path - path.mean(axis=0))
