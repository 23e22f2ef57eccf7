"""Fits depths of points of the background, and the travelling of the camera, to how they stray from its turning.

A point i strays in step k by `depth_i * (drift_k + dolly_k * place_i)`, besides what the fit of the turning missed.
That sum of products is fitted to all points at once, by turns: the numbers of the steps, then those of the points.

Shapes: N points, K steps between annotated frames, 2 = (x, y) in full-resolution pixels. Places are pixels from
mid-view over the width.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.video.trails import Trail

MIN_STEPS = 3  # a point seen for less says little
_ROUNDS = 12
_CLIPPED = 20.0  # times the noise: farther astray, a point does not count more for a first guess
_WIDEST = 10.0  # depths far beyond this many times their spread are not believed


def laid_out(trails: Sequence[Trail], frames: int, edges_OT4: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the points of the trails as an array by trail and frame, (N, frames, 2).

    Args:
        trails: points that were followed; those seen for less than MIN_STEPS are left out.
        frames: number of annotated frames.
        edges_OT4: boxes (left, top, right, bottom) of the objects.

    Returns:
        nan where a point was not followed, or lies in an object's box.
    """
    trails = [trail for trail in trails if len(trail.points) > MIN_STEPS]
    points_NF2 = np.full((len(trails), frames, 2), np.nan)
    for n, trail in enumerate(trails):
        points_NF2[n, trail.first : trail.first + len(trail.points)] = trail.points
    for edges_T4 in edges_OT4:
        inside_NF = ((points_NF2 >= edges_T4[:, :2]) & (points_NF2 <= edges_T4[:, 2:])).all(axis=-1)
        points_NF2[inside_NF] = np.nan
    return points_NF2


def starts(left_NK2: NDArray[np.float64], place_NK2: NDArray[np.float64], noise_px: float) -> list[NDArray[np.float64]]:
    """Return first guesses of the depths (N,): as if the camera only drifted, and as if it only went ahead.

    Args:
        left_NK2: how far points stray from the turning of the camera.
        place_NK2: where they are.
        noise_px: how far off a point may be in one step.
    """
    left = np.clip(np.nan_to_num(left_NK2), -_CLIPPED * noise_px, _CLIPPED * noise_px)
    ahead_NK = (left * place_NK2).sum(axis=-1) / np.maximum(np.linalg.norm(place_NK2, axis=-1), 0.05)
    guesses = []
    for table in (left.reshape(len(left), -1), ahead_NK):
        weights, vectors = np.linalg.eigh(table @ table.T)
        guesses.append(vectors[:, -1] * np.sqrt(max(weights[-1], 1e-12)))
    return guesses


def across(place_K2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where points at these places go when the camera rolls: across the line to mid-view."""
    return np.stack([-place_K2[..., 1], place_K2[..., 0]], axis=-1)


def fit(
    left_NK2: NDArray[np.float64],
    place_NK2: NDArray[np.float64],
    depths_N: NDArray[np.float64],
    noise_px: float,
    *,
    dolly: bool = True,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Fit depths and steps by turns; points that do not fit weigh less.

    Args:
        left_NK2: how far points stray from the turning of the camera; nan where they were not seen.
        place_NK2: where they are.
        depths_N: a first guess.
        noise_px: how far off a point may be in one step.
        dolly: whether the camera may go ahead or back; else it only drifts.

    Returns:
        The depths (N,); the numbers of the steps (K, 7): drift (x, y), dolly, rest (x, y), and rest per unit of place
        as growth and as roll, as in `Parallax`; the error of every depth (N,); how badly all fits.
    """
    seen_NK = ~np.isnan(left_NK2[..., 0])
    left_NK2 = np.nan_to_num(left_NK2)
    weights_NK = seen_NK.astype(float)
    # what the linear system of a step sums up: of the places, then of the left side
    across_NK2 = across(place_NK2)
    terms_8NK = np.stack(
        [np.ones(seen_NK.shape), *np.moveaxis(place_NK2, -1, 0), (place_NK2**2).sum(axis=-1)]
        + [
            *np.moveaxis(left_NK2, -1, 0),
            *((left_NK2 * way_NK2).sum(axis=-1) for way_NK2 in (place_NK2, across_NK2)),
        ]
    )
    prior_7 = np.array([0.5, 0.5, 0.05 if dolly else 1e9, 0.1, 0.1, 0.01, 0.01])
    for _ in range(_ROUNDS):
        depths_N = depths_N - np.median(depths_N)
        depths_N = depths_N / max(float(np.sqrt((depths_N**2).mean())), 1e-9)
        powers_3N = np.stack([depths_N**power for power in range(3)])
        sums_K83 = np.moveaxis(powers_3N @ (terms_8NK * weights_NK), -1, 0)
        ones_K3, x_K3, y_K3, square_K3 = np.moveaxis(sums_K83[:, :4], 1, 0)
        none_K3 = np.zeros_like(ones_K3)
        # one block for every power of the depth: 4 unknowns (x, y, growth, roll), 4 equations; no roll with the depth
        block_K163 = np.stack(
            [ones_K3, none_K3, x_K3, -y_K3, none_K3, ones_K3, y_K3, x_K3]
            + [x_K3, y_K3, square_K3, none_K3, -y_K3, x_K3, none_K3, square_K3],
            axis=1,
        )
        rest_K44, mixed_K44, depth_K44 = np.moveaxis(block_K163.reshape(-1, 4, 4, 3), -1, 0)
        matrix_K77 = np.block([[depth_K44[:, :3, :3], mixed_K44[:, :3]], [mixed_K44[:, :, :3], rest_K44]])
        right_K7 = np.concatenate([sums_K83[:, 4:7, 1], sums_K83[:, 4:, 0]], axis=1)
        steps_K7 = np.linalg.solve(matrix_K77 + np.diag(prior_7), right_K7[..., np.newaxis])[..., 0]
        unit_NK2 = steps_K7[:, :2] + steps_K7[:, 2:3] * place_NK2
        rest_NK2 = left_NK2 - steps_K7[:, 3:5] - steps_K7[:, 5:6] * place_NK2 - steps_K7[:, 6:] * across_NK2
        energy_N = (weights_NK * (unit_NK2**2).sum(axis=-1)).sum(axis=1)
        depths_N = (weights_NK * (unit_NK2 * rest_NK2).sum(axis=-1)).sum(axis=1) / (
            energy_N + (noise_px / _WIDEST) ** 2
        )
        over_NK = ((rest_NK2 - depths_N[:, np.newaxis, np.newaxis] * unit_NK2) ** 2).sum(axis=-1) / noise_px**2
        weights_NK = seen_NK / (1 + over_NK)
    errors_N = noise_px / np.sqrt(energy_N + 1e-9)
    return depths_N, steps_K7, errors_N, float((np.log1p(over_NK) * seen_NK).sum() / seen_NK.sum())
