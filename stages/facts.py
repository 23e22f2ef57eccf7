"""What can be measured of the objects of a video without a model: place, size, motion, sight, colours, neighbours.

Shapes: T annotated frames (6 fps); 4 = (left, top, right, bottom), 2 = (x, y), in pixels of the upright source frame.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.schema import Facts, Span
from stages.video.camera_path import CameraPath, camera_path
from stages.video.colour import ColourSampler
from stages.video.neighbours import neighbours
from stages.video.times import FrameTimes
from stages.video.track import Sight, Track

# Upper ends of the share of the frame: a ball far off; a dog across the street; a person in full height.
_SIZES = ((0.003, "tiny"), (0.02, "small"), (0.12, "medium"), (1.0, "large"))
# (parts, ratio of areas, last to first part): 12 % in length can just be seen; if it is steady, the halves show it too.
_SIZE_CHANGES = ((5, 1.25), (2, 1.15))
_STILL_DIAGONAL_FRAC = 0.03  # a path within this extent is no motion worth telling: 44 px of 1280 x 720
_STILL_SIZE_FRAC = 0.3  # nor is one within this part of the object's own size: limbs move the centre of a mask
_POSTURE_SIZE_FRAC = 1.0  # going to and fro within its own size is bending or reaching, not travel
_NET_FRAC = 0.4  # a net move below this part of the path's extent, or
_NET_PATH_FRAC = 0.1  # below this part of its length (a bouncing ball), went to and fro
_DIRECTIONS = ("right", "down-right", "down", "down-left", "left", "up-left", "up", "up-right")  # by 45 degrees


def measure(
    tracks: Sequence[Track],
    *,
    height_px: int,
    width_px: int,
    times: FrameTimes,
    camera_steps: Sequence[NDArray[np.float64] | None],
    colours: Mapping[str, ColourSampler],
) -> list[Facts]:
    """Facts of all objects of one video that are to be told apart; neighbours are chosen among them.

    Args:
        tracks: the objects, each visible at least once.
        height_px: of the upright frame.
        width_px: of the upright frame.
        times: of the source frames.
        camera_steps: `CameraTracker.steps` of the video, one less than annotated frames.
        colours: object_id -> the pixels seen.

    Raises:
        ValueError: a track is never visible, or its length does not fit `camera_steps`.
    """
    sights = [Sight(track, height_px, width_px) for track in tracks]
    for sight in sights:
        if not len(sight.visible_V) or len(sight.areas_T) != len(camera_steps) + 1:
            raise ValueError(
                f"{sight.track.object_id}: a track needs a visible frame and one entry more than the "
                f"{len(camera_steps)} camera steps; got {len(sight.areas_T)} entries, {len(sight.visible_V)} visible"
            )
    camera = camera_path(camera_steps, height_px=height_px, width_px=width_px, step_s=times.step_s)
    size_px = (width_px, height_px)
    return [
        Facts(
            object_id=track.object_id,
            duration_s=times.duration_s,
            **_place_and_size(sight, size_px),
            **_motion(sight, camera, size_px, times),
            **_sight(sight, times),
            camera_known=camera.known,
            camera_shift_px=list(camera.shift_px),
            camera_speed_px_s=camera.speed_px_s,
            camera_zoom_ratio=camera.zoom_ratio,
            camera=camera.label,
            **colours[track.object_id].facts(),
            neighbours=neighbours(sights, number, float(np.hypot(*size_px))),
        )
        for number, (track, sight) in enumerate(zip(tracks, sights, strict=True))
    ]


def _place_and_size(sight: Sight, width_height_px: tuple[int, int]) -> dict[str, Any]:
    areas_frac, centre_frac = sight.areas_T / np.prod(width_height_px), sight.track.centres_px / width_height_px
    first, best, last = sight.visible_V[0], areas_frac.argmax(), sight.visible_V[-1]
    grows = all(sight.size_ratio(parts) >= limit for parts, limit in _SIZE_CHANGES)
    shrinks = all(sight.size_ratio(parts) <= 1 / limit for parts, limit in _SIZE_CHANGES)
    median_frac = float(np.median(areas_frac[sight.visible_V]))
    return {
        "place_start": _cell(centre_frac[first]),
        "place_end": _cell(centre_frac[last]),
        "place_best": _cell(centre_frac[best]),
        "centre_start_frac": centre_frac[first].tolist(),
        "centre_end_frac": centre_frac[last].tolist(),
        "shift_frac": (centre_frac[last] - centre_frac[first]).tolist(),
        "area_median_frac": median_frac,
        "area_best_frac": float(areas_frac[best]),
        "size": next(name for limit, name in _SIZES if median_frac <= limit),
        "size_ratio": sight.size_ratio(5),
        "size_change": "grows" if grows else "shrinks" if shrinks else "stable",
    }


def _cell(centre_frac: NDArray[np.float64]) -> str:
    column, row = np.clip(centre_frac * 3, 0, 2).astype(int)
    return f"{('top', 'middle', 'bottom')[row]} {('left', 'centre', 'right')[column]}"


def _motion(sight: Sight, camera: CameraPath, width_height_px: tuple[int, int], times: FrameTimes) -> dict[str, Any]:
    moves = sight.own_moves(sight.clear_V, camera.place_T33)
    lengths, steps_s = np.linalg.norm(moves, axis=1), np.diff(times.annotated_s[sight.clear_V])
    path = np.vstack([np.zeros(2), np.cumsum(moves, axis=0)])
    extent_px, net = float(np.hypot(*np.ptp(path, axis=0))), path[-1]
    travels = np.hypot(*net) >= max(_NET_FRAC * extent_px, _NET_PATH_FRAC * lengths.sum())
    own_px = np.sqrt(np.median(sight.areas_T[sight.visible_V])) * (_STILL_SIZE_FRAC if travels else _POSTURE_SIZE_FRAC)
    if extent_px < max(_STILL_DIAGONAL_FRAC * np.hypot(*width_height_px), own_px):
        motion = "none"
    elif not travels:
        motion = "complex"
    else:
        motion = _DIRECTIONS[round(np.degrees(np.arctan2(net[1], net[0])) / 45) % 8]
    return {
        "own_shift_px": net.tolist(),
        "own_path_px": float(lengths.sum()),
        "own_speed_px_s": float(np.median(lengths / steps_s)) if len(lengths) else 0.0,
        "motion": motion,
    }


def _sight(sight: Sight, times: FrameTimes) -> dict[str, Any]:
    spans = _spans(sight.areas_T > 0, times)
    return {
        "visible_spans": spans,
        "hidden_spans": [Span(start_s=a.end_s, end_s=b.start_s) for a, b in zip(spans, spans[1:], strict=False)],
        "occluded_spans": _spans(sight.covered_T, times),
        "enters_s": None if sight.areas_T[0] else spans[0].start_s,
        "leaves_s": None if sight.areas_T[-1] else spans[-1].end_s,
    }


def _spans(flags_T: NDArray[np.bool_], times: FrameTimes) -> list[Span]:
    """Stretches of true flags; each annotated frame stands for the time up to the next, the last up to the end."""
    edges_s = [*times.annotated_s.tolist(), times.duration_s]
    turns = np.flatnonzero(np.diff(np.concatenate([[False], flags_T, [False]]).astype(int))).tolist()
    return [
        Span(start_s=edges_s[start], end_s=edges_s[end]) for start, end in zip(turns[::2], turns[1::2], strict=True)
    ]
