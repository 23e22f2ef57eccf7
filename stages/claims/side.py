"""Checks claims of side: where on the screen the object is said to be, against where its mask is."""

import math
import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, VIEW, Clause, quoted

# Distance of the centre from the middle of the frame, (x, y) as shares of (width, height): of a thing that is nearer,
# some people say left and some say right; of top and bottom they are even less sure.
_MARGIN_FRAC = (0.1, 0.15)
_EXTENT_FRAC = 0.2  # of the square root of the area, added to the margin: a large thing reaches over to the other side
_OUTER_FRAC = 0.15  # nobody calls "the middle" what is nearer to the left or right edge than this share of the width

_VERBS = (
    r"(?P<verb>(?:is|stands|sits|lies|rests|remains|stays|hangs|floats|appears|can be seen|starts|begins|starts out"
    r"|starts off|ends up|ending up|ends|ending|finishes|finishing)\b)"
)
_PARTICIPLES = (
    r"(?:(?:located|positioned|situated|placed|found|seen|visible|standing|sitting|lying|resting|parked|the one|shown"
    r"|outdoors|indoors|outside|inside|near|close)\s)*"
)
# The place of what holds the object is that of the object: "on a table on the left". The place of what is next to it
# is not.
_SETTING = (
    r"(?:(?:in|on|at|inside|within) (?:a|an|the) "
    r"(?:(?!(?:of|with|to|and|from|front|middle|between)\b)[\w-]+,? ){1,4}?)??"
)
_WORDS = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "upper": (1, -1), "bottom": (1, 1), "lower": (1, 1)}
FOLLOW = (
    r"(?! of\b)(?=$|[,;:]| (?:in|near|next|beside|with|and|while|when|behind|under|at|by|to begin|as|facing"
    r"|among|against|inside|outside|during|throughout|initially|beneath|above|below|between|amid|surrounded|close|alongside|on"
    r"|over|before|until|after)\b)"
)
_PART = r"(?: (?:side|edge|corner|part|half|portion|third|area|section|region|foreground|background))?"
_PLACE = re.compile(
    rf"(?:^|, | and ){ADVERBS}{_VERBS}\s{ADVERBS}{_PARTICIPLES}{_SETTING}"
    r"(?P<place>(?:on|at|in|near|towards?|close to|along) the (?:far |extreme |very )?"
    r"(?P<words>(?:(?:top|upper|bottom|lower|mid|middle|cent(?:er|re))[- ])?"
    rf"(?:left|right|top|bottom|cent(?:er|re)|middle)|upper|lower)(?:-hand)?{_PART}"
    rf"(?P<of> of (?:the|this) (?:\w+ )?{VIEW})?){FOLLOW}",
    re.IGNORECASE,
)
_FIRST = re.compile(
    r"\W*(?:to begin with|when first seen|at first|initially|at the (?:start|beginning))\b", re.IGNORECASE
)
_LAST = re.compile(r"\W*(?:at the end(?! of (?!the video))|by the end|in the end|finally)\b", re.IGNORECASE)
_OTHER_EYES = re.compile(
    r"perspective|point of view|from behind|mirror|(?:his|her|its|their) (?:own )?(?:left|right)\b"
)


def side_contradictions(clauses: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Yield claims of a side where the object is neither at the start, nor at the end, nor where it is largest.

    A claim that names the start or the end ("it ends up on the left") is checked against that time alone.
    """
    for clause in clauses:
        for match in _PLACE.finditer(clause.words):
            words = re.split(r"[- ]", match["words"].lower())
            text = f"{clause.lead}{clause.words}{clause.rest}"
            if _OTHER_EYES.search(text) or not (match["of"] or _last(clause, match) or _is_bare(words)):
                continue
            if any(_ruled_out(word, clause, match, facts) for word in words):
                yield Contradiction(kind="side", claim=quoted(match), measured=_measured(facts))


def centre_margin_frac(axis: int, facts: Facts) -> float:
    """Return how far its centre must be from the middle of the frame along x (0) or y (1) for everybody to see it."""
    return _MARGIN_FRAC[axis] + _EXTENT_FRAC * math.sqrt(facts.area_median_frac)


def _is_bare(words: Sequence[str]) -> bool:
    """Return whether the words mean the view without 'of the view': 'at the top' may be that of a hill, 'left' not."""
    return "left" in words or "right" in words


def _first(clause: Clause, match: re.Match[str]) -> bool:
    tail = f"{clause.words[match.end() :]}{clause.rest}"
    return bool(match["verb"].lower().startswith(("start", "begin")) or _FIRST.match(tail) or _FIRST.match(clause.lead))


def _last(clause: Clause, match: re.Match[str]) -> bool:
    tail = f"{clause.words[match.end() :]}{clause.rest}"
    ends = match["verb"].lower().startswith(("end", "finish")) or "until" in clause.lead
    return bool(ends or _LAST.match(tail) or _LAST.match(clause.lead))


def _ruled_out(word: str, clause: Clause, match: re.Match[str], facts: Facts) -> bool:
    first, last = facts.centre_start_frac, facts.centre_end_frac
    best_row, best_column = facts.place_best.split()
    if word not in _WORDS:
        beyond = [min(first[0], last[0]) > 1 - _OUTER_FRAC, max(first[0], last[0]) < _OUTER_FRAC]
        return word in ("center", "centre", "middle") and any(beyond) and best_column in ("left", "right")
    axis, sign = _WORDS[word]
    margin = centre_margin_frac(axis, facts)
    away = [(0.5 - point[axis]) * sign > margin for point in (first, last)]
    # A writer that is shown a few moments may have missed the very first sight of an object that enters, and the very
    # last of one that leaves.
    if _first(clause, match) and facts.enters_s is None:
        return bool(away[0])
    if _last(clause, match) and facts.leaves_s is None:
        return bool(away[1])
    opposite = {(0, -1): "right", (0, 1): "left", (1, -1): "bottom", (1, 1): "top"}[axis, sign]
    return all(away) and opposite in (best_row, best_column)


def _measured(facts: Facts) -> str:
    (x, y), (end_x, end_y) = facts.centre_start_frac, facts.centre_end_frac
    return (
        f"centre at ({x:.2f}, {y:.2f}) of (width, height) at the start, ({end_x:.2f}, {end_y:.2f}) at the end, "
        f"{facts.place_best} where it is largest"
    )
