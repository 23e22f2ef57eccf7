"""Compares claims with facts: each one is true of an object, ruled out, or neither.

A claim is true or ruled out only if the figures are clearly on one side; in between, and where something could not be
measured, the answer is unknown. What an object does while it is out of sight nobody sees, so a claim about such a
moment is "hidden then", which is not the same as ruled out.

The vocabulary of a claim's `value`, by kind:

    colour      all | mostly | partly, and a basic colour term: 'mostly red'
    side        left | right | top | bottom, and nothing | at first | in the end: 'left at first'
    direction   left | right | up | down | still | to and fro
    order       two sides: 'left then right', of first and last sight
    visibility  always | hidden | enters | leaves
    size        grows | shrinks | steady
"""

import math
from collections.abc import Callable, Iterator

from manifests.schema import Claim, Facts, Ruling
from stages.claims.colour_claims import shades_of
from stages.claims.distinguish import MOST_FRAC
from stages.claims.side import centre_margin_frac
from stages.video.colour import TERMS

State = tuple[str, str, list[float]]  # as in Ruling: state, measured, times_s
TRUE, RULED_OUT, UNKNOWN, HIDDEN = "true", "ruled out", "unknown", "hidden then"

_LISTED_FRAC = 0.6  # of the surface must have a listed colour; with less, it is many small patches
_DEGREES_FRAC = {"all": 0.8, "mostly": MOST_FRAC, "partly": 0.2}
_OTHER_FRAC = 0.2  # by this much another colour must exceed a claimed one to be the main one instead
_CLEAR_FRAC, _STILL_FRAC = 0.15, 0.05  # nobody takes a longer move for one the other way, a shorter one for a move
_CLEAR_S, _CLEAR_OF_FRAC = 1.0, 0.08  # the least time out of sight that everybody notices, or of the duration
_GROWS_RATIO, _STEADY_RATIO = 1.4, 1.15  # of areas: nobody takes a larger change for none, or a smaller one for one
_TOUCHING_FRAC = 0.02  # median gap to another object / diagonal of the frame
_WITHIN_S = 0.05  # a span ends when the next annotated frame appears, a sixth of a second after its last one
_BORDER_FRAC = 0.15  # an object whose edge is nearer to the border of the frame may come in or go out in part
_AXES = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1), "up": (1, -1), "down": (1, 1)}
OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top", "up": "down", "down": "up"}
_PLACE_WORDS = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top of the scene",
    "bottom": "at the bottom of the scene",
}
_WAY_WORDS = {
    "left": "moves to the left",
    "right": "moves to the right",
    "up": "moves upwards",
    "down": "moves downwards",
    "still": "stays where it is",
    "to and fro": "moves to and fro",
}
_SIGHT_WORDS = {
    "always": "never goes out of sight",
    "hidden": "is hidden for a while",
    "enters": "comes into view later",
    "leaves": "goes out of view before the end",
}
_SIZE_WORDS = {
    "grows": "gets larger on the screen",
    "shrinks": "gets smaller on the screen",
    "steady": "stays about the same size",
}
_DEGREE_WORDS = {"all": "{}", "mostly": "mostly {}", "partly": "partly {}"}

VALUES: dict[str, tuple[str, ...]] = {
    "colour": tuple(f"{degree} {name}" for degree in _DEGREES_FRAC for name in TERMS),
    "side": tuple(f"{side}{when}" for when in ("", " at first", " in the end") for side in _PLACE_WORDS),
    "direction": tuple(_WAY_WORDS),
    "order": tuple(f"{side} then {OPPOSITE[side]}" for side in _PLACE_WORDS),
    "visibility": tuple(_SIGHT_WORDS),
    "size": tuple(_SIZE_WORDS),
}


def claim(kind: str, value: str) -> Claim:
    """Return the claim of this kind and value, with its English words.

    Raises:
        ValueError: there is no such kind or value.
    """
    if value not in VALUES.get(kind, ()):
        raise ValueError(f"a claim must have one of the kinds and values of VALUES, got {kind!r}: {value!r}")
    return Claim(kind=kind, value=value, words=_words(kind, value))


def judge(of: Claim, facts: Facts) -> Ruling:
    """Compare a claim of VALUES with the facts of one object."""
    state, measured, times_s = _JUDGES[of.kind](of.value, facts)
    return Ruling(
        object_id=facts.object_id, kind=of.kind, claim=of.words, state=state, measured=measured, times_s=times_s
    )


def true_claims(facts: Facts) -> list[Claim]:
    """Return all claims that clearly hold of an object, in the order of VALUES."""
    return [made for made in every_claim() if _JUDGES[made.kind](made.value, facts)[0] == TRUE]


