"""A mask by the box around its pixels: most of a frame is outside, and need not be looked at."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class Box(NamedTuple):
    """Pixels a0 <= a < a1, b0 <= b < b1 along the first and second axis."""

    a0: int
    b0: int
    a1: int
    b1: int

    def both(self, other: "Box") -> "Box":
        """What lies in both; may end before it begins."""
        return Box(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))

    def around(self, other: "Box") -> "Box":
        """The smallest box around both."""
        return Box(*map(min, self[:2], other[:2]), *map(max, self[2:], other[2:]))

    def padded(self, by_px: int, frame: tuple[int, int]) -> "Box":
        """Wider on all sides, as far as the frame goes."""
        return Box(*(max(start - by_px, 0) for start in self[:2]), *map(min, (end + by_px for end in self[2:]), frame))


class Patch(NamedTuple):
    """A mask in its box.

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
        """True if the whole frame is alike: nothing or everything is in the mask."""
        return self.area_px in (0, self.frame[0] * self.frame[1])

    def cut(self, box: Box) -> Mask:
        """What is in `box`, which lies within the own one."""
        a0, b0, a1, b1 = box
        return self.inside[a0 - self.box.a0 : a1 - self.box.a0, b0 - self.box.b0 : b1 - self.box.b0]

    def pasted(self, window: Box) -> Mask:
        """What is in `window`, which lies around the own box."""
        mask = np.zeros((window.a1 - window.a0, window.b1 - window.b0), np.bool_)
        mask[tuple(slice(self.box[k] - window[k], self.box[k + 2] - window[k]) for k in (0, 1))] = self.inside
        return mask

    def shared_px(self, other: "Patch") -> int:
        """Pixels of both masks."""
        common = self.box.both(other.box)
        if common.a0 >= common.a1 or common.b0 >= common.b1:
            return 0
        return int(np.count_nonzero(self.cut(common) & other.cut(common)))


def patch_of(mask_HW: Mask) -> Patch:
    """The patch of a boolean mask; axes are (y, x).

    Raises:
        ValueError: it is not boolean, has not two axes or no pixel at all.
    """
    if mask_HW.dtype != np.bool_ or mask_HW.ndim != 2 or not mask_HW.size:
        raise ValueError(f"a mask is boolean and of shape (H, W), got {mask_HW.dtype} of shape {mask_HW.shape}")
    x, y, width, height = cv2.boundingRect(mask_HW.view(np.uint8))
    box = Box(y, x, y + height, x + width)
    inside = mask_HW[y : y + height, x : x + width]
    return Patch(box, inside, (mask_HW.shape[0], mask_HW.shape[1]), int(np.count_nonzero(inside)))
