"""Measures how apt people are to refer to an object ("interest"), from its masks alone: no frame is decoded.

Shapes: T annotated frames (6 fps), N objects, K = T - 1 steps; 2 = (x, y) in pixels.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from stages.video.track import Sight

_STILL_DIAGONAL_FRAC = 0.03  # a path within this extent is no motion
_REST_DIAGONAL_FRAC = 0.05  # two paths that part by so much may be of things at rest: masks jump
_FAR_DIAGONAL_FRAC = 0.25  # a path of this extent counts half: parallax moves what stands still, but not so far
_RIGID, _LIMBS = 0.02, 0.1  # change of log(width / height) from frame to frame: of a car; of a person who walks
_DOT_FRAC, _FULL_FRAC = 0.0005, 0.1  # of the frame: 20 x 20 px of 1280 x 720; a person who fills the height
_FILLS_FRAC, _BACKDROP_FRAC = 0.25, 0.6  # of the frame: beyond the first it is more and more the backdrop
_BORDER_FRAC = 0.03  # of the short side: nearer to the border, some of it may be outside
_SIDE = 0.4  # for every side there: feet may be cut off, but a trunk or a wall goes through the image
_ZOOM_OBJECTS = 3  # two may grow by themselves
_TOGETHER_FRAC = 0.35  # of the longer of two paths: trunks that a camera passes at two distances still move together
_MIN_TOGETHER = 6  # steps
_MEMBER, _SCREEN = 0.5, 0.6  # weight of an object that is clear of the border, and of the screen, in a group


def interests(sights: Sequence[Sight], width_px: int, height_px: int) -> list[dict[str, float]]:
    """Return four figures from 0 to 1 for every object of a video; stages/select_ranking.py weighs and adds them.

    - moves: how far it goes against what stands still; or how its outline changes, which no camera makes, however it
      is followed.
    - in sight: share of the frames.
    - size: neither a dot nor the backdrop.
    - clear of the border: mean over the frames that show it; less with every side that is near the border.
    """
    diagonal_px, strip_px = float(np.hypot(width_px, height_px)), _BORDER_FRAC * min(width_px, height_px)
    clear_N = np.array([_clear(sight, (width_px, height_px), strip_px) for sight in sights])
    moves_NK2 = _moves(sights, np.array([width_px / 2, height_px / 2]))
    against_2N = [
        _extents_px(moves_NK - _standing(moves_NK, clear_N, diagonal_px)) for moves_NK in np.moveaxis(moves_NK2, -1, 0)
    ]
    far_N = np.maximum(0, np.hypot(*against_2N) / diagonal_px - _STILL_DIAGONAL_FRAC)
    return [
        {
            "moves": max(float(far / (far + _FAR_DIAGONAL_FRAC)), _limbs(sight)),
            "in sight": len(sight.visible_V) / len(sight.areas_T),
            "size": _size(float(np.median(sight.areas_T[sight.visible_V])) / (width_px * height_px)),
            "clear of the border": float(clear),
        }
        for sight, far, clear in zip(sights, far_N, clear_N, strict=True)
    ]


def _moves(sights: Sequence[Sight], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return moves on the screen, NK2, without a zoom's part; nan where an object is not seen, or cut on both sides."""
    moves, growths, places = [], [], []
    for sight in sights:
        start, end, blind = sight.ends(np.arange(len(sight.areas_T)))
        seen_K = (sight.areas_T[:-1] > 0) & (sight.areas_T[1:] > 0)
        whole_K = seen_K & ~sight.cut_T4[:-1].any(axis=1) & ~sight.cut_T4[1:].any(axis=1)
        moves.append(np.where(blind | ~seen_K[:, np.newaxis], np.nan, end - start))
        growths.append(np.where(whole_K, np.diff(np.log(np.maximum(sight.areas_T, 1))) / 2, np.nan))
        places.append(np.nan_to_num(start - middle))
    growth_NK = np.stack(growths)
    zoom_K = np.where((~np.isnan(growth_NK)).sum(axis=0) >= _ZOOM_OBJECTS, _median(growth_NK), 0.0)
    return np.asarray(np.stack(moves) - zoom_K[:, np.newaxis] * np.stack(places), np.float64)