def every_claim() -> Iterator[Claim]:
    """Yield every claim that can be measured."""
    return (claim(kind, value) for kind, values in VALUES.items() for value in values)


def _words(kind: str, value: str) -> str:
    if kind == "colour":
        degree, name = value.split()
        return _DEGREE_WORDS[degree].format(name)
    if kind == "side":
        side, _, when = value.partition(" ")
        return f"{_PLACE_WORDS[side]} {when}".strip()
    if kind == "order":
        first, last = value.split(" then ")
        return f"starts {_PLACE_WORDS[first]} and ends up {_PLACE_WORDS[last]}"
    return {"direction": _WAY_WORDS, "visibility": _SIGHT_WORDS, "size": _SIZE_WORDS}[kind][value]


def _colour(value: str, facts: Facts) -> State:
    degree, name = value.split()
    least_frac = _DEGREES_FRAC[degree]
    listed = [{colour.name: colour.share_frac for colour in of} for of in (facts.colours, facts.colours_best)]
    measured = "; ".join(", ".join(f"{n} {share:.2f}" for n, share in of.items()) or "no colours" for of in listed)
    times_s = [_first_s(facts), _last_s(facts)]
    if not facts.colours_known or min(sum(of.values()) for of in listed) < _LISTED_FRAC:
        return UNKNOWN, f"{measured}: not known for enough of it", times_s
    shares = [of.get(name, 0.0) for of in listed]
    if min(shares) >= least_frac:
        return TRUE, measured, times_s
    near = shades_of(name)
    if not any(near & of.keys() for of in listed):
        return RULED_OUT, measured, times_s
    others = [[share for n, share in of.items() if n not in near] for of in listed]
    if degree != "partly" and all(
        other and max(other) >= MOST_FRAC and max(other) - sum(of.get(n, 0.0) for n in near) >= _OTHER_FRAC
        for other, of in zip(others, listed, strict=True)
    ):
        return RULED_OUT, measured, times_s
    return UNKNOWN, measured, times_s


def _side(value: str, facts: Facts) -> State:
    side, _, when = value.partition(" ")
    first, last = facts.centre_start_frac, facts.centre_end_frac
    at_first = _on_side(side, first, facts)
    at_last = _on_side(side, last, facts)
    if when == "at first":
        if facts.enters_s is not None and at_first != TRUE:
            return HIDDEN, f"out of sight until {facts.enters_s:.1f} s", [0.0]
        return at_first, _centre(first), [_first_s(facts)]
    if when == "in the end":
        if facts.leaves_s is not None and at_last != TRUE:
            return HIDDEN, f"out of sight from {facts.leaves_s:.1f} s on", [facts.duration_s]
        return at_last, _centre(last), [_last_s(facts)]
    place = facts.place_best.split()[1 - _AXES[side][0]]
    opposite = OPPOSITE[side]
    measured = f"{_centre(first)} at first, {_centre(last)} at last, {facts.place_best} where it is largest"
    states = {at_first, at_last}
    times_s = [_first_s(facts), _last_s(facts)]
    if states == {TRUE} and place != opposite:
        return TRUE, measured, times_s
    if states == {RULED_OUT} and place == opposite:
        return RULED_OUT, measured, times_s
    return UNKNOWN, measured, times_s


def _on_side(side: str, centre_frac: list[float], facts: Facts) -> str:
    axis, sign = _AXES[side]
    away_frac = (centre_frac[axis] - 0.5) * sign
    margin_frac = centre_margin_frac(axis, facts)
    return TRUE if away_frac > margin_frac else RULED_OUT if away_frac < -margin_frac else UNKNOWN


def _centre(centre_frac: list[float]) -> str:
    return "centre at ({:.2f}, {:.2f}) of (width, height)".format(*centre_frac)


def _order(value: str, facts: Facts) -> State:
    before, after = value.split(" then ")
    states = (_on_side(before, facts.centre_start_frac, facts), _on_side(after, facts.centre_end_frac, facts))
    measured = f"{_centre(facts.centre_start_frac)} at first sight, {_centre(facts.centre_end_frac)} at last sight"
    state = RULED_OUT if RULED_OUT in states else UNKNOWN if UNKNOWN in states else TRUE
    return state, measured, [_first_s(facts), _last_s(facts)]


