"""J, F and A straight from the rules, on full frames: what the fast form must equal."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from stages.video.rle import Rle

Mask = NDArray[np.bool_]


def j_of(pred_HW: Mask, gt_HW: Mask) -> float:
    either = np.count_nonzero(pred_HW | gt_HW)
    return np.count_nonzero(pred_HW & gt_HW) / either if either else 1.0


def a_of(pred_HW: Mask, gt_HW: Mask) -> float:
    return float(np.mean(pred_HW == gt_HW))


def f_of(pred_HW: Mask, gt_HW: Mask) -> float:
    pred_line, gt_line = boundary(pred_HW), boundary(gt_HW)
    pred_px, gt_px = np.count_nonzero(pred_line), np.count_nonzero(gt_line)
    if not pred_px or not gt_px:
        return float(pred_px == gt_px)
    disk = disk_of(math.ceil(0.008 * math.sqrt(pred_HW.shape[0] ** 2 + pred_HW.shape[1] ** 2)))
    precision = np.count_nonzero(pred_line & dilated(gt_line, disk)) / pred_px
    recall = np.count_nonzero(gt_line & dilated(pred_line, disk)) / gt_px
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask_HW: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower right neighbour; those beyond the frame count as the same."""
    wider = np.pad(mask_HW, ((0, 1), (0, 1)), mode="edge")
    right, below, across = wider[:-1, 1:], wider[1:, :-1], wider[1:, 1:]
    line: Mask = (mask_HW != right) | (mask_HW != below) | (mask_HW != across)
    return line


def disk_of(radius_px: int) -> NDArray[np.uint8]:
    y, x = np.ogrid[-radius_px : radius_px + 1, -radius_px : radius_px + 1]
    return np.asarray(x * x + y * y <= radius_px * radius_px, np.uint8)


def dilated(line_HW: Mask, disk: NDArray[np.uint8]) -> Mask:
    return cv2.dilate(line_HW.view(np.uint8), disk).view(np.bool_)


def from_rles(pred_rles: Sequence[Rle], gt_rles: Sequence[Rle]) -> tuple[float, float, float]:
    """(J, F, A) of an expression, its masks as RLE."""
    frames = [
        tuple(coco.decode({**rle, "counts": rle["counts"].encode()}).view(np.bool_) for rle in pair)
        for pair in zip(pred_rles, gt_rles, strict=True)
    ]
    j, f, a = (float(np.mean([rule(*pair) for pair in frames])) for rule in (j_of, f_of, a_of))
    return j, f, a
