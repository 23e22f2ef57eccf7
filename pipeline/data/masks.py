"""Masks reduced to M x M without drawing them: only pixels that nearest-neighbour reduction keeps are looked up.

The official loader decodes every mask at full size and reduces later, on the GPU, with `interpolate(mode="nearest")`:
22 MiB a sample pass from worker to trainer where 1.6 MiB do. A run-length string is a list of stretches in
column-major order; of each stretch's end it can be told how many of the kept pixels come before it, and the reduced
mask is written from that. Both are equal bit by bit (tests/stages/test_reduced_masks.py).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.video.rle import parse

Ints = NDArray[np.int64]


def kept_pixels(size_px: int, side_px: int) -> Ints:
    """Which of `size_px` pixels nearest-neighbour reduction (or enlargement) to `side_px` takes, (side_px,), rising.

    PyTorch's rule, in its float32: floor(i * (size / side)), at most size - 1.
    """
    scale = np.float32(size_px) / np.float32(side_px)
    at = np.floor(np.arange(side_px, dtype=np.float32) * scale).astype(np.int64)
    kept: Ints = np.minimum(at, size_px - 1)
    return kept


def reduced_masks(counts_K: Sequence[str], height_px: int, width_px: int, side_px: int) -> NDArray[np.uint8]:
    """COCO run-length strings of one size as masks_KMM, 1 inside, M = `side_px`.

    Raises:
        ValueError: a string is malformed; its position in `counts_K` and what is wrong is told.
    """
    runs = parse(counts_K, [height_px] * len(counts_K), [width_px] * len(counts_K))
    if runs.errors:
        position, fault = min(runs.errors.items())
        raise ValueError(f"mask {position} of {len(counts_K)} must be a COCO run-length string: {fault}")
    rows, row_M = np.unique(kept_pixels(height_px, side_px), return_inverse=True)
    columns, column_M = np.unique(kept_pixels(width_px, side_px), return_inverse=True)

    string_R = np.repeat(np.arange(len(counts_K)), np.diff(runs.first_S1))
    sums_R1 = np.concatenate([[0], np.cumsum(runs.lengths_R)])
    end_R = sums_R1[1:] - sums_R1[runs.first_S1[string_R]]
    before_R = _kept_before(end_R, height_px, width_px, rows, columns) + string_R * (len(rows) * len(columns))
    inside_R = ((np.arange(len(end_R)) - runs.first_S1[string_R]) % 2).astype(np.uint8)
    flat = np.repeat(inside_R, np.diff(before_R, prepend=0))
    masks_KCR = flat.reshape(len(counts_K), len(columns), len(rows))
    if len(rows) < side_px or len(columns) < side_px:
        masks_KCR = masks_KCR[:, column_M][:, :, row_M]
    return np.ascontiguousarray(masks_KCR.transpose(0, 2, 1))


def _kept_before(end_R: Ints, height_px: int, width_px: int, rows: Ints, columns: Ints) -> Ints:
    """How many kept pixels have a column-major position below each `end_R`."""
    x_R, y_R = np.divmod(end_R, height_px)
    columns_before_X = np.searchsorted(columns, np.arange(width_px + 1))
    rows_before_Y = np.searchsorted(rows, np.arange(height_px))
    kept_X = np.zeros(width_px + 1, np.int64)
    kept_X[columns] = 1
    before_R: Ints = columns_before_X[x_R] * len(rows) + kept_X[x_R] * rows_before_Y[y_R]
    return before_R
