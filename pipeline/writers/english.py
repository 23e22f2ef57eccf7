"""Facts in English: the three parts of an expression, each one or more whole sentences.

What is said depends on the facts alone; how it is said is drawn by `random.Random(object_id)`, so that a thousand
rows do not read like one form, and the same row always reads the same. Times are rounded to halves of a second.
Nothing that the facts cannot know is said: an object is "an object", never a dog.
"""

import random
from collections.abc import Sequence

from manifests.schema import Colour, Facts, Neighbour, Span
from pipeline.writers.distinguish import MOST_FRAC, Singled, count_word, single_out, spoken_colours

_PURE_FRAC = 0.8  # a share from which the rest is not worth a word
_TOGETHER_FRAC = 0.5  # a neighbour seen for less of the time is no landmark
_TOUCHING_FRAC = 0.03  # gap of two boxes / diagonal, below which one says "just"
_LARGER_RATIO, _MUCH_LARGER_RATIO = 1.5, 4.0  # of areas
_FEW_WORDS = 22  # of the video level; with less, what does not change is worth saying
_FULL_WORDS = 36  # with more, the change of size is not worth saying too
_EDGE_S = 0.75  # nearer than this to the start or the end of the video, no time is given
_SURE_S = 0.25  # a dip of the area in one annotated frame alone may be a bend or a bad mask; two are a cover

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
_SIDES = {  # this object is … the other; the other is … this one
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


def caption(colours: Sequence[Colour], size: str, *, is_part: bool) -> str:
    """What one measurement of the colours says of the object: one sentence."""
    if not colours:
        return "Something whose colours cannot be made out."
    adjective, extra = _colours(colours)
    thing = "part of a larger object" if is_part else "object"
    return _sentence(f"{_article(size)}{_comma(adjective)} {adjective} {thing}{f' with some {extra}' if extra else ''}")


def object_level(facts: Facts, *, is_part: bool) -> str:
    """What the object looks like: one sentence beginning with 'The object is'."""
    rng = random.Random(f"{facts.object_id} object")
    size = rng.choice(_SIZES[facts.size])
    adjective, extra = _colours(facts.colours)
    rest = (
        f" with {rng.choice(['some {}', 'a bit of {}', '{} in places', 'parts in {}']).format(extra)}" if extra else ""
    )
    if is_part:
        return f"The object is {_article(size)}{_comma(adjective)} {adjective} part of a larger one{rest}."
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
    return f"The object is {rng.choice(forms).format(**words)}."


def rank_sentence(facts: Facts, singled: Singled) -> str:
    """What sets the object apart from those that look like it: one sentence, or '' if there are none."""
    if not singled.rank:
        return ""
    rng = random.Random(f"{facts.object_id} rank")
    form = rng.choice(["Of the {}, it is {}.", "Among the {}, it is {}.", "There are {}, and this is {}."])
    return str(form.format(singled.among, singled.rank))


def scene_level(facts: Facts, group: Sequence[Facts]) -> str:
    """Where the object is, next to what, on what ground: one or two sentences beginning with 'It is'."""
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
    if single_out(facts, group).rank or len(_events(facts, rng)) > 1:
        neighbours = neighbours[:1]  # it is told from the others already, or there will be much to say of it
    if not neighbours:
        return _sentence(f"It is {place}{when}, {around}" if ground else f"It is {place}{when}")
    if rng.random() < 0.5:
        beside = _and([f"{_side(neighbour, 0)} {noun}" for neighbour, noun in neighbours])
        surrounds = rng.choice(["There is {} around it", "Its surroundings are {}", "It has {} around it"])
        return f"It is {place}{when}, {beside}." + (f" {surrounds.format(ground)}." if ground else "")
    first = f"It is {place}{when}, {around}" if ground else f"It is {place}{when}"
    beside = _and([f"{noun} is {_side(neighbour, 1)}" for neighbour, noun in neighbours])
    return f"{_sentence(first)} {_sentence(beside)}"


def video_level(facts: Facts) -> str:
    """What the object does: sentences beginning with 'Throughout the video,'."""
    rng = random.Random(f"{facts.object_id} video")
    motion, change, events = _motion(facts, rng), _size_change(facts, rng), _events(facts, rng)
    said = [_sentence(f"Throughout the video, {motion}")]
    if change and len(f"{motion} {' '.join(events)}".split()) < _FULL_WORDS:
        said.append(_sentence(f"it {change}"))
    if not events:
        return " ".join([*said, _sentence(_and([rng.choice(_ALWAYS_SEEN), *_unchanged(facts, rng)]))])
    if any(" again " in event for event in events):
        said += [_sentence(f"it {event}") for event in events]
    else:
        said.append(_sentence(f"it {_and(events)}"))
    unchanged = _unchanged(facts, rng)
    if unchanged and len(" ".join(said).split()) < _FEW_WORDS:
        said.append(_sentence(_and(unchanged)))
    return " ".join(said)


_ALWAYS_SEEN = ("it never goes out of sight", "it is in view the whole time", "it can be seen from start to finish")


def _motion(facts: Facts, rng: random.Random) -> str:
    camera = _CAMERAS.get(facts.camera) if facts.camera_known else None
    shifted = facts.place_start != facts.place_end
    end = rng.choice(_PLACES[facts.place_end])
    if not facts.motion_known:  # what is seen on the screen is known all the same
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
    """Verb phrases about coming, going and being hidden, in order of time."""
    events: list[tuple[float, str]] = []
    if facts.enters_s is not None:
        when = "right after the start" if facts.enters_s < _EDGE_S else f"at about {_time(facts.enters_s)}"
        events.append((facts.enters_s, f"{rng.choice(['comes into view', 'first appears'])} {when}"))
    hidden = rng.choice(["is out of sight", "is hidden"])
    covered = rng.choice(["is partly covered", "is partly hidden behind something"])
    events += _spans(facts.hidden_spans, hidden)
    if facts.occluded_known and len(events) < 2 > len(
        facts.hidden_spans
    ):  # being covered in part is the least of what happens to it
        events += _spans([span for span in facts.occluded_spans if span.end_s - span.start_s > _SURE_S], covered)
    if facts.leaves_s is not None:
        late = facts.duration_s - facts.leaves_s < _EDGE_S
        when = "just before the end" if late else f"at about {_time(facts.leaves_s)}"
        events.append((facts.leaves_s, f"{rng.choice(['goes out of view', 'disappears'])} {when}"))
    return [phrase for _, phrase in sorted(events)]


def _spans(spans: Sequence[Span], state: str) -> list[tuple[float, str]]:
    """One verb phrase with its time: all of one or two spans, of more how many they are and the longest."""
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
    said = []
    if facts.size_change == "stable":
        said.append(rng.choice(["its size hardly changes", "it stays about the same size"]))
    if facts.camera_known and facts.camera == "static":
        said.append(rng.choice(["the camera does not move", "the camera stands still"]))
    return said


def _neighbours(facts: Facts, group: Sequence[Facts]) -> list[tuple[Neighbour, str]]:
    """Up to two landmarks and what to call them."""
    by_id = {other.object_id: other for other in group}
    near = [n for n in facts.neighbours if n.together_frac >= _TOGETHER_FRAC and n.object_id in by_id]
    near = [n for n in near if by_id[n.object_id].colours][:2]
    if len({neighbour.relation for neighbour in near}) == 1:
        near = near[:1]  # a second one on the same side adds little
    return [(neighbour, _noun(by_id[neighbour.object_id], facts)) for neighbour in near]


def _noun(other: Facts, facts: Facts) -> str:
    """'a larger, mostly brown object': by colour, and by size beside `facts`."""
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
    """('mostly red', 'white and black'): an adjective, and what else there is, or ''."""
    names = [colour.name for colour in colours[:3]]
    share_frac = colours[0].share_frac
    if len(names) == 1:
        return ("" if share_frac >= _PURE_FRAC else "mostly " if share_frac >= MOST_FRAC else "partly ") + names[0], ""
    if share_frac >= MOST_FRAC:
        return f"mostly {names[0]}", _and(names[1:])
    return _and(names), ""


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
