"""Measures J, F and A of masks by the official rules, equal bit for bit but without full frames.

J, region similarity: pixels of both over pixels of either; 1 if both masks are empty.
F, boundary accuracy: a pixel is on the boundary if it differs from its right, lower or lower right neighbour, of those
that the frame has. Precision is the share of the prediction's boundary within ceil(0.008 x diagonal) pixels of the true
one, recall the share of the true one near the prediction's, F = 2pr / (p + r). A mask that fills the frame has no
boundary, like an empty one: F is 1 for two such masks and 0 for one.
A: pixels that are right over all pixels.

F is found in the box around both masks, whose boundaries are whole numbers with a bit a pixel: to grow them by a disk
takes a few shifts. Why the box is enough: a boundary pixel differs from its right, lower or lower right neighbour, so
it lies at most one pixel left of or above its mask, and a box one pixel wider than both masks (where the frame goes on)
has all of them; its far sides are a line without a mask or the frame, where the rules are the same. Who is within reach
of whom does not depend on what lies outside. Swapping the axes changes nothing.

Shapes: T frames.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.video.rle import Rle, Runs, areas_px, boxes_px, checked, empty, parse, union

BOUNDARY_FRAC = 0.008  # of the diagonal of the frame

Mask = NDArray[np.bool_]


class Box(NamedTuple):
    """The pixels a0 <= a < a1, b0 <= b < b1 along the first and second axis."""

    a0: int
    b0: int
    a1: int
    b1: int

    def both(self, other: "Box") -> "Box":
        """Return what lies in both; it may end before it begins."""
        return Box(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))

    def around(self, other: "Box") -> "Box":
        """Return the smallest box around both."""
        return Box(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    def padded(self, by_px: int, frame: tuple[int, int]) -> "Box":
        """Return the box widened by `by_px` on all sides, as far as the frame goes."""
        return Box(*(max(start - by_px, 0) for start in self[:2]), *map(min, (end + by_px for end in self[2:]), frame))


class Patch(NamedTuple):
    """A mask in its box: most of a frame is outside, and need not be looked at.

    Attributes:
        box: the smallest around all pixels of the mask; zeros if there is none.
        inside: the mask within the box.
        frame: size of the frame along both axes, px.
        area_px: pixels of the mask.
    """

    box: Box
    inside: Mask
    frame: tuple[int, int]
    area_px: int

    @property
    def is_even(self) -> bool:
        """Whether nothing, or everything, is in the mask."""
        return self.area_px in (0, self.frame[0] * self.frame[1])

    def cut(self, box: Box) -> Mask:
        """Return the part of the mask in `box`, which lies within the own one."""
        a0, b0, a1, b1 = box
        return self.inside[a0 - self.box.a0 : a1 - self.box.a0, b0 - self.box.b0 : b1 - self.box.b0]

    def pasted(self, window: Box) -> Mask:
        """Return the mask within `window`, which lies around the own box."""
        mask = np.zeros((window.a1 - window.a0, window.b1 - window.b0), np.bool_)
        mask[tuple(slice(self.box[k] - window[k], self.box[k + 2] - window[k]) for k in (0, 1))] = self.inside
        return mask

    def shared_px(self, other: "Patch") -> int:
        """Count the pixels that both masks have."""
        common = self.box.both(other.box)
        if common.a0 >= common.a1 or common.b0 >= common.b1:
            return 0
        return int(np.count_nonzero(self.cut(common) & other.cut(common)))


def patch_of(mask_HW: Mask) -> Patch:
    """Return the patch of a boolean mask; its axes are (y, x).

    Raises:
        ValueError: it is not boolean, has not two axes or no pixel at all.
    """
    if mask_HW.dtype != np.bool_ or mask_HW.ndim != 2 or not mask_HW.size:
        raise ValueError(f"a mask is boolean and of shape (H, W), got {mask_HW.dtype} of shape {mask_HW.shape}")
    x, y, width, height = cv2.boundingRect(mask_HW.view(np.uint8))
    box = Box(y, x, y + height, x + width)
    inside = mask_HW[y : y + height, x : x + width]
    return Patch(box, inside, (mask_HW.shape[0], mask_HW.shape[1]), int(np.count_nonzero(inside)))


@dataclass(frozen=True)
class VideoMasks:
    """The T checked masks of one object or prediction over a video, all of one size; none is decoded twice.

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
        """Check masks; None is an empty one.

        Args:
            rles_T: one for every frame, as a file has them.
            frames: their names, for errors.
            height_px: of the video.
            width_px: of the video.

        Raises:
            ValueError: masks are malformed or of another size; a line names every one of them by its frame.
        """
        rles, runs, faults = _parsed(rles_T, frames, height_px, width_px)
        if faults:
            raise ValueError("\n".join(faults))
        boxes_T4 = boxes_px(rles)
        boxes_T4[:, 2:] += boxes_T4[:, :2]
        return cls((height_px, width_px), areas_px(rles), boxes_T4, runs)

    def __len__(self) -> int:
        return len(self.areas_T)

    def patch(self, t: int) -> Patch:
        """Return the mask at frame t, decoded when it is first asked for; its axes are (x, y)."""
        if t not in self._patches:
            height_px, width_px = self.size_px
            box = Box(*self._boxes_T4[t].tolist())
            inside = self._runs.columns(t, box.a0, box.a1)[:, box.b0 : box.b1]
            self._patches[t] = Patch(box, inside, (width_px, height_px), int(self.areas_T[t]))
        return self._patches[t]


def mask_faults(rles_T: Sequence[Rle | None], frames: Sequence[str], height_px: int, width_px: int) -> list[str]:
    """Return a line for every mask that `VideoMasks.read`, whose arguments these are, would refuse."""
    return _parsed(rles_T, frames, height_px, width_px)[2]


