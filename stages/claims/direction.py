"""Checks claims of direction: where the object is said to go, or that it stays, against its measured path.

People speak of its path on the screen or of its path against the background. A claim is a contradiction only if it is
wrong for both.
"""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, VIEW, Clause, quoted
from stages.claims.side import FOLLOW

# Net moves, as shares of the width or height of the frame.
_CLEAR_FRAC = 0.15  # nobody takes a longer move for one the other way
_TRAVEL_FRAC = 0.25  # nobody takes a longer move for standing still
_STILL_FRAC = 0.05  # nobody takes a shorter move for crossing the scene, if the object is small
_SMALL_AREA_FRAC = 0.1  # of the frame: a larger object may well reach somewhere with a part of it, such as a limb

_STEMS = (
    "mov(?:e|es|ing)|(?:walk|drift|float|crawl|jog|sprint|trot|gallop|sail|head|roll|wander|stroll|march)(?:s|ing)?"
    "|run(?:s|ning)?|travel(?:s|s?ling|ing)?|(?:driv|slid|glid|rid|skat)(?:e|es|ing)|fl(?:y|ies|ying)|swim(?:s|ming)?"
    "|go(?:es|ing)|proceed(?:s|ing)?|advanc(?:es|ing)|mak(?:es|ing) its way"
)
_AUX = r"(?:(?:is|can be|seen|shown|continues|continuing|begins|starts|keeps|to|by)\s)*"
TRAVELS = (
    rf"(?:(?:^|, | and | then |, then ){ADVERBS}{_AUX}{ADVERBS}(?:{_STEMS}|is (?:pushed|pulled|carried|dragged))\b)"
)
_GROUND = (
    r"(?:(?:across|along|over|through|down|up|on|in) (?:the|a|an) "
    r"(?:(?!of\b|to\b|from\b)[\w-]+,? ){1,3}?)??"
)
_SPOT = r"(?:(?:far|upper|lower|top|bottom)[- ])?(?:left|right|top|bottom|cent(?:er|re)|middle)"
_PART = rf"(?:-hand)?(?: (?:side|edge|corner|part|half))?(?: of (?:the|this) (?:\w+ )?{VIEW})?"
_WAY = re.compile(
    rf"{TRAVELS}\s{ADVERBS}{_GROUND}{ADVERBS}"
    rf"(?:from (?:the )?(?P<start>{_SPOT}){_PART} to (?:the )?(?P<end>{_SPOT}){_PART}"
    rf"|(?:(?P<up>up|down) and )?(?:to|towards?) the "
    rf"(?P<to>(?:(?:far|upper|lower|top|bottom)[- ])?(?:left|right)){_PART}"
    rf"|(?:to|towards?) the (?P<edge>top|bottom) of the {VIEW}"
    rf"|(?P<ward>left|right|up|down)wards?|(?P<bare>left|right)(?=$|,| and(?! (?:left|right))| across| along)){FOLLOW}",
    re.IGNORECASE,
)
_STEPS = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "upper": (1, -1), "up": (1, -1)}
_STEPS |= {"bottom": (1, 1), "lower": (1, 1), "down": (1, 1)}
_NAMES = {(0, -1): "left", (0, 1): "right", (1, -1): "up", (1, 1): "down"}

_TO_AND_FRO = re.compile(
    r"\b(?:back|returns?|returning|forth|both|reverses?|direction|directions|circles?|around(?! it\b)|zigzags?"
    r"|repeatedly|sways?|swaying|swings?|swinging|side to side|left and right|up and down|turns?|turning)\b"
)
_MENTIONS = re.compile(
    rf"\b(?:to|towards?) the (?:\w+ )?(left|right)\b(?! of (?!(?:the|this) {VIEW}))"
    r"|\b(left|right)wards?\b|\bthen (left|right)\b"
)
_STILL = re.compile(
    rf"(?:^|, | and ){ADVERBS}(?:(?:remains?|stays?|stands|sits|lies|is|rests|remaining|staying) {ADVERBS}"
    r"(?:still|stationary|motionless|immobile|in place|at rest|unmoving|where it is"
    r"|in (?:the same|one|a single) (?:place|spot|position))"
    r"|(?:does not|doesn't|never) moves?(?: at all)?|keeps to one spot)"
    r"(?=$|,| and\b| throughout| (?:for |during )?the (?:whole|entire|video)| from (?:its|start))",
    re.IGNORECASE,
)
# Words beside which "it stays in place" says nothing of its path: a hat may stay in place on a man who walks, and what
# stays at first may move later.
_WITH_SOMETHING = re.compile(
    r"\b(?:worn|held|carried|attached|mounted|fixed|rid(?:es|ing)|pushed|pulled|towed|hands?|head|aboard|boat"
    r"|relative|by itself|at first|initially|then|later|eventually|finally|starts?|begins?)\b",
    re.IGNORECASE,
)


