"""Masks as COCO run-length strings: the one type of them, and everything that pycocotools does with it.

pycocotools checks nothing: a malformed string makes it read and write outside its buffers. What comes from a file goes
through `checked` and `runs.parse` first.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

MAX_PX = 2**28  # rleToString writes at most 6 characters a number: 30 bits with the sign, halved for differences


class Rle(TypedDict):
    """A mask in COCO's compressed form, as JSON files have it.

    Attributes:
        size: [height, width] in pixels.
        counts: lengths of the runs in column-major order, background first, as COCO's text (maskApi.c, rleToString).
    """

    size: list[int]
    counts: str


def checked(entry: object) -> tuple[Rle, str | None]:
    """Take an entry of a file for an RLE if it has the form of one; whether its runs make sense, `runs.parse` tells.

    Args:
        entry: anything that JSON can hold; real files write sizes as floats.

    Returns:
        The RLE with whole sizes, and None; or a placeholder of one pixel, and what is wrong with the entry.
    """
    match entry:
        case {"size": [int() | float() as h, int() | float() as w], "counts": str(text)}:
            if h >= 1 and w >= 1 and h * w <= MAX_PX and h % 1 == 0 and w % 1 == 0:
                return {"size": [int(h), int(w)], "counts": text}, None
            fault = f"size must be whole, positive and at most {MAX_PX} pixels in all, got {[h, w]}"
        case {"size": _, "counts": list()}:
            fault = "counts is an uncompressed list; it must be a COCO RLE string"
        case _:
            fault = f'must be {{"size": [height, width], "counts": "…"}}, got {str(entry)[:80]}'
    return {"size": [1, 1], "counts": ""}, fault


def from_mask(mask_HW: NDArray[Any]) -> Rle:
    """Encode a binary mask, boolean or of 0 and 1."""
    column_major_HW = cv2.transpose(np.ascontiguousarray(mask_HW, np.uint8)).T  # as RLE runs down the columns
    return _from_coco(coco.encode(column_major_HW))


def from_index_image(index_HW: NDArray[np.integer[Any]]) -> dict[int, Rle]:
    """Encode the objects of an index image (DAVIS, YouTube-VOS): value -> mask, ascending, without the background 0."""
    return {value: from_mask(index_HW == value) for value in np.unique(index_HW).tolist() if value}


def from_polygons(polygons_P: Sequence[Sequence[float]], height_px: int, width_px: int) -> Rle:
    """Encode the union of COCO polygons, [x0, y0, x1, y1, …] in pixels; no polygon at all is an empty mask."""
    if not polygons_P:
        return empty(height_px, width_px)
    return _from_coco(coco.merge(coco.frPyObjects([list(polygon) for polygon in polygons_P], height_px, width_px)))


def from_run_lengths(lengths_R: Sequence[int], height_px: int, width_px: int) -> Rle:
    """Encode an uncompressed RLE: lengths of runs in column-major order, background first."""
    run = {"size": [height_px, width_px], "counts": list(lengths_R)}
    return _from_coco(coco.frPyObjects(run, height_px, width_px))


def empty(height_px: int, width_px: int) -> Rle:
    """Return the RLE of a mask without a pixel."""
    return from_run_lengths([height_px * width_px], height_px, width_px)


def decode(rle: Rle) -> NDArray[np.uint8]:
    """Return a checked RLE as column-major mask_HW, 1 inside."""
    mask_HW: NDArray[np.uint8] = coco.decode(rle)
    return mask_HW


def union(rles: Sequence[Rle]) -> Rle:
    """Return all pixels of any of the masks, at least one, all of one size."""
    return _from_coco(coco.merge(list(rles)))


def areas_px(rles_N: Sequence[Rle]) -> NDArray[np.int64]:
    """Count the pixels of every mask, shape (N,)."""
    # one by one: of a list of 256 or more, pycocotools 2.0.11 overflows a uint8 under NumPy 2
    return np.array([coco.area(rle) for rle in rles_N], np.int64)


def boxes_px(rles_N: Sequence[Rle]) -> NDArray[np.int64]:
    """Return the tight box (x, y, width, height) of every mask, shape (N, 4); zeros for an empty one."""
    return np.array(coco.toBbox(list(rles_N)), np.int64).reshape(len(rles_N), 4)


def contained(rles_I: Sequence[Rle], others_J: Sequence[Rle]) -> NDArray[np.float64]:
    """Return [i, j] = pixels that masks i and j share / pixels of mask i; 0 where i is empty. All are of one size."""
    shares: NDArray[np.float64] = coco.iou(list(rles_I), list(others_J), [1] * len(others_J))  # "crowd": union is i
    return shares


def mean_overlaps(
    areas_TN: NDArray[np.float64], rles_NT: Sequence[Sequence[Rle]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compare N masklets over T frames.

    Args:
        areas_TN: pixels of each mask.
        rles_NT: masks of each masklet.

    Returns:
        Mean IoU over the frames where either is visible; mean share of i in j over the frames where i is visible.
        Both are [i, j].
    """
    contained_TNN = np.stack([contained(frame, frame) for frame in zip(*rles_NT, strict=True)])
    inter_TNN = contained_TNN * areas_TN[:, :, None]
    union_TNN = areas_TN[:, :, None] + areas_TN[:, None] - inter_TNN
    iou_NN = (inter_TNN / np.maximum(union_TNN, 1)).sum(axis=0) / (union_TNN > 0).sum(axis=0)
    return iou_NN, contained_TNN.sum(axis=0) / (areas_TN > 0).sum(axis=0)[:, None]


def _from_coco(rle: dict[str, Any]) -> Rle:
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
