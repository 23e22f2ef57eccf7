"""The writer that asks no model: every reply comes from what was measured of the masklets."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from manifests.schema import Colour, Facts, Row
from pipeline.writers import english
from pipeline.writers.distinguish import single_out
from prompts import Prompt
from stages.video.colour import MAX_DRIFT_FRAC

R = TypeVar("R", bound=BaseModel)
Answer = dict[str, object]  # the fields of a reply

_MAX_CAMOUFLAGE_FRAC = 0.8  # patches of road, wall or sky have 0.83 and more, separate things on real clips up to 0.66


class MeasuredWriter:
    """Answers each prompt from `row.facts` and `row.sibling_facts`; the pictures are not looked at."""

    name = "measured"
    pool = "cpu"

    async def write(self, prompt: Prompt[R], row: Row, pictures: Sequence[bytes]) -> R:
        """See Writer.write."""
        if row.facts is None:
            raise ValueError(f"{row.object_id}: the measured writer needs `facts`, got none; measure the row first")
        return prompt.reply.model_validate(_ANSWERS[prompt.name](row, row.facts))


def _caption_crop(row: Row, facts: Facts) -> Answer:
    return {"caption": english.caption(facts.colours_best, facts.size, is_part=row.part_of is not None)}


def _caption_masked(row: Row, facts: Facts) -> Answer:
    return {"caption": english.caption(facts.colours, facts.size, is_part=row.part_of is not None)}


def _check_consistency(row: Row, facts: Facts) -> Answer:
    verdict, conflict = _judge(facts)
    consistent = verdict == "consistent"
    description = english.object_level(facts, is_part=row.part_of is not None) if consistent else ""
    return {"verdict": verdict, "conflict": conflict, "object_description": description}


def _describe_scene(row: Row, facts: Facts) -> Answer:
    return {"description": english.scene_level(facts, _others(row))}


def _describe_video(row: Row, facts: Facts) -> Answer:
    return {"description": english.video_level(facts)}


def _compose_expression(row: Row, facts: Facts) -> Answer:
    singled = single_out(facts, _others(row))
    parts = (
        row.object_description,
        english.rank_sentence(facts, singled),
        row.scene_description,
        row.video_description,
    )
    return {"expression": " ".join(filter(None, parts)), "ambiguous_with": list(singled.ambiguous_with)}


def _repair_object(row: Row, facts: Facts) -> Answer:
    # a second look measures nothing new
    return {"verdict": "inconsistent", "conflict": row.conflict or "", "object_description": ""}


_ANSWERS: Mapping[str, Callable[[Row, Facts], Answer]] = {
    "caption_crop": _caption_crop,
    "caption_masked": _caption_masked,
    "check_consistency": _check_consistency,
    "describe_scene": _describe_scene,
    "describe_video": _describe_video,
    "compose_expression": _compose_expression,
    "repair_object": _repair_object,
    "repair_expression": _compose_expression,
}


def _judge(facts: Facts) -> tuple[str, str]:
    """(verdict, conflict): whether best frame and whole video show one thing that can be told from what is around."""
    best, whole = _listed(facts.colours_best), _listed(facts.colours)
    if not facts.colours or not facts.colours_best:
        return "unrecognizable", f"colours could not be measured: best view {best}, whole video {whole}"
    if facts.colour_drift_frac > MAX_DRIFT_FRAC:
        drift = f"{facts.colour_drift_frac:.2f} of the views have nothing of its colours > {MAX_DRIFT_FRAC}"
        return "inconsistent", f"best view is {best}, whole video is {whole}: {drift}"
    if not facts.colours_known:
        return (
            "unrecognizable",
            f"in glare or in the dark nothing has its colour: best view {best}, whole video {whole}",
        )
    if facts.camouflage_frac > _MAX_CAMOUFLAGE_FRAC:
        camouflage = f"{facts.camouflage_frac:.2f} of it in the colours around it > {_MAX_CAMOUFLAGE_FRAC}"
        return "unrecognizable", f"nothing sets it off: {best} amid {_listed(facts.surroundings)}, {camouflage}"
    return "consistent", ""


def _others(row: Row) -> list[Facts]:
    """The objects that a reader would see too: not patches of background, nor masks of two things."""
    return [facts for facts in row.sibling_facts if _judge(facts)[0] == "consistent"]


def _listed(colours: Sequence[Colour]) -> str:
    return ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in colours) or "none"
