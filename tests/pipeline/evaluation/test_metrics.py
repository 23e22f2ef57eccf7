"""J, F and A equal the plain rules on full frames, bit for bit; golden numbers; the traps that the facts name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.metrics import (
    VideoMasks,
    boundary_accuracy,
    region_similarity,
    score_expression,
    spread,
    tolerance_px,
)
from tests.pipeline.evaluation import plain
from tests.pipeline.evaluation.drawn import rle

Size = tuple[int, int]


def random_mask(size: Size, kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    height, width = size
    mask = np.zeros(size, bool)
    y, x = np.sort(rng.integers(0, height + 1, 2)), np.sort(rng.integers(0, width + 1, 2))
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "all but one":
        mask[:] = True
        mask[rng.integers(height), rng.integers(width)] = False
    elif kind == "box":
        mask[y[0] : y[1], x[0] : x[1]] = True
    elif kind == "border":
        mask[: rng.integers(1, height + 1)] = True
        mask[:, x[0] :] = True
    elif kind == "specks":
        mask[:] = rng.random(size) < 0.05
    elif kind == "noise":
        mask[y[0] : y[1], x[0] : x[1]] = rng.random((y[1] - y[0], x[1] - x[0])) < 0.5
    return mask


kinds = st.sampled_from(["empty", "full", "pixel", "all but one", "box", "border", "specks", "noise"])
sizes = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.just(1), st.integers(1, 300)),
    st.tuples(st.integers(1, 300), st.just(1)),
    st.tuples(st.integers(100, 260), st.integers(100, 260)),  # reach 2 and 3
)


@settings(max_examples=400, deadline=None)
@given(sizes, kinds, kinds, st.integers(0, 2**32 - 1))
def test_equal_to_the_rules_on_full_frames(size: Size, one: str, other: str, seed: int) -> None:
    pred, gt = random_mask(size, one, seed), random_mask(size, other, seed + 1)
    assert region_similarity(pred, gt) == plain.j_of(pred, gt)
    assert boundary_accuracy(pred, gt) == plain.f_of(pred, gt)


@settings(max_examples=100, deadline=None)
@given(sizes, st.lists(st.tuples(kinds, kinds), min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_expressions_equal_the_rules_on_decoded_masks(size: Size, frames: list[tuple[str, str]], seed: int) -> None:
    preds = [rle(random_mask(size, one, seed + t)) for t, (one, _) in enumerate(frames)]
    gts = [rle(random_mask(size, other, seed + 100 + t)) for t, (_, other) in enumerate(frames)]
    names = [str(t) for t in range(len(frames))]
    found = score_expression(VideoMasks.read(preds, names, *size), VideoMasks.read(gts, names, *size))
    assert (found.j, found.f, found.a) == plain.from_rles(preds, gts)


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920)])  # reach 12 and 18: disks of a real size
@pytest.mark.parametrize("one", ["border", "box", "specks"])
def test_equal_at_real_sizes(size: Size, one: str) -> None:
    pred, gt = random_mask(size, one, 5), random_mask(size, "box", 6)
    pred[:3], gt[-40:, -7:] = True, True
    assert boundary_accuracy(pred, gt) == plain.f_of(pred, gt)
    shifted = np.roll(gt, (7, 11), (0, 1))
    assert boundary_accuracy(shifted, gt) == plain.f_of(shifted, gt)
    assert region_similarity(shifted, gt) == plain.j_of(shifted, gt)


def blob(seed: int) -> np.ndarray:
    """A ragged disk of some 130 px in a 360 x 640 frame (reach 6)."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:360, :640]
    angle = np.arctan2(y - 180, x - 320)
    edge = 130 + sum(rng.uniform(2, 14) * np.sin(k * angle + rng.uniform(0, 6)) for k in range(2, 9))
    return np.asarray(np.hypot(y - 180, x - 320) < edge)


CASES = {
    "two shapes": (blob(1), blob(2)),
    "moved": (np.roll(blob(3), (5, 9), (0, 1)), blob(3)),
    "grown": (blob(4) | np.roll(blob(4), 8, 1), blob(4)),
    "at the border": (blob(5)[150:, 300:], blob(6)[150:, 300:]),
}
GOLDEN = {
    "two shapes": (0.7430399222609119, 0.2217315759958569),
    "moved": (0.8871315978865699, 0.4219251784899794),
    "grown": (0.9558267385671265, 0.8348530349522288),
    "at the border": (0.8309991079393398, 0.22136422136422135),
}


@pytest.mark.parametrize("case", CASES)
def test_golden_numbers(case: str) -> None:
    assert (region_similarity(*CASES[case]), boundary_accuracy(*CASES[case])) == GOLDEN[case]


def test_tolerance() -> None:
    assert [tolerance_px(*size) for size in ((720, 1280), (1080, 1920), (480, 848), (1, 1), (750, 1000))] == [
        *(12, 18, 8, 1, 10)
    ]


@pytest.mark.parametrize("reach", [1, 2, 5, 12, 18, 36])
def test_a_pixel_spreads_to_the_disk(reach: int) -> None:
    side = 2 * reach + 1
    stride = side + reach
    bits = spread(1 << (reach * stride + reach), stride, reach)
    disk = np.array([[bits >> (y * stride + x) & 1 for x in range(side)] for y in range(side)], np.uint8)
    assert np.array_equal(disk, plain.disk_of(reach))


def frame(*, on: bool) -> np.ndarray:
    return np.full((20, 30), on)


def test_what_fills_the_frame_has_no_boundary() -> None:
    full, empty, some = frame(on=True), frame(on=False), frame(on=False)
    some[4:9, 5:9] = True
    assert (region_similarity(empty, full), boundary_accuracy(empty, full)) == (0.0, 1.0)
    assert (region_similarity(empty, empty), boundary_accuracy(empty, empty)) == (1.0, 1.0)
    assert (region_similarity(full, some), boundary_accuracy(full, some)) == (20 / 600, 0.0)
    assert (region_similarity(empty, some), boundary_accuracy(empty, some)) == (0.0, 0.0)


def test_two_pixels_as_far_apart_as_allowed_agree_and_one_further_do_not() -> None:
    gt, near, far = (np.zeros((720, 1280), bool) for _ in range(3))
    gt[0, 0] = near[0, 12] = far[0, 14] = True
    assert plain.f_of(far, gt) == boundary_accuracy(far, gt) == 0.0
    assert plain.f_of(near, gt) == boundary_accuracy(near, gt) == 1.0


def test_other_than_boolean_masks_of_one_size_are_refused() -> None:
    mask = frame(on=True)
    with pytest.raises(ValueError, match="one size, got"):
        region_similarity(mask, mask[:-1])
    with pytest.raises(ValueError, match="boolean and of shape"):
        boundary_accuracy(mask.astype(np.uint8), mask.astype(np.uint8))
    with pytest.raises(ValueError, match="boolean and of shape"):
        boundary_accuracy(mask[:0], mask[:0])
    one, two = (VideoMasks.read([rle(mask)] * n, ["0", "1"], 20, 30) for n in (1, 2))
    with pytest.raises(ValueError, match=r"same frames, one at least, .* got 1 of \(20, 30\) and 2"):
        score_expression(one, two)
    nothing = VideoMasks.read([], [], 20, 30)
    with pytest.raises(ValueError, match="one at least"):
        score_expression(nothing, nothing)
