"""Finds out whether the camera travels, from points of the background that lie at different depths.

A camera that only turns or zooms moves all that stands still alike, wherever it is. One that travels shifts what is
near more than what is far. `depth_fit.py` finds the depths; here it is judged whether they are real, which of them are
near, and what that means for an object.

Shapes: N points, K steps between annotated frames, 2 = (x, y) in full-resolution pixels. Places are pixels from
mid-view over the width; depths are relative: the median point has 0, what is nearer has more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.video.camera_path import CameraPath
from stages.video.depth_fit import MIN_STEPS, across, fit, laid_out, starts
from stages.video.track import Sight
from stages.video.trails import Trail

_MIN_POINTS = 20
_NOISE_FRAC = 0.0015  # of the width, per step: half a pixel of the image of 320 px in which points are followed
_STIRS_FRAC = 0.003  # of the width: a hand moves more, even at its steadiest
_SIMPLER = 0.95  # a camera that only drifts is believed until another fits the points so much better
_STRAYS = 3.0  # times that noise, the path of a point may stray from the fit by chance
_SURE = 4.0  # times its own error, and a point stands at another depth than most
_STAND_OUT_FRAC = 0.025  # of all points must surely stand at another depth than most: thin posts have few, and briefly
_ODD_FRAC = 0.02  # of all that is seen of points must be of such; points that went astray are 0.01 and soon end
_MAY_TRAVEL_FRAC = 0.05  # of all that is seen of points may stray where the camera only turns: 0.01 to 0.04
_SPREAD_FRAC = 0.1  # of the width or height: one unmasked thing that passes is not spread over the image
_MATTERS_DIAGONAL_FRAC = 0.006  # a shift of near against far below this stays unseen even in things four times as near
_ENDS_PCT = (2, 98)  # farthest and nearest background; beyond are points that went astray
_BESIDE = 0.3  # of an object's width and height: next to its foot
_FEW_BESIDE = 2  # fewer points there than this, at a time, say nothing
_BLUNT = 2.0  # times the usual error of a depth: one above this says little
_PASSES_FRAC = 0.2  # of the fastest background, the slowest must pass, and the same way
_MID_RING = 0.25  # of the width: half-way between mid-view and the border, where a zoom is measured
_TRAVELS_FRAC = 0.2  # of the shift of the background, near and far must differ by: a hand that turns moves a little too
_TRAVELS_FRAC_S = 0.015  # of the width in a second: as slow as what is called a pan
_AGREES = 0.5  # how well two directions agree, -1 to 1, to speak for one another


@dataclass(frozen=True, eq=False)
class Parallax:
    """Says how a camera that travels shifts what stands still at another depth than most of the background.

    Attributes:
        drift_K2: per unit of depth, everywhere.
        dolly_K: per unit of depth and of place.
        rest_K2: what the fit of the background missed, everywhere.
        rest_K: the same per unit of place, as growth.
        roll_K: the same per unit of place, as roll: two depths that pass one another look like one that rolls.
        far: depth of the farthest background.
        near: depth of the nearest background.
        near_is_known: whether larger depths are surely nearer; else they may as well be farther.
        low_is_near: whether the ground shows it: what is lower in the picture is nearer.
        weak: whether only few points show all this, for a short time, so that the true parallax may be another.
        noise_px: how far off the shift of a point in one step may be.
        points_NT2: points of the background by frame, nan where not followed.
        depths_N: their depths.
        errors_N: of these.
    """

    drift_K2: NDArray[np.float64]
    dolly_K: NDArray[np.float64]
    rest_K2: NDArray[np.float64]
    rest_K: NDArray[np.float64]
    roll_K: NDArray[np.float64]
    far: float
    near: float
    near_is_known: bool
    low_is_near: bool
    weak: bool
    noise_px: float
    points_NT2: NDArray[np.float64]
    depths_N: NDArray[np.float64]
    errors_N: NDArray[np.float64]
    middle: tuple[float, float]
    width_px: int

    def shifts(self, frames_V: NDArray[np.intp], points_M2: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """Return (rest, shift per unit of depth) between successive `frames_V` at the points; both are (V - 1, 2)."""
        per_step = np.repeat(np.arange(len(frames_V) - 1), np.diff(frames_V))
        steps = np.arange(frames_V[0], frames_V[-1])
        place_K2 = ((points_M2 - self.middle) / self.width_px)[per_step]
        sums = []
        rolled_K2 = self.roll_K[steps, None] * across(place_K2)
        for base_K2, slope_K, more_K2 in (
            (self.rest_K2, self.rest_K, rolled_K2),
            (self.drift_K2, self.dolly_K, np.zeros_like(rolled_K2)),
        ):
            total = np.zeros((len(frames_V) - 1, 2))
            np.add.at(total, per_step, base_K2[steps] + slope_K[steps, None] * place_K2 + more_K2)
            sums.append(total)
        return tuple(sums)

    def travels(self, camera: CameraPath, seconds: float) -> bool:
        """Tell whether a viewer would say that the camera travels, not that it turns, zooms or is held."""
        spread = self.near - self.far
        travel_px = spread * (np.hypot(*self.drift_K2.sum(axis=0)) + _MID_RING * abs(self.dolly_K.sum()))
        turn_px = np.hypot(*camera.shift_px) + _MID_RING * self.width_px * abs(np.log(camera.zoom_ratio))
        return bool(travel_px >= max(_TRAVELS_FRAC * turn_px, _TRAVELS_FRAC_S * self.width_px * seconds))

    def depths_beside(self, sight: Sight) -> tuple[float, float] | None:
        """Return (least, greatest) depth of the background beside the foot of an object; None: too little is seen."""
        left, top, right, bottom = sight.edges_T4.T
        width, height = right - left, bottom - top
        x_NT, y_NT = np.moveaxis(self.points_NT2, -1, 0)
        beside_NT = (x_NT > left - _BESIDE * width) & (x_NT < right + _BESIDE * width)
        beside_NT &= (y_NT > bottom - _BESIDE * height) & (y_NT < bottom + _BESIDE * height) & (sight.areas_T > 0)
        times_N = beside_NT.sum(axis=1) * (self.errors_N < _BLUNT * np.median(self.errors_N))
        if np.count_nonzero(times_N) < _FEW_BESIDE or times_N.sum() < _FEW_BESIDE * np.count_nonzero(sight.areas_T):
            return None
        least, greatest = np.percentile(np.repeat(self.depths_N, times_N), (10, 90))
        blur = float(np.average(self.errors_N, weights=times_N))
        return float(least) - blur, float(greatest) + blur


def travelling(
    trails: Sequence[Trail],
    camera: CameraPath,
    edges_OT4: Sequence[NDArray[np.float64]],
    *,
    height_px: int,
    width_px: int,
) -> tuple[Parallax | None, bool]:
    """Return what `parallax` finds, and whether the camera may well travel otherwise, or although nothing was found.

    The second is true if many points stray and nothing explains how: posts that pass fast can hardly be followed.
    """
    found = parallax(trails, camera, edges_OT4, height_px=height_px, width_px=width_px)
    if found and not found.weak:
        return found, False
    left_NK2 = _followed(trails, camera, edges_OT4)[1]
    if not len(left_NK2):
        return found, False
    life_N = (~np.isnan(left_NK2[..., 0])).sum(axis=1)
    strays_N = _extents_px(np.nan_to_num(left_NK2)) > _STRAYS * _NOISE_FRAC * width_px
    return found, bool(life_N[strays_N].sum() > _MAY_TRAVEL_FRAC * life_N.sum())


def parallax(
    trails: Sequence[Trail],
    camera: CameraPath,
    edges_OT4: Sequence[NDArray[np.float64]],
    *,
    height_px: int,
    width_px: int,
) -> Parallax | None:
    """Find the shifts that a travelling camera makes; None if it does not travel, as far as the background shows.

    Args:
        trails: `CameraTracker.trails`.
        camera: whose motion is taken out.
        edges_OT4: boxes (left, top, right, bottom) of the objects: points in them are not background.
        height_px: of the frame.
        width_px: of the frame.
    """
    points_NT2, left_NK2, flow_NK2 = _followed(trails, camera, edges_OT4)
    before = points_NT2[:, :-1]
    if len(points_NT2) < _MIN_POINTS:
        return None
    place_NK2 = np.nan_to_num((before - (width_px / 2, height_px / 2)) / width_px)
    noise_px = _NOISE_FRAC * width_px
    if not stirs(camera, width_px):
        return None
    life_N = (~np.isnan(left_NK2[..., 0])).sum(axis=1)

    def many(odd_N: NDArray[np.bool_]) -> bool:
        return bool(life_N[odd_N].sum() >= _ODD_FRAC * life_N.sum())

    if not many(_extents_px(np.nan_to_num(left_NK2)) > _STRAYS * noise_px):
        return None
    drifting, going = starts(left_NK2, place_NK2, noise_px)
    drift = fit(left_NK2, place_NK2, drifting, noise_px, dolly=False)
    ahead = min(
        (fit(left_NK2, place_NK2, start, noise_px) for start in (drifting, going)), key=lambda fitted: fitted[-1]
    )
    depths_N, steps_K7, errors_N, _ = ahead if ahead[-1] < _SIMPLER * drift[-1] else drift
    places_N2 = np.nanmedian(before, axis=1)
    odd_N, sure_N = np.abs(depths_N) > _SURE * errors_N, errors_N < _BLUNT * np.median(errors_N)
    if odd_N.mean() < _STAND_OUT_FRAC or max(places_N2[odd_N].std(axis=0) / (width_px, height_px)) < _SPREAD_FRAC:
        return None
    path_px = _extents_px(steps_K7[:, :2]) + _MID_RING * np.ptp(np.cumsum(steps_K7[:, 2]))
    far, near = np.percentile(depths_N[sure_N], _ENDS_PCT)
    if (near - far) * path_px < _MATTERS_DIAGONAL_FRAC * np.hypot(width_px, height_px):
        return None

    sign, near_is_known, low_is_near = _nearness(depths_N, steps_K7, flow_NK2, place_NK2, places_N2, sure_N)
    known = np.flatnonzero(camera.known_K)
    steps_K7 = steps_K7[known[np.abs(known - np.arange(len(steps_K7))[:, np.newaxis]).argmin(axis=1)]]
    return Parallax(
        drift_K2=sign * steps_K7[:, :2],
        dolly_K=sign * steps_K7[:, 2],
        rest_K2=steps_K7[:, 3:5],
        rest_K=steps_K7[:, 5],
        roll_K=steps_K7[:, 6],
        far=float(min(sign * far, sign * near)),
        near=float(max(sign * far, sign * near)),
        near_is_known=near_is_known,
        low_is_near=low_is_near,
        weak=not many(odd_N),
        noise_px=noise_px,
        points_NT2=points_NT2,
        depths_N=sign * depths_N,
        errors_N=errors_N,
        middle=(width_px / 2, height_px / 2),
        width_px=width_px,
    )


def _followed(
    trails: Sequence[Trail], camera: CameraPath, edges_OT4: Sequence[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the points of the background (N, T, 2), how they stray from the turning and how that moves them (NK2)."""
    points_NT2 = laid_out(trails, len(camera.step_K33) + 1, edges_OT4)
    before, after = points_NT2[:, :-1], points_NT2[:, 1:]
    moved = np.einsum("kij,nkj->nki", camera.step_K33[:, :2, :2], before) + camera.step_K33[:, :2, 2]
    left_NK2 = np.where(camera.known_K[:, np.newaxis], after - moved, np.nan)
    long = (~np.isnan(left_NK2[..., 0])).sum(axis=1) >= MIN_STEPS
    return points_NT2[long], left_NK2[long], (moved - before)[long]