def _direction(value: str, facts: Facts) -> State:
    x, y = facts.shift_frac
    measured = f"moves by ({x:+.2f}, {y:+.2f}) of (width, height), {facts.motion} with the camera taken out"
    times_s = [_first_s(facts), _last_s(facts)]
    if not facts.motion_known:
        return UNKNOWN, measured, times_s
    stays = facts.motion == "none" and max(abs(x), abs(y)) < _STILL_FRAC and facts.camera == "static"
    stays = stays and not _gaps(facts)
    words = facts.motion.split("-")
    goes = {word for word in words if word in _AXES and _shift(word, facts) >= _CLEAR_FRAC}
    if value == "still":
        holds, fails = stays, bool(goes)
    elif value == "to and fro":
        holds, fails = facts.motion == "complex", stays
    else:
        holds = value in words and _shift(value, facts) >= _STILL_FRAC
        fails = OPPOSITE[value] in goes or stays
    return TRUE if holds else RULED_OUT if fails else UNKNOWN, measured, times_s


def _shift(way: str, facts: Facts) -> float:
    axis, sign = _AXES[way]
    return facts.shift_frac[axis] * sign


def _visibility(value: str, facts: Facts) -> State:
    clear_s = max(_CLEAR_S, _CLEAR_OF_FRAC * facts.duration_s)
    hidden_s = [span.end_s - span.start_s for span in facts.hidden_spans]
    before_s = facts.enters_s or 0.0
    after_s = 0.0 if facts.leaves_s is None else facts.duration_s - facts.leaves_s
    spans = ", ".join(f"{span.start_s:.1f} to {span.end_s:.1f} s" for span in facts.visible_spans)
    measured = f"seen {spans} of {facts.duration_s:.1f} s"
    missing = (
        [span.start_s for span in facts.hidden_spans] + [0.0] * bool(before_s) + [facts.duration_s] * bool(after_s)
    )
    times_s = missing or [_first_s(facts), _last_s(facts)]
    gap_s = {"always": max([*hidden_s, before_s, after_s]), "hidden": max([*hidden_s, 0.0])}
    gap_s |= {"enters": before_s, "leaves": after_s}
    covered = bool(facts.occluded_spans)
    if value == "always":
        state = TRUE if not gap_s[value] and not covered else RULED_OUT if gap_s[value] >= clear_s else UNKNOWN
    elif gap_s[value] >= clear_s:
        state = TRUE
    else:
        centre_frac = facts.centre_end_frac if value == "leaves" else facts.centre_start_frac
        whole = not any(gap_s.values()) and not covered and (value == "hidden" or _inside(facts, centre_frac))
        state = RULED_OUT if whole else UNKNOWN
    return state, measured, times_s


def _size(value: str, facts: Facts) -> State:
    ratio = max(facts.size_ratio, 1e-9)
    measured = f"{facts.size_change} on the screen: its area at the end is {ratio:.2f} of that at the start"
    times_s = [_first_s(facts), _last_s(facts)]
    whole = all(_inside(facts, centre_frac) for centre_frac in (facts.centre_start_frac, facts.centre_end_frac))
    changes = facts.size_change != "stable" and max(ratio, 1 / ratio) >= _GROWS_RATIO
    steady = facts.size_change == "stable" and max(ratio, 1 / ratio) <= _STEADY_RATIO and whole
    if not _seen_whole(facts) or not (changes or steady):
        return UNKNOWN, measured, times_s
    return (TRUE if value == ("steady" if steady else facts.size_change) else RULED_OUT), measured, times_s


_JUDGES: dict[str, Callable[[str, Facts], State]] = {
    "colour": _colour,
    "side": _side,
    "direction": _direction,
    "order": _order,
    "visibility": _visibility,
    "size": _size,
}


def _gaps(facts: Facts) -> bool:
    """Return whether the object is out of sight at any time: what it does then, nobody sees."""
    return bool(facts.hidden_spans) or facts.enters_s is not None or facts.leaves_s is not None


def _inside(facts: Facts, centre_frac: list[float]) -> bool:
    """Return whether the object, with its centre there, is well within the frame."""
    least_frac = _BORDER_FRAC + math.sqrt(facts.area_best_frac) / 2
    return min(*centre_frac, *(1 - at for at in centre_frac)) > least_frac


def _seen_whole(facts: Facts) -> bool:
    """Return whether changes of its size are its own: what is covered or cut off bit by bit looks smaller, and is not.

    A slow cover is not found as such, so nothing is sure of what another object touches, nor of what reaches the border
    of the frame at first or at last.
    """
    ends = [*facts.centre_start_frac, *facts.centre_end_frac]
    cut = min(*ends, *(1 - at for at in ends)) < math.sqrt(facts.area_best_frac) / 2
    touched = any(one.gap_frac < _TOUCHING_FRAC for one in facts.neighbours)
    return not (facts.occluded_spans or touched or cut)


def _first_s(facts: Facts) -> float:
    return facts.visible_spans[0].start_s if facts.visible_spans else 0.0


def _last_s(facts: Facts) -> float:
    end_s = facts.visible_spans[-1].end_s if facts.visible_spans else facts.duration_s
    return max(_first_s(facts), end_s - _WITHIN_S)
