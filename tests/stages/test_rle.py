"""Any form of a mask becomes an Rle, and comes back as it was."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from stages.video.rle import (
    areas_px,
    boxes_px,
    checked,
    decode,
    from_coco,
    from_index_image,
    from_mask,
    from_polygons,
    from_run_lengths,
    padded,
    parse,
    union,
)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([0.0, 0.1, 0.9, 1.0]))
@settings(max_examples=60, deadline=None)
def test_a_mask_in_any_memory_order_is_encoded_as_coco_does(seed: int, height: int, width: int, share: float) -> None:
    mask_HW = np.random.default_rng(seed).random((height, width)) < share
    expected = coco.encode(np.asfortranarray(mask_HW, np.uint8))["counts"].decode()
    for same in (mask_HW, np.asfortranarray(mask_HW), mask_HW.astype(np.uint8), np.repeat(mask_HW, 2, axis=1)[:, ::2]):
        assert from_mask(same) == {"size": [height, width], "counts": expected}
    assert parse([from_mask(mask_HW)]).errors == {}
    assert np.array_equal(decode(from_mask(mask_HW)), mask_HW)


def test_an_index_image_has_a_mask_for_every_object_and_none_for_the_background() -> None:
    index_HW = np.array([[0, 2, 2], [0, 7, 2]], np.uint8)
    masks = from_index_image(index_HW)
    assert list(masks) == [2, 7]
    assert all(np.array_equal(decode(rle), index_HW == value) for value, rle in masks.items())
    assert from_index_image(np.zeros((3, 4), np.int32)) == {}


def test_polygons_are_joined() -> None:
    two = from_polygons([[1, 1, 5, 1, 5, 4, 1, 4], [6, 6, 9, 6, 9, 9, 6, 9]], 10, 12)
    mask_HW = decode(two)
    assert mask_HW.shape == (10, 12)
    assert mask_HW[1:4, 1:5].all()
    assert mask_HW[6:9, 6:9].all()
    assert mask_HW.sum() == 4 * 3 + 3 * 3
    assert areas_px([from_polygons([], 10, 12)]).tolist() == [0]


def test_run_lengths_are_compressed() -> None:
    rle = from_run_lengths([7, 2, 11], 4, 5)
    assert np.array_equal(np.flatnonzero(decode(rle).T), [7, 8])
    assert checked(rle) == (rle, None)
    assert boxes_px([rle]).tolist() == [[1, 0, 2, 4]]


def test_a_union_has_all_pixels_of_all() -> None:
    left, right = np.zeros((4, 6), bool), np.zeros((4, 6), bool)
    left[1:3, :4], right[2:, 3:] = True, True
    assert np.array_equal(decode(union([from_mask(left), from_mask(right)])), left | right)


@pytest.mark.parametrize("entry", [None, {}, {"size": [4, 5], "counts": [20]}, {"size": [4.5, 5], "counts": "d0"}])
def test_what_has_not_the_form_of_an_rle_is_not_taken(entry: object) -> None:
    rle, fault = checked(entry)
    assert fault
    assert parse([rle]).errors


POLYGON = [1.0, 1, 5, 1, 5, 6, 1, 6]


def test_every_form_of_coco_is_the_same_mask() -> None:
    mask_HW = decode(from_polygons([POLYGON], 8, 9))
    flat = mask_HW.T.ravel()
    lengths = np.diff([0, *np.flatnonzero(np.diff(flat, prepend=0)), flat.size]).tolist()
    string = from_mask(mask_HW)
    for entry in ([POLYGON], POLYGON, dict(string), {"size": [8, 9], "counts": lengths}):
        assert np.array_equal(decode(from_coco(entry, 8, 9)), mask_HW), entry
    with_empty_runs = {"size": [8, 9], "counts": [lengths[0] - 1, 0, 1, *lengths[1:]]}
    assert from_coco(with_empty_runs, 8, 9) == string, "runs without a pixel are joined"
    assert not decode(from_coco(None, 8, 9)).any()
    assert not decode(from_coco([], 8, 9)).any()


@pytest.mark.parametrize(
    "entry",
    [
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[1, 2, 3, 4, 5, float("nan")]],
        {"size": [8, 9], "counts": [70, 1]},
        {"size": [8, 9], "counts": [-1, 73]},
        {"size": [8, 9], "counts": [1.5, 70.5]},
        {"size": [8, 9], "counts": "0123"},
        {"size": [0, 0], "counts": []},
        {"counts": "x"},
        "text",
        7,
        [{"size": [8, 9]}],
    ],
)
def test_what_is_no_mask_is_refused_and_never_decoded(entry: object) -> None:
    with pytest.raises(ValueError, match=r"mask|runs|size|counts|numbers"):
        from_coco(entry, 8, 9)


def test_a_padded_mask_keeps_every_pixel_at_its_place() -> None:
    mask_HW = np.random.default_rng(0).random((7, 5)) > 0.5
    more_HW = decode(padded(from_mask(mask_HW), 8, 6))
    assert np.array_equal(more_HW[:7, :5], mask_HW)
    assert more_HW.sum() == mask_HW.sum()
