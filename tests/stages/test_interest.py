"""Who is taken of a video, by masks alone: what moves by itself, before cameras that stand, follow and pass by."""

from collections.abc import Callable
from math import sin

import numpy as np
import pytest

from stages.select_ranking import WEIGHTS
from stages.video.interest import interests
from stages.video.track import Sight, Track

WIDTH_PX, HEIGHT_PX, TIMES = 1280, 720, 48
Box = Callable[[int], tuple[float, float, float, float]]  # annotated frame -> left, top, width, height


def sight(name: str, box: Box) -> Sight:
    """A filled box as far as it is within the frame."""
    boxes_T4 = np.array([box(t) for t in range(TIMES)])
    low = np.clip(boxes_T4[:, :2], 0, (WIDTH_PX, HEIGHT_PX))
    size = np.clip(boxes_T4[:, :2] + boxes_T4[:, 2:], 0, (WIDTH_PX, HEIGHT_PX)) - low
    areas = size.prod(axis=1).round().astype(int)
    size[areas == 0] = low[areas == 0] = 0
    centres_T2 = np.where((areas > 0)[:, None], low + size / 2, np.nan)
    return Sight(
        Track(name, areas.tolist(), np.hstack([low, size]).round().astype(int), centres_T2), HEIGHT_PX, WIDTH_PX
    )


def ranked(boxes: dict[str, Box]) -> list[str]:
    """Names by interest; the order of the masklets must not matter."""
    names = list(boxes)
    order = [_ranked({name: boxes[name] for name in each}) for each in (names, names[::-1], names[1:] + names[:1])]
    assert order[0] == order[1] == order[2]
    return order[0]


def _ranked(boxes: dict[str, Box]) -> list[str]:
    found = interests([sight(name, box) for name, box in boxes.items()], WIDTH_PX, HEIGHT_PX)
    assert all(0 <= value <= 1 and set(each) == set(WEIGHTS) for each in found for value in each.values())
    sums = [sum(WEIGHTS[name] * value for name, value in each.items()) for each in found]
    return [name for _, name in sorted(zip(sums, boxes, strict=True), reverse=True)]


def walker(x: Callable[[int], float], y: float = 300, height: float = 260) -> Box:
    """Legs go apart and together as it goes."""

    def box(t: int) -> tuple[float, float, float, float]:
        width = 0.4 * height * (1 + 0.3 * sin(2.2 * t))
        return x(t) - width / 2, y, width, height

    return box


def scene(shift: Callable[[int], float]) -> dict[str, Box]:
    """Things that stand still before a camera whose view moves by `shift`; near ones more."""
    return {
        "near trunk": lambda t: (500 - 1.3 * shift(t), 0, 130, 720),
        "trunk": lambda t: (900 - shift(t), 0, 90, 720),
        "wall": lambda t: (-2000 - shift(t), 60, 6000, 330),
        "banner": lambda t: (300 - shift(t), 420, 800, 120),
    }


def test_a_boy_rides_past_what_stands_before_a_camera_at_rest() -> None:
    boy = walker(lambda t: 150 + 20 * t)
    assert ranked({**scene(lambda t: 0.0), "boy": boy})[0] == "boy"


@pytest.mark.parametrize("height", [120, 260, 420])
def test_a_boy_whom_the_camera_follows(height: int) -> None:
    boy = walker(lambda t: 640 + 30 * sin(t / 5), height=height)
    assert ranked({**scene(lambda t: 25.0 * t), "boy": boy})[0] == "boy"


def test_boy_and_bicycle_before_as_many_things_at_rest() -> None:
    """The pair moves together too, but what reaches the border is the scene."""
    bicycle: Box = lambda t: (560 + 30 * sin(t / 5), 480, 190, 130)  # noqa: E731
    things = {name: box for name, box in scene(lambda t: 15.0 * t).items() if name != "banner"}
    order = ranked({**things, "boy": walker(lambda t: 640 + 30 * sin(t / 5)), "bicycle": bicycle})
    assert set(order[:2]) == {"boy", "bicycle"}


def test_a_player_who_stays_in_place_moves_by_limbs() -> None:
    player = walker(lambda t: 700 + 40 * sin(t / 3))
    assert ranked({**scene(lambda t: 15 * sin(t / 4)), "player": player})[0] == "player"


def test_under_a_zoom_nothing_moves_by_itself() -> None:
    def coin(x: float, y: float) -> Box:
        return lambda t: ((x - 40) * (1 + t / 90) + 640, (y - 40) * (1 + t / 90) + 360, 80 + t * 0.9, 80 + t * 0.9)

    places = [(-250, 0), (250, 0), (0, -150), (0, 150), (30, 30)]
    found = interests([sight(str(place), coin(*place)) for place in places], WIDTH_PX, HEIGHT_PX)
    assert [each["moves"] for each in found] == pytest.approx([0] * len(places), abs=0.1)


def test_one_who_comes_nearer_is_no_zoom() -> None:
    """Of three only two are whole, and two may grow by themselves."""
    comer: Box = lambda t: (600 - 1.5 * t, 300 - 1.5 * t, 60 + 3 * t, 150 + 6 * t)  # noqa: E731
    still = {"bin": lambda t: (200, 400, 90, 120), "wall": lambda t: (0, 100, 1280, 200)}
    boxes: dict[str, Box] = {"comer": comer, **still}
    found = interests([sight(*pair) for pair in boxes.items()], WIDTH_PX, HEIGHT_PX)
    assert [each["moves"] for each in found[1:]] == [0, 0]
    assert found[0]["moves"] > 0.05


def test_neither_a_dot_nor_the_backdrop() -> None:
    still: dict[str, Box] = {
        "dot": lambda t: (900, 300, 21, 21),
        "thing": lambda t: (300, 200, 180, 180),
        "backdrop": lambda t: (30, 30, 1200, 660),
    }
    sizes = {
        name: each["size"]
        for name, each in zip(
            still, interests([sight(*pair) for pair in still.items()], WIDTH_PX, HEIGHT_PX), strict=True
        )
    }
    assert sizes["dot"] < 0.1
    assert sizes["thing"] > 0.7
    assert sizes["backdrop"] == 0
    assert ranked(still)[0] == "thing"


def test_what_is_long_in_sight_and_clear_of_the_border_first() -> None:
    order = ranked(
        {
            "cut": lambda t: (0, 100, 100, 100),
            "clear": lambda t: (500, 300, 100, 100),
            "brief": lambda t: (800, 500, 100, 100 if t < 12 else 0),
        }
    )
    assert order == ["clear", "cut", "brief"]


def test_a_video_of_one_annotated_frame() -> None:
    tracks = [Track(str(n), [900], [(100 * n, 100, 30, 30)], np.array([[100.0 * n + 15, 115]])) for n in range(3)]
    found = interests([Sight(track, HEIGHT_PX, WIDTH_PX) for track in tracks], WIDTH_PX, HEIGHT_PX)
    assert [each["moves"] for each in found] == [0, 0, 0]


def test_one_object_alone_and_two_that_never_meet() -> None:
    assert ranked({"only": lambda t: (500, 300, 100, 100)}) == ["only"]
    first: Box = lambda t: (100, 100, 90, 90 if t < 20 else 0)  # noqa: E731
    second: Box = lambda t: (800, 400, 90, 90 if t > 25 else 0)  # noqa: E731
    assert len(ranked({"first": first, "second": second})) == 2
