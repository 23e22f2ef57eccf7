"""Finds the measured facts in which two objects of a video clearly differ; the words for them are in values.txt."""

from collections.abc import Iterator
from typing import NamedTuple

from manifests.schema import Facts, Span

_SHARE_FRAC = 0.3  # of the surface: light and pose change the colours of one object by as much
_AREA_RATIO = 1.5  # 22 % in length: people judge areas badly
_TIME_S = 1.0  # is noticed without a clock


class Difference(NamedTuple):
    """A fact of two objects.

    Attributes:
        section: of values.txt, that says which fact it is.
        own: what is measured of the one object.
        other: what is measured of the other.
    """

    section: str
    own: str
    other: str


def differences(one: Facts, other: Facts) -> Iterator[Difference]:
    """Yield every fact in which two objects clearly differ; what is not known of either is left out."""
    if one.colours_known and other.colours_known and _colour_gap_frac(one, other) >= _SHARE_FRAC:
        yield Difference("differ_colours", _colours(one), _colours(other))
    for section, place in (("differ_first", "place_start"), ("differ_last", "place_end")):
        if getattr(one, place) != getattr(other, place):
            yield Difference(section, getattr(one, place), getattr(other, place))
    areas_frac = sorted((one.area_median_frac, other.area_median_frac))
    if areas_frac[1] >= _AREA_RATIO * areas_frac[0]:
        yield Difference("differ_size", f"{one.area_median_frac:.1%}", f"{other.area_median_frac:.1%}")
    if one.size_change != other.size_change:
        yield Difference("differ_growth", one.size_change, other.size_change)
    if one.motion_known and other.motion_known and one.motion != other.motion:
        yield Difference("differ_motion", one.motion, other.motion)
    if _apart(one.visible_spans, other.visible_spans):
        yield Difference("differ_sight", _times(one.visible_spans), _times(other.visible_spans))


def _colour_gap_frac(one: Facts, other: Facts) -> float:
    shares, others = ({colour.name: colour.share_frac for colour in facts.colours} for facts in (one, other))
    return max((abs(shares.get(name, 0.0) - others.get(name, 0.0)) for name in {*shares, *others}), default=0.0)


def _colours(facts: Facts) -> str:
    return ", ".join(f"{colour.name} {colour.share_frac:.0%}" for colour in facts.colours)


def _apart(one: list[Span], other: list[Span]) -> bool:
    edges = [[time_s for span in spans for time_s in (span.start_s, span.end_s)] for spans in (one, other)]
    if len(edges[0]) != len(edges[1]):
        return True
    return any(abs(own_s - others_s) >= _TIME_S for own_s, others_s in zip(*edges, strict=True))


def _times(spans: list[Span]) -> str:
    return ", ".join(f"{span.start_s:.1f}-{span.end_s:.1f}" for span in spans)
