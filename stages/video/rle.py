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
    rle: dict[str, Any] = coco.frUncompressedRLE(run, height_px, width_px)
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
        end_R = _sums_within(lengths_R, self.first_S1[:-1])
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
    heights_S, sizes_S = np.array(heights_px, np.int64), np.multiply(heights_px, widths_px, dtype=np.int64)
    plain = [text if text.isascii() else "" for text in counts]
    code_C = np.frombuffer("".join(plain).encode(), np.uint8) - np.uint8(48)  # wraps: all bad characters are > 63
    chars_S1 = np.concatenate([[0], np.cumsum([len(text) for text in plain])])
    filled_S = np.diff(chars_S1) > 0
    last_S = chars_S1[1:][filled_S] - 1

    ends_C = (code_C & 0x20) == 0
    cut_S = np.zeros(len(plain), bool)
    cut_S[filled_S] = ~ends_C[last_S]
    ends_C[last_S] = True
    runs_to_C = np.concatenate([[0], np.cumsum(ends_C)])
    first_S1 = runs_to_C[chars_S1]
    end_R = np.flatnonzero(ends_C)
    start_R = np.concatenate([[0], end_R[:-1] + 1])[: len(end_R)]
    values_R, long_R = _numbers(code_C, start_R, end_R)

    runs_S = np.diff(first_S1)
    string_R = np.repeat(np.arange(len(plain)), runs_S)
    index_R = np.arange(len(end_R)) - first_S1[string_R]
    lengths_R = values_R.copy()
    for inside in (index_R % 2 == 1, (index_R % 2 == 0) & (index_R > 0)):
        before = np.concatenate([[0], np.cumsum(inside)])[first_S1[:-1]]
        lengths_R[inside] = _sums_within(values_R[inside], before)

    bad_run_R = (lengths_R < 0) | (lengths_R > sizes_S[string_R]) | ((lengths_R == 0) & (index_R > 0))
    total_R1 = np.concatenate([[0], np.cumsum(lengths_R)])  # may wrap, but differences of sums of good runs do not
    total_S = total_R1[first_S1[1:]] - total_R1[first_S1[:-1]]
    errors: dict[int, str] = {}
    for rule, bad_S in (
        ("counts is empty or not ASCII", ~filled_S),
        ("a character of counts is outside 48..111", _any_within(code_C > 63, chars_S1)),
        ("counts breaks off within a number", cut_S),
        (f"a number of counts has more than {_MAX_CHARS} characters", _any_within(long_R, first_S1)),
        ("a run is negative, longer than the mask, or empty after the first", _any_within(bad_run_R, first_S1)),
    ):
        for s in np.flatnonzero(bad_S).tolist():
            errors.setdefault(s, rule)
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


def _sums_within(values: Ints, first: Ints) -> Ints:
    """Running sums that start anew at each index of `first` (ascending; may repeat or equal the length)."""
    sums = np.concatenate([[0], np.cumsum(values)])
    restart = np.repeat(sums[first], np.diff(np.append(first, len(values))))
    result: Ints = sums[1:] - restart
    return result


def _any_within(flags: NDArray[np.bool_], first_S1: Ints) -> NDArray[np.bool_]:
    sums = np.concatenate([[0], np.cumsum(flags)])
    result: NDArray[np.bool_] = np.diff(sums[first_S1]) > 0
    return result


def _sum_of_columns(n: Ints, height: Ints) -> Ints:
    """Sum of p // height over 0 <= p < n."""
    columns, rest = np.divmod(n, height)
    result: Ints = height * (columns * (columns - 1) // 2) + columns * rest
    return result