def stirs(camera: CameraPath, width_px: int) -> bool:
    """Return whether the camera moves at all: if it does not, waves and crowds that move before it are no parallax."""
    if not len(camera.pan_K2):
        return False
    zoom = np.abs(np.log(np.linalg.det(camera.place_T33))).max() / 2
    shift_px = _extents_px(camera.pan_K2)
    return bool(shift_px + zoom * width_px > _STIRS_FRAC * width_px)


def _extents_px(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diagonals of the boxes around the paths that moves (…, K, 2) make."""
    return np.asarray(np.linalg.norm(np.ptp(np.cumsum(moves, axis=-2), axis=-2), axis=-1))


def _nearness(
    depths_N: NDArray[np.float64],
    steps_K7: NDArray[np.float64],
    flow_NK2: NDArray[np.float64],
    place_NK2: NDArray[np.float64],
    places_N2: NDArray[np.float64],
    sure_N: NDArray[np.bool_],
) -> tuple[float, bool, bool]:
    """Return the sign of the depths of what is nearer, whether that is sure, and whether the ground shows it.

    What is near passes faster, unless the camera turns to keep something in view: then some of the background passes
    the other way, or hardly. And what is lower in the image is nearer where there is ground.
    """
    seen_NK = ~np.isnan(flow_NK2[..., 0])
    unit_NK2 = np.where(seen_NK[..., None], steps_K7[:, :2] + steps_K7[:, 2:3] * place_NK2, 0)
    flow_NK2 = np.nan_to_num(flow_NK2)
    energy = (unit_NK2**2).sum()
    agree = (unit_NK2 * flow_NK2).sum() / np.sqrt(energy * (flow_NK2**2).sum() + 1e-9)
    # what passes along the parallax, of the farthest and nearest, in units of depth
    passing = (unit_NK2 * flow_NK2).sum() / energy + np.percentile(depths_N[sure_N], _ENDS_PCT)
    sign = -1.0 if abs(passing[0]) > abs(passing[1]) else 1.0
    steady = passing[0] * passing[1] > 0 and min(abs(passing)) > _PASSES_FRAC * max(abs(passing))
    low = sign * np.corrcoef(depths_N[sure_N], places_N2[sure_N, 1])[0, 1]
    by_ground = bool(low > _AGREES)
    return sign, bool(by_ground or (low > -_AGREES and steady and abs(agree) > _AGREES)), by_ground
