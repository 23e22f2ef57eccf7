"""The masks of one object or prediction over a video, from COCO RLE strings; each is decoded once, its columns alone.

Shapes: T frames, R runs of a mask, 4 = (x0, y0, x1, y1) in pixels, ends excluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.evaluation.patch import Box, Patch
from stages.video.rle import MAX_PX, Runs, empty, parse

Rle = dict[str, Any]  # {"size": [height, width], "counts": str}


@dataclass(frozen=True)
class Masks:
    """T checked masks of one size.

    Attributes:
        size_px: height, width.
        areas_T: pixels of each mask.
    """

    size_px: tuple[int, int]
    areas_T: NDArray[np.int64]
    _boxes_T4: NDArray[np.int64]  # zeros where the mask is empty
    _runs: Runs
    _patches: dict[int, Patch] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, rles_T: Sequence[Rle | None], frames: Sequence[str], height_px: int, width_px: int) -> Self:
        """Check and take in masks; None is an empty one.

        Raises:
            ValueError: a mask is malformed or not of that size; every one is named by its frame, a line each.
        """
        size = [height_px, width_px]
        nothing = empty(*size)["counts"].decode()
        faults: dict[int, str] = {}
        texts = []
        for t, rle in enumerate(rles_T):
            fault, text = ("", nothing) if rle is None else _entry(rle, size)
            if fault:
                faults[t] = fault
            texts.append(nothing if fault else text)
        runs = parse(texts, [height_px] * len(texts), [width_px] * len(texts))
        faults |= runs.errors
        if faults:
            raise ValueError("\n".join(f"frame {frames[t]}: {faults[t]}" for t in sorted(faults)))
        checked: list[Any] = [{"size": size, "counts": text.encode()} for text in texts]
        boxes_T4 = np.array(coco.toBbox(checked), np.int64).reshape(-1, 4)
        boxes_T4[:, 2:] += boxes_T4[:, :2]
        # one by one: of a list of 256 or more, pycocotools 2.0.11 overflows a uint8 under NumPy 2
        areas_T = np.array([coco.area(rle) for rle in checked], np.int64)
        return cls((height_px, width_px), areas_T, boxes_T4, runs)

    def __len__(self) -> int:
        return len(self.areas_T)

    def patch(self, t: int) -> Patch:
        """The mask at frame t; axes are (x, y). Decoded when first asked for, and kept."""
        if t not in self._patches:
            height_px, width_px = self.size_px
            box = Box(*self._boxes_T4[t].tolist())
            runs_R = self._runs.lengths_R[self._runs.first_S1[t] : self._runs.first_S1[t + 1]]
            start, end = box.a0 * height_px, box.a1 * height_px
            in_box_R = np.diff(np.clip(np.cumsum(runs_R), start, end), prepend=start).astype(np.intp)
            columns = np.repeat(np.arange(len(runs_R)) % 2 == 1, in_box_R).reshape(box.a1 - box.a0, height_px)
            inside = columns[:, box.b0 : box.b1]
            self._patches[t] = Patch(box, inside, (width_px, height_px), int(self.areas_T[t]))
        return self._patches[t]


def union(several: Sequence[Sequence[Rle | None]]) -> list[Rle | None]:
    """All pixels of any of several objects, frame by frame.

    The official scorer adds the masks up: where two overlap, 1 + 1 = 2 differs from a prediction of 1, and A falls. A
    pixel is inside or not, so ours are joined; J and F are the same either way.

    Args:
        several: per object T checked masks of one size; None is an empty one.
    """
    if len(several) == 1:
        return list(several[0])
    merged: list[Rle | None] = []
    for rles in zip(*several, strict=True):
        there = [rle for rle in rles if rle is not None]
        joined = coco.merge([{**rle, "counts": rle["counts"].encode()} for rle in there]) if there else None
        merged.append(joined and {**joined, "counts": joined["counts"].decode()})
    return merged


def _entry(rle: Any, size: list[int]) -> tuple[str, str]:
    """(what is wrong, counts)."""
    match rle:
        case {"size": [int() as h, int() as w], "counts": str(text)}:
            if [h, w] != size:
                return f"a mask has the size of its video, {size} (height, width), got {[h, w]}", ""
            return ("", text) if h * w <= MAX_PX else (f"at most {MAX_PX} pixels a mask, got {[h, w]}", "")
        case {"counts": list()}:
            return "counts is an uncompressed list; it must be a COCO RLE string", ""
    return f'a mask is {{"size": [height, width], "counts": "…"}}, got {str(rle)[:80]}', ""
