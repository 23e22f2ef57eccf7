"""The writer that asks no model: every reply comes from what was measured of the masklets."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from pydantic import BaseModel

from manifests.schema import Colour, Facts, Row
from pipeline.writers import english
from pipeline.writers.distinguish import single_out
from prompts import Prompt

R = TypeVar("R", bound=BaseModel)
Answer = dict[str, object]  # the fields of a reply

# Colours that one thing can pass between as light and white balance change.
_NEAR: Mapping[str, str] = {
    "black": "grey brown",
    "grey": "black white brown blue green",
    "white": "grey pink yellow",
    "brown": "black grey orange red",
    "red": "brown orange pink",
    "orange": "brown red yellow",
    "yellow": "orange green white",
    "green": "yellow grey",
    "blue": "grey purple",
    "purple": "blue pink",
    "pink": "purple red white",
}
# Of the surface: below this the best frame and the whole video show two things. One colour of a patchy object (named
# from 0.12 on) is more than this, so that a mere turn of the object is not taken for a drift of the mask.
_MIN_COMMON_FRAC = 0.1


class MeasuredWriter:
    """Answers each prompt from `row.facts` and `row.sibling_facts`; the pictures are not looked at."""

    name = "measured"
    pool = "cpu"
    max_in_flight = 1  # nothing is waited for

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
    best, whole = _listed(facts.colours_best), _listed(facts.colours)
    if not facts.colours or not facts.colours_best:
        conflict = f"colours could not be measured: best view {best}, whole video {whole}"
        return {"verdict": "unrecognizable", "conflict": conflict, "object_description": ""}
    common_frac = _common_frac(facts.colours_best, facts.colours)
    if common_frac < _MIN_COMMON_FRAC:
        conflict = f"best view is {best}, whole video is {whole}: {common_frac:.2f} in common < {_MIN_COMMON_FRAC}"
        return {"verdict": "inconsistent", "conflict": conflict, "object_description": ""}
    description = english.object_level(facts, is_part=row.part_of is not None)
    return {"verdict": "consistent", "conflict": "", "object_description": description}


def _describe_scene(row: Row, facts: Facts) -> Answer:
    return {"description": english.scene_level(facts, row.sibling_facts)}


def _describe_video(row: Row, facts: Facts) -> Answer:
    return {"description": english.video_level(facts)}


def _compose_expression(row: Row, facts: Facts) -> Answer:
    singled = single_out(facts, row.sibling_facts)
    parts = (
        row.object_description,
        english.rank_sentence(facts, singled),
        row.scene_description,
        row.video_description,
    )
    return {"expression": " ".join(filter(None, parts)), "ambiguous_with": list(singled.ambiguous_with)}


_ANSWERS: Mapping[str, Callable[[Row, Facts], Answer]] = {
    "caption_crop": _caption_crop,
    "caption_masked": _caption_masked,
    "check_consistency": _check_consistency,
    "describe_scene": _describe_scene,
    "describe_video": _describe_video,
    "compose_expression": _compose_expression,
}


def _common_frac(a: Sequence[Colour], b: Sequence[Colour]) -> float:
    """Share of the surface that both have in the same or in a near colour, at most 1."""
    pairs = [(ca, cb) for ca in a for cb in b if cb.name in (ca.name, *_NEAR[ca.name].split())]
    return min(1.0, sum(min(ca.share_frac, cb.share_frac) for ca, cb in pairs))


def _listed(colours: Sequence[Colour]) -> str:
    return ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in colours) or "none"
