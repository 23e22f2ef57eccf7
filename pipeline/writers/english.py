"""Writes facts in English: the three parts of an expression, one or more sentences each.

The facts decide what is written; `random.Random(object_id)` decides how, so that a thousand rows differ in their words
while the same row always reads the same. Times are rounded to halves of a second. Facts know no categories, so an
object is "an object", never a dog.
"""

import random
from collections.abc import Sequence

from manifests.expression import OBJECT_OPENING, SCENE_OPENING, VIDEO_OPENING
from manifests.schema import Colour, Facts, Neighbour, Span
from stages.claims.distinguish import MOST_FRAC, Distinction, count_word, distinguish, spoken_colours
from stages.video.colour import TERMS

_PURE_FRAC = 0.8  # share of a colour from which the other colours are not mentioned
_TOGETHER_FRAC = 0.5  # a neighbour that is seen for less of the object's time is no landmark
_TOUCHING_FRAC = 0.03  # gap of two boxes / diagonal of the frame; with less, the one is "just" beside the other
_LARGER_RATIO, _MUCH_LARGER_RATIO = 1.5, 4.0  # of areas
_FEW_WORDS = 22  # a video part with fewer words also mentions what does not change
_FULL_WORDS = 36  # a video part with more words does not mention the change of size
_EDGE_S = 0.75  # no time is given for what happens nearer than this to the start or the end of the video
_SURE_S = 0.25  # a loss of area in a single annotated frame may be a bend or a bad mask; over two, it is a cover

_PLACES = {
    "top left": ("in the upper left", "at the top left"),
    "top centre": ("at the top", "in the upper middle"),
    "top right": ("in the upper right", "at the top right"),
    "middle left": ("on the left", "on the left side"),
    "middle centre": ("in the middle", "near the centre"),
    "middle right": ("on the right", "on the right side"),
    "bottom left": ("in the lower left", "at the bottom left"),
    "bottom centre": ("at the bottom", "in the lower middle"),
    "bottom right": ("in the lower right", "at the bottom right"),
}
_SIZES = {
    "tiny": ("tiny", "very small"),
    "small": ("small", "fairly small"),
    "medium": ("medium-sized", "mid-sized"),
    "large": ("large", "big"),
}
_SIDES = {  # relation -> ("this object is … the other", "the other is …")
    "left of": ("to the left of", "to its right"),
    "right of": ("to the right of", "to its left"),
    "above": ("above", "below it"),
    "below": ("below", "above it"),
    "overlapping": ("right up against", "right up against it"),
    "near": ("near", "near it"),
}
_WAYS = {
    "left": "to the left",
    "right": "to the right",
    "up": "upwards",
    "down": "downwards",
    "up-left": "up and to the left",
    "up-right": "up and to the right",
    "down-left": "down and to the left",
    "down-right": "down and to the right",
}
_CAMERAS = {
    "pans left": "the camera pans to the left",
    "pans right": "the camera pans to the right",
    "tilts up": "the camera tilts up",
    "tilts down": "the camera tilts down",
    "zooms in": "the camera closes in",
    "zooms out": "the camera draws back",
    "travels": "the camera travels along",
    "moves": "the camera moves around",
}


def caption(colours: Sequence[Colour], size: str, *, is_part: bool, noun: str | None = None) -> str:
    """Return a caption of one sentence, without a verb, from one measurement of the object's colours.

    Args:
        colours: largest share first.
        size: name of its size.
        is_part: whether it is a part of another object.
        noun: what an annotator called it; measurements do not tell.
    """
    if not colours:
        return "Something whose colours cannot be made out."
    adjective, extra = _colours(colours)
    if noun and _has_colour(noun):
        return _sentence(f"{_article(size)} {noun}")
    thing = noun or ("part of a larger object" if is_part else "object")
    return _sentence(f"{_article(size)}{_comma(adjective)} {adjective} {thing}{f' with some {extra}' if extra else ''}")


