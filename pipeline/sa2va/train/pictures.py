"""Predicted masks of a few fixed videos, drawn along the way: a row an object, a column a frame."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.sa2va.batch import Batch
from stages.video.images import Image

_SIDE_PX = 192  # of a cell
_TINT, _EDGE = (0, 220, 255), (255, 255, 0)  # red green blue: what was predicted, what is right


def draw(batch: Batch, logits_B: Sequence[NDArray[np.float32]]) -> Image:
    """Frames of a batch with the predicted mask as a tint and the true one as a contour.

    Args:
        batch: on the CPU.
        logits_B: per video (O, F, M, M); above 0 is inside.

    Returns:
        One picture, red green blue: the objects of all videos below one another.
    """
    rows, first = [], 0
    for masks_OFMM, logits_OFMM in zip(batch.masks_B, logits_B, strict=True):
        frames = masks_OFMM.shape[1]
        pictures_FHW3 = batch.sam_frames_N3SS[first : first + frames].permute(0, 2, 3, 1).numpy()
        first += frames
        for true_FMM, logits_FMM in zip(masks_OFMM.numpy(), logits_OFMM, strict=True):
            cells = zip(pictures_FHW3, true_FMM, logits_FMM > 0, strict=True)
            rows.append(np.concatenate([_cell(*cell) for cell in cells], axis=1))
    width_px = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width_px - row.shape[1]), (0, 0))) for row in rows])


def write(picture_HW3: Image, path: Path) -> None:
    """As JPEG, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(picture_HW3, cv2.COLOR_RGB2BGR))


def _cell(frame_HW3: Image, true_MM: NDArray[np.uint8], predicted_MM: NDArray[np.bool_]) -> Image:
    size = (_SIDE_PX, _SIDE_PX)
    cell = np.asarray(cv2.resize(np.ascontiguousarray(frame_HW3), size, interpolation=cv2.INTER_AREA), np.uint8)
    predicted = cv2.resize(predicted_MM.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    cell[predicted] = (cell[predicted] * 0.5 + np.array(_TINT) * 0.5).astype(np.uint8)
    true = cv2.resize(np.ascontiguousarray(true_MM), size, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(true, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(cell, outlines, -1, _EDGE, 1)
    return cell
