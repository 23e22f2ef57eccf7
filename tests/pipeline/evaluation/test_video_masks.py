"""RLE strings in, patches out: equal to pycocotools; malformed ones never reach it; unions."""

from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from pipeline.evaluation.metrics import VideoMasks, joined
from tests.pipeline.evaluation.drawn import HEIGHT_PX, WIDTH_PX, ellipse, rle


def whole(masks: VideoMasks, t: int) -> np.ndarray:
    """The mask_HW at frame t, from its patch."""
    patch = masks.patch(t)
    mask = np.zeros(patch.frame, bool)
    mask[patch.box.a0 : patch.box.a1, patch.box.b0 : patch.box.b1] = patch.inside
    return mask.T


@pytest.mark.parametrize("seed", range(20))
def test_a_patch_is_the_mask_in_its_smallest_box(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 30), rng.integers(1, 30))) < rng.choice([0.0, 0.02, 0.5, 0.98, 1.0])
    masks = VideoMasks.read([rle(mask)], ["0"], *mask.shape)
    patch = masks.patch(0)
    assert np.array_equal(whole(masks, 0), mask)
    assert masks.areas_T[0] == patch.area_px == mask.sum()
    if mask.any():
        assert all(
            np.asarray(patch.inside.any(axis=axis))[[0, -1]].all() for axis in (0, 1)
        )  # no empty line at an edge


def test_null_is_an_empty_mask() -> None:
    masks = VideoMasks.read([None, rle(ellipse(20, 20))], ["0", "1"], HEIGHT_PX, WIDTH_PX)
    assert masks.areas_T[0] == masks.patch(0).inside.size == 0
    assert masks.areas_T[1] == ellipse(20, 20).sum()


def test_every_malformed_mask_is_named_by_its_frame() -> None:
    good = rle(ellipse(20, 20))
    bad: list[Any] = [
        {**good, "size": [WIDTH_PX, HEIGHT_PX]},
        {**good, "counts": good["counts"][:-3]},
        {**good, "counts": [3, 4]},
        good,
        "mask",
        {**good, "counts": "~~~~"},
    ]
    with pytest.raises(ValueError, match="size of its video") as error:
        VideoMasks.read(bad, list("abcdef"), HEIGHT_PX, WIDTH_PX)
    lines = str(error.value).splitlines()
    assert [line[:8] for line in lines] == [f"frame {name}:" for name in "abcef"]
    assert "size of its video, [48, 64] (height, width), got [64, 48]" in lines[0]
    assert "uncompressed list" in lines[2]


def test_objects_that_overlap_are_joined_not_added() -> None:
    one, other = ellipse(20, 20), ellipse(26, 22)
    together = joined([[rle(one), None, None], [rle(other), rle(other), None]])
    assert together[0] is not None
    assert np.array_equal(coco.decode({**together[0], "counts": together[0]["counts"].encode()}), one | other)
    assert together[1:] == [rle(other), None]
    assert (one & other).any()
    masks = VideoMasks.read(together, ["0", "1", "2"], HEIGHT_PX, WIDTH_PX)
    assert masks.areas_T.tolist() == [(one | other).sum(), other.sum(), 0]


@pytest.mark.parametrize("frames", [255, 256, 600])
def test_any_number_of_frames(frames: int) -> None:
    """pycocotools counts a list of masks in a uint8 (42.7 s of video at 6 frames a second)."""
    rles = [rle(ellipse(20, 20)) if t % 2 == 0 and t < frames - 1 else None for t in range(frames)]
    masks = VideoMasks.read(rles, ["0"] * frames, HEIGHT_PX, WIDTH_PX)
    assert len(masks) == frames
    assert masks.areas_T.sum() == frames // 2 * ellipse(20, 20).sum()
    assert masks.patch(frames // 2 // 2 * 2).area_px == ellipse(20, 20).sum()
