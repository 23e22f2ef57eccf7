"""What the gates catch of errors that are known: `python -m benchmarks.gates`.

Over drawn clips (`drawn_truth.py`) a simulated writer describes objects by the drawing's truth and errs in known ways.
Every text goes through the check of facts and then to the exact listener, which keeps it if its claims leave just its
object. Printed are, for each kind of error, how many were made, and which gate caught them; and of texts without an
error how many were kept. Then the minimal texts and the negatives of every object are compared with the truth.

The drawing's truth is not `stages.facts`: a claim that is made, ruled out or called unique from measurements is wrong
here if the drawing says otherwise. Exit code 1 if a goal is not met.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from benchmarks.drawn_truth import COLOURS, DrawnObject, DrawnVideo, draw
from manifests.expression import OBJECT_OPENING, VIDEO_OPENING
from manifests.schema import Claim
from manifests.text_tables import text_table
from stages.claims.contradictions import find_contradictions
from stages.claims.distinguish import TRAITS
from stages.claims.listener import objects_that_fit, read_claims
from stages.claims.measurable import OPPOSITE, VALUES, claim
from stages.claims.minimal import minimal_texts
from stages.claims.negatives import NO_TARGET, negatives

KEPT_GOAL_FRAC = 0.95  # of texts that are true and fit only their object
NEGATIVES_GOAL = 1000
_CLEAR_FRAC = 0.15  # a person names a side only of what is farther from the middle than this share of the frame
_APART_FRAC = 0.12  # and ranks two objects only if they are farther apart
_STAYS_FRAC, _MOVES_PX = 0.04, 40  # and a move only if the object moves by more on the screen, and in the world
_INVENTED = {"part": "It has a long wooden handle.", "action": "It waves at a small dog."}
_NO_ERROR = "none: true, fits one"
_TWO = "fits two objects"
_OTHERS_TEXT = "another object's text"


@dataclass(frozen=True)
class Case:
    """A text of the simulated writer.

    Attributes:
        error: what is wrong with it.
        object_id: what it was written for.
        text: in three parts, as a long text is.
    """

    error: str
    object_id: str
    text: str


def main() -> int:
    """Draw, write, check and print; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=200, help="drawn clips, every second one of look-alikes")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    options = parser.parse_args()
    total: Counter[tuple[str, ...]] = Counter()
    with ProcessPoolExecutor(options.workers) as pool:
        for counts, lines in pool.map(look, range(options.clips), chunksize=4):
            total.update(counts)
            for line in lines:
                print(line)
    print(report(total))
    missed = [goal for goal, met in goals(total).items() if not met]
    for goal in missed:
        print(f"NOT MET: {goal}")
    return 1 if missed else 0


def look(seed: int) -> tuple[Counter[tuple[str, ...]], list[str]]:
    """Return the counts of one clip, and a line for everything that goes against the drawing's truth."""
    alike = seed % 2 == 1
    video, rng = draw(seed, alike=alike), random.Random(f"writer {seed}")
    counts: Counter[tuple[str, ...]] = Counter()
    lines: list[str] = []
    for case in cases(video, rng):
        counts["text", case.error, caught_by(case, video)] += 1
        if case.error == _TWO and alike:
            counts["alike", caught_by(case, video)] += 1
    for object_id in video.facts:
        lines += _short(object_id, video, counts)
        lines += _negatives(object_id, video, counts)
    return counts, [f"clip {seed}: {line}" for line in lines]


def caught_by(case: Case, video: DrawnVideo) -> str:
    """Return the gate that rejects a text: facts or listener; kept if none does."""
    if find_contradictions(case.text, video.facts[case.object_id]):
        return "facts"
    fits = objects_that_fit(read_claims(case.text), video.facts)
    return "kept" if fits == [case.object_id] else "listener"


def cases(video: DrawnVideo, rng: random.Random) -> Iterator[Case]:
    """Yield a text without an error for every object that can be singled out, and one for every error that applies."""
    for object_id, one in video.objects.items():
        said = {made.kind: made for made in described(one)}
        rank = ranked(one, video)
        if _singled_out(one, [*said.values()], rank, video):
            yield Case(_NO_ERROR, object_id, written(said, rank))
            for what, sentence in _INVENTED.items():
                yield Case(f"invented {what}", object_id, f"{written(said, rank)} {sentence}")
        for kind, change in _CHANGES.items():
            if kind in said and (wrong := change(said[kind], one, rng)):
                yield Case(kind, object_id, written(said | {kind: wrong}, rank))
        others = [other for other in video.objects.values() if other is not one]
        for other in others:
            if not all(other.holds(made) for made in said.values()):
                theirs = {made.kind: made for made in described(other)}
                if not all(one.holds(made) for made in theirs.values()):
                    yield Case(_OTHERS_TEXT, object_id, written(theirs, ranked(other, video)))
                    break
        for other in others:
            shared = {kind: made for kind, made in said.items() if other.holds(made)}
            if "colour" in shared:
                yield Case(_TWO, object_id, written(shared, ""))
                break


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