def _parsed(
    rles_T: Sequence[Rle | None], frames: Sequence[str], height_px: int, width_px: int
) -> tuple[list[Rle], Runs, list[str]]:
    """Return masks (an empty one for None and for what is malformed), their runs, and a line for every fault."""
    nothing = empty(height_px, width_px)
    faults: dict[int, str] = {}
    rles = [nothing] * len(rles_T)
    for t, entry in enumerate(rles_T):
        if entry is not None:
            rle, fault = checked(entry)
            if not fault and rle["size"] != nothing["size"]:
                fault = f"a mask has the size of its video, {nothing['size']} (height, width), got {rle['size']}"
            if fault:
                faults[t] = fault
            else:
                rles[t] = rle
    runs = parse(rles)
    faults |= runs.errors
    return rles, runs, [f"frame {frames[t]}: {faults[t]}" for t in sorted(faults)]


def joined(objects: Sequence[Sequence[Rle | None]]) -> list[Rle | None]:
    """Return all pixels of any of several objects, frame by frame.

    The official scorer adds the masks up: where two overlap, 1 + 1 = 2 differs from a prediction of 1, and A falls. A
    pixel is inside or not, so ours are joined; J and F are the same either way.

    Args:
        objects: T checked masks of one size for every object; None is an empty one.
    """
    if len(objects) == 1:
        return list(objects[0])
    visible_T = [[rle for rle in rles if rle is not None] for rles in zip(*objects, strict=True)]
    return [union(rles) if rles else None for rles in visible_T]


@dataclass(frozen=True, slots=True)
class Figures:
    """J, F and A of an expression: means over all frames of the video, as fractions."""

    j: float
    f: float
    a: float


def region_similarity(pred_HW: Mask, gt_HW: Mask) -> float:
    """Return J of two masks of one frame, 0 to 1.

    Raises:
        ValueError: they are not boolean (H, W) of one size.
    """
    return _similarity(*_patches(pred_HW, gt_HW))[0]


def boundary_accuracy(pred_HW: Mask, gt_HW: Mask) -> float:
    """Return F of two masks of one frame, 0 to 1.

    Raises:
        ValueError: they are not boolean (H, W) of one size.
    """
    return boundary_f(*_patches(pred_HW, gt_HW))


def score_expression(pred: VideoMasks, gt: VideoMasks) -> Figures:
    """Return the figures of a prediction; frames without the object count as well.

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
    """Return (J, A)."""
    shared = pred.shared_px(gt)
    either = pred.area_px + gt.area_px - shared
    pixels = gt.frame[0] * gt.frame[1]
    return shared / either if either else 1.0, (pixels - either + shared) / pixels


def _patches(pred_HW: Mask, gt_HW: Mask) -> tuple[Patch, Patch]:
    if pred_HW.shape != gt_HW.shape:
        raise ValueError(f"two masks of one frame have one size, got {pred_HW.shape} and {gt_HW.shape}")
    return patch_of(pred_HW), patch_of(gt_HW)


def tolerance_px(height_px: int, width_px: int) -> int:
    """Return how far apart boundaries may lie and still count as the same: 12 pixels at 720p."""
    return math.ceil(BOUNDARY_FRAC * math.sqrt(height_px**2 + width_px**2))


def boundary_f(pred: Patch, gt: Patch) -> float:
    """Return F of two masks of one frame, 0 to 1."""
    if pred.is_even or gt.is_even:
        return float(pred.is_even and gt.is_even)  # an even mask has no boundary, any other mask has one
    reach = tolerance_px(*gt.frame)
    if _gap_px(pred.box, gt.box) > reach:
        return 0.0
    window = pred.box.around(gt.box).padded(1, gt.frame)
    stride = window.b1 - window.b0 + reach  # spare bits: what is shifted out of a line does not reach the next
    pred_bits, gt_bits = (outline(patch.pasted(window), stride) for patch in (pred, gt))
    if pred_bits == gt_bits:
        return 1.0
    precision = (pred_bits & spread(gt_bits, stride, reach)).bit_count() / pred_bits.bit_count()
    recall = (gt_bits & spread(pred_bits, stride, reach)).bit_count() / gt_bits.bit_count()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def outline(mask: Mask, stride: int) -> int:
    """Return the boundary pixels of a mask: (i, j) is bit i * stride + j; bits beyond the mask's width are 0."""
    lines, width = mask.shape
    on = np.zeros((lines, stride), np.bool_)
    on[:, : width - 1] = mask[:, :-1] ^ mask[:, 1:]
    on[:-1, :width] |= mask[:-1] ^ mask[1:]
    on[:-1, : width - 1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return int.from_bytes(np.packbits(on, axis=None, bitorder="little").tobytes(), "little")


def spread(bits: int, stride: int, reach: int) -> int:
    """Set every pixel that has a set one at x^2 + y^2 <= reach^2; the last `reach` bits of a line may hold anything."""
    wide, half = bits, 0  # the set pixels, drawn out along the line by `half` to both sides
    forward = backward = 0
    for lines_away in range(reach, -1, -1):
        half_here = math.isqrt(reach**2 - lines_away**2)
        while half < half_here:
            step = min(half_here - half, 2 * half + 1)  # a longer step would leave a gap
            wide |= wide << step | wide >> step
            half += step
        forward, backward = forward << stride | wide, backward >> stride | wide
    return forward | backward


def _gap_px(one: Box, other: Box) -> int:
    """Return a lower bound of how far apart boundaries in these boxes are; negative where the boxes overlap."""
    return max(one.a0 - other.a1, other.a0 - one.a1, one.b0 - other.b1, other.b0 - one.b1)
