"""Frames of a line-up: where the object comes and goes, what the text speaks of, and every other object once."""

import numpy as np
import pytest

from manifests.lineup import LineupFrame
from stages.claims.moments import moments_s
from stages.video.lineup_frames import choose, pool
from tests.stages.lineup_scene import Shape, frame, object_ids

OUT = (0, 0, 0)


def seen(*spans: tuple[int, int], entries: int = 60) -> list[int]:
    return [100 if any(a <= t < b for a, b in spans) else 0 for t in range(entries)]


def test_the_pool_has_what_a_text_about_the_object_may_need() -> None:
    areas_NT = np.array([seen((7, 20), (31, 52)), seen((3, 5)), seen((0, 60))])
    areas_NT[0, 40] = 500
    indices = pool(0, areas_NT, [0, 15, 30, 45, 59])
    assert {7, 51, 40, 25} <= {*indices}, "comes, goes, is largest, is hidden"
    assert {3, 4} & {*indices}, "the other is there for a moment only"
    assert indices == sorted(set(indices))


def test_of_many_short_lived_objects_only_some_cost_a_frame() -> None:
    areas_NT = np.array([seen((0, 60)), *(seen((k, k + 1)) for k in range(1, 60, 2))])
    assert len(pool(0, areas_NT, [0, 20, 40, 59])) <= 4 + 1 + 4


def frames(*shapes: list[Shape]) -> list[LineupFrame]:
    return [frame(each, time_s=float(k)) for k, each in enumerate(shapes)]


BALL, OTHER = (100, 100, 30), (400, 200, 30)


def test_ends_of_the_object_come_first_then_every_other_object() -> None:
    scene = frames(
        [OUT, OTHER, OUT], *([BALL, OTHER, OUT] for _ in range(6)), [BALL, OTHER, (500, 50, 9)], [OUT, OTHER, OUT]
    )
    target = object_ids(3)[0]
    assert {1, 7} <= {*choose(scene, target, [], 3)}, (
        "it comes at 1 and goes after 7, which shows the third one as well"
    )
    assert len(choose(scene, target, [], 6)) == 6


def test_a_glimpse_of_another_object_is_not_enough() -> None:
    scene = frames([BALL, (400, 200, 4)], [BALL, OUT], [BALL, OUT], [BALL, OTHER], [BALL, OUT], [BALL, OUT])
    assert 3 in choose(scene, object_ids(2)[0], [], 3)


def test_moments_of_the_text_are_shown() -> None:
    scene = frames(*([BALL, OTHER] for _ in range(12)))
    without, told = choose(scene, object_ids(2)[0], [], 4), choose(scene, object_ids(2)[0], [3.2], 4)
    assert 3 not in without
    assert {0, 3, 11} <= {*told}


def test_fewer_frames_than_wanted_are_all_shown() -> None:
    scene = frames([BALL, OTHER], [BALL, OUT])
    assert choose(scene, object_ids(2)[0], [0.5], 6) == [0, 1]


def test_an_object_that_is_in_no_frame_of_the_pool_harms_nothing() -> None:
    assert choose(frames([BALL, OTHER], [OUT, OTHER]), "sav_000001/manual/9", [], 6) == [0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It stops after about 3 seconds.", [3.0]),
        ("It is out of sight from about 2 to 5.5 seconds.", [2.0, 5.5]),
        ("It turns between two and four seconds.", [2.0, 4.0]),
        ("Halfway through it turns, and finally it stops.", [5.0, 10.0]),
        ("At 1.5 s it comes into view.", [1.5]),
        ("A red ball on a lawn.", []),
        ("It is gone after 40 seconds.", []),
    ],
)
def test_moments_that_a_text_names(text: str, expected: list[float]) -> None:
    assert moments_s(text, 10.0) == expected
