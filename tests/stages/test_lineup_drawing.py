"""Line-ups as they are drawn: every number can be read, belongs to its object, and hides nothing small."""

from collections.abc import Mapping

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from manifests.lineup import LineupFrame
from stages.video import lineup_drawing
from stages.video.lineup_drawing import DIGIT_PX, LineupDrawing, opened, pair, sheet, tag_size
from stages.video.lineup_tags import Tag, place_tags
from tests.stages.lineup_scene import Shape, frame, object_ids, picture

CROWDED = [(60 + 70 * (k % 9), 100 + (k * 37) % 180, 24 + (k * 13) % 20) for k in range(9)]
TINY = [(300 + 14 * (k % 3), 180 + 14 * (k // 3), 3) for k in range(9)]
EDGES = [(3, 3, 3), (636, 3, 3), (636, 356, 3), (3, 356, 3), (320, 2, 2), (320, 358, 2), (2, 180, 2)]
NESTED = [(320, 180, 170), (250, 180, 80), (300, 180, 60), (280, 160, 12), (420, 120, 5)]
SCENES: dict[str, tuple[list[Shape], tuple[int, int]]] = {
    "crowded": (CROWDED, (360, 640)),
    "tiny": (TINY, (360, 640)),
    "edges": (EDGES, (360, 640)),
    "nested": (NESTED, (360, 640)),
    "portrait": ([(180, 150, 100), (180, 150, 25), (180, 420, 120), (300, 600, 8), (330, 600, 8)], (640, 360)),
    "narrow": ([(40, 60, 30), (40, 200, 8), (40, 300, 30)], (360, 80)),
}


def placed(name: str) -> tuple[LineupFrame, Mapping[str, NDArray[np.uint8]], dict[str, Tag]]:
    shapes, size = SCENES[name]
    of = frame(shapes, size=size)
    _, masks = opened(of, object_ids(len(shapes)))
    return of, masks, place_tags(masks, tag_size())


def covered(mask_HW: NDArray[np.uint8], tag: Tag) -> float:
    x, y, width, height = tag.box
    return float(mask_HW[y : y + height, x : x + width].sum() / mask_HW.sum())


@pytest.mark.parametrize("scene", SCENES)
def test_every_object_has_one_tag_within_the_frame_and_apart_from_the_others(scene: str) -> None:
    _, masks, tags = placed(scene)
    assert tags.keys() == masks.keys()
    taken_HW = np.zeros(SCENES[scene][1], np.uint8)
    for tag in tags.values():
        x, y, width, height = tag.box
        assert min(x, y) >= 0
        assert (x + width, y + height) <= (taken_HW.shape[1], taken_HW.shape[0])
        taken_HW[y : y + height, x : x + width] += 1
    assert taken_HW.max() == 1


@pytest.mark.parametrize("scene", SCENES)
def test_no_tag_hides_anything_small(scene: str) -> None:
    _, masks, tags = placed(scene)
    for name, mask_HW in masks.items():
        for other, tag in tags.items():
            assert covered(mask_HW, tag) <= (0.1 if other == name else 0.1 * (mask_HW.sum() > 3000)), (name, other)


@pytest.mark.parametrize("scene", SCENES)
def test_a_tag_is_inside_its_object_or_its_line_ends_there(scene: str) -> None:
    _, masks, tags = placed(scene)
    for name, tag in tags.items():
        x, y, width, height = tag.box
        if tag.anchor is None:
            assert masks[name][y : y + height, x : x + width].all()
        else:
            assert masks[name][tag.anchor[1], tag.anchor[0]]
    if scene in ("nested", "portrait"):
        assert any(tag.anchor is None for tag in tags.values()), "the large ones have room"


def read_number(image_HW3: NDArray[np.uint8], tag: Tag) -> int:
    """The digit in a tag, by the template that fits best."""
    x, y, width, height = tag.box
    cut_HW = image_HW3[y + 2 : y + height - 2, x + 2 : x + width - 2].mean(axis=2).astype(np.uint8)
    fits = [cv2.matchTemplate(cut_HW, lineup_drawing._digit(n), cv2.TM_CCOEFF_NORMED).max() for n in range(1, 10)]
    return int(np.argmax(fits)) + 1


@pytest.mark.parametrize("scene", SCENES)
def test_numbers_are_those_of_the_order_and_nothing_else_changes_with_it(scene: str) -> None:
    of, _, tags = placed(scene)
    ids = [*tags]
    lineup = LineupDrawing([of], ids)
    images = {}
    for order in (ids, ids[::-1], ids[1:] + ids[:1]):
        (jpeg,) = lineup.numbered(order)
        image_HW3 = picture(jpeg)
        assert {name: read_number(image_HW3, tag) for name, tag in tags.items()} == {
            name: order.index(name) + 1 for name in tags
        }
        images[tuple(order)] = image_HW3.astype(int)
    first, second, *_ = images.values()
    outside_HW = np.ones(of.size, bool)
    for tag in tags.values():
        x, y, width, height = tag.box
        outside_HW[max(0, y - 16) : y + height + 16, max(0, x - 16) : x + width + 16] = False  # blocks of the JPEG
    assert not (np.abs(first - second).max(axis=2) > 6)[outside_HW].any()


@pytest.mark.parametrize("number", range(1, 10))
def test_digits_are_as_high_as_a_model_needs(number: int) -> None:
    digit_HW = lineup_drawing._digit(number)
    rows = np.flatnonzero((digit_HW > 128).any(axis=1))
    assert rows[-1] - rows[0] + 1 >= 0.9 * DIGIT_PX
    assert DIGIT_PX * 0.8 >= 14, "an engine may reduce a frame a little"


def test_a_contour_surrounds_every_object_and_hides_none() -> None:
    of, masks, _ = placed("nested")
    image_HW3 = picture(LineupDrawing([of], [*masks]).numbered([*masks])[0])
    tiny_HW = masks["sav_000001/manual/4"]
    ring_HW = cv2.dilate(tiny_HW, np.ones((3, 3), np.uint8)) - tiny_HW
    assert np.median(image_HW3[ring_HW > 0].mean(axis=1)) > 180, "white around it, on the large one"
    before_HW3 = picture(of.jpeg).astype(int)
    inner_HW = cv2.erode(tiny_HW, np.ones((3, 3), np.uint8))
    assert np.abs(before_HW3[inner_HW > 0] - image_HW3[inner_HW > 0]).mean() < 25


def test_nothing_in_sight_is_drawn_as_it_is() -> None:
    empty = frame([(10, 10, 0)])
    (jpeg,) = LineupDrawing([empty], object_ids(1)).numbered(object_ids(1))
    assert np.abs(picture(jpeg).astype(int) - 120).max() < 6


def test_ten_objects_are_too_many_for_one_question() -> None:
    with pytest.raises(ValueError, match="at most 9 objects, got 10"):
        LineupDrawing([frame(CROWDED)], object_ids(10))


def test_sheet_and_pair_are_pictures_of_what_was_shown() -> None:
    frames = [frame(NESTED, time_s) for time_s in range(6)]
    whole = picture(sheet(frames, object_ids(5)))
    assert whole.shape == (2 * (236 + 4), 3 * (420 + 4), 3)
    one, other, both = (picture(jpeg) for jpeg in pair(frames, "sav_000001/manual/1", "sav_000001/manual/4"))
    assert both.shape[1] == one.shape[1] + other.shape[1] + 6
    with pytest.raises(ValueError, match="manual/9 is in none of the 6 frames"):
        pair(frames, "sav_000001/manual/9", "sav_000001/manual/1")
