"""Measures the five properties of table 3 of the Sa2VA paper on a run's kept objects.

The paper ticks the properties without giving thresholds; those here are ours. A property is None where the facts that
it needs are unknown.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema
from manifests.schema import Facts, Span, Status
from manifests.versions import ROW_DEFAULTS, fit, plain_type

SHORT_WORDS = 20  # twice the mean of Ref-YouTube-VOS and ReVOS (9.7 and 10.5 words)
LONG_WORDS = 40  # half of Ref-SAV's own mean (83.6), and four times that of the older sets
LARGE_MOTION_DIAGONALS = 0.25  # share of the frame's diagonal: nearly one cell of a 3x3 grid in a 16:9 frame
LARGE_ZOOM_RATIO = 1.5  # sizes change by half as the camera comes near or moves away
HEAVY_OCCLUSION_FRAC = 0.25  # share of the time between first and last sight


@dataclass(frozen=True)
class MeasuredObject:
    """The values of one object that the properties are computed from."""

    words: int
    facts: Facts
    diagonal_px: float


def short_text(measured: MeasuredObject) -> bool:
    """Tell whether the expression has at most `SHORT_WORDS` words."""
    return measured.words <= SHORT_WORDS


def long_text(measured: MeasuredObject) -> bool:
    """Tell whether the expression has at least `LONG_WORDS` words."""
    return measured.words >= LONG_WORDS


def large_object_motion(measured: MeasuredObject) -> bool | None:
    """Tell whether the object's own path is long; an object at rest, which only jitters, has the motion "none"."""
    facts = measured.facts
    if not facts.motion_known or (facts.motion != "none" and not facts.speed_known):
        return None
    return facts.motion != "none" and facts.own_path_px >= LARGE_MOTION_DIAGONALS * measured.diagonal_px


def large_camera_motion(measured: MeasuredObject) -> bool | None:
    """Tell whether the camera pans or travels far, or zooms much."""
    if not measured.facts.camera_known:
        return None
    zoom = measured.facts.camera_zoom_ratio
    return (
        math.hypot(*measured.facts.camera_shift_px) >= LARGE_MOTION_DIAGONALS * measured.diagonal_px
        or not 1 / LARGE_ZOOM_RATIO < zoom < LARGE_ZOOM_RATIO
    )


def heavy_occlusion(measured: MeasuredObject) -> bool | None:
    """Tell whether the object is hidden or partly covered for much of the time between first and last sight."""
    facts = measured.facts
    if not facts.visible_spans:
        return False
    seen_s = facts.visible_spans[-1].end_s - facts.visible_spans[0].start_s
    hidden_s, covered_s = (sum(map(_length_s, spans)) for spans in (facts.hidden_spans, facts.occluded_spans))
    if hidden_s < HEAVY_OCCLUSION_FRAC * seen_s <= hidden_s + covered_s and not facts.occluded_known:
        return None
    return hidden_s + covered_s >= HEAVY_OCCLUSION_FRAC * seen_s


def _length_s(span: Span) -> float:
    return span.end_s - span.start_s


_FACTS = plain_type(pa.struct(list(arrow_schema(Facts))))  # a newer version may have written more

PROPERTIES: tuple[tuple[str, str, Callable[[MeasuredObject], bool | None]], ...] = (
    ("short text", f"at most {SHORT_WORDS} words", short_text),
    ("long text", f"at least {LONG_WORDS} words", long_text),
    (
        "large object motion",
        f"own path, camera taken out, of at least {LARGE_MOTION_DIAGONALS:.0%} of the frame's diagonal",
        large_object_motion,
    ),
    (
        "large camera motion",
        f"pan of at least {LARGE_MOTION_DIAGONALS:.0%} of the diagonal, or zoom by at least {LARGE_ZOOM_RATIO:g} times",
        large_camera_motion,
    ),
    (
        "heavy occlusion",
        f"hidden or partly covered for at least {HEAVY_OCCLUSION_FRAC:.0%} of the time from first to last sight",
        heavy_occlusion,
    ),
)


def measured_objects(table: pa.Table) -> list[MeasuredObject]:
    """Return the values of the kept rows of an annotations table that have both an expression and facts."""
    kept = table.filter(pc.equal(table["status"], Status.KEPT.value))
    rows = kept.select(["expression", "facts", "width_px", "height_px"])
    rows = rows.set_column(1, "facts", fit(rows["facts"], _FACTS, ROW_DEFAULTS, ("facts",))).to_pylist()
    return [
        MeasuredObject(
            words=len(row["expression"].split()),
            facts=Facts.model_validate(row["facts"]),
            diagonal_px=math.hypot(row["width_px"], row["height_px"]),
        )
        for row in rows
        if row["expression"] and row["facts"]
    ]
