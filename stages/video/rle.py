"""COCO compressed run-length strings, checked before pycocotools sees them and measured without decoding.

A string holds the lengths of runs in column-major order, background first. Each number is written in characters 48-111:
five data bits, 0x20 = more follows, 0x10 in the last = negative. From the fourth number on, it is the difference
to the run two before. (maskApi.c: rleToString, rleFrString.) pycocotools checks none of this: a bad string makes it
read and write outside its buffers.

Shapes: S strings, R runs of all strings one after the other, C characters likewise. Points are (x, y).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

Ints = NDArray[np.int64]

MAX_PX = 2**28  # rleToString writes at most 6 characters a number: 30 bits with the sign, halved for differences
_MAX_CHARS = 6


def decode(rle: dict[str, Any]) -> NDArray[np.uint8]:
    """A checked RLE as mask_HW, 1 inside."""
    mask_HW: NDArray[np.uint8] = coco.decode(rle)
    return mask_HW


def empty(height_px: int, width_px: int) -> dict[str, Any]:
    """The RLE of a mask without a pixel."""
    run = {"size": [height_px, width_px], "counts": [height_px * width_px]}
    rle: dict[str, Any] = coco.frPyObjects(run, height_px, width_px)
    return rle


@dataclass(frozen=True)
class Runs:
    """Run lengths of S strings.

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

    def centres(self) -> NDArray[np.float64]:
        """Mean (x, y) of each mask's pixels, shape (S, 2), pixels; nan where the mask is empty or has an error."""
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


def parse(counts: Sequence[str], heights_px: Sequence[int], widths_px: Sequence[int]) -> Runs:
    """Runs of S strings at once, each checked against its own height and width (at most MAX_PX pixels)."""
    heights_S = np.array(heights_px, np.int64)
    sizes_S = heights_S * np.array(widths_px, np.int64)
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
    """(signed numbers, which have too many characters): characters start..end of each, end included."""
    chars_R = end_R - start_R + 1
    values_R = (code_C[start_R] & 0x1F).astype(np.int64)
    for k in range(1, _MAX_CHARS):
        more = np.flatnonzero(chars_R > k)
        values_R[more] |= (code_C[start_R[more] + k] & 0x1F).astype(np.int64) << 5 * k
    negative = (code_C[end_R] & 0x10) != 0
    values_R[negative] -= np.int64(1) << 5 * np.minimum(chars_R[negative], _MAX_CHARS)
    return values_R, chars_R > _MAX_CHARS


def _undo_differences(values_R: Ints, first_S1: Ints) -> Ints:
    """Runs whose differences to the run two before (from the fourth of each string on) are given."""
    sums_R2 = np.zeros(len(values_R) + 2, np.int64)  # of every second value; entry r + 1 is the sum up to run r
    sums_R2[1:-1:2], sums_R2[2:-1:2] = np.cumsum(values_R[::2]), np.cumsum(values_R[1::2])
    first_S, runs_S = first_S1[:-1], np.diff(first_S1)
    odd_R = (np.arange(len(values_R)) - np.repeat(first_S, runs_S)) % 2 == 1
    before_R = np.where(odd_R, np.repeat(sums_R2[first_S], runs_S), np.repeat(sums_R2[first_S + 1], runs_S))
    lengths_R: Ints = sums_R2[1:-1] - before_R
    lengths_R[first_S[runs_S > 0]] = values_R[first_S[runs_S > 0]]
    return lengths_R


def _strings_with(flags: NDArray[np.bool_], first_S1: Ints) -> Ints:
    """Strings that have a flagged character or run."""
    strings: Ints = np.unique(np.searchsorted(first_S1, np.flatnonzero(flags), side="right") - 1)
    return strings


def _sum_of_columns(n: Ints, height: Ints) -> Ints:
    """Sum of p // height over 0 <= p < n."""
    columns, rest = np.divmod(n, height)
    result: Ints = height * (columns * (columns - 1) // 2) + columns * rest
    return result