def _short(object_id: str, video: DrawnVideo, counts: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Count the minimal text of an object; yield a line if the drawing says that it is wrong, or fits another."""
    found = minimal_texts(object_id, video.facts)
    if not found:
        counts["short", "none"] += 1
        return
    plain = [made for made in found[0].claims if made.kind != "rank"]
    fits = [other for other, drawn in video.objects.items() if all(drawn.holds(made) for made in plain)]
    if object_id not in fits:
        counts["short", "wrong"] += 1
        yield f"short text {found[0].text!r} is not true of {object_id}"
    elif len(plain) < len(found[0].claims):
        rank = next(made for made in found[0].claims if made.kind == "rank")
        coloured = [
            drawn
            for drawn in video.objects.values()
            if all(drawn.holds(made) for made in plain if made.kind == "colour")
        ]
        right = video.objects[object_id].holds_rank(rank, coloured)
        counts["short", "has the rank that it says" if right else "wrong"] += 1
        if not right:
            yield f"short text {found[0].text!r} is not true of {object_id}"
    elif fits != [object_id]:
        counts["short", "fits others"] += 1
        yield f"short text {found[0].text!r} of {object_id} fits {', '.join(fits)}"
    else:
        counts["short", "fits one"] += 1


def _negatives(object_id: str, video: DrawnVideo, counts: Counter[tuple[str, ...]]) -> Iterator[str]:
    """Count the negatives of an object; yield a line for those that the drawing says are true of the wrong one."""
    for made in negatives(object_id, video.facts):
        claims = [one for one in read_claims(made.text) if one.kind != "rank"]
        fits = [other for other, drawn in video.objects.items() if all(drawn.holds(one) for one in claims)]
        right = fits == ([made.target] if made.target else [])
        counts["negative", made.kind, made.changed, "right" if right else "wrong"] += 1
        if not right:
            yield f"negative {made.text!r} ({made.kind}, {made.target}) is true of {', '.join(fits) or 'nothing'}"


def goals(total: Counter[tuple[str, ...]]) -> dict[str, bool]:
    """Return what must hold, and whether it does."""
    clean = {gate: total["text", _NO_ERROR, gate] for gate in ("facts", "listener", "kept")}
    wrong = sum(n for key, n in total.items() if key[0] == "negative" and key[-1] == "wrong")
    made = sum(n for key, n in total.items() if key[:2] == ("negative", NO_TARGET))
    return {
        "every text that fits two look-alikes is caught": total["alike", "kept"]
        == 0
        < sum(n for key, n in total.items() if key[0] == "alike"),
        f"at least {KEPT_GOAL_FRAC:.0%} of true texts that fit one object are kept": clean["kept"]
        >= KEPT_GOAL_FRAC * sum(clean.values()),
        "no negative is true of an object that it must not fit": wrong == 0,
        f"there are {NEGATIVES_GOAL} negatives without a target": made >= NEGATIVES_GOAL,
        "no short text is wrong or fits another object": total["short", "wrong"] + total["short", "fits others"] == 0,
    }


def report(total: Counter[tuple[str, ...]]) -> str:
    """Return what was caught of every kind of error, and how negatives and short texts did, as tables of text."""
    errors = list(dict.fromkeys(key[1] for key in total if key[0] == "text"))
    rows: list[tuple[str, ...]] = [("error of the text", "made", "by facts", "by listener", "kept", "caught")]
    for error in sorted(errors, key=lambda name: (name == _NO_ERROR, name)):
        facts, listener, kept = (total["text", error, gate] for gate in ("facts", "listener", "kept"))
        made = facts + listener + kept
        rows.append((error, *map(str, (made, facts, listener, kept)), f"{100 * (made - kept) / made:.1f} %"))
    shorts = [("short text", "objects"), *((key[1], str(n)) for key, n in sorted(total.items()) if key[0] == "short")]
    table: list[tuple[str, ...]] = [("negative", "changed", "made", "wrong")]
    for kind, changed in sorted({key[1:3] for key in total if key[0] == "negative"}):
        right, wrong = (total["negative", kind, changed, state] for state in ("right", "wrong"))
        table.append((kind, changed, str(right + wrong), str(wrong)))
    parts = (text_table(rows, left=1), text_table(shorts, left=1), text_table(table, left=2))
    return "\n\n".join("\n".join(part) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
