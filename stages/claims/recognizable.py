"""Tells whether measurements show one separate thing: its colours stay, and differ from those around it.

A thing in glare or in the dark has no certain colours, but a viewer sees it all the same: a text must tell its object
from it too. Patches of background, and masks that change from one thing to another, are no things that a text can mean.
"""

from collections.abc import Sequence
from typing import Literal

from manifests.schema import Colour, Facts
from stages.video.colour import MAX_DRIFT_FRAC

# Objects with more of their surface in the colours around them are taken for background: patches of road, wall or sky
# have 0.83 and more, separate things on real clips have at most 0.66.
_MAX_CAMOUFLAGE_FRAC = 0.8


def verdict(facts: Facts) -> tuple[Literal["consistent", "inconsistent", "unrecognizable"], str]:
    """Return what a consistency check says by measurement alone, and why.

    It is consistent if the best frame and the video show the same colours, and they differ from those around.
    """
    best, overall = _listed(facts.colours_best), _listed(facts.colours)
    if not facts.colours or not facts.colours_best:
        return "unrecognizable", f"colours could not be measured: best view {best}, whole video {overall}"
    if changes_colour(facts):
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


def seen_objects(facts: Facts, siblings: Sequence[Facts]) -> dict[str, Facts]:
    """Return object_id -> facts of an object and of those siblings that a viewer would see as separate things too."""
    others = (one for one in siblings if one.object_id != facts.object_id and _separate(one))
    return {one.object_id: one for one in (*others, facts)}


def changes_colour(facts: Facts) -> bool:
    """Return whether its colours change so much that its mask must go from one thing to another."""
    return facts.colour_drift_frac > MAX_DRIFT_FRAC


def _separate(facts: Facts) -> bool:
    return not changes_colour(facts) and facts.camouflage_frac <= _MAX_CAMOUFLAGE_FRAC


def _listed(colours: Sequence[Colour]) -> str:
    return ", ".join(f"{colour.name} {colour.share_frac:.2f}" for colour in colours) or "none"
