import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from torch.nn.functional import interpolate

from stages.video.rle import Rle, kept_pixels, reduced_masks


def rle(mask_HW: np.ndarray) -> Rle:
    return {"size": list(mask_HW.shape), "counts": coco.encode(np.asfortranarray(mask_HW))["counts"].decode()}


@given(st.integers(1, 5000), st.integers(1, 400))
@settings(max_examples=300, deadline=None)
def test_the_pixels_kept_are_those_that_pytorch_keeps(size_px: int, side_px: int) -> None:
    positions = torch.arange(size_px, dtype=torch.float32).reshape(1, 1, 1, size_px)
    expected = interpolate(positions, size=(1, side_px), mode="nearest").flatten().long()
    assert kept_pixels(size_px, side_px).tolist() == expected.tolist()


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 70),
    st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_reduced_without_decoding_as_after_decoding(
    seed: int, height: int, width: int, side: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    masks_KHW = (rng.random((4, height, width)) < share).astype(np.uint8)
    masks_KHW[3] = 0
    masks_KHW[3, : height // 2 + 1, width // 3 :] = 1
    expected = interpolate(torch.from_numpy(masks_KHW)[None], size=(side, side), mode="nearest")[0]
    got = reduced_masks([rle(mask_HW) for mask_HW in masks_KHW], side)
    assert got.dtype == np.uint8
    assert np.array_equal(got, expected.numpy())


def test_at_the_size_of_a_real_video() -> None:
    y, x = np.ogrid[:1080, :1920]
    masks_KHW = np.stack([np.hypot(x - 900, y - 500) < r for r in (3, 200, 900)]).astype(np.uint8)
    expected = interpolate(torch.from_numpy(masks_KHW)[None], size=(256, 256), mode="nearest")[0]
    got = reduced_masks([rle(mask_HW) for mask_HW in masks_KHW], 256)
    assert np.array_equal(got, expected.numpy())
    assert got.flags["C_CONTIGUOUS"]


def test_no_mask_is_no_mask() -> None:
    assert reduced_masks([], 4).shape == (0, 4, 4)


@pytest.mark.parametrize("text", ["", "0", "~~~", "zzzzzzzz", "é"])
def test_a_malformed_string_is_named_by_its_position(text: str) -> None:
    good = rle(np.eye(8, dtype=np.uint8))
    with pytest.raises(ValueError, match="mask 1 of 2"):
        reduced_masks([good, {"size": [8, 8], "counts": text}], 4)
