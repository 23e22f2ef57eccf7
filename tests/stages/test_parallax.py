"""Own motion in scenes of several depths: what is claimed is true, and what cannot be known is not claimed."""

from collections import Counter
from dataclasses import replace
from math import sin

import numpy as np
import pytest

from manifests.schema import Facts
from pipeline.writers import english
from stages.claims.contradictions import find_contradictions
from stages.video.depth_fit import across, fit, starts
from tests.stages.deep_scenes import (
    CAMERAS,
    FAR,
    POSTS,
    STREET,
    Camera,
    Deep,
    Plane,
    Thing,
    line,
    measured,
    still,
    things,
)

pytestmark = pytest.mark.long

SCENES = [*(("street", name) for name in CAMERAS), *(("posts", name) for name in list(CAMERAS)[::3])]
PLANES = {"street": STREET, "posts": POSTS}
TRAVELS = [name for name, camera in CAMERAS.items() if "travels" in camera.label]
SENTENCES = {"none": "is parked and does not move", "left": "moves to the left", "right": "moves to the right"}
SENTENCES |= {"up": "moves upwards", "down": "moves downwards"}

Seen = dict[tuple[str, str], dict[str, tuple[Thing, Facts]]]


@pytest.fixture(scope="module")
def seen() -> Seen:
    """(layout, camera) -> name of a thing -> the thing and its facts."""
    found: Seen = {}
    for layout, name in SCENES:
        placed = things(CAMERAS[name])
        facts = measured(Deep(camera=CAMERAS[name], planes=PLANES[layout], things=placed))
        found[layout, name] = {each: (placed[each], facts[each]) for each in facts}
    return found


def every(seen: Seen) -> list[tuple[str, Thing, Facts]]:
    return [(f"{scene} {name}", *pair) for scene, pairs in seen.items() for name, pair in pairs.items()]


def test_no_motion_is_claimed_that_is_not_there(seen: Seen) -> None:
    known = [(where, thing.motion, facts.motion) for where, thing, facts in every(seen) if facts.motion_known]
    assert [each for each in known if each[1] != each[2]] == []


def test_at_most_a_fifth_is_unknown_and_nothing_if_the_camera_does_not_travel(seen: Seen) -> None:
    unknown = [where for where, _, facts in every(seen) if not facts.motion_known]
    assert len(unknown) <= 0.2 * len(every(seen)), unknown
    still = [(where, name) for where, name in seen if name not in TRAVELS]
    assert all(facts.motion_known for scene in still for _, facts in seen[scene].values())


# Nearer than all of the background, or between its planes, before a camera that speeds up, stops, or turns against its
# own travelling: which way the near passes, and how far, is then easily taken wrong.
WALL = (Plane(depth=4.0, box=(-1400, -400, 1500, 900), texture="brick.png", colour="orange"),)
FENCE = tuple(Plane(depth=3.5, box=(-700 + 90 * k, -40, 18, 160), colour="orange") for k in range(18))
ODD = {
    "passes thin posts fast": (FENCE, Camera(at=lambda t: (-60 * t + 2 * sin(9 * t), 1.5 * sin(7 * t), 0))),
    "goes round a wall": (WALL, Camera(at=lambda t: (28 * (t - 3), 0, 0), look=lambda t: (-45 * (t - 3), 0))),
    "speeds up along posts": (POSTS, Camera(at=lambda t: (5 * t * t, 0, 0))),
    "stops in the street": (STREET, Camera(at=lambda t: (30 * min(t, 2.5), 0, 0))),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_parked_before_or_between_the_background_is_never_said_to_move(name: str) -> None:
    planes, camera = ODD[name]
    places = ((2.5, -150, 40), (2.5, 120, 80), (3.5, 20, -60), (5.0, 170, -90))
    parked = {f"at {depth} {x}": Thing(path=still(x, y), depth=depth, motion="none") for depth, x, y in places}
    facts = measured(Deep(camera=camera, planes=planes, things=parked))
    assert {where: fact.motion for where, fact in facts.items() if fact.motion not in ("none", "unknown")} == {}


def test_what_is_seen_for_less_than_a_second_is_not_said_to_stand() -> None:
    """In five frames it moves by less than what counts as a motion."""
    slow = Thing(path=line(250, -40, -20, 0), depth=FAR, motion="left", width_px=40)
    brief = replace(slow, path=line(250, 40, -20, 0), seen_s=0.8)
    facts = measured(Deep(camera=Camera(), planes=(), things={"slow": slow, "brief": brief}))
    assert (facts["slow"].motion, facts["brief"].motion) == ("left", "unknown")


def test_motion_and_its_flags_agree(seen: Seen) -> None:
    for where, _, facts in every(seen):
        assert facts.motion_known == (facts.motion != "unknown"), where
        assert facts.motion_known or not facts.speed_known, where


def test_no_true_text_is_contradicted(seen: Seen) -> None:
    for where, thing, facts in every(seen):
        text = f"The object is a ball. Throughout the video, it {SENTENCES[thing.motion]}."
        assert find_contradictions(text, facts) == [], where


def test_the_opposite_of_a_known_motion_is_contradicted(seen: Seen) -> None:
    """The check still finds what is wrong where it can know."""
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    found = Counter(
        bool(find_contradictions(f"The object is a ball. It {SENTENCES[opposite[thing.motion]]}.", facts))
        for _, thing, facts in every(seen)
        if thing.motion in opposite and facts.motion_known
    )
    assert found[True] > 20


def test_the_measured_writer_does_not_claim_an_unknown_motion(seen: Seen) -> None:
    for where, _, facts in every(seen):
        said = english.video_level(facts)
        assert find_contradictions(f"The object is a ball. {said}", facts) == [], where
        claims = ("it moves", "it makes its way", "it travels", "does not move", "stays where", "keeps to one spot")
        assert any(claim in said for claim in claims) == facts.motion_known, where


def test_the_camera_is_called_what_it_does(seen: Seen) -> None:
    wrong = {
        where: next(iter(pairs.values()))[1].camera
        for where, pairs in seen.items()
        if next(iter(pairs.values()))[1].camera not in CAMERAS[where[1]].label
    }
    assert wrong == {}


def test_two_depths_that_pass_one_another_are_no_roll() -> None:
    """A camera goes round something: what is far passes one way, the ground the other; a fit takes it for a roll."""
    rng = np.random.default_rng(0)
    places_N2 = rng.uniform((-0.5, -0.28), (0.5, 0.28), (120, 2))
    depths_N = np.where(places_N2[:, 1] > 0, 1.0, -1.0)
    roll_px = 1.8  # per unit of place and step: of a width of 640 px, one degree a second too much
    left_N2 = depths_N[:, None] * (-1.0, 0.0) - roll_px * across(places_N2) + rng.normal(0, 0.2, (120, 2))
    left_NK2, places_NK2 = (np.repeat(each[:, None], 30, axis=1) for each in (left_N2, places_N2))
    start = starts(left_NK2, places_NK2, 1.0)[0]
    fitted_N, steps_K7, _, _ = fit(left_NK2, places_NK2, start, 1.0, dolly=False)
    assert steps_K7[:, 6] == pytest.approx([-roll_px] * 30, abs=0.3)
    assert abs(np.corrcoef(fitted_N, depths_N)[0, 1]) > 0.95