def direction_contradictions(clauses: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Yield claims of going one way, of going at all, or of staying, that its path rules out on screen and background.

    Nothing is yielded for a text that says that the object turns back, or goes to and fro.
    """
    ways = [(clause, match) for clause in clauses for match in _WAY.finditer(clause.words)]
    text = " ".join(f"{_WAY.sub(' ', clause.words)}{clause.rest}" for clause in _of_the_video(clauses)).lower()
    if _TO_AND_FRO.search(re.sub(r"camera [^,]*", "", text)):
        return
    claimed = {step for _, match in ways for step in _steps(match)}
    claimed |= {_STEPS[next(filter(None, groups))] for groups in _MENTIONS.findall(text)}
    for _, match in ways:
        steps = [(axis, sign) for axis, sign in _steps(match) if (axis, -sign) not in claimed]
        against = any(_goes(facts, axis, -sign, _CLEAR_FRAC) for axis, sign in steps)
        if against or (steps and _stays(facts)):
            yield _contradiction(match, facts)
    if any(re.search(TRAVELS, clause.words, re.IGNORECASE) for clause in clauses) or _WITH_SOMETHING.search(text):
        return
    for clause in clauses:
        for match in _STILL.finditer(clause.words):
            if any(_goes(facts, axis, sign, _TRAVEL_FRAC) for axis, sign in _NAMES):
                yield _contradiction(match, facts)


def _of_the_video(clauses: Sequence[Clause]) -> Sequence[Clause]:
    """Return the clauses from 'Throughout the video' on; those before are about looks and place."""
    return clauses[next((number for number, clause in enumerate(clauses) if "video" in clause.lead.lower()), 0) :]


def _steps(match: re.Match[str]) -> set[tuple[int, int]]:
    """Return (axis, sign) of every direction claimed: 'from the upper left to the right' is right, not up or down."""
    if match["start"]:
        start, end = (_place(match[name]) for name in ("start", "end"))
        # an axis that only one of the two places names says nothing of a move along it
        both = {axis: end.get(axis, 0) - start.get(axis, 0) for axis in end.keys() & start.keys()}
        return {(axis, 1 if move > 0 else -1) for axis, move in both.items() if move}
    words = [match[name].lower() for name in ("up", "ward", "bare", "edge") if match[name]]
    if match["to"]:
        words.append(re.split(r"[- ]", match["to"].lower())[-1])
    return {_STEPS[word] for word in words}


def _place(words: str) -> dict[int, int]:
    place = dict(_STEPS[word] for word in re.split(r"[- ]", words.lower()) if word in _STEPS)
    return place or {0: 0, 1: 0}


def _goes(facts: Facts, axis: int, sign: int, least_frac: float) -> bool:
    """Return whether the object clearly goes this way, both on the screen and with the camera's motion taken out."""
    return (
        facts.motion_known
        and facts.shift_frac[axis] * sign >= least_frac
        and _NAMES[axis, sign] in facts.motion.split("-")
    )


def _stays(facts: Facts) -> bool:
    """Return whether a small object, seen all the time, clearly keeps its place before a camera that stays too."""
    seen = facts.enters_s is None and facts.leaves_s is None and not facts.hidden_spans
    camera = facts.camera_known and facts.camera == "static"
    small = facts.area_median_frac <= _SMALL_AREA_FRAC and facts.size_change == "stable"
    return (
        seen
        and camera
        and small
        and facts.motion_known
        and facts.motion == "none"
        and max(map(abs, facts.shift_frac)) < _STILL_FRAC
    )


def _contradiction(match: re.Match[str], facts: Facts) -> Contradiction:
    (x, y), (own_x_px, own_y_px) = facts.shift_frac, facts.own_shift_px
    measured = (
        f"moves by ({x:+.2f}, {y:+.2f}) of (width, height) on the screen and by ({own_x_px:+.0f}, {own_y_px:+.0f}) px "
        f"with the camera taken out (right and down are positive): {facts.motion}"
    )
    return Contradiction(kind="direction", claim=quoted(match), measured=measured)
