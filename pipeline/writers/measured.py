"""The writer that asks no model: it makes every reply from what was measured of the masklets of the video."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from manifests.expression import noun_of
from manifests.schema import Colour, Facts, Row
from pipeline.writers import english
from pipeline.writers.distinguish import distinguish
from prompts import Prompt
from stages.video.colour import MAX_DRIFT_FRAC

R = TypeVar("R", bound=BaseModel)
ReplyFields = dict[str, object]  # field of the prompt's reply class -> value

# Objects with more of their surface in the colours around them are taken for background: patches of road, wall or sky
# have 0.83 and more, separate things on real clips have at most 0.66.
_MAX_CAMOUFLAGE_FRAC = 0.8


class MeasuredWriter:
    """Answers every prompt from `row.facts` and `row.sibling_facts`, without looking at the images."""

    name = "measured"
    pool = "cpu"

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
    verdict, conflict = _judge(facts)
    consistent = verdict == "consistent"
    description = english.object_level(facts, **_thing(row)) if consistent else ""
    return {"verdict": verdict, "conflict": conflict, "object_description": description}


def _describe_scene(row: Row, facts: Facts) -> ReplyFields:
    return {"description": english.scene_level(facts, _others(row))}


def _describe_video(row: Row, facts: Facts) -> ReplyFields:
    return {"description": english.video_level(facts)}


def _compose_expression(row: Row, facts: Facts) -> ReplyFields:
    distinction = distinguish(facts, _others(row))
    parts = (
        row.object_description,
        english.rank_sentence(facts, distinction),
        row.scene_description,
        row.video_description,
    )
    return {"expression": " ".join(filter(None, parts)), "ambiguous_with": list(distinction.ambiguous_with)}


def _repair_object(row: Row, facts: Facts) -> ReplyFields:
    # The verdict stays: the facts are the same at the second look.
    return {"verdict": "inconsistent", "conflict": row.conflict or "", "object_description": ""}


_REPLIES: Mapping[str, Callable[[Row, Facts], ReplyFields]] = {
    "caption_crop": _caption_crop,
    "caption_masked": _caption_masked,
    "check_consistency": _check_consistency,
    "describe_scene": _describe_scene,
    "describe_video": _describe_video,
    "compose_expression": _compose_expression,
    "repair_object": _repair_object,
    "repair_expression": _compose_expression,
}


def _thing(row: Row) -> dict[str, Any]:
    """Return what is known of the object beside its facts: whether it is a part, and an annotator's noun."""
    return {"is_part": row.part_of is not None, "noun": noun_of(row.source_label) if row.source_label else None}


def _judge(facts: Facts) -> tuple[str, str]:
    """Return (verdict, conflict) as a `Consistency` reply has them.

    The verdict is consistent if the best frame and the video show the same colours, and they differ from those around.
    """
    best, overall = _listed(facts.colours_best), _listed(facts.colours)
    if not facts.colours or not facts.colours_best:
        return "unrecognizable", f"colours could not be measured: best view {best}, whole video {overall}"
    if facts.colour_drift_frac > MAX_DRIFT_FRAC:
        drift = f"{facts.colour_drift_frac:.2f} of the views have nothing of its colours > {MAX_DRIFT_FRAC}"
        return "inconsistent", f"best view is {best}, whole video is {overall}: {drift}"
    if not facts.colours_known:
        return (
            "unrecognizable",
            f"in glare or in the dark nothing has its colour: best view {best}, whole video {overall}",
        )
    if facts.camouflage_frac > _MAX_CAMOUFLAGE_FRAC:
        camouflage = f"{facts.camouflage_frac:.2f} of it in the colours around it > {_MAX_CAMOUFLAGE_FRAC}"
        return "unrecognizable", f"nothing sets it off: {best} amid {_listed(facts.surroundings)}, {camouflage}"
    return "consistent", ""


def _others(row: Row) -> list[Facts]:
    """Return the facts of the objects that a viewer would see too: no patches of background, no masks of two things."""
    return [facts for facts in row.sibling_facts if _judge(facts)[0] == "consistent"]


def _listed(colours: Sequence[Colour]) -> str:
    return ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in colours) or "none"
