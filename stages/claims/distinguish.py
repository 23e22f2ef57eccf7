"""Finds what sets an object of a video apart from those that look like it, and whether anything does.

Two objects count as different if a viewer would notice a difference, however a text is worded:

1. Objects whose colours are known, are spoken of differently, and are clearly different, do not look alike.
2. Look-alikes are ranked by TRAITS. A rank counts only if the object differs from the others by at least the trait's
   margin ("the second from the left"); those that do not differ by that much are ranked by the next trait.
3. Look-alikes that differ in no trait by its margin are ambiguous with each other.

The result depends on nothing but the facts of the video; it is deterministic, and the same for both of two objects.
Looking alike is not transitive, so two objects may be ranked among different others; if the same phrase results for
both, they are ambiguous too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manifests.schema import Colour, Facts

COLOUR_MARGIN_FRAC = 0.3  # of the surface: light and pose change the colours of the same object by up to this much
MOST_FRAC = 0.5  # share of a colour from which an object is called "mostly red", or one of "the red objects"
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = ("", "", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Trait:
    """A measured scalar by which objects of a video can be ranked, and the words for it.

    Attributes:
        name: how a stored claim calls it.
        value: the scalar of an object; None if it is not known, and then it sets nothing apart.
        margin: the least difference that counts.
        ends: words for the lowest and the highest of three or more ("it is …").
        pair: words for the lower and the higher of two.
        middle: words for a rank in between, with the placeholder `{nth}`.
        many: words for several that are level at the low end, or at the high end ("one of the two that …").
    """

    name: str
    value: Callable[[Facts], float | None]
    margin: float
    ends: tuple[str, str]
    pair: tuple[str, str]
    middle: str
    many: tuple[str, str]


def _seen_from_s(facts: Facts) -> float:
    return facts.enters_s or 0.0


def _seen_until_s(facts: Facts) -> float:
    return facts.duration_s if facts.leaves_s is None else facts.leaves_s


def _hidden_s(facts: Facts) -> float:
    return sum(span.end_s - span.start_s for span in facts.hidden_spans)


def _speed_log2(facts: Facts) -> float | None:
    return math.log2(max(facts.own_speed_px_s, _LEAST_SPEED_PX_S)) if facts.speed_known else None


_PLACE_MARGIN_FRAC = 0.08  # a twelfth of the frame is seen at a glance, and exceeds the jitter of a mask's centre
_TIME_MARGIN_S = 1.0  # a viewer notices this without a clock
_AREA_MARGIN_LOG2 = math.log2(1.5)  # 22 % in length: people judge areas badly by eye
_SPEED_MARGIN_LOG2 = math.log2(2.0)  # people judge speeds even worse
_LEAST_SPEED_PX_S = 15.0  # a lower speed may be no more than the jitter of a mask

TRAITS = (
    Trait(
        "x_start",
        lambda facts: facts.centre_start_frac[0],
        _PLACE_MARGIN_FRAC,
        ("the leftmost at first", "the rightmost at first"),
        ("the left one at first", "the right one at first"),
        "the {nth} from the left at first",
        ("start furthest to the left", "start furthest to the right"),
    ),
    Trait(
        "area",
        lambda facts: math.log2(max(facts.area_median_frac, 1e-6)),
        _AREA_MARGIN_LOG2,
        ("the smallest", "the largest"),
        ("the smaller one", "the larger one"),
        "the {nth} smallest",
        ("are smallest", "are largest"),
    ),
    Trait(
        "y_start",
        lambda facts: facts.centre_start_frac[1],
        _PLACE_MARGIN_FRAC,
        ("the uppermost at first", "the lowest at first"),
        ("the upper one at first", "the lower one at first"),
        "the {nth} from the top at first",
        ("start highest up", "start lowest"),
    ),
    Trait(
        "seen_from",
        _seen_from_s,
        _TIME_MARGIN_S,
        ("the first to be seen", "the last to come into view"),
        ("the one that is seen first", "the one that comes into view later"),
        "the {nth} to come into view",
        ("are seen first", "come into view last"),
    ),
    Trait(
        "x_end",
        lambda facts: facts.centre_end_frac[0],
        _PLACE_MARGIN_FRAC,
        ("the one that ends up furthest to the left", "the one that ends up furthest to the right"),
        ("the one that ends up on the left", "the one that ends up on the right"),
        "the {nth} from the left in the end",
        ("end up furthest to the left", "end up furthest to the right"),
    ),
    Trait(
        "y_end",
        lambda facts: facts.centre_end_frac[1],
        _PLACE_MARGIN_FRAC,
        ("the one that ends up highest", "the one that ends up lowest"),
        ("the one that ends up higher", "the one that ends up lower"),
        "the {nth} from the top in the end",
        ("end up highest", "end up lowest"),
    ),
    Trait(
        "speed",
        _speed_log2,
        _SPEED_MARGIN_LOG2,
        ("the one that moves least", "the fastest"),
        ("the slower one", "the faster one"),
        "the {nth} slowest",
        ("move least", "move fastest"),
    ),
    Trait(
        "seen_until",
        _seen_until_s,
        _TIME_MARGIN_S,
        ("the first to go out of view for good", "the one that stays in view to the last"),
        ("the one that goes out of view earlier", "the one that stays in view longer"),
        "the {nth} to go out of view for good",
        ("go out of view first", "stay in view to the last"),
    ),
    Trait(
        "hidden",
        _hidden_s,
        _TIME_MARGIN_S,
        ("the one that is hidden least", "the one that is hidden longest"),
        ("the one that is hidden less", "the one that is hidden longer"),
        "the {nth} least hidden",
        ("are hidden least", "are hidden longest"),
    ),
)


@dataclass(frozen=True)
class Distinction:
    """What sets an object apart from its look-alikes.

    Attributes:
        rank: "the leftmost at first"; None if nothing looks like it, or nothing sets it apart.
        among: those among which it is ranked, itself included: "three mostly red objects".
        ambiguous_with: object_ids of those that nothing sets it apart from.
    """

    rank: str | None
    among: str
    ambiguous_with: tuple[str, ...]


def distinguish(facts: Facts, group: Sequence[Facts]) -> Distinction:
    """Return what sets the object of `facts` apart in `group`.

    Args:
        facts: of the object.
        group: facts of all separate objects of the video; it does not matter whether the object is among them.
    """
    group = [*(other for other in group if other.object_id != facts.object_id), facts]
    result = _rank(facts, group)
    same_phrase = (
        other.object_id
        for other in _look_alikes(facts, group)
        if result.rank and spoken_colours(other.colours) == spoken_colours(facts.colours)
        if (_rank(other, group).rank, _rank(other, group).among) == (result.rank, result.among)
    )
    ambiguous_with = tuple(sorted({*result.ambiguous_with, *same_phrase}))
    return Distinction(None if ambiguous_with else result.rank, result.among, ambiguous_with)


def look_alike(a: Facts, b: Facts) -> bool:
    """Return whether colour does not set `a` apart from `b`: the same words, too small a gap, or not known."""
    if not (a.colours and b.colours and a.colours_known and b.colours_known):
        return True
    return spoken_colours(a.colours) == spoken_colours(b.colours) or colour_gap_frac(a.colours, b.colours) < (
        COLOUR_MARGIN_FRAC
    )


def colour_gap_frac(a: Sequence[Colour], b: Sequence[Colour]) -> float:
    """Return the share in [0, 1] of the surface whose colour the other lacks; unnamed colours count as equal."""
    shares_a, shares_b = ({colour.name: colour.share_frac for colour in colours} for colours in (a, b))
    names = shares_a.keys() | shares_b.keys()
    more = sum(max(shares_a.get(name, 0.0) - shares_b.get(name, 0.0), 0.0) for name in names)
    less = sum(max(shares_b.get(name, 0.0) - shares_a.get(name, 0.0), 0.0) for name in names)
    return max(more, less)


def spoken_colours(colours: Sequence[Colour]) -> tuple[str | None, frozenset[str]]:
    """Return what a text says of colours: the one that most of the object has, or None, and the three largest names."""
    most = next((colour.name for colour in colours if colour.share_frac >= MOST_FRAC), None)
    return most, frozenset(colour.name for colour in colours[:3])


def count_word(number: int) -> str:
    """Return a number in words, 'three', or in digits from eleven on."""
    return _COUNTS[number] if number < len(_COUNTS) else str(number)


def _look_alikes(facts: Facts, group: Sequence[Facts]) -> list[Facts]:
    others = (other for other in group if other.object_id != facts.object_id and look_alike(facts, other))
    return sorted(others, key=lambda other: other.object_id)


def _rank(facts: Facts, group: Sequence[Facts]) -> Distinction:
    """Return the rank of `facts` among its look-alikes, and those that are level with it in every trait."""
    alike = _look_alikes(facts, group)
    steps, level = _narrow(facts, alike)
    among = f"{count_word(len(alike) + 1)} {_kind(facts, alike)}"
    return Distinction(", and of those ".join(steps) or None, among, tuple(other.object_id for other in level))


def _narrow(facts: Facts, alike: Sequence[Facts]) -> tuple[list[str], list[Facts]]:
    """Return the steps of a phrase that excludes look-alikes one after the other, and those that no step excludes."""
    steps: list[str] = []
    left = list(alike)
    while left:
        ranked = [(trait, *_split(trait, facts, left)) for trait in TRAITS]
        # Take the trait that leaves fewest over, and an end rather than the middle; of equals, min() takes the first.
        trait, lower, level, higher = min(ranked, key=lambda r: (len(r[2]), bool(r[1]) and bool(r[3])))
        if len(level) == len(left):
            break
        steps.append(_step(trait, len(lower), len(level), len(higher)))
        left = level
    return steps, left


def _split(trait: Trait, facts: Facts, others: Sequence[Facts]) -> tuple[list[Facts], list[Facts], list[Facts]]:
    """Return those of `others` that are clearly below `facts`, level with it, and clearly above it."""
    own, values = trait.value(facts), [(other, trait.value(other)) for other in others]
    gaps = [(other, 0.0 if own is None or value is None else value - own) for other, value in values]
    return (
        [other for other, gap in gaps if gap <= -trait.margin],
        [other for other, gap in gaps if abs(gap) < trait.margin],
        [other for other, gap in gaps if gap >= trait.margin],
    )


def _step(trait: Trait, lower: int, level: int, higher: int) -> str:
    if lower and higher:
        return trait.middle.format(nth=ordinal_words(lower + 1, lower + 1 + level))
    if level:
        return f"one of the {count_word(level + 1)} that {trait.many[int(lower > 0)]}"
    return (trait.pair if lower + higher == 1 else trait.ends)[int(lower > 0)]


def ordinal_words(first: int, last: int) -> str:
    """Return a rank in words, 'second', or a range of them, 'second or third' and 'second to fourth'."""
    words = [_ORDINALS[rank] if rank < len(_ORDINALS) else f"{rank}th" for rank in (first, last)]
    if first == last:
        return words[0]
    return f"{words[0]} {'or' if last == first + 1 else 'to'} {words[1]}"


def _kind(facts: Facts, alike: Sequence[Facts]) -> str:
    """Return what the object and its look-alikes are called together: by their common main colour if they have one."""
    known = [other for other in (facts, *alike) if other.colours and other.colours_known]
    mains = {other.colours[0].name for other in known}
    unclear = len(known) <= len(alike)
    if len(mains) == 1:
        entirely = all(other.colours[0].share_frac >= MOST_FRAC for other in known)
        called = f"{'' if entirely else 'partly '}{mains.pop()}"
        return f"objects that are {called} or without a certain colour" if unclear else f"{called} objects"
    return "objects of like or uncertain colours" if unclear else "objects of like colours"
