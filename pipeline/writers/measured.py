"""The writer that asks no model: it makes every reply from what was measured of the masklets of the video."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from manifests.expression import noun_of
from manifests.schema import Facts, Row
from pipeline.writers import english
from prompts import Prompt
from prompts.replies import MAX_SHORT_TEXTS
from stages.claims.distinguish import distinguish
from stages.claims.listener import objects_that_fit, read_claims
from stages.claims.minimal import minimal_texts
from stages.claims.recognizable import seen_objects, verdict
from stages.writer import Model

R = TypeVar("R", bound=BaseModel)
ReplyFields = dict[str, object]  # field of the prompt's reply class -> value


class MeasuredWriter:
    """Answers every prompt from `row.facts` and `row.sibling_facts`, without looking at the images."""

    name = "measured"
    pool = "cpu"
    judge = Model("measured", "")
    looks = False

    async def write(self, prompt: Prompt[R], row: Row, images: Sequence[bytes]) -> R:
        """Return the reply to `prompt`, as `Writer.write` asks.

        Raises:
            ValueError: the row has no facts.
        """
        if row.facts is None:
            raise ValueError(f"{row.object_id}: the measured writer needs `facts`, got none; measure the row first")
        return prompt.reply.model_validate(_REPLIES[prompt.name](row, row.facts))


def _caption_crop(row: Row, facts: Facts) -> ReplyFields:
    return {"caption": english.caption(facts.colours_best, facts.size, **_thing(row))}


def _caption_masked(row: Row, facts: Facts) -> ReplyFields:
    return {"caption": english.caption(facts.colours, facts.size, **_thing(row))}


def _check_consistency(row: Row, facts: Facts) -> ReplyFields:
    said, conflict = verdict(facts)
    consistent = said == "consistent"
    description = english.object_level(facts, **_thing(row)) if consistent else ""
    return {"verdict": said, "conflict": conflict, "object_description": description}


def _describe_scene(row: Row, facts: Facts) -> ReplyFields:
    return {"description": english.scene_level(facts, _others(row))}


def _describe_video(row: Row, facts: Facts) -> ReplyFields:
    return {"description": english.video_level(facts)}


def _compose_expression(row: Row, facts: Facts) -> ReplyFields:
    distinction = distinguish(facts, [*seen_objects(facts, row.sibling_facts).values()])
    parts = (  # the three levels are measured here for an object whose text was given
        row.object_description or english.object_level(facts, **_thing(row)),
        english.rank_sentence(facts, distinction),
        row.scene_description or english.scene_level(facts, _others(row)),
        row.video_description or english.video_level(facts),
    )
    return {"expression": " ".join(filter(None, parts)), "ambiguous_with": list(distinction.ambiguous_with)}


def _shorten_expression(row: Row, facts: Facts) -> ReplyFields:
    found = minimal_texts(facts.object_id, seen_objects(facts, row.sibling_facts))
    return {"texts": [made.text for made in sorted(found, key=lambda made: len(made.text.split()))[:MAX_SHORT_TEXTS]]}


def _repair_object(row: Row, facts: Facts) -> ReplyFields:
    # The verdict stays: the facts are the same at the second look.
    return {"verdict": "inconsistent", "conflict": row.conflict or "", "object_description": ""}


def _lineup(row: Row, facts: Facts) -> ReplyFields:
    """Pick exactly those objects that every claim of the text that can be measured allows."""
    seen = seen_objects(facts, row.sibling_facts)
    fitting = objects_that_fit(read_claims(row.expression or ""), seen)
    numbers = [number for number, object_id in enumerate(row.lineup_shown, 1) if object_id in fitting]
    return {"evidence": f"{len(fitting)} of {len(seen)} objects fit what was measured", "numbers": numbers}


_REPLIES: Mapping[str, Callable[[Row, Facts], ReplyFields]] = {
    "caption_crop": _caption_crop,
    "caption_masked": _caption_masked,
    "check_consistency": _check_consistency,
    "describe_scene": _describe_scene,
    "describe_video": _describe_video,
    "compose_expression": _compose_expression,
    "repair_object": _repair_object,
    "repair_expression": _compose_expression,
    "lineup": _lineup,
    "repair_lineup": _compose_expression,
    "shorten_expression": _shorten_expression,
}


def _thing(row: Row) -> dict[str, Any]:
    """Return what is known of the object beside its facts: whether it is a part, and an annotator's noun."""
    return {"is_part": row.part_of is not None, "noun": noun_of(row.source_label) if row.source_label else None}


def _others(row: Row) -> list[Facts]:
    """Return the facts of the objects that may serve as landmarks: things that can be named by their colours."""
    return [facts for facts in row.sibling_facts if verdict(facts)[0] == "consistent"]
