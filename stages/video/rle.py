"""Masks as COCO run-length strings: their one type, and all that is done with them; no other file uses pycocotools.

A string holds the lengths of runs in column-major order, background first. Each number is written in characters 48-111:
five data bits, 0x20 = more follows, 0x10 in the last = negative. From the fourth number on, it is the difference
to the run two before. (maskApi.c: rleToString, rleFrString.) pycocotools checks none of this: a bad string makes it
read and write outside its buffers, so what comes from a file goes through `checked` and `parse` first. These measure
and reduce masks without decoding them, too.

Shapes: N masks; S strings, R runs of all strings one after the other, C characters likewise. Points are (x, y).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

MAX_PX = 2**28  # rleToString writes at most 6 characters a number: 30 bits with the sign, halved for differences
_MAX_CHARS = 6  # that rleToString writes for a number

Ints = NDArray[np.int64]


class Rle(TypedDict):
    """Holds a mask in COCO's compressed form, as JSON files have it.

    Attributes:
        size: [height, width] in pixels.
        counts: lengths of the runs in column-major order, background first, as COCO's text (maskApi.c, rleToString).
    """

    size: list[int]
    counts: str


def checked(entry: object) -> tuple[Rle, str | None]:
    """Take an entry of a file for an RLE if it has the form of one; whether its runs make sense, `parse` tells.

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
    """Encode the union of COCO polygons, [x0, y0, x1, y1, …] in pixels; no polygon at all is an empty mask.

    Raises:
        ValueError: see `check_corners`.
    """
    if not polygons_P:
        return empty(height_px, width_px)
    check_corners(polygons_P, height_px, width_px)
    return _from_coco(coco.merge(coco.frPyObjects([list(polygon) for polygon in polygons_P], height_px, width_px)))


def check_corners(polygons_P: Sequence[Sequence[float]], height_px: int, width_px: int) -> None:
    """Check that polygons lie in their picture, or beside it by no more than its own size.

    pycocotools notes every pixel of an outline, wherever it is: corners far away, or nan, would fill the memory.

    Raises:
        ValueError: a corner lies elsewhere, or is no number.
    """
    for polygon in polygons_P:
        for x, y in zip(polygon[::2], polygon[1::2], strict=True):
            if not (-width_px <= x <= 2 * width_px and -height_px <= y <= 2 * height_px):
                raise ValueError(
                    f"corners must lie in the picture of {height_px} x {width_px} (height x width), or no further from "
                    f"it than its own size, got ({x:g}, {y:g})"
                )


def from_run_lengths(lengths_R: Sequence[int], height_px: int, width_px: int) -> Rle:
    """Encode an uncompressed RLE: lengths of runs in column-major order, background first."""
    run = {"size": [height_px, width_px], "counts": list(lengths_R)}
    return _from_coco(coco.frPyObjects(run, height_px, width_px))


def from_coco(entry: object, height_px: int, width_px: int) -> Rle:
    """Encode a mask in any of the forms that COCO files have: a string or list of runs, polygons, or null for none.

    Args:
        entry: anything that JSON can hold.
        height_px: of the frame that polygons are drawn into; runs say their own size.
        width_px: the same.

    Raises:
        ValueError: it is none of these, or its runs or polygons make no sense; the message says which rule they break.
    """
    match entry:
        case None | []:
            return empty(height_px, width_px)
        case [float() | int(), *_]:
            return from_coco([entry], height_px, width_px)  # a polygon without the list around it
        case [list(), *_] if all(map(_is_polygon, entry)):
            polygons_P = [[float(number) for number in polygon] for polygon in cast(list[list[float]], entry)]
            return from_polygons(polygons_P, height_px, width_px)
        case {"size": [h, w], "counts": list(lengths)}:
            whole = all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in (h, w, *lengths))
            if not whole or sum(lengths) != h * w or not 0 < h * w <= MAX_PX:
                raise ValueError(f"runs must be whole, not negative and add up to height x width, got size {[h, w]}")
            return from_mask(decode(from_run_lengths(lengths, h, w)))  # without runs of no pixel
        case dict():
            rle, fault = checked(entry)
            if fault := fault or parse([rle]).errors.get(0):
                raise ValueError(fault)
            return rle
    raise ValueError(
        f"a mask must be a COCO RLE, polygons [[x, y, …], …] of 3 points at least, or null, got {str(entry)[:60]}"
    )


