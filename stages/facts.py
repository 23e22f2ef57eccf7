"""Measures the objects of a video without a model: place, size, motion, visibility, colours, neighbours.

Shapes: T annotated frames (6 fps); 4 = (left, top, right, bottom), 2 = (x, y), in pixels of the upright source frame.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.schema import Facts, Span, size_name
from stages.video.camera_path import camera_path
from stages.video.colour import ColourSampler
from stages.video.neighbours import neighbours
from stages.video.own_motion import OwnMotion, own_motion
from stages.video.parallax import travelling
from stages.video.times import FrameTimes
from stages.video.track import Sight, Track
from stages.video.trails import Trail

# (number of parts that the video is cut into, least ratio of areas of the last part to the first): a change of 12 % in
# length between the outer fifths can just be seen, and if it is steady, the halves differ too.
_SIZE_CHANGES = ((5, 1.25), (2, 1.15))
_TOUCHING_PX = 4  # objects with a smaller gap touch: both masks may end a pixel or two early


def measure(
    tracks: Sequence[Track],
    *,
    height_px: int,
    width_px: int,
    times: FrameTimes,
    camera_steps: Sequence[NDArray[np.float64] | None],
    trails: Sequence[Trail],
    colours: Mapping[str, ColourSampler],
    twins: Mapping[str, bool] | None = None,
) -> list[Facts]:
    """Return the facts of all separate objects of one video, in the order of `tracks`.

    Args:
        tracks: the objects, all of them visible at least once; neighbours are chosen among them.
        height_px: height of the upright frame.
        width_px: width of the upright frame.
        times: times of the source frames.
        camera_steps: `CameraTracker.steps` of the video, one fewer than annotated frames.
        trails: `CameraTracker.trails` of the video.
        colours: object_id -> the colours of its pixels.
        twins: object_id -> whether something without a mask looks and moves like it; None if nobody looked.

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
    camera = camera_path(camera_steps, height_px=height_px, width_px=width_px, annotated_s=times.annotated_s)
    edges_OT4 = [sight.edges_T4 for sight in sights]
    travel, may_travel = travelling(trails, camera, edges_OT4, height_px=height_px, width_px=width_px)
    size_px = (width_px, height_px)
    return [
        Facts(
            object_id=track.object_id,
            duration_s=times.duration_s,
            **_place_and_size(sight, size_px),
            **_motion(own_motion(sight, camera, travel, may_travel, size_px, times.annotated_s)),
            **_sight(sight, sights, times),
            camera_known=camera.known,
            camera_shift_px=list(camera.shift_px),
            camera_speed_px_s=camera.speed_px_s,
            camera_zoom_ratio=camera.zoom_ratio,
            camera="travels" if travel and travel.travels(camera, float(times.annotated_s[-1])) else camera.label,
            **colours[track.object_id].facts(),
            unseen_twin_possible=bool(twins and twins[track.object_id]),
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
        "size": size_name(median_frac),
        "size_ratio": sight.size_ratio(5),
        "size_change": "grows" if grows else "shrinks" if shrinks else "stable",
    }


def _cell(centre_frac: NDArray[np.float64]) -> str:
    column, row = np.clip(centre_frac * 3, 0, 2).astype(int)
    return f"{('top', 'middle', 'bottom')[row]} {('left', 'centre', 'right')[column]}"


def _motion(motion: OwnMotion) -> dict[str, Any]:
    return {
        "own_shift_px": list(motion.shift_px),
        "own_path_px": motion.path_px,
        "own_speed_px_s": motion.speed_px_s,
        "motion": motion.name,
        "motion_known": motion.name != "unknown",
        "speed_known": motion.speed_known,
    }


def _sight(sight: Sight, sights: Sequence[Sight], times: FrameTimes) -> dict[str, Any]:
    spans = _spans(sight.areas_T > 0, times)
    return {
        "visible_spans": spans,
        "hidden_spans": [Span(start_s=a.end_s, end_s=b.start_s) for a, b in zip(spans, spans[1:], strict=False)],
        "occluded_spans": _spans(sight.covered_T, times),
        "occluded_known": bool((_touched(sight, sights) | ~sight.covered_T).all()),
        "enters_s": None if sight.areas_T[0] else spans[0].start_s,
        "leaves_s": None if sight.areas_T[-1] else spans[-1].end_s,
    }


def _touched(sight: Sight, sights: Sequence[Sight]) -> NDArray[np.bool_]:
    """Return the annotated frames (T,) in which another object touches this one, and so may cover it."""
    edges_T4, touched_T = sight.edges_T4, np.zeros(len(sight.areas_T), bool)
    for other in sights:
        gaps_T2 = np.maximum(edges_T4[:, :2] - other.edges_T4[:, 2:], other.edges_T4[:, :2] - edges_T4[:, 2:])
        touched_T |= (other is not sight) & (other.areas_T > 0) & (gaps_T2 <= _TOUCHING_PX).all(axis=1)
    return touched_T


def _spans(flags_T: NDArray[np.bool_], times: FrameTimes) -> list[Span]:
    """Return the stretches of true flags; an annotated frame lasts until the next one, the last until the end."""
    edges_s = [*times.annotated_s.tolist(), times.duration_s]
    turns = np.flatnonzero(np.diff(np.concatenate([[False], flags_T, [False]]).astype(int))).tolist()
    return [
        Span(start_s=edges_s[start], end_s=edges_s[end]) for start, end in zip(turns[::2], turns[1::2], strict=True)
    ]
