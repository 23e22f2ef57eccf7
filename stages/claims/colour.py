"""Claims of colour: what the first sentence calls the object, against the colours of its pixels."""

import re
from collections.abc import Iterator

from manifests.schema import Contradiction, Facts
from stages.claims.clauses import HUMAN, head_noun, head_phrase

_KNOWN_FRAC = 0.6  # of its pixels must have a listed colour; else it is made of many small patches

# What a thing of this name may be measured as, in shade, glare and warm light: wide, for a doubt is no contradiction.
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
_PALE, _DARK = {"white", "grey"}, {"black", "grey", "brown"}

_COLOUR = re.compile(
    rf"(?<![\w-])(?:(?P<pale>light|pale|pastel|faded)[- ]|(?P<dark>dark|deep)[- ])?(?P<name>{'|'.join(_MEASURED)})"
    # "red-haired" is hair, a "red wine glass" is clear, an "orange slice" a fruit
    r"(?![\w']|-(?!colou?red)| (?:wine|tea|coffee|juice|onion|cabbage|lights?|lamp|lantern|traffic|neon|led|candle"
    r"|slice|peel|tree|tit|kangaroo)\b)",
    re.IGNORECASE,
)
# Colours of which a list says nothing, and what is of the colour of something else.
_NO_CLAIM = re.compile(
    r"multi-?|colou?rful|strip|plaid|check|camouflage|spot|pattern|tabby|calico|brindle|floral|transparent|clear"
    r"|glass|translucent|iridescent|rainbow|reflect|mirror|metallic|chrome|stainless|tinted|trim|logo|letter"
    r"|label|accent|\b(?:an?|the) orange$",
    re.IGNORECASE,
)


def colour(text: str, facts: Facts) -> Iterator[Contradiction]:
    """The colours that the object as a whole is called, if not one of them nor a shade near it has a noticeable share.

    The colours of people are those of clothes or skin, in words of which none is a measure: left alone.
    """
    phrase, listed = head_phrase(text), [*facts.colours, *facts.colours_best]
    named = list(_COLOUR.finditer(phrase))
    known_frac = min(sum(each.share_frac for each in of) for of in (facts.colours, facts.colours_best))
    if (
        not facts.colours_known
        or not named
        or known_frac < _KNOWN_FRAC
        or _NO_CLAIM.search(phrase)
        or HUMAN.fullmatch(head_noun(text))
    ):
        return
    if not {each.name for each in listed} & set().union(*map(_terms, named)):
        measured = ", ".join(f"{each.name} {each.share_frac:.2f}" for each in facts.colours)
        best = ", ".join(f"{each.name} {each.share_frac:.2f}" for each in facts.colours_best)
        claim = phrase[named[0].start() : named[-1].end()]
        yield Contradiction(kind="colour", claim=claim, measured=f"{measured}; {best} where it is largest")


def _terms(found: re.Match[str]) -> set[str]:
    return _MEASURED[found["name"].lower()] | (_PALE if found["pale"] else set()) | (_DARK if found["dark"] else set())