def _is_polygon(polygon: object) -> bool:
    return (
        isinstance(polygon, list)
        and len(polygon) >= 6
        and len(polygon) % 2 == 0
        and all(isinstance(number, int | float) and math.isfinite(number) for number in polygon)
    )


def padded(rle: Rle, height_px: int, width_px: int) -> Rle:
    """Return a mask with empty rows below and columns to the right, so that it is of this size."""
    h, w = rle["size"]
    if (h, w) == (height_px, width_px):
        return rle
    return from_mask(np.pad(decode(rle), ((0, height_px - h), (0, width_px - w))))


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


@dataclass(frozen=True)
class Runs:
    """Holds the runs of S run-length strings.

    Attributes:
        lengths_R: pixels of each run; only meaningful for strings without an error.
        first_S1: string s has the runs first_S1[s] up to, not including, first_S1[s + 1].
        heights_S: height of each mask, pixels.
        errors: string index -> what is wrong with it.
    """

    lengths_R: Ints
    first_S1: Ints
    heights_S: Ints
    errors: dict[int, str]

    @property
    def visible_S(self) -> NDArray[np.bool_]:
        """Return whether every mask has a pixel; only meaningful for strings without an error."""
        return np.diff(self.first_S1) > 1

    def centres(self) -> NDArray[np.float64]:
        """Return the mean (x, y) of each mask's pixels, shape (S, 2); nan where it is empty or has an error."""
        string_R = np.repeat(np.arange(len(self.heights_S)), np.diff(self.first_S1))
        lengths_R = np.where(np.isin(string_R, list(self.errors)), 0, self.lengths_R)
        sums_R1 = np.concatenate([[0], np.cumsum(lengths_R)])
        end_R = sums_R1[1:] - sums_R1[self.first_S1[string_R]]
        inside_R = (np.arange(len(lengths_R)) - self.first_S1[string_R]) % 2 == 1
        # positions p = x * height + y; a sum over a run is a difference of two sums from zero
        end, length, string = end_R[inside_R], lengths_R[inside_R], string_R[inside_R]
        height, start = self.heights_S[string], end - length
        sum_x = _sum_of_columns(end, height) - _sum_of_columns(start, height)
        sum_y = (end * (end - 1) - start * (start - 1)) // 2 - height * sum_x
        area_S, x_S, y_S = (np.bincount(string, sums, len(self.heights_S)) for sums in (length, sum_x, sum_y))
        with np.errstate(invalid="ignore"):
            return np.stack([x_S, y_S], axis=1) / area_S[:, None]

    def columns(self, s: int, left: int, right: int) -> NDArray[np.bool_]:
        """Decode columns `left` up to, not including, `right` of mask s; shape (right - left, height), True inside."""
        height_px = int(self.heights_S[s])
        lengths_R = self.lengths_R[self.first_S1[s] : self.first_S1[s + 1]]
        start, end = left * height_px, right * height_px
        in_columns_R = np.diff(np.clip(np.cumsum(lengths_R), start, end), prepend=start).astype(np.intp)
        inside = np.repeat(np.arange(len(lengths_R)) % 2 == 1, in_columns_R)
        return np.asarray(inside.reshape(right - left, height_px))


