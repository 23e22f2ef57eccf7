"""Makes texts that are true of no object of a video, or of another one, by changing one claim of a true text.

A text counts only if masks and pixels rule it out for every object (no target), or for every object but one of which
all of its claims are clearly true (wrong target). What is not known of an object never rules it out, and neither does
that it was out of sight at the time. Objects without a masklet are not looked at: SA-V is not exhaustive.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from manifests.expression import MAX_SHORT_WORDS
from manifests.schema import Claim, Facts, Negative, Ruling
from stages.claims.listener import ruled_out
from stages.claims.measurable import OPPOSITE, RULED_OUT, TRUE, VALUES, claim, judge, true_claims
from stages.claims.minimal import minimal_texts, sharpest
from stages.claims.short_form import phrase

NO_TARGET, WRONG_TARGET = "no_target", "wrong_target"
_KINDS = ("colour", "side", "direction", "order", "visibility", "size")
# Claims of these kinds are about the same thing: beside a changed one they would say the opposite of it.
_SAME_THING = {
    "side": {"order", "direction"},
    "order": {"side", "direction"},
    "direction": {"side", "order"},
    "visibility": {"visibility"},
}


def negatives(object_id: str, facts_by_object: Mapping[str, Facts]) -> list[Negative]:
    """Return at most one text without a target and one with a wrong target for every kind of claim that can be changed.

    Args:
        object_id: whose true text is changed; one of `facts_by_object`.
        facts_by_object: object_id -> facts, of all separate objects of the video.
    """
    facts = facts_by_object[object_id]
    true = sharpest(true_claims(facts))
    shortest = minimal_texts(object_id, facts_by_object)
    base = [made for made in (shortest[0].claims if shortest else []) if made.kind != "rank"]
    rng = random.Random(f"{object_id} negatives")
    found: list[Negative] = []
    for kind in _KINDS:
        made = [*_changed(kind, object_id, base, true, facts_by_object)]
        rng.shuffle(made)
        for wanted in (NO_TARGET, WRONG_TARGET):
            found += [negative for negative in made if negative.kind == wanted][:1]
    return found


def _changed(
    kind: str, object_id: str, base: Sequence[Claim], true: Sequence[Claim], facts_by_object: Mapping[str, Facts]
) -> Iterator[Negative]:
    """Yield the negatives that another value of one claim of this kind gives."""
    for before in [made for made in base if made.kind == kind] or [made for made in true if made.kind == kind]:
        rest = [made for made in base if made.kind not in {kind, *_SAME_THING.get(kind, ())}]
        if not any(made.kind == "colour" for made in (*rest, before)):
            rest = [*[made for made in true if made.kind == "colour"][:1], *rest]
        for value in VALUES[kind]:
            after = claim(kind, value)
            if value == before.value or not _contrasts(before, after):
                continue
            claims = [*rest, after]
            text = phrase(claims)
            heard = {other: [judge(made, facts) for made in claims] for other, facts in facts_by_object.items()}
            fits = [other for other, rulings in heard.items() if not ruled_out(rulings)]
            if len(text.split()) > MAX_SHORT_WORDS or object_id in fits or len(fits) > 1:
                continue
            target = fits[0] if fits else None
            if target and any(ruling.state != TRUE for ruling in heard[target]):
                continue
            yield Negative(
                text=text,
                kind=WRONG_TARGET if target else NO_TARGET,
                changed=kind,
                instead_of=phrase([*rest, before]),
                claim=after.words,
                target=target,
                rulings=[_decisive(rulings) for rulings in heard.values()],
                unseen_twin_possible=facts_by_object[object_id].unseen_twin_possible,
            )


def _contrasts(before: Claim, after: Claim) -> bool:
    """Return whether the new claim says something else of the same: another colour, the other side, another way."""
    first, _, rest = before.value.partition(" ")
    other, _, other_rest = after.value.partition(" ")
    if before.kind == "colour":
        return first == other
    if before.kind in ("side", "order"):
        return OPPOSITE[first] == other and (before.kind == "order" or rest == other_rest)
    return True


def _decisive(rulings: Sequence[Ruling]) -> Ruling:
    """Return the ruling that decides about an object: one that rules it out, the last one first, else the last."""
    return next((ruling for ruling in reversed(rulings) if ruling.state == RULED_OUT), rulings[-1])
