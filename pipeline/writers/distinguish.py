"""Which object of a video is meant: what sets it apart from those that look like it, or that nothing does.

Two objects are told apart by a difference that a viewer would notice, never by how a text is worded:

1. Objects whose colours are spoken of differently, and are clearly different, do not look alike.
2. Among look-alikes, TRAITS are ranked. A rank counts only where the object stands clear of the others by the
   trait's margin ("the second from the left"); what remains level is narrowed by the next trait.
3. Look-alikes that differ in no trait by its margin are ambiguous with each other.

All of it depends on the facts of the whole video alone, and is deterministic and symmetric.
Looking alike is not transitive, so the ranks of two objects may be counted among different others; should the same
phrase come out for both, they are ambiguous too.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from manifests.schema import Colour, Facts

COLOUR_MARGIN_FRAC = 0.3  # of the surface: less is within what light and pose do to one and the same object
MOST_FRAC = 0.5  # a share from which an object is "mostly red", or one of "the red objects"
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = ("", "", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


@dataclass(frozen=True)
class Trait:
    """A measured scalar by which objects of a video can be ranked, and the words for it."""

    value: Callable[[Facts], float | None]  # None: not known, so it tells nothing apart
    margin: float  # the least difference that counts
    ends: tuple[str, str]  # lowest and highest of many: "it is …"
    pair: tuple[str, str]  # lower and higher of two
    middle: str  # "{nth} from the left"
    many: tuple[str, str]  # "one of the two that …": those level at the low end, at the high end


def _seen_from_s(facts: Facts) -> float:
    return facts.enters_s or 0.0


def _seen_until_s(facts: Facts) -> float:
    return facts.duration_s if facts.leaves_s is None else facts.leaves_s


def _hidden_s(facts: Facts) -> float:
    return sum(span.end_s - span.start_s for span in facts.hidden_spans)


def _speed_log2(facts: Facts) -> float | None:
    return math.log2(max(facts.own_speed_px_s, _LEAST_SPEED_PX_S)) if facts.speed_known else None


_PLACE_MARGIN_FRAC = 0.08  # a twelfth of the view: seen at a glance, and well above the jitter of a mask's centre
_TIME_MARGIN_S = 1.0  # what a viewer notices without a clock
_AREA_MARGIN_LOG2 = math.log2(1.5)  # areas are judged badly by eye; 1.5 is 22% in length
_SPEED_MARGIN_LOG2 = math.log2(2.0)  # speeds are judged worse
_LEAST_SPEED_PX_S = 15.0  # below this a "speed" is the jitter of a mask

TRAITS = (
    Trait(
        lambda facts: facts.centre_start_frac[0],
        _PLACE_MARGIN_FRAC,
        ("the leftmost at first", "the rightmost at first"),
        ("the left one at first", "the right one at first"),
        "the {nth} from the left at first",
        ("start furthest to the left", "start furthest to the right"),
    ),
    Trait(
        lambda facts: math.log2(max(facts.area_median_frac, 1e-6)),
        _AREA_MARGIN_LOG2,
        ("the smallest", "the largest"),
        ("the smaller one", "the larger one"),
        "the {nth} smallest",
        ("are smallest", "are largest"),
    ),
    Trait(
        lambda facts: facts.centre_start_frac[1],
        _PLACE_MARGIN_FRAC,
        ("the uppermost at first", "the lowest at first"),
        ("the upper one at first", "the lower one at first"),
        "the {nth} from the top at first",
        ("start highest up", "start lowest"),
    ),
    Trait(
        _seen_from_s,
        _TIME_MARGIN_S,
        ("the first to be seen", "the last to come into view"),
        ("the one that is seen first", "the one that comes into view later"),
        "the {nth} to come into view",
        ("are seen first", "come into view last"),
    ),
    Trait(
        lambda facts: facts.centre_end_frac[0],
        _PLACE_MARGIN_FRAC,
        ("the one that ends up furthest to the left", "the one that ends up furthest to the right"),
        ("the one that ends up on the left", "the one that ends up on the right"),
        "the {nth} from the left in the end",
        ("end up furthest to the left", "end up furthest to the right"),
    ),
    Trait(
        lambda facts: facts.centre_end_frac[1],
        _PLACE_MARGIN_FRAC,
        ("the one that ends up highest", "the one that ends up lowest"),
        ("the one that ends up higher", "the one that ends up lower"),
        "the {nth} from the top in the end",
        ("end up highest", "end up lowest"),
    ),
    Trait(
        _speed_log2,
        _SPEED_MARGIN_LOG2,
        ("the one that moves least", "the fastest"),
        ("the slower one", "the faster one"),
        "the {nth} slowest",
        ("move least", "move fastest"),
    ),
    Trait(
        _seen_until_s,
        _TIME_MARGIN_S,
        ("the first to go out of view for good", "the one that stays in view to the last"),
        ("the one that goes out of view earlier", "the one that stays in view longer"),
        "the {nth} to go out of view for good",
        ("go out of view first", "stay in view to the last"),
    ),
    Trait(
        _hidden_s,
        _TIME_MARGIN_S,
        ("the one that is hidden least", "the one that is hidden longest"),
        ("the one that is hidden less", "the one that is hidden longer"),
        "the {nth} least hidden",
        ("are hidden least", "are hidden longest"),
    ),
)


@dataclass(frozen=True)
class Singled:
    """What sets an object apart among its look-alikes."""

    rank: str | None  # "the leftmost at first"; None if nothing looks like it, or nothing sets it apart
    among: str  # "three mostly red objects", this one included
    ambiguous_with: tuple[str, ...]  # object_ids that nothing tells it from


def single_out(facts: Facts, group: Sequence[Facts]) -> Singled:
    """What sets `facts` apart in `group`, those of all separate objects of the video, its own or not."""
    group = [*(other for other in group if other.object_id != facts.object_id), facts]
    singled = _rank(facts, group)
    said_alike = (
        other.object_id
        for other in _look_alikes(facts, group)
        if singled.rank and spoken_colours(other.colours) == spoken_colours(facts.colours)
        if (_rank(other, group).rank, _rank(other, group).among) == (singled.rank, singled.among)
    )
    ambiguous_with = tuple(sorted({*singled.ambiguous_with, *said_alike}))
    return Singled(None if ambiguous_with else singled.rank, singled.among, ambiguous_with)


def look_alike(a: Facts, b: Facts) -> bool:
    """Whether colour does not tell `a` from `b`: spoken of alike, or too near, or not measured."""
    if not a.colours or not b.colours:
        return True
    return spoken_colours(a.colours) == spoken_colours(b.colours) or colour_gap_frac(a.colours, b.colours) < (
        COLOUR_MARGIN_FRAC
    )


def colour_gap_frac(a: Sequence[Colour], b: Sequence[Colour]) -> float:
    """Share in [0, 1] of the surface that has no counterpart of the same name; unnamed rests count as equal."""
    shares_a, shares_b = ({colour.name: colour.share_frac for colour in colours} for colours in (a, b))
    names = shares_a.keys() | shares_b.keys()
    more = sum(max(shares_a.get(name, 0.0) - shares_b.get(name, 0.0), 0.0) for name in names)
    less = sum(max(shares_b.get(name, 0.0) - shares_a.get(name, 0.0), 0.0) for name in names)
    return max(more, less)


def spoken_colours(colours: Sequence[Colour]) -> tuple[str | None, frozenset[str]]:
    """What a text says of colours: the one that most of the object has, if any, and the names of the three largest."""
    most = next((colour.name for colour in colours if colour.share_frac >= MOST_FRAC), None)
    return most, frozenset(colour.name for colour in colours[:3])


def count_word(number: int) -> str:
    """'three'; figures from eleven on."""
    return _COUNTS[number] if number < len(_COUNTS) else str(number)


def _look_alikes(facts: Facts, group: Sequence[Facts]) -> list[Facts]:
    others = (other for other in group if other.object_id != facts.object_id and look_alike(facts, other))
    return sorted(others, key=lambda other: other.object_id)


def _rank(facts: Facts, group: Sequence[Facts]) -> Singled:
    """The rank of `facts` among its look-alikes, and those that are level with it in everything."""
    alike = _look_alikes(facts, group)
    steps, level = _narrow(facts, alike)
    among = f"{count_word(len(alike) + 1)} {_kind(facts, alike)}"
    return Singled(", and of those ".join(steps) or None, among, tuple(other.object_id for other in level))


def _narrow(facts: Facts, alike: Sequence[Facts]) -> tuple[list[str], list[Facts]]:
    """Steps of a phrase that excludes one look-alike after the other, and those that no step excludes."""
    steps: list[str] = []
    left = list(alike)
    while left:
        ranked = [(trait, *_split(trait, facts, left)) for trait in TRAITS]
        # fewest left over, then an end rather than the middle; min() keeps the order of TRAITS among equals
        trait, lower, level, higher = min(ranked, key=lambda r: (len(r[2]), bool(r[1]) and bool(r[3])))
        if len(level) == len(left):
            break
        steps.append(_step(trait, len(lower), len(level), len(higher)))
        left = level
    return steps, left


def _split(trait: Trait, facts: Facts, others: Sequence[Facts]) -> tuple[list[Facts], list[Facts], list[Facts]]:
    """Those of `others` that are clearly below `facts`, level with it, and clearly above."""
    own, values = trait.value(facts), [(other, trait.value(other)) for other in others]
    gaps = [(other, 0.0 if own is None or value is None else value - own) for other, value in values]
    return (
        [other for other, gap in gaps if gap <= -trait.margin],
        [other for other, gap in gaps if abs(gap) < trait.margin],
        [other for other, gap in gaps if gap >= trait.margin],
    )


def _step(trait: Trait, lower: int, level: int, higher: int) -> str:
    if lower and higher:
        return trait.middle.format(nth=_nth(lower + 1, lower + 1 + level))
    if level:
        return f"one of the {count_word(level + 1)} that {trait.many[int(lower > 0)]}"
    return (trait.pair if lower + higher == 1 else trait.ends)[int(lower > 0)]


def _nth(first: int, last: int) -> str:
    words = [_ORDINALS[rank] if rank < len(_ORDINALS) else f"{rank}th" for rank in (first, last)]
    if first == last:
        return words[0]
    return f"{words[0]} {'or' if last == first + 1 else 'to'} {words[1]}"


def _kind(facts: Facts, alike: Sequence[Facts]) -> str:
    """What the look-alikes are called together: by their common main colour, if they have one."""
    mains = {other.colours[0].name if other.colours else "" for other in (facts, *alike)}
    if len(mains) == 1 and "" not in mains:
        entirely = all(other.colours[0].share_frac >= MOST_FRAC for other in (facts, *alike))
        return f"{'' if entirely else 'partly '}{mains.pop()} objects"
    return "objects of like colours"