def parse(rles_S: Sequence[Rle]) -> Runs:
    """Read the runs of all strings at once, and check each against the size of its own mask (at most `MAX_PX`)."""
    counts = [rle["counts"] for rle in rles_S]
    heights_S = np.array([rle["size"][0] for rle in rles_S], np.int64)
    sizes_S = heights_S * np.array([rle["size"][1] for rle in rles_S], np.int64)
    plain = [text if text.isascii() else "" for text in counts]
    code_C = np.frombuffer("".join(plain).encode(), np.uint8) - np.uint8(48)  # wraps: all bad characters are > 63
    chars_S1 = np.concatenate([[0], np.cumsum([len(text) for text in plain], dtype=np.int64)])
    filled_S = np.diff(chars_S1) > 0
    last_S = chars_S1[1:][filled_S] - 1

    ends_C = (code_C & 0x20) == 0
    cut = np.flatnonzero(filled_S)[~ends_C[last_S]]
    ends_C[last_S] = True
    end_R = np.flatnonzero(ends_C)
    start_R = np.concatenate([[0], end_R + 1])[: len(end_R)]
    values_R, long_R = _numbers(code_C, start_R, end_R)

    first_S1 = np.searchsorted(end_R, chars_S1)
    lengths_R = _undo_differences(values_R, first_S1)
    runs_S = np.diff(first_S1)
    bad_run_R = (lengths_R <= 0) | (lengths_R > np.repeat(sizes_S, runs_S))
    first_R = first_S1[:-1][filled_S]
    bad_run_R[first_R] &= lengths_R[first_R] != 0
    errors: dict[int, str] = {}
    for rule, strings in (
        ("counts is empty or not ASCII", np.flatnonzero(~filled_S)),
        ("a character of counts is outside 48..111", _strings_with(code_C > 63, chars_S1)),
        ("counts breaks off within a number", cut),
        (f"a number of counts has more than {_MAX_CHARS} characters", _strings_with(long_R, first_S1)),
        ("a run is negative, longer than the mask, or empty after the first", _strings_with(bad_run_R, first_S1)),
    ):
        for s in strings.tolist():
            errors.setdefault(s, rule)
    sums_R1 = np.concatenate([[0], np.cumsum(lengths_R)])  # may wrap, but differences of sums of good runs do not
    total_S = np.diff(sums_R1[first_S1])
    for s in np.flatnonzero(total_S != sizes_S).tolist():
        errors.setdefault(s, f"runs add up to {total_S[s]} pixels, size says {sizes_S[s]}")
    return Runs(lengths_R, first_S1, heights_S, errors)


