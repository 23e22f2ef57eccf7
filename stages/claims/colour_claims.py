"""Checks claims of colour: the colour words of the first sentence against the measured colours of the object."""

import re
from collections.abc import Iterator

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import HUMAN, head_noun, head_phrase

_KNOWN_FRAC = (
    0.6  # least share of the pixels that must have a listed colour; with less, the object is many small patches
)

# Colour words -> the measured colours that such a thing may have in shade, glare or warm light. The lists are long,
# because a doubtful case must not count as a contradiction.
_SHADES = {
    "black charcoal ebony": "black grey brown blue",
    "grey gray silver ash slate": "grey white black brown blue green",
    "white": "white grey yellow pink brown",
    "red crimson scarlet": "red orange brown pink purple",
    "maroon burgundy": "red brown purple pink black",
    "orange": "orange red yellow brown pink",
    "ginger copper bronze rust amber": "orange brown red yellow",
    "yellow mustard": "yellow orange brown green white",
    "golden gold blonde blond": "yellow orange brown white pink",
    "brown chestnut": "brown orange red yellow black grey pink green",
    "tan beige cream ivory khaki sandy": "brown orange yellow white grey pink green",
    "green lime": "green yellow blue grey black brown",
    "olive": "green brown yellow grey black",
    "blue": "blue purple green grey black",
    "navy": "blue black purple grey",
    "teal turquoise cyan aqua": "blue green grey",
    "purple violet": "purple pink blue red grey black",
    "lavender lilac": "purple blue pink grey white",
    "pink magenta": "pink red purple orange white brown",
    "coral salmon peach": "pink orange red brown white",
}
_MEASURED = {name: set(terms.split()) for names, terms in _SHADES.items() for name in names.split()}
_UNNAMED = ("object", "thing", "something", "one", "part")
_LISTED = re.compile(r" and |, (?!and it is )", re.IGNORECASE)
_DEGREE = re.compile(r"\b(?:mostly|partly)\b", re.IGNORECASE)
_PRINCIPAL = {name: terms.split()[0] for names, terms in _SHADES.items() for name in names.split()}
_PALE, _DARK = {"white", "grey"}, {"black", "grey", "brown"}

_COLOUR = re.compile(
    rf"(?<![\w-])(?:(?P<pale>light|pale|pastel|faded)[- ]|(?P<dark>dark|deep)[- ])?(?P<name>{'|'.join(_MEASURED)})"
    # "red-haired" is hair, a "red wine glass" is clear, an "orange slice" a fruit
    r"(?![\w']|-(?!colou?red)| (?:wine|tea|coffee|juice|onion|cabbage|lights?|lamp|lantern|traffic|neon|led|candle"
    r"|slice|peel|tree|tit|kangaroo)\b)",
    re.IGNORECASE,
)
# Words after which a colour says nothing of the object as a whole: patterns, clear and shining things, letterings.
_NO_CLAIM = re.compile(
    r"multi-?|colou?rful|strip|plaid|check|camouflage|spot|pattern|tabby|calico|brindle|floral|transparent|clear"
    r"|glass|translucent|iridescent|rainbow|reflect|mirror|metallic|chrome|stainless|tinted|trim|logo|letter"
    r"|label|accent|\b(?:an?|the) orange$",
    re.IGNORECASE,
)
_WITH_DEGREE = re.compile(rf"(?:\b(mostly|partly) )?(?<![\w-])({'|'.join(_PRINCIPAL)})(?![\w-])", re.IGNORECASE)


def colour_contradictions(text: str, facts: Facts) -> Iterator[Contradiction]:
    """Yield the colours of the object as a whole, if none of them nor a shade near one has a noticeable share.

    People are not checked: the words for the colours of clothes and skin do not fit what is measured.
    """
    phrase, listed = head_phrase(text), [*facts.colours, *facts.colours_best]
    named = list(_COLOUR.finditer(phrase))
    known_frac = min(sum(colour.share_frac for colour in of) for of in (facts.colours, facts.colours_best))
    if (
        not facts.colours_known
        or not named
        or known_frac < _KNOWN_FRAC
        or _NO_CLAIM.search(phrase)
        or HUMAN.fullmatch(head_noun(text))
    ):
        return
    if not {colour.name for colour in listed} & set().union(*map(_terms, named)):
        measured = ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in facts.colours)
        best = ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in facts.colours_best)
        claim = phrase[named[0].start() : named[-1].end()]
        yield Contradiction(kind="colour", claim=claim, measured=f"{measured}; {best} where it is largest")


def shades_of(name: str) -> set[str]:
    """Return the measured colours that a thing of this colour word may have in shade, glare or warm light."""
    return _MEASURED[name]


def names_a_kind(text: str) -> bool:
    """Return whether a text says what kind of thing its object is: a "dog", and not an "object" or "the red one"."""
    return head_noun(text) not in (*_UNNAMED, *_PRINCIPAL)


def spoken_colours_of(phrase: str) -> list[tuple[str, str]]:
    """Return (degree, basic colour term) of the colours of a short phrase about an "object", which need not name all.

    The degree is all, mostly or partly. Empty for a phrase that says what kind of thing it is, as in `spoken_look`.
    """
    if names_a_kind(phrase) or _NO_CLAIM.search(phrase):
        return []
    return [((degree or "all").lower(), _PRINCIPAL[name.lower()]) for degree, name in _WITH_DEGREE.findall(phrase)]


def spoken_look(text: str) -> tuple[str | None, frozenset[str]] | None:
    """Return the colours that the first sentence gives an object, as `distinguish.spoken_colours` does, or None.

    None for a text that says what kind of thing it is: "the red car" may have black wheels and windows, so only the
    colours of an unnamed "thing" say how much of it has them. None for patterns, clear and shining things too.
    """
    sentence = text.split(". ")[0].rstrip(".")
    found = [match for match in _COLOUR.finditer(sentence) if not match["pale"] and not match["dark"]]
    if not found or _NO_CLAIM.search(sentence) or names_a_kind(text):
        return None
    names = [_PRINCIPAL[match["name"].lower()] for match in found]
    degree, after = _DEGREE.search(sentence), sentence[found[0].end() :]
    listed = len(found) > 1 and bool(_LISTED.match(after))
    most = degree.group().lower() == "mostly" if degree else not listed
    return (names[0] if most else None), frozenset(names)


def _terms(match: re.Match[str]) -> set[str]:
    return _MEASURED[match["name"].lower()] | (_PALE if match["pale"] else set()) | (_DARK if match["dark"] else set())