def object_level(facts: Facts, *, is_part: bool, noun: str | None = None) -> str:
    """Return one sentence on what the object looks like, beginning with OBJECT_OPENING.

    Args:
        facts: of the object.
        is_part: whether it is a part of another object.
        noun: what an annotator called it; measurements do not tell.
    """
    rng = random.Random(f"{facts.object_id} object")
    size = rng.choice(_SIZES[facts.size])
    adjective, extra = _colours(facts.colours)
    rest = (
        f" with {rng.choice(['some {}', 'a bit of {}', '{} in places', 'parts in {}']).format(extra)}" if extra else ""
    )
    if noun and _has_colour(noun):
        return f"{OBJECT_OPENING} {_article(size)} {noun}."
    if noun:
        return f"{OBJECT_OPENING} {_article(size)}{_comma(adjective)} {adjective} {noun}{rest}."
    if is_part:
        return f"{OBJECT_OPENING} {_article(size)}{_comma(adjective)} {adjective} part of a larger one{rest}."
    if " and " in adjective:
        forms = ["{article} thing in {adjective}", "{adjective}, and it is {size}", "{size} and coloured {adjective}"]
    else:
        forms = [
            "{article}{comma} {adjective} thing{rest}",
            "{size} and {adjective}{rest}",
            "{adjective}{rest}, and it is {size}",
            "something {size} and {adjective}{rest}",
        ]
    words = {"article": _article(size), "size": size, "adjective": adjective, "rest": rest, "comma": _comma(adjective)}
    return f"{OBJECT_OPENING} {rng.choice(forms).format(**words)}."


def rank_sentence(facts: Facts, distinction: Distinction) -> str:
    """Return one sentence on what sets the object apart from those that look like it; '' if there are none."""
    if not distinction.rank:
        return ""
    rng = random.Random(f"{facts.object_id} rank")
    form = rng.choice(["Of the {}, it is {}.", "Among the {}, it is {}.", "There are {}, and this is {}."])
    return str(form.format(distinction.among, distinction.rank))


def scene_level(facts: Facts, group: Sequence[Facts]) -> str:
    """Return one or two sentences, beginning with SCENE_OPENING, on where the object is and what is beside and around.

    Args:
        facts: of the object.
        group: facts of the objects of the video that may serve as landmarks.
    """
    rng = random.Random(f"{facts.object_id} scene")
    place = f"{rng.choice(_PLACES[facts.place_start])} of the {rng.choice(['scene', 'view'])}"
    when = (
        ""
        if facts.place_start == facts.place_best == facts.place_end
        else rng.choice([" to begin with", " when first seen"])
    )
    ground = _colour_list(facts.surroundings)
    around = rng.choice(["with {} around it", "with {} on all sides", "in {} surroundings"]).format(ground)
    neighbours = _neighbours(facts, group)
    if distinguish(facts, group).rank or len(_events(facts, rng)) > 1:
        neighbours = neighbours[:1]  # a second landmark is not needed, or the text gets long without it
    here = f"{SCENE_OPENING} {place}{when}"
    if not neighbours:
        return _sentence(f"{here}, {around}" if ground else here)
    if rng.random() < 0.5:
        beside = _and([f"{_side(neighbour, 0)} {noun}" for neighbour, noun in neighbours])
        surrounds = rng.choice(["There is {} around it", "Its surroundings are {}", "It has {} around it"])
        return f"{here}, {beside}." + (f" {surrounds.format(ground)}." if ground else "")
    first = f"{here}, {around}" if ground else here
    beside = _and([f"{noun} is {_side(neighbour, 1)}" for neighbour, noun in neighbours])
    return f"{_sentence(first)} {_sentence(beside)}"


def video_level(facts: Facts) -> str:
    """Return sentences, beginning with VIDEO_OPENING, on what the object does and when it is seen."""
    rng = random.Random(f"{facts.object_id} video")
    motion, change, events = _motion(facts, rng), _size_change(facts, rng), _events(facts, rng)
    sentences = [_sentence(f"{VIDEO_OPENING} {motion}")]
    if change and len(f"{motion} {' '.join(events)}".split()) < _FULL_WORDS:
        sentences.append(_sentence(f"it {change}"))
    if not events:
        return " ".join([*sentences, _sentence(_and([rng.choice(_ALWAYS_SEEN), *_unchanged(facts, rng)]))])
    if any(" again " in event for event in events):
        sentences += [_sentence(f"it {event}") for event in events]
    else:
        sentences.append(_sentence(f"it {_and(events)}"))
    unchanged = _unchanged(facts, rng)
    if unchanged and len(" ".join(sentences).split()) < _FEW_WORDS:
        sentences.append(_sentence(_and(unchanged)))
    return " ".join(sentences)


