"""J, F and A of masks, by the official rules, equal bit for bit and without full frames.

J, region similarity: pixels of both over pixels of either; 1 if both masks are empty.
F, boundary accuracy: a pixel is on the boundary if it differs from its right, lower or lower right neighbour, of those
that the frame has. Precision is the share of the prediction's boundary within ceil(0.008 x diagonal) pixels of the true
one, recall the share of the true one near the prediction's, F = 2pr / (p + r). A mask that fills the frame has no
boundary, like an empty one: F is 1 for two such masks and 0 for one.
A: pixels that are right over all pixels.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.boundary import boundary_f
from pipeline.evaluation.masks import Masks
from pipeline.evaluation.patch import Mask, Patch, patch_of


@dataclass(frozen=True, slots=True)
class Figures:
    """Of an expression: means over all frames of the video, as fractions."""

    j: float
    f: float
    a: float


def region_similarity(pred_HW: Mask, gt_HW: Mask) -> float:
    """J of two masks of one frame, 0 to 1.

    Raises:
        ValueError: they are not boolean (H, W) of one size.
    """
    return _similarity(*_patches(pred_HW, gt_HW))[0]


def boundary_accuracy(pred_HW: Mask, gt_HW: Mask) -> float:
    """F of two masks of one frame, 0 to 1.

    Raises:
        ValueError: they are not boolean (H, W) of one size.
    """
    return boundary_f(*_patches(pred_HW, gt_HW))


def score_expression(pred: Masks, gt: Masks) -> Figures:
    """The figures of a prediction; frames without the object count as well.

    Raises:
        ValueError: the two are not of one size and length, or have no frame.
    """
    if (len(pred), *pred.size_px) != (len(gt), *gt.size_px) or not len(gt):
        raise ValueError(
            "prediction and truth have the same frames, one at least, of one size (height, width), got "
            f"{len(pred)} of {pred.size_px} and {len(gt)} of {gt.size_px}"
        )
    pairs = [(pred.patch(t), gt.patch(t)) for t in range(len(gt))]
    areas_T2 = np.array([_similarity(*pair) for pair in pairs])
    return Figures(
        j=float(np.mean(areas_T2[:, 0])),
        f=float(np.mean([boundary_f(*pair) for pair in pairs])),
        a=float(np.mean(areas_T2[:, 1])),
    )


def _similarity(pred: Patch, gt: Patch) -> tuple[float, float]:
    """(J, A)."""
    shared = pred.shared_px(gt)
    either = pred.area_px + gt.area_px - shared
    pixels = gt.frame[0] * gt.frame[1]
    return shared / either if either else 1.0, (pixels - either + shared) / pixels


def _patches(pred_HW: Mask, gt_HW: Mask) -> tuple[Patch, Patch]:
    if pred_HW.shape != gt_HW.shape:
        raise ValueError(f"two masks of one frame have one size, got {pred_HW.shape} and {gt_HW.shape}")
    return patch_of(pred_HW), patch_of(gt_HW)
