from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline.sa2va.example import Batch
from pipeline.sa2va.train.metrics_logger import draw_masks, write_jpeg


def batch_of(objects: tuple[int, ...], frames: int, side_px: int = 64) -> Batch:
    masks = [torch.zeros(count, frames, side_px // 4, side_px // 4, dtype=torch.uint8) for count in objects]
    for each in masks:
        each[..., 4:8, 4:8] = 1
    none = torch.zeros(len(objects), 1, dtype=torch.int64)
    grey = torch.full((len(objects) * frames, 3, side_px, side_px), 100, dtype=torch.uint8)
    ids = tuple(str(video) for video in range(len(objects)))
    return Batch(ids, tuple((each,) for each in ids), none, none, none.bool(), {}, grey, tuple(masks))


def test_what_was_predicted_is_tinted_and_what_is_right_is_outlined(tmp_path: Path) -> None:
    batch = batch_of((2, 1), frames=3)
    logits = [np.full(masks.shape, -1, np.float32) for masks in batch.masks_B]
    logits[0][1, 2, :, 8:] = 1  # the second object in the third frame: the right half
    drawn = draw_masks(batch, logits)
    cell = 192
    assert drawn.shape == (3 * cell, 3 * cell, 3)
    tinted = (drawn == (50, 160, 177)).all(-1)
    expected = np.zeros_like(tinted)
    expected[cell : 2 * cell, 2 * cell + cell // 2 :] = True
    assert (tinted == expected).all()
    outlined = (drawn == (255, 255, 0)).all(-1)
    box = 4 * cell // 16
    for row in range(3):
        for column in range(3):
            found = np.argwhere(outlined[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell])
            assert found.min(0).tolist() == [box, box]
            assert found.max(0).tolist() == [2 * box - 1, 2 * box - 1]
    write_jpeg(drawn, tmp_path / "new" / "a.jpg")
    assert np.asarray(cv2.imread(str(tmp_path / "new" / "a.jpg"))).shape == drawn.shape
