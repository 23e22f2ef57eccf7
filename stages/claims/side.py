"""Claims of side: where on the screen the object is said to be, against where its mask is."""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, VIEW, Clause, quoted

_MARGIN_FRAC = (0.1, 0.15)  # beyond the middle, (x, y): nearer to it people say either; of top and bottom even more so
_EXTENT_FRAC = 0.2  # of the square root of the area: a large thing reaches over to the other side
_OUTER_FRAC = 0.15  # nearer to the left or right edge than this is not in the middle for anyone

_VERBS = (
    r"(?P<verb>(?:is|stands|sits|lies|rests|remains|stays|hangs|floats|appears|can be seen|starts|begins|starts out"
    r"|starts off|ends up|ending up|ends|ending|finishes|finishing)\b)"
)
_PARTICIPLES = (
    r"(?:(?:located|positioned|situated|placed|found|seen|visible|standing|sitting|lying|resting|parked|the one|shown"
    r"|outdoors|indoors|outside|inside|near|close)\s)*"
)
# What holds the object has its place: "on a table on the left". What is next to it has not.
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


def side(said: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Claims that the object is where it is at none of start, end and best view, or not at the time that is told."""
    for clause in said:
        for found in _PLACE.finditer(clause.words):
            words = re.split(r"[- ]", found["words"].lower())
            whole = f"{clause.lead}{clause.words}{clause.rest}"
            if _OTHER_EYES.search(whole) or not (found["of"] or _last(clause, found) or _is_bare(words)):
                continue
            if any(_ruled_out(word, clause, found, facts) for word in words):
                yield Contradiction(kind="side", claim=quoted(found), measured=_measured(facts))


def _is_bare(words: Sequence[str]) -> bool:
    """Whether it needs no 'of the view': 'at the top' and 'in the middle' may be those of a hill or of a group."""
    return "left" in words or "right" in words


def _first(clause: Clause, found: re.Match[str]) -> bool:
    tail = f"{clause.words[found.end() :]}{clause.rest}"
    return bool(found["verb"].lower().startswith(("start", "begin")) or _FIRST.match(tail) or _FIRST.match(clause.lead))


def _last(clause: Clause, found: re.Match[str]) -> bool:
    tail = f"{clause.words[found.end() :]}{clause.rest}"
    ends = found["verb"].lower().startswith(("end", "finish")) or "until" in clause.lead
    return bool(ends or _LAST.match(tail) or _LAST.match(clause.lead))


def _ruled_out(word: str, clause: Clause, found: re.Match[str], facts: Facts) -> bool:
    first, last = facts.centre_start_frac, facts.centre_end_frac
    best_row, best_column = facts.place_best.split()
    if word not in _WORDS:
        beyond = [min(first[0], last[0]) > 1 - _OUTER_FRAC, max(first[0], last[0]) < _OUTER_FRAC]
        return word in ("center", "centre", "middle") and any(beyond) and best_column in ("left", "right")
    axis, sign = _WORDS[word]
    margin = _MARGIN_FRAC[axis] + _EXTENT_FRAC * facts.area_median_frac**0.5
    away = [(0.5 - point[axis]) * sign > margin for point in (first, last)]
    # Whoever looks at a few moments may have missed the very first sight of what comes, and the last of what goes.
    if _first(clause, found) and facts.enters_s is None:
        return bool(away[0])
    if _last(clause, found) and facts.leaves_s is None:
        return bool(away[1])
    opposite = {(0, -1): "right", (0, 1): "left", (1, -1): "bottom", (1, 1): "top"}[axis, sign]
    return all(away) and opposite in (best_row, best_column)


def _measured(facts: Facts) -> str:
    (x, y), (end_x, end_y) = facts.centre_start_frac, facts.centre_end_frac
    return (
        f"centre at ({x:.2f}, {y:.2f}) of (width, height) at the start, ({end_x:.2f}, {end_y:.2f}) at the end, "
        f"{facts.place_best} where it is largest"
    )