def _numbers(code_C: NDArray[np.uint8], start_R: Ints, end_R: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the signed numbers written in characters start..end, end included; and which have too many of them."""
    chars_R = end_R - start_R + 1
    values_R = (code_C[start_R] & 0x1F).astype(np.int64)
    for k in range(1, _MAX_CHARS):
        more = np.flatnonzero(chars_R > k)
        values_R[more] |= (code_C[start_R[more] + k] & 0x1F).astype(np.int64) << 5 * k
    negative = (code_C[end_R] & 0x10) != 0
    values_R[negative] -= np.int64(1) << 5 * np.minimum(chars_R[negative], _MAX_CHARS)
    return values_R, chars_R > _MAX_CHARS


def _undo_differences(values_R: Ints, first_S1: Ints) -> Ints:
    """Return the runs, given their differences to the run two before (from the fourth of a string on)."""
    sums_R2 = np.zeros(len(values_R) + 2, np.int64)  # of every second value; entry r + 1 is the sum up to run r
    sums_R2[1:-1:2], sums_R2[2:-1:2] = np.cumsum(values_R[::2]), np.cumsum(values_R[1::2])
    first_S, runs_S = first_S1[:-1], np.diff(first_S1)
    odd_R = (np.arange(len(values_R)) - np.repeat(first_S, runs_S)) % 2 == 1
    before_R = np.where(odd_R, np.repeat(sums_R2[first_S], runs_S), np.repeat(sums_R2[first_S + 1], runs_S))
    lengths_R: Ints = sums_R2[1:-1] - before_R
    lengths_R[first_S[runs_S > 0]] = values_R[first_S[runs_S > 0]]
    return lengths_R


def _strings_with(flags: NDArray[np.bool_], first_S1: Ints) -> Ints:
    """Return the strings that have a flagged character or run."""
    strings: Ints = np.unique(np.searchsorted(first_S1, np.flatnonzero(flags), side="right") - 1)
    return strings


def _sum_of_columns(n: Ints, height: Ints) -> Ints:
    """Return the sum of p // height over 0 <= p < n."""
    columns, rest = np.divmod(n, height)
    result: Ints = height * (columns * (columns - 1) // 2) + columns * rest
    return result


def kept_pixels(size_px: int, side_px: int) -> Ints:
    """Return which of `size_px` pixels nearest-neighbour reduction (or enlargement) to `side_px` takes, rising.

    This is PyTorch's rule for `interpolate(mode="nearest")`, in float32: floor(i * (size / side)), at most size - 1.
    """
    scale = np.float32(size_px) / np.float32(side_px)
    at = np.floor(np.arange(side_px, dtype=np.float32) * scale).astype(np.int64)
    kept: Ints = np.minimum(at, size_px - 1)
    return kept


def reduced_masks(rles_K: Sequence[Rle], side_px: int) -> NDArray[np.uint8]:
    """Reduce masks of one size to masks_KMM, 1 inside, M = `side_px`, without drawing them at full size.

    The official loader (Sa2VA 9832e1a) decodes every mask at full size and reduces it later, on the GPU, with
    `interpolate(mode="nearest")`: 22 MiB a sample pass from worker to trainer where 1.6 MiB do. Here only the pixels
    that this reduction keeps are looked up: how many of them come before the end of every run is easily found, and the
    reduced mask is written from that. Both are equal bit by bit (tests/stages/test_reduced_masks.py).

    Raises:
        ValueError: a string is malformed (its position in `rles_K` and its fault are named), or sizes differ.
    """
    if not rles_K:
        return np.zeros((0, side_px, side_px), np.uint8)
    height_px, width_px = rles_K[0]["size"]
    if any(rle["size"] != [height_px, width_px] for rle in rles_K):
        raise ValueError(f"masks that are reduced together must be of one size, got others than {rles_K[0]['size']}")
    runs = parse(rles_K)
    if runs.errors:
        position, fault = min(runs.errors.items())
        raise ValueError(f"mask {position} of {len(rles_K)} must be a COCO run-length string: {fault}")
    rows, row_M = np.unique(kept_pixels(height_px, side_px), return_inverse=True)
    columns, column_M = np.unique(kept_pixels(width_px, side_px), return_inverse=True)

    string_R = np.repeat(np.arange(len(rles_K)), np.diff(runs.first_S1))
    sums_R1 = np.concatenate([[0], np.cumsum(runs.lengths_R)])
    end_R = sums_R1[1:] - sums_R1[runs.first_S1[string_R]]
    before_R = _kept_before(end_R, height_px, width_px, rows, columns) + string_R * (len(rows) * len(columns))
    inside_R = ((np.arange(len(end_R)) - runs.first_S1[string_R]) % 2).astype(np.uint8)
    flat = np.repeat(inside_R, np.diff(before_R, prepend=0))
    masks_KCR = flat.reshape(len(rles_K), len(columns), len(rows))
    if len(rows) < side_px or len(columns) < side_px:
        masks_KCR = masks_KCR[:, column_M][:, :, row_M]
    return np.ascontiguousarray(masks_KCR.transpose(0, 2, 1))


def _kept_before(end_R: Ints, height_px: int, width_px: int, rows: Ints, columns: Ints) -> Ints:
    """Count the kept pixels that have a column-major position below `end_R`."""
    x_R, y_R = np.divmod(end_R, height_px)
    columns_before_X = np.searchsorted(columns, np.arange(width_px + 1))
    rows_before_Y = np.searchsorted(rows, np.arange(height_px))
    kept_X = np.zeros(width_px + 1, np.int64)
    kept_X[columns] = 1
    before_R: Ints = columns_before_X[x_R] * len(rows) + kept_X[x_R] * rows_before_Y[y_R]
    return before_R
