"""Compares claims of rank with the facts of all objects: "the leftmost at first", "the second smallest".

A claim's `value` is `<trait>:<lower>:<level>:<higher>`: how many others are clearly below the object in that trait, as
low or high as it, and clearly above; `*` where the words do not say. Its words are those of `distinguish`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from manifests.schema import Claim, Facts
from stages.claims.distinguish import TRAITS, count_word, ordinal_words

_TRAITS = {trait.name: trait for trait in TRAITS}
_MANY = 12  # no more objects than this are counted in words


def superlatives(facts: Facts, others: Sequence[Facts], *, counted: bool) -> Iterator[Claim]:
    """Yield the claims of rank that clearly hold among `others`: first, last or nth of all in a trait.

    Args:
        facts: of the object.
        others: facts of all that may be among those that are ranked.
        counted: whether it is known that all of them are; else nothing is said that depends on how many they are.
    """
    for trait in TRAITS:
        own = trait.value(facts)
        values = [trait.value(other) for other in others]
        if own is None or any(value is None for value in values) or not others:
            continue
        gaps = [value - own for value in values if value is not None]
        if min(map(abs, gaps)) < trait.margin:
            continue
        lower = sum(gap < 0 for gap in gaps)
        higher = len(gaps) - lower
        if lower and higher:
            if counted:
                words = trait.middle.format(nth=ordinal_words(lower + 1, lower + 1))
                yield Claim(kind="rank", value=f"{trait.name}:{lower}:0:*", words=words)
            continue
        words = (trait.pair if len(gaps) == 1 and counted else trait.ends)[int(lower > 0)]
        yield Claim(kind="rank", value=f"{trait.name}:{'*:0:0' if lower else '0:0:*'}", words=words)


def read_ranks(text: str) -> list[Claim]:
    """Return the claims of rank in a text, in order; each one narrows down what the one before has left."""
    found = _pattern().finditer(text)
    return [Claim(kind="rank", value=_values()[match.group().lower()], words=match.group()) for match in found]


def outranked(of: Claim, among: Mapping[str, Facts], certain: frozenset[str]) -> set[str]:
    """Return the object_ids of `among` that a claim of rank rules out.

    Only clear differences from `certain` objects count: those that surely are among the ones that are ranked. An object
    whose trait is not known is never ruled out.
    """
    name, *counts = of.value.split(":")
    trait = _TRAITS[name]
    lower, level, higher = (math.inf if count == "*" else int(count) for count in counts)
    values = {object_id: trait.value(facts) for object_id, facts in among.items()}
    out = set()
    for object_id, own in values.items():
        if own is None:
            continue
        gaps = [
            value - own
            for other, value in values.items()
            if other != object_id and other in certain and value is not None
        ]
        below, above = sum(gap <= -trait.margin for gap in gaps), sum(gap >= trait.margin for gap in gaps)
        if below > lower + level or above > higher + level:
            out.add(object_id)
            continue
        # Too few on one side rules it out too, if nobody's value is unknown: "the second" is not the first.
        rest = [value for other, value in values.items() if other != object_id]
        known = [value for value in rest if value is not None]
        below = sum(value - own < trait.margin for value in known)
        above = sum(own - value < trait.margin for value in known)
        if len(known) == len(rest) and ((lower < math.inf and below < lower) or (higher < math.inf and above < higher)):
            out.add(object_id)
    return out


@cache
def _pattern() -> re.Pattern[str]:
    longest_first = sorted(_values(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)


@cache
def _values() -> dict[str, str]:
    """Return the words of every claim of rank that `distinguish` may write -> its value."""
    values: dict[str, str] = {}
    for trait in TRAITS:
        for low, high in (trait.ends, trait.pair):
            values |= {low: f"{trait.name}:0:0:*", high: f"{trait.name}:*:0:0"}
        for first in range(2, _MANY):
            for last in range(first, _MANY):
                words = trait.middle.format(nth=ordinal_words(first, last))
                values[words] = f"{trait.name}:{first - 1}:{last - first}:*"
        for count in range(2, _MANY):
            low, high = (f"one of the {count_word(count)} that {many}" for many in trait.many)
            values |= {low: f"{trait.name}:0:{count - 1}:*", high: f"{trait.name}:*:{count - 1}:0"}
    return values
