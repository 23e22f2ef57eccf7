"""Texts whose errors are known: a writer that describes drawn objects by the drawing's truth, and errs in a claim.

What is said is what a person would see at a glance. Which objects a text fits is read off the drawing as well.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.drawn_truth import COLOURS, DrawnObject, DrawnVideo
from manifests.expression import OBJECT_OPENING, VIDEO_OPENING
from manifests.schema import Claim
from stages.claims.distinguish import TRAITS
from stages.claims.measurable import OPPOSITE, VALUES, claim

NO_ERROR, TWO, INVENTED = "none: true, fits one", "fits two objects", "invented"
_OTHERS_TEXT = "another object's text"
_CLEAR_FRAC = 0.15  # a person names a side only of what is farther from the middle than this share of the frame
_APART_FRAC = 0.12  # and ranks two objects only if they are farther apart
_STAYS_FRAC, _MOVES_PX = 0.04, 40  # and a move only if the object moves by more on the screen, and in the world
_INVENTED = {"part": "It has a long wooden handle.", "action": "It waves at a small dog."}


@dataclass(frozen=True)
class Case:
    """A text of the simulated writer.

    Attributes:
        error: what is wrong with it.
        object_id: what it was written for.
        text: in three parts, as a long text is.
        fits: object_ids of all objects of which everything in it is true.
        overlooked: the same for a reader who does not notice the claim that is wrong.
    """

    error: str
    object_id: str
    text: str
    fits: tuple[str, ...]
    overlooked: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the text singles out its object."""
        return self.fits == (self.object_id,)


def cases(video: DrawnVideo, rng: random.Random) -> Iterator[Case]:
    """Yield a text without an error for every object that can be singled out, and one for every error that applies."""
    for object_id, one in video.objects.items():
        said = {made.kind: made for made in described(one)}
        rank = ranked(one, video)
        own = (object_id,) if rank else fitting(said.values(), video)
        if _singled_out(one, [*said.values()], rank, video):
            yield Case(NO_ERROR, object_id, written(said, rank), (object_id,), (object_id,))
            for what, sentence in _INVENTED.items():
                yield Case(f"{INVENTED} {what}", object_id, f"{written(said, rank)} {sentence}", (), (object_id,))
        for kind, change in _CHANGES.items():
            if kind in said and (wrong := change(said[kind], one, rng)):
                changed = said | {kind: wrong}
                fits = () if rank else fitting(changed.values(), video)
                yield Case(kind, object_id, written(changed, rank), fits, own)
        others = [other for other in video.objects.values() if other is not one]
        for other in others:
            if not all(other.holds(made) for made in said.values()):
                theirs = {made.kind: made for made in described(other)}
                if not all(one.holds(made) for made in theirs.values()):
                    place = ranked(other, video)
                    fits = (other.object_id,) if place else fitting(theirs.values(), video)
                    yield Case(_OTHERS_TEXT, object_id, written(theirs, place), fits, fits)
                    break
        for other in others:
            shared = {kind: made for kind, made in said.items() if other.holds(made)}
            if "colour" in shared:
                fits = fitting(shared.values(), video)
                yield Case(TWO, object_id, written(shared, ""), fits, fits)
                break


def fitting(said: Iterable[Claim], video: DrawnVideo) -> tuple[str, ...]:
    """Return the object_ids of all objects of which every claim is true by the drawing."""
    claims = [*said]
    return tuple(name for name, drawn in video.objects.items() if all(drawn.holds(made) for made in claims))


def described(one: DrawnObject) -> list[Claim]:
    """Return what a person would say of an object by the drawing: what is clear at a glance, one claim of a kind."""
    made = [claim("colour", f"all {one.colours[0]}")]
    made += [claim("side", f"{side}{when}") for side, when in _sides(one)][:1]
    made += [claim("direction", value) for value in VALUES["direction"] if _clearly_goes(one, value)][:1]
    seen = [value for value in VALUES["visibility"] if one.holds(claim("visibility", value))]
    made += [claim("visibility", value) for value in seen][:1]
    sizes = one.scales_T[one.seen_T]
    ratio = float(sizes[-1] / sizes[0]) ** 2
    if max(ratio, 1 / ratio) > 1.5:
        made.append(claim("size", "grows" if ratio > 1 else "shrinks"))
    return made


def _sides(one: DrawnObject) -> Iterator[tuple[str, str]]:
    """Yield the sides on which an object clearly is all the time, or at first."""
    for side, (axis, sign) in {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}.items():
        away = (one.shown[:, axis] - 0.5) * sign
        if away.min() > _CLEAR_FRAC:
            yield side, ""
        elif away[0] > _CLEAR_FRAC and one.seen_T[0]:
            yield side, " at first"


