"""F of two masks in the box around both, boundaries as whole numbers with a bit a pixel: a disk is a few shifts.

The rules are in `pipeline/evaluation/metrics.py`. Why the box is enough: a boundary pixel differs from its right, lower or
lower right neighbour, so it lies at most one pixel left of or above its mask, and a box one pixel wider than both masks
(where the frame goes on) has all of them; its far sides are a line without a mask or the frame, where the
rules are the same. Who is within reach of whom does not depend on what lies outside. Swapping the axes changes nothing.
"""

import math

import numpy as np

from pipeline.evaluation.patch import Box, Mask, Patch

BOUNDARY_FRAC = 0.008  # of the diagonal of the frame


def tolerance_px(height_px: int, width_px: int) -> int:
    """How far apart boundaries may lie and still count as the same; 12 at 720p."""
    return math.ceil(BOUNDARY_FRAC * math.sqrt(height_px**2 + width_px**2))


def boundary_f(pred: Patch, gt: Patch) -> float:
    """F of two masks of one frame, 0 to 1."""
    if pred.is_even or gt.is_even:
        return float(pred.is_even and gt.is_even)  # an even mask has no boundary, any other mask has one
    reach = tolerance_px(*gt.frame)
    if _gap_px(pred.box, gt.box) > reach:
        return 0.0
    window = pred.box.around(gt.box).padded(1, gt.frame)
    stride = window.b1 - window.b0 + reach  # spare bits: what is shifted out of a line does not reach the next
    pred_bits, gt_bits = (outline(each.pasted(window), stride) for each in (pred, gt))
    if pred_bits == gt_bits:
        return 1.0
    precision = (pred_bits & spread(gt_bits, stride, reach)).bit_count() / pred_bits.bit_count()
    recall = (gt_bits & spread(pred_bits, stride, reach)).bit_count() / gt_bits.bit_count()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(mask: Mask, stride: int) -> int:
    """The boundary pixels of a mask: (i, j) is bit i * stride + j; bits beyond the mask's width are 0."""
    lines, width = mask.shape
    on = np.zeros((lines, stride), np.bool_)
    on[:, : width - 1] = mask[:, :-1] ^ mask[:, 1:]
    on[:-1, :width] |= mask[:-1] ^ mask[1:]
    on[:-1, : width - 1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return int.from_bytes(np.packbits(on, axis=None, bitorder="little").tobytes(), "little")


def spread(bits: int, stride: int, reach: int) -> int:
    """Every pixel with a set one at x^2 + y^2 <= reach^2; the last `reach` bits of each line may hold anything."""
    wide, half = bits, 0  # the set pixels, drawn out along the line by `half` to both sides
    forward = backward = 0
    for lines_away in range(reach, -1, -1):
        half_here = math.isqrt(reach**2 - lines_away**2)
        while half < half_here:
            step = min(half_here - half, 2 * half + 1)  # a longer step would leave a gap
            wide |= wide << step | wide >> step
            half += step
        forward, backward = forward << stride | wide, backward >> stride | wide
    return forward | backward


def _gap_px(one: Box, other: Box) -> int:
    """Lower bound of the distance of the boundaries of masks with these boxes; negative where the boxes overlap."""
    return max(one.a0 - other.a1, other.a0 - one.a1, one.b0 - other.b1, other.b0 - one.b1)
