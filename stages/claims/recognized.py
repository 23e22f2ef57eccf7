"""Tells which kinds of claims that can be measured are recognized in a text, whether they are true or not.

A text has a claim of a kind if there could be an object that contradicts it. So the checks themselves are asked, about
invented objects that are as different as objects can be: what no object can contradict was not understood as a claim.
"""

from functools import cache

from manifests.schema import Colour, Facts, Span
from stages.claims.contradictions import find_contradictions
from stages.claims.listener import read_claims
from stages.claims.short_form import as_sentences
from stages.video.colour import TERMS

_DURATION_S = 10.0
# (centre at first, centre at last, motion): it stays at an edge or a corner, or crosses the scene.
_PATHS = (
    ((0.03, 0.5), (0.03, 0.5), "none"),
    ((0.97, 0.5), (0.97, 0.5), "none"),
    ((0.5, 0.03), (0.5, 0.03), "none"),
    ((0.5, 0.97), (0.5, 0.97), "none"),
    ((0.5, 0.5), (0.5, 0.5), "none"),
    ((0.1, 0.5), (0.9, 0.5), "right"),
    ((0.9, 0.5), (0.1, 0.5), "left"),
    ((0.5, 0.1), (0.5, 0.9), "down"),
    ((0.5, 0.9), (0.5, 0.1), "up"),
)
_SIZES = (("stable", 1.0), ("grows", 4.0), ("shrinks", 0.25))
_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


def recognized(text: str) -> list[str]:
    """Return the kinds of the claims of `text` that can be measured: colour, side, direction, size, visibility, rank.

    Args:
        text: a short phrase or an expression.
    """
    sentences = as_sentences(text)
    kinds = {found.kind for facts in _invented() for found in find_contradictions(sentences, facts)}
    kinds |= {"colour" if claim.kind == "look" else claim.kind for claim in read_claims(text) if claim.kind != "said"}
    return sorted(kinds)


@cache
def _invented() -> tuple[Facts, ...]:
    """Return facts of objects that together contradict every claim that can be checked."""
    shown = [(path, size, gone) for path in _PATHS for size in _SIZES for gone in (False, True)]
    return tuple(_facts(number, *one) for number, one in enumerate(shown))


def _facts(
    number: int,
    path: tuple[tuple[float, float], tuple[float, float], str],
    size: tuple[str, float],
    gone: bool,  # whether it comes late, is hidden in the middle, and leaves early
) -> Facts:
    (start, end, motion), (size_change, ratio) = path, size
    colours = [Colour(name=TERMS[number % len(TERMS)], share_frac=1.0)]
    spans = [Span(start_s=2.0, end_s=4.0), Span(start_s=6.0, end_s=8.0)]
    return Facts(
        object_id="invented",
        duration_s=_DURATION_S,
        place_start=_place(start),
        place_end=_place(end),
        place_best=_place(start),
        centre_start_frac=list(start),
        centre_end_frac=list(end),
        area_median_frac=0.001,
        area_best_frac=0.001,
        size="tiny",
        size_ratio=ratio,
        size_change=size_change,
        shift_frac=[end[0] - start[0], end[1] - start[1]],
        own_shift_px=[0.0, 0.0],
        own_speed_px_s=0.0,
        own_path_px=0.0,
        motion=motion,
        motion_known=True,
        speed_known=True,
        camera_known=True,
        camera_shift_px=[0.0, 0.0],
        camera_speed_px_s=0.0,
        camera_zoom_ratio=1.0,
        camera="static",
        visible_spans=spans if gone else [Span(start_s=0.0, end_s=_DURATION_S)],
        hidden_spans=[Span(start_s=4.0, end_s=6.0)] if gone else [],
        occluded_spans=[],
        occluded_known=True,
        enters_s=2.0 if gone else None,
        leaves_s=8.0 if gone else None,
        colours=colours,
        colours_best=colours,
        colours_known=True,
        surroundings=[],
        colour_drift_frac=0.0,
        camouflage_frac=0.0,
        neighbours=[],
    )


def _place(centre: tuple[float, float]) -> str:
    return f"{_ROWS[min(2, int(centre[1] * 3))]} {_COLUMNS[min(2, int(centre[0] * 3))]}"