_ALWAYS_SEEN = ("it never goes out of sight", "it is in view the whole time", "it can be seen from start to finish")


def _motion(facts: Facts, rng: random.Random) -> str:
    camera = _CAMERAS.get(facts.camera) if facts.camera_known else None
    shifted = facts.place_start != facts.place_end
    end = rng.choice(_PLACES[facts.place_end])
    if not facts.motion_known:  # its places on the screen are known all the same
        start = rng.choice(_PLACES[facts.place_start])
        seen = f"it is first seen {start} and last seen {end}" if shifted else f"it is {end} at first and at last"
        return f"{seen} while {camera}" if camera else seen
    if facts.motion == "none":
        still = rng.choice(["it stays where it is", "it keeps to one spot", "it does not move from its place"])
        if camera and shifted:
            return f"it does not move by itself; {camera}, so that it ends up {end}"
        return f"{still} while {camera}" if camera else still
    if facts.motion == "complex":
        path = rng.choice(["it moves back and forth", "it moves about in changing directions"])
    else:
        path = f"it {rng.choice(['moves', 'makes its way', 'travels'])} {_WAYS[facts.motion]}"
    if camera and facts.camera.split()[-1] in facts.motion.split("-"):
        path += rng.choice([" and the camera follows it", " with the camera following"])
    elif camera:
        path += f" while {camera}"
    if shifted:
        path += rng.choice([f", ending up {end}", f", until it is {end}"])
    return path


def _size_change(facts: Facts, rng: random.Random) -> str | None:
    if facts.size_change == "stable":
        return None
    ratio = max(facts.size_ratio, 1 / facts.size_ratio)
    amount = "a little" if ratio < 1.5 else "clearly" if ratio < 3 else "a great deal"
    larger = facts.size_change == "grows"
    looks = rng.choice(["looks {} {} towards the end", "becomes {} {} along the way", "gets {} {} as time goes on"])
    word = "larger" if larger else "smaller"
    return str(looks.format(amount, word))


def _events(facts: Facts, rng: random.Random) -> list[str]:
    """Return verb phrases about coming, going and being hidden, in order of time."""
    events: list[tuple[float, str]] = []
    if facts.enters_s is not None:
        when = "right after the start" if facts.enters_s < _EDGE_S else f"at about {_time(facts.enters_s)}"
        events.append((facts.enters_s, f"{rng.choice(['comes into view', 'first appears'])} {when}"))
    hidden = rng.choice(["is out of sight", "is hidden"])
    covered = rng.choice(["is partly covered", "is partly hidden behind something"])
    events += _spans(facts.hidden_spans, hidden)
    # A partial cover matters least: it is left out where there is more to tell.
    if facts.occluded_known and len(events) < 2 > len(facts.hidden_spans):
        events += _spans([span for span in facts.occluded_spans if span.end_s - span.start_s > _SURE_S], covered)
    if facts.leaves_s is not None:
        late = facts.duration_s - facts.leaves_s < _EDGE_S
        when = "just before the end" if late else f"at about {_time(facts.leaves_s)}"
        events.append((facts.leaves_s, f"{rng.choice(['goes out of view', 'disappears'])} {when}"))
    return [phrase for _, phrase in sorted(events)]


def _spans(spans: Sequence[Span], state: str) -> list[tuple[float, str]]:
    """Return [(time_s, verb phrase)]: it names one or two spans; of more, it gives their number and the longest."""
    if not spans:
        return []
    times = " and again ".join(map(_from_to, spans[:2]))
    if len(spans) > 2:
        longest = max(spans, key=lambda span: span.end_s - span.start_s)
        times = f"{count_word(len(spans))} times, the longest time {_from_to(longest)}"
        if _is_moment(longest):
            times = f"{count_word(len(spans))} times, each time for a moment"
    return [(spans[0].start_s, f"{state} {times}")]


