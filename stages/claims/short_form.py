"""Writes claims as a short noun phrase, and turns a short phrase into the sentences in which claims are looked for.

A claim of rank is about the objects of the colour that is named: "of the red objects, the leftmost at first, which
moves to the right". Facts know no categories, so an object is "object".
"""

import re
from collections.abc import Sequence
from functools import cache

from manifests.expression import OBJECT_OPENING
from manifests.schema import Claim
from stages.claims.clauses import HUMAN, own_end
from stages.claims.measurable import every_claim
from stages.claims.rank import read_ranks

_RELATIVE = re.compile(r",? (?P<pronoun>that|which|who) ", re.IGNORECASE)
_NEXT_SENTENCE = re.compile(r"(?<![.!?])[.!?]++\s+")
_ABOUT_OBJECT = re.compile(r"(?:the|this) object\b", re.IGNORECASE)
_OBJECT = re.compile(r"(?<=\w) (?:an?|the|another|some|his|her|its|their)\b", re.IGNORECASE)
_PERSON = re.compile(rf"\b(?:{HUMAN.pattern})\b", re.IGNORECASE)
_RANKED = re.compile(
    r"of (?:all|the (?P<among>[^,]*)) objects, (?P<rank>the [^,]*)(?:, which (?P<rest>.*))?", re.IGNORECASE
)
_PLAIN = re.compile(r"the (?:(?P<adjective>.*?) )?object(?: (?P<place>(?:on|at) .*?))?(?: that (?P<rest>.*))?")
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


def read_phrase(text: str) -> list[Claim] | None:
    """Return the claims of a phrase as `phrase` writes them, in its order; None for any other text."""
    text = text.strip().rstrip(".").lower()
    claims: list[Claim] = []
    ranks: list[Claim] = []
    if ranked := _RANKED.fullmatch(text):
        ranks = read_ranks(ranked["rank"])
        if " and of those ".join(made.words for made in ranks) != ranked["rank"]:
            return None
        parts = [ranked["among"] or "", ranked["rest"] or ""]
    elif plain := _PLAIN.fullmatch(text):
        parts = [plain["adjective"] or "", *(plain[name] or "" for name in ("place", "rest"))]
    else:
        return None
    for part in parts:
        while part:
            found = _said().match(part)
            if not found:
                return None
            claims.append(_by_words()[found["words"]])
            part = part[found.end() :]
    return [*claims, *ranks]


@cache
def _by_words() -> dict[str, Claim]:
    return {made.words.lower(): made for made in every_claim()}


@cache
def _said() -> re.Pattern[str]:
    words = "|".join(re.escape(one) for one in sorted(_by_words(), key=len, reverse=True))
    return re.compile(rf"(?:is )?(?P<words>{words})(?:$| and )")


def as_sentences(text: str) -> str:
    """Return a short phrase as sentences about the object, 'The object is … It …'; an expression as it is.

    Where a phrase names another thing, what comes after may be about that one ("the man next to the car that turns
    left"), and is left out; so are further sentences, unless they begin with "the object".
    """
    text = text.strip().rstrip(".")
    if text.lower().startswith(f"{OBJECT_OPENING.lower()} "):
        return f"{text}."
    if ranked := _RANKED.fullmatch(text):
        among = f"a {ranked['among']} object" if ranked["among"] else "an object"
        return _joined(among, [f"is {ranked['rank']}", ranked["rest"] or ""])
    first, *others = _NEXT_SENTENCE.split(text)
    head, told = first, []
    if match := _RELATIVE.search(first):
        head, told = first[: match.start()], [first[match.end() :]]
    for pattern in (_GOING, _PLACE):
        if found := pattern.search(head):
            head, told = head[: found.start()], [f"is {found.group().strip()}", *told]
    end = own_end(head)
    if (verb := _OBJECT.search(head)) and verb.start() < end and own_end(head[: verb.end()]) > verb.start():
        head, end = head[: verb.start()], 0  # "a man throws a red ball": the ball's colour is not the man's
    if end < len(head):
        # "who" is said of people: in "the man in a red coat who walks to the left" nobody else can be meant
        person = match and match["pronoun"].lower() == "who" and len(_PERSON.findall(first[: match.start()])) == 1
        told = told[-1:] if person else []
    return " ".join([_joined(head, told), *(f"{other}." for other in others if _ABOUT_OBJECT.match(other))])


def _joined(head: str, told: Sequence[str]) -> str:
    return " ".join([f"{OBJECT_OPENING} {head}.", *(f"It {words}." for words in told if words)])