def _clearly_goes(one: DrawnObject, value: str) -> bool:
    """Return whether it goes so on the screen and through the world, by a good part of the frame."""
    made = claim("direction", value)
    if not one.holds(made):
        return False
    shift = one.shown[-1] - one.shown[0]
    if value in ("still", "to and fro"):
        ways = any(one.holds(claim("direction", way)) for way in ("left", "right", "up", "down"))
        return bool(abs(shift).max() < _STAYS_FRAC) and not ways
    axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[value]
    return bool(shift[axis] * sign > _CLEAR_FRAC and (one.world_T2[-1] - one.world_T2[0])[axis] * sign > _MOVES_PX)


def ranked(one: DrawnObject, video: DrawnVideo) -> str:
    """Return a sentence on the place of an object among those of its colour, or '' if nothing is clear."""
    alike = [other for other in video.objects.values() if other is not one and other.colours[0] == one.colours[0]]
    if not alike:
        return ""
    for name, at, axis in (("x_start", 0, 0), ("y_start", 0, 1), ("x_end", -1, 0), ("y_end", -1, 1)):
        gaps = [float(other.shown[at][axis] - one.shown[at][axis]) for other in alike]
        trait = next(trait for trait in TRAITS if trait.name == name)
        words = trait.pair if len(alike) == 1 else trait.ends
        if min(map(abs, gaps)) > _APART_FRAC and (min(gaps) > 0 or max(gaps) < 0):
            return f"Of the {len(alike) + 1} {one.colours[0]} things, it is {words[int(max(gaps) < 0)]}."
    return ""


def _singled_out(one: DrawnObject, said: Sequence[Claim], rank: str, video: DrawnVideo) -> bool:
    """Return whether a text fits no other object by the drawing: it has a rank, or every other differs in a claim."""
    return bool(rank) or all(
        any(_clearly_otherwise(other, made) for made in said) for other in video.objects.values() if other is not one
    )


def _clearly_otherwise(other: DrawnObject, made: Claim) -> bool:
    """Return whether a person would see at a glance that a claim is not about this object."""
    if made.kind == "colour":
        return made.value.split()[1] not in other.colours
    if made.kind == "side":
        side, _, when = made.value.partition(" ")
        axis, sign = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}[side]
        away = (0.5 - other.shown[:, axis]) * sign
        return bool((away[0] if when else away.min()) > _CLEAR_FRAC) and bool(other.seen_T[0])
    if made.kind == "direction":
        return any(_clearly_goes(other, value) for value in (OPPOSITE.get(made.value, ""),) if value)
    return False


def written(said: Mapping[str, Claim], rank: str) -> str:
    """Return a long text that makes these claims, at most one of a kind."""
    parts = [f"{OBJECT_OPENING} a {said['colour'].words} thing.", rank]
    if "side" in said:
        parts.append(f"It is {said['side'].words}.")
    verbs = [f"it {said[kind].words}" for kind in ("direction", "visibility", "size") if kind in said]
    parts += [f"{VIDEO_OPENING} {verbs[0]}."] if verbs else []
    parts += [f"{verb[0].upper()}{verb[1:]}." for verb in verbs[1:]]
    return " ".join(filter(None, parts))


def _other_colour(made: Claim, one: DrawnObject, rng: random.Random) -> Claim | None:
    return claim("colour", f"all {rng.choice([name for name in COLOURS if name not in one.colours])}")


def _other_side(made: Claim, one: DrawnObject, rng: random.Random) -> Claim | None:
    side, _, when = made.value.partition(" ")
    return claim("side", f"{OPPOSITE[side]} {when}".strip())


def _other_way(made: Claim, one: DrawnObject, rng: random.Random) -> Claim | None:
    return claim("direction", OPPOSITE[made.value]) if made.value in OPPOSITE else None


def _other_size(made: Claim, one: DrawnObject, rng: random.Random) -> Claim | None:
    return claim("size", {"grows": "shrinks", "shrinks": "grows"}[made.value])


def _other_visibility(made: Claim, one: DrawnObject, rng: random.Random) -> Claim | None:
    return claim("visibility", "hidden" if made.value == "always" else "always")


_CHANGES: dict[str, Callable[[Claim, DrawnObject, random.Random], Claim | None]] = {
    "colour": _other_colour,
    "side": _other_side,
    "direction": _other_way,
    "size": _other_size,
    "visibility": _other_visibility,
}