def _is_moment(span: Span) -> bool:
    return _number(span.start_s) == _number(span.end_s)


def _from_to(span: Span) -> str:
    starts = _number(span.start_s) == "0"
    if _is_moment(span):
        return "for a moment right at the start" if starts else f"for a moment at about {_time(span.start_s)}"
    if starts:
        return f"from the start until about {_time(span.end_s)}"
    return f"from about {_number(span.start_s)} to {_time(span.end_s)}"


def _unchanged(facts: Facts, rng: random.Random) -> list[str]:
    phrases = []
    if facts.size_change == "stable":
        phrases.append(rng.choice(["its size hardly changes", "it stays about the same size"]))
    if facts.camera_known and facts.camera == "static":
        phrases.append(rng.choice(["the camera does not move", "the camera stands still"]))
    return phrases


def _neighbours(facts: Facts, group: Sequence[Facts]) -> list[tuple[Neighbour, str]]:
    """Return up to two landmarks, and what to call them."""
    by_id = {other.object_id: other for other in group}
    near = [n for n in facts.neighbours if n.together_frac >= _TOGETHER_FRAC and n.object_id in by_id]
    near = [n for n in near if by_id[n.object_id].colours][:2]
    if len({neighbour.relation for neighbour in near}) == 1:
        near = near[:1]  # a second one on the same side adds little
    return [(neighbour, _noun(by_id[neighbour.object_id], facts)) for neighbour in near]


def _noun(other: Facts, facts: Facts) -> str:
    """Return what to call another object, by its colours and its size beside that of `facts`.

    For example 'a larger, mostly brown object'.
    """
    adjective = _colours(other.colours)[0]
    ratio = other.area_median_frac / facts.area_median_frac
    size = "larger" if ratio > 1 else "smaller"
    if max(ratio, 1 / ratio) < _LARGER_RATIO:
        size = "similar-sized"
    elif max(ratio, 1 / ratio) > _MUCH_LARGER_RATIO:
        size = f"much {size}"
    words = f"{size}{_comma(adjective)} {adjective} object"
    alike = spoken_colours(other.colours) == spoken_colours(facts.colours)
    return f"another {words}" if alike else _article(words)


def _side(neighbour: Neighbour, view: int) -> str:
    near = neighbour.gap_frac < _TOUCHING_FRAC and neighbour.relation not in ("overlapping", "near")
    return f"{'just ' if near else ''}{_SIDES[neighbour.relation][view]}"


def _colours(colours: Sequence[Colour]) -> tuple[str, str]:
    """Return an adjective and the other colours, or '', such as ('mostly red', 'white and black')."""
    names = [colour.name for colour in colours[:3]]
    share_frac = colours[0].share_frac
    if len(names) == 1:
        return ("" if share_frac >= _PURE_FRAC else "mostly " if share_frac >= MOST_FRAC else "partly ") + names[0], ""
    if share_frac >= MOST_FRAC:
        return f"mostly {names[0]}", _and(names[1:])
    return _and(names), ""


def _has_colour(noun: str) -> bool:
    """Tell whether a noun phrase names a colour: with a measured one beside it, a text would say "red red ball"."""
    return not set(TERMS).isdisjoint(noun.lower().split())


def _comma(adjective: str) -> str:
    return "," if adjective.startswith(("mostly", "partly")) else ""


def _colour_list(colours: Sequence[Colour]) -> str:
    names = [colour.name for colour in colours[:2]]
    if len(names) == 1 and colours[0].share_frac < _PURE_FRAC:
        return f"mostly {names[0]}"
    return _and(names)


def _and(words: Sequence[str]) -> str:
    if len(words) < 3:
        return " and ".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _number(time_s: float) -> str:
    return f"{round(time_s * 2) / 2:g}"


def _time(time_s: float) -> str:
    number = _number(time_s)
    return f"{number} second{'' if number == '1' else 's'}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
