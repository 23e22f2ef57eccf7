"""Things without a mask that look and move like an object are found; others are not."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.video.twins import TwinWatch

RED, GREEN, BLUE = (30, 30, 210), (60, 160, 70), (200, 60, 40)
Frame = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def view(*discs: tuple[float, float, int, tuple[int, int, int]]) -> Frame:
    """Discs on green, (x, y, radius, colour), of which the first is the object; its mask."""
    image_HW3 = np.full((360, 640, 3), GREEN, np.uint8)
    mask_HW = np.zeros((360, 640), np.uint8)
    for number, (x, y, radius, colour) in enumerate(discs):
        cv2.circle(image_HW3, (int(x), int(y)), radius, colour, -1)
        if not number:
            cv2.circle(mask_HW, (int(x), int(y)), radius, 1, -1)
    return image_HW3, mask_HW > 0


def possible(*views: Frame, also: NDArray[np.bool_] | None = None) -> bool:
    watch = TwinWatch()
    for image_HW3, mask_HW in views:
        watch.add(image_HW3, mask_HW, mask_HW if also is None else mask_HW | also)
    return watch.possible()


def pair(t: int, other: tuple[int, int, int] = RED, radius: int = 24, step: int = 40) -> Frame:
    return view((80 + 40 * t, 120, 24, RED), (120 + step * t, 260, radius, other))


def test_a_twin_that_goes_along_is_found() -> None:
    assert possible(*(pair(t) for t in range(6)))
    assert possible(*(pair(t, radius=28) for t in range(6)))


@pytest.mark.parametrize(
    "other",
    [{"other": BLUE}, {"radius": 50}, {"radius": 8}, {"step": -5}],
    ids=["colour", "larger", "smaller", "stays"],
)
def test_what_looks_or_moves_otherwise_is_none(other: dict[str, int]) -> None:
    assert not possible(*(pair(t, **other) for t in range(6)))  # type: ignore[arg-type]


def test_what_has_a_mask_is_no_unseen_twin_and_neither_is_the_objects_own_rim() -> None:
    frames = [view((300, 120, 24, RED), (300, 260, 24, RED)) for _ in range(6)]
    masked_HW = view((300, 260, 24, RED))[1]
    assert possible(*frames)
    assert not possible(*frames, also=masked_HW)
    assert not possible(*(view((80 + 40 * t, 120, 24, RED)) for t in range(6)))


def test_two_views_are_too_few_and_one_in_a_while_is_chance() -> None:
    assert not possible(*(pair(t) for t in range(2)))
    alone = [view((80 + 40 * t, 120, 24, RED)) for t in range(5)]
    assert not possible(*alone, *(pair(t) for t in range(3)))