def _standing(moves_NK: NDArray[np.float64], clear_N: NDArray[np.float64], diagonal_px: float) -> NDArray[np.float64]:
    """Return how what stands still moves on the screen along one axis, K or NK.

    It is taken to move as the weightiest group of objects that move together.

    What reaches the border weighs more: it is the scene, the other what the camera follows. The screen itself is one of
    the group of what is at rest on it, for the camera may stand still. If no two move together, one is seen against
    all others, or against the screen if that leaves less motion.
    """
    moves_GK = np.concatenate([moves_NK, np.zeros_like(moves_NK[:1])])
    weights_G = np.append(_MEMBER + 1 - clear_N, _SCREEN)
    extents_G = _extents_px(moves_GK)
    together_GG = np.eye(len(moves_GK), dtype=bool)
    for i, j in combinations(range(len(moves_GK)), 2):
        apart_K = moves_GK[i] - moves_GK[j]
        limit_px = _REST_DIAGONAL_FRAC * diagonal_px + _TOGETHER_FRAC * max(extents_G[i], extents_G[j])
        known = np.count_nonzero(~np.isnan(apart_K)) >= _MIN_TOGETHER
        together_GG[i, j] = together_GG[j, i] = known and _extents_px(apart_K) < limit_px
    groups_GG = together_GG[together_GG.sum(axis=1) > 1]
    if len(groups_GG):
        best_G = groups_GG[np.argmax(groups_GG @ weights_G)]
        return np.zeros_like(moves_NK[0]) if best_G[-1] else _median(moves_GK[best_G])
    others_NK = np.stack([_median(np.delete(moves_NK, n, axis=0)) for n in range(len(moves_NK))])
    calmer = np.median(_extents_px(moves_NK - others_NK)) < np.median(extents_G[:-1])
    return others_NK if calmer else np.zeros_like(moves_NK[0])


def _extents_px(moves_K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lengths of the stretches that moves along one axis, (…, K), lead over."""
    path = np.cumsum(np.nan_to_num(moves_K), axis=-1)
    return np.asarray(path.max(axis=-1, initial=0) - path.min(axis=-1, initial=0))


def _median(values_M: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of the known values along the first axis; 0 where there is none."""
    unknown = np.isnan(values_M).all(axis=0)
    if not len(values_M):
        return np.zeros(unknown.shape)
    return np.asarray(np.nanmedian(np.where(unknown, 0.0, values_M), axis=0))


def _clear(sight: Sight, width_height_px: tuple[int, int], strip_px: float) -> float:
    edges_V4 = sight.edges_T4[sight.visible_V]
    inner_V4 = edges_V4 * (1, 1, -1, -1) + (0, 0, *width_height_px)
    near_V = (inner_V4 <= strip_px).sum(axis=1)
    return float(np.maximum(0, 1 - _SIDE * near_V).mean())


def _limbs(sight: Sight) -> float:
    """Return how much the outline changes from frame to frame, 0 to 1, where all of it is to be seen."""
    whole_T = (sight.areas_T > 0) & ~sight.cut_T4.any(axis=1) & ~sight.covered_T
    both_K = whole_T[:-1] & whole_T[1:]
    if not both_K.any():
        return 0.0
    size_T2 = np.maximum(sight.edges_T4[:, 2:] - sight.edges_T4[:, :2], 1)
    change_K = np.abs(np.diff(np.log(size_T2[:, 0] / size_T2[:, 1])))[both_K]
    return float(np.clip((np.mean(change_K) - _RIGID) / (_LIMBS - _RIGID), 0, 1))


def _size(area_frac: float) -> float:
    if area_frac > _FILLS_FRAC:
        return max(0.0, (_BACKDROP_FRAC - area_frac) / (_BACKDROP_FRAC - _FILLS_FRAC))
    return float(np.clip(np.log(area_frac / _DOT_FRAC) / np.log(_FULL_FRAC / _DOT_FRAC), 0, 1))
