"""Claims of size change: that the object grows or shrinks on the screen, nears the camera or goes from it."""

import re
from collections.abc import Iterator, Sequence

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import ADVERBS, Clause, quoted
from stages.claims.direction import TRAVELS

_LOOKS_RATIO = 1.4  # of areas, the other way: 18 % in length
_NEARS_RATIO = 1.7  # what nears the camera may turn, bend or be cut by the border while it comes
_SAME_RATIO = 2.2  # half as large again in length: no more "about the same size"
_ZOOM_RATIO = 1.25  # of the background; with a zoom, size says nothing of nearness

_LOOKS = (
    r"(?:gets?|becomes?|grows?|appears?|looks?|getting|becoming|growing|appearing|looking)"
    r" (?:(?:\w+ly|a little|a bit|a great deal|much|somewhat|to be getting) )*"
)
_CAMERA = r"(?:camera|viewer|lens)\b"
_ANCHOR = rf"(?:^|, | and | then |, then ){ADVERBS}"
_PATTERNS = {  # (sign, ratio): what is claimed, and how clearly it must be otherwise
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
_ANY = {  # anything that may be said of the other way, as of what comes and then goes
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


def size(said: Sequence[Clause], facts: Facts) -> Iterator[Contradiction]:
    """Claims of a change that went clearly the other way, or of none where it doubled."""
    whole = " ".join(f"{clause.words}{clause.rest}" for clause in said)
    grows = {"grows": 1, "shrinks": -1}.get(facts.size_change, 0)
    ratio = max(facts.size_ratio, 1 / max(facts.size_ratio, 1e-9))
    steady = facts.camera_known and 1 / _ZOOM_RATIO < facts.camera_zoom_ratio < _ZOOM_RATIO
    steady = steady and not facts.camera.startswith(("zooms", "travels"))
    for sign, least, pattern in _CLAIMS:
        if grows != -sign or ratio < least or _ANY[-sign].search(whole) or (least == _NEARS_RATIO and not steady):
            continue
        for clause in said:
            for found in pattern.finditer(clause.words):
                yield _contradiction(found, facts)
    if grows and ratio >= _SAME_RATIO:
        for clause in said:
            for found in _SAME.finditer(f"{clause.words}{clause.rest}"):
                yield _contradiction(found, facts)


def _contradiction(found: re.Match[str], facts: Facts) -> Contradiction:
    measured = f"{facts.size_change} on the screen: its area at the end is {facts.size_ratio:.2f} of that at the start"
    return Contradiction(kind="size", claim=quoted(found), measured=measured)
