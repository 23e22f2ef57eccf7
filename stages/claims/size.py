"""Checks claims of size change: that the object grows or shrinks on the screen, comes near the camera or goes away."""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, Clause, quoted
from stages.claims.direction import TRAVELS

# Ratios of areas from which a change contradicts a claim.
_LOOKS_RATIO = 1.4  # "gets larger" of what shrinks: 18 % in length
_NEARS_RATIO = 1.7  # "approaches the camera" of what shrinks: it may turn, bend or be cut by the border while it comes
_SAME_RATIO = 2.2  # "stays the same size": half as large again in length is too much for that
_ZOOM_RATIO = 1.25  # of the background's scale; in a zoom, the size on the screen says nothing of nearness

_LOOKS = (
    r"(?:gets?|becomes?|grows?|appears?|looks?|getting|becoming|growing|appearing|looking)"
    r" (?:(?:\w+ly|a little|a bit|a great deal|much|somewhat|to be getting) )*"
)
_CAMERA = r"(?:camera|viewer|lens)\b"
_ANCHOR = rf"(?:^|, | and | then |, then ){ADVERBS}"
_PATTERNS = {  # (sign of the change that is claimed, least ratio of a change the other way) -> pattern of the claim
    (1, _LOOKS_RATIO): rf"{_ANCHOR}(?:{_LOOKS}(?:larger|bigger)\b|(?:grows|increases|growing|increasing) in size)",
    (-1, _LOOKS_RATIO): rf"{_ANCHOR}(?:{_LOOKS}smaller\b|shrinks\b|(?:decreases|shrinking|decreasing) in size)",
    (1, _NEARS_RATIO): rf"{_ANCHOR}approach(?:es|ing) the {_CAMERA}"
    rf"|{TRAVELS}\s{ADVERBS}(?:closer to|nearer to|towards?) the {_CAMERA}"
    rf"|{_ANCHOR}(?:com|gett)(?:es|ing) {ADVERBS}(?:closer to|nearer to|towards?) the {_CAMERA}",
    (-1, _NEARS_RATIO): rf"{_ANCHOR}reced(?:es|ing)\b(?! hair)|{TRAVELS}\s{ADVERBS}(?:further |farther )?"
    rf"(?:away from the {_CAMERA}|(?:away |off )?into the (?:distance|background))",
}
_CLAIMS = [(sign, ratio, re.compile(words, re.IGNORECASE)) for (sign, ratio), words in _PATTERNS.items()]
_VERB = r"\b(?:gets?|becom(?:es|ing)|grow(?:s|ing)|appear(?:s|ing)|look(?:s|ing)|getting)\b[^,]{0,30}"
_ANY = {  # sign -> any mention of such a change: a text that has both of them may tell of what comes and then goes
    1: re.compile(
        rf"{_VERB}\b(?:larger|bigger)|closer|nearer|approach|towards? the {_CAMERA}|in(?:creas\w+|) in size",
        re.IGNORECASE,
    ),
    -1: re.compile(rf"{_VERB}\bsmaller|shr[iu]n|reced|away|distance|further|farther|decreas", re.IGNORECASE),
}
_SAME = re.compile(
    r"\bits (?:apparent )?size (?:hardly changes|does not change|stays (?:about )?the same"
    r"|remains (?:about )?the same)"
    rf"|{_ANCHOR}(?:stays|remains) (?:about |roughly |approximately )?the same size",
    re.IGNORECASE,
)


def size_contradictions(clauses: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Yield claims of a change that went clearly the other way, and claims of none where the area doubled or halved."""
    text = " ".join(f"{clause.words}{clause.rest}" for clause in clauses)
    grows = {"grows": 1, "shrinks": -1}.get(facts.size_change, 0)
    ratio = max(facts.size_ratio, 1 / max(facts.size_ratio, 1e-9))
    steady = facts.camera_known and 1 / _ZOOM_RATIO < facts.camera_zoom_ratio < _ZOOM_RATIO
    steady = steady and not facts.camera.startswith(("zooms", "travels"))
    for sign, least, pattern in _CLAIMS:
        if grows != -sign or ratio < least or _ANY[-sign].search(text) or (least == _NEARS_RATIO and not steady):
            continue
        for clause in clauses:
            for match in pattern.finditer(clause.words):
                yield _contradiction(match, facts)
    if grows and ratio >= _SAME_RATIO:
        for clause in clauses:
            for match in _SAME.finditer(f"{clause.words}{clause.rest}"):
                yield _contradiction(match, facts)


def _contradiction(match: re.Match[str], facts: Facts) -> Contradiction:
    measured = f"{facts.size_change} on the screen: its area at the end is {facts.size_ratio:.2f} of that at the start"
    return Contradiction(kind="size", claim=quoted(match), measured=measured)
