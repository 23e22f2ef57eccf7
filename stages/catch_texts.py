"""Texts whose truth is known from measurement: put to a judge, they measure it.

They are short, made of a few plain claims, and so easier to judge than the texts of a run.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from manifests.lineup import DROPPED, NO_TARGET, UNIQUE
from manifests.schema import Claim, Facts, Minimal
from stages.claims import negatives
from stages.claims.measurable import TRUE, judge, true_claims
from stages.claims.minimal import minimal_texts
from stages.claims.short_form import phrase


@dataclass(frozen=True)
class CatchText:
    """Holds a text, what kind it is (manifests/lineup.py), and the object_ids of all objects that it fits."""

    kind: str
    text: str
    truth: list[str]


def catch_texts(facts: Facts, group: Sequence[Facts]) -> list[CatchText]:
    """Return a text for every kind that can be made of an object; none where nothing singles it out.

    Args:
        facts: of the object.
        group: facts of all separate objects of the video; it does not matter whether the object is among them.
    """
    facts_by_object = {facts.object_id: facts} | {other.object_id: other for other in group}
    unique = minimal_texts(facts.object_id, facts_by_object)
    if not unique:
        return []
    texts = [CatchText(UNIQUE, unique[0].text, [facts.object_id])]
    if several := _several(unique[0], facts, facts_by_object):
        texts.append(several)
    nobody = [
        made.text for made in negatives.negatives(facts.object_id, facts_by_object) if made.kind == negatives.NO_TARGET
    ]
    if nobody:
        texts.append(CatchText(NO_TARGET, random.Random(facts.object_id).choice(nobody), []))
    return texts


def _several(unique: Minimal, facts: Facts, facts_by_object: Mapping[str, Facts]) -> CatchText | None:
    """Return the unique text without a decisive claim; if that was its only one, another claim that several share.

    The text must be clearly true of the object and of another one: that it is not ruled out would not be enough.
    """
    dropped = [[made for made in unique.claims if made.words != left_out.claim] for left_out in unique.proof]
    shared = [[made] for made in true_claims(facts)]
    for claims in [*dropped, *shared]:
        if not claims or any(made.kind == "rank" for made in claims):
            continue
        truth = [name for name, of in facts_by_object.items() if _true(claims, of)]
        if facts.object_id in truth and len(truth) > 1:
            return CatchText(DROPPED, phrase(claims), truth)
    return None


def _true(claims: Sequence[Claim], facts: Facts) -> bool:
    return all(judge(made, facts).state == TRUE for made in claims)
