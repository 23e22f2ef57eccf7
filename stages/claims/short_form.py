"""Writes claims as a short noun phrase, and turns a short phrase into the sentences in which claims are looked for.

A claim of rank is about the objects of the colour that is named: "of the red objects, the leftmost at first, which
moves to the right". Facts know no categories, so an object is "object".
"""

import re
from collections.abc import Sequence

from manifests.expression import OBJECT_OPENING
from manifests.schema import Claim

_RELATIVE = re.compile(r",? (?:that|which|who) ", re.IGNORECASE)
_RANKED = re.compile(
    r"of (?:all|the (?P<among>[^,]*)) objects, (?P<rank>the [^,]*)(?:, which (?P<rest>.*))?", re.IGNORECASE
)
_PLACE = re.compile(
    r" (?P<place>(?:on|at|in|near) the (?:far |extreme |very )?"
    r"(?:(?:top|upper|bottom|lower|middle|cent(?:er|re))[- ])?(?:left|right|top|bottom|middle|cent(?:er|re))"
    r"(?:-hand)?(?: (?:side|edge|corner|half))?(?: of the (?:scene|view|picture|frame|video|image))?"
    r"(?: (?:at first|to begin with|in the end|at the (?:start|end)))?)$",
    re.IGNORECASE,
)
_GOING = re.compile(
    r" (?P<going>(?:moving|walking|running|going|rolling|flying|driving|riding|coming|swimming|sliding|heading"
    r"|staying|standing|sitting|lying|remaining|getting|growing|disappearing|entering|leaving)\b.*)$",
    re.IGNORECASE,
)


def phrase(claims: Sequence[Claim]) -> str:
    """Return one noun phrase that makes these claims, and no other: 'the red object on the left that …'."""
    adjective = " and ".join(claim.words for claim in claims if claim.kind == "colour")
    ranks = [claim.words for claim in claims if claim.kind == "rank"]
    places = [claim.words for claim in claims if claim.kind == "side"]
    verbs = [claim.words for claim in claims if claim.kind not in ("colour", "rank", "side")]
    if ranks:
        among = f"the {adjective} objects" if adjective else "all objects"
        rest = [*(f"is {place}" for place in places), *verbs]
        which = f", which {' and '.join(rest)}" if rest else ""
        return f"of {among}, {', and of those '.join(ranks)}{which}"
    head = " ".join(filter(None, ["the", adjective, "object", " and ".join(places)]))
    return f"{head} that {' and '.join(verbs)}" if verbs else head


def as_sentences(text: str) -> str:
    """Return a short phrase as sentences about the object, 'The object is … It …'; an expression as it is."""
    text = text.strip().rstrip(".")
    if text.lower().startswith(f"{OBJECT_OPENING.lower()} "):
        return f"{text}."
    if ranked := _RANKED.fullmatch(text):
        among = f"a {ranked['among']} object" if ranked["among"] else "an object"
        return _joined(among, [f"is {ranked['rank']}", ranked["rest"] or ""])
    head, *rest = _RELATIVE.split(text, maxsplit=1)
    told = []
    if match := _GOING.search(head):
        head, told = head[: match.start()], [f"is {match['going']}"]
    if match := _PLACE.search(head):
        head, told = head[: match.start()], [f"is {match['place']}", *told]
    return _joined(head, [*told, *rest])


def _joined(head: str, told: Sequence[str]) -> str:
    return " ".join([f"{OBJECT_OPENING} {head}.", *(f"It {words}." for words in told if words)])
