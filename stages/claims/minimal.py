"""Finds the shortest true texts of an object: no claim can be dropped without the text fitting another object.

A text is made of claims that clearly hold of the object. It is minimal if the exact listener leaves only its object,
and if for every claim that is dropped it leaves another one as well; which ones is stored as the proof. An object that
is alone still gets one claim, because the masklets of a video are not exhaustive.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from manifests.expression import MAX_SHORT_WORDS, MIN_SHORT_WORDS
from manifests.schema import Claim, Dropped, Facts, Minimal
from stages.claims.listener import objects_that_fit
from stages.claims.measurable import TRUE, judge, true_claims
from stages.claims.rank import superlatives
from stages.claims.short_form import phrase

_MAX_CLAIMS = 4  # with more, a text is no longer short
_PREFERRED = ("colour", "side", "direction", "rank", "order", "size", "visibility")  # of texts with as many claims
_HARD = ("speed:", "hidden:")  # ranks that people find hard to see: only where nothing else singles the object out
_MAX_COLOURS = 2  # of every other kind there is at most one claim


def minimal_texts(object_id: str, facts_by_object: Mapping[str, Facts]) -> list[Minimal]:
    """Return the minimal texts of an object with the fewest claims, the best first; none if nothing singles it out.

    "The leftmost of all objects" is a last resort: there may be objects that have no masklet.

    Args:
        object_id: one of `facts_by_object`.
        facts_by_object: object_id -> facts, of all separate objects of the video.
    """
    claims = sharpest(true_claims(facts_by_object[object_id]))
    everybody = frozenset(facts_by_object)
    out = {id(made): everybody.difference(objects_that_fit([made], facts_by_object)) for made in claims}
    for of_all in (False, True):
        for count in range(1, _MAX_CLAIMS + 1):
            sets = [chosen for chosen in combinations(claims, count) if _fit_together(chosen) and not of_all]
            single = [
                made for made in sets if everybody - frozenset().union(*(out[id(c)] for c in made)) == {object_id}
            ]
            single += _ranked(object_id, claims, count, facts_by_object, of_all=of_all)
            found = [text for chosen in single if (text := _minimal(object_id, chosen, facts_by_object))]
            plain = [made for made in found if not any(one.value.startswith(_HARD) for one in made.claims)]
            if found:
                return sorted(plain or found, key=lambda made: [_PREFERRED.index(one.kind) for one in made.claims])
    return []


def sharpest(claims: Sequence[Claim]) -> list[Claim]:
    """Leave out what another of the claims says more sharply: 'mostly red' if 'red', 'left at first' if 'left'."""
    values = {(made.kind, made.value) for made in claims}
    sharper = {"mostly": ("all",), "partly": ("all", "mostly")}

    def said(made: Claim) -> bool:
        first, _, rest = made.value.partition(" ")
        if made.kind == "colour":
            return any(("colour", f"{degree} {rest}") in values for degree in sharper.get(first, ()))
        return made.kind == "side" and bool(rest) and ("side", first) in values

    return [made for made in claims if not said(made)]


def _fit_together(chosen: Sequence[Claim]) -> bool:
    """Return whether one text can make these claims: no two of a kind, except colours, and no place said twice."""
    kinds = [made.kind for made in chosen]
    twice = {kind for kind in kinds if kinds.count(kind) > (_MAX_COLOURS if kind == "colour" else 1)}
    pure = any(made.value.startswith("all ") for made in chosen) and kinds.count("colour") > 1
    return not twice and not pure and not {"side", "order"} <= set(kinds)


def _ranked(
    object_id: str, claims: Sequence[Claim], count: int, facts_by_object: Mapping[str, Facts], *, of_all: bool
) -> Iterator[tuple[Claim, ...]]:
    """Yield sets of `count` claims that fit only this object; the last is its rank among those of a colour, or all."""
    by_kind = {coloured: [made for made in claims if (made.kind == "colour") == coloured] for coloured in (True, False)}
    for named in range(0 if of_all else 1, 1 if of_all else _MAX_COLOURS + 1):
        for colours in combinations(by_kind[True], min(named, count)):
            among = objects_that_fit(colours, facts_by_object)
            others = [facts_by_object[other] for other in among if other != object_id]
            sure = all(judge(made, other).state == TRUE for made in colours for other in others)
            for rank in superlatives(facts_by_object[object_id], others, counted=sure):
                for more in combinations(by_kind[False], count - 1 - named) if count > named else ():
                    chosen = (*colours, *more, rank)
                    if _fit_together(chosen) and objects_that_fit(chosen, facts_by_object) == [object_id]:
                        yield chosen


def _minimal(object_id: str, chosen: Sequence[Claim], facts_by_object: Mapping[str, Facts]) -> Minimal | None:
    """Return the text of these claims with its proof, or None if a claim can be dropped or the text is too long."""
    text = phrase(chosen)
    proof = []
    for dropped in chosen:
        rest = [made for made in chosen if made is not dropped]
        others = [other for other in objects_that_fit(rest, facts_by_object) if other != object_id]
        if not others and (rest or len(facts_by_object) > 1):
            return None
        proof.append(Dropped(claim=dropped.words, then_fits=others))
    if not MIN_SHORT_WORDS <= len(text.split()) <= MAX_SHORT_WORDS:
        return None
    return Minimal(text=text, claims=list(chosen), proof=proof)
