"""Strata of the candidates: a level in six facets, from measured facts, for sampling and for reports."""

from collections.abc import Mapping, Sequence
from typing import Any

from validation_ui.judging.lengths import length_level

FACETS = ("size", "length", "motion", "camera", "occlusion", "look_alikes")
_MOTIONS = {"none": "still", "complex": "complex", "unknown": "unknown"}


def levels(facts: Mapping[str, Any], parts: Mapping[str, str], others: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return facet -> level for one object.

    - size: tiny, small, medium or large, by median area.
    - length: short, medium or long, by words.
    - motion: still, moves (one way), complex (to and fro) or unknown; the camera's own motion is taken out.
    - camera: static, moving or unknown (too little background to tell).
    - occlusion: none, partly (covered at times), hidden (out of sight and back) or unknown (it may have bent).
    - look_alikes: none, one or several other objects of the video with the same main colour and the same size.

    Args:
        facts: the measured facts of the object (`manifests.schema.Facts`).
        parts: the texts of the expression, part name -> text.
        others: the facts of the other measured objects of the video.
    """
    alike = sum(_look_alike(facts, other) for other in others)
    return {
        "size": facts["size"],
        "length": length_level("long", parts),
        "motion": _MOTIONS.get(facts["motion"], "moves"),
        "camera": facts["camera"] if facts["camera"] in ("static", "unknown") else "moving",
        "occlusion": _occlusion(facts),
        "look_alikes": ("none", "one", "several")[min(alike, 2)],
    }


def _occlusion(facts: Mapping[str, Any]) -> str:
    if facts["hidden_spans"] or not facts["occluded_spans"]:
        return "hidden" if facts["hidden_spans"] else "none"
    return "partly" if facts.get("occluded_known", True) else "unknown"  # runs of older versions do not say


def by_likeness(facts: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the other objects, sorted by how easily they are confused with this one, most easily first.

    Look-alikes come first, then objects with more of colour, size and motion in common, then nearer ones.
    """
    near = [neighbour["object_id"] for neighbour in facts["neighbours"]]

    def likeness(other: Mapping[str, Any]) -> tuple[bool, int, int, str]:
        same = (_main_colour(facts) == _main_colour(other)) + (facts["size"] == other["size"])
        same += facts["motion"] == other["motion"] != "unknown"
        place = near.index(other["object_id"]) if other["object_id"] in near else len(near)
        return not _look_alike(facts, other), -same, place, other["object_id"]

    return [other["object_id"] for other in sorted(others, key=likeness)]


def _look_alike(facts: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _main_colour(facts) is not None and (_main_colour(facts), facts["size"]) == (
        _main_colour(other),
        other["size"],
    )


def _main_colour(facts: Mapping[str, Any]) -> str | None:
    return next((colour["name"] for colour in facts["colours"]), None)
