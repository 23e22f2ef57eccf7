"""Turns stored frames upright, as the display matrix of their video says: it turns them, mirrors them, or both."""

from dataclasses import dataclass
from typing import Any, Self

import av
import cv2
import numpy as np
from av.buffer import Buffer
from numpy.typing import NDArray

_TOLERANCE = 0.01  # of the matrix's own scale: half a degree


@dataclass(frozen=True)
class Turn:
    """Says how a stored frame is made upright: one of the eight ways to turn or mirror it, done in this order.

    Attributes:
        transposed: rows become columns.
        left_right: the columns are reversed.
        upside_down: the rows are reversed.
    """

    transposed: bool = False
    left_right: bool = False
    upside_down: bool = False

    @classmethod
    def of(cls, raw: av.VideoFrame) -> Self:
        """Return the turn that makes a decoded frame upright.

        Raises:
            ValueError: its display matrix does something else.
        """
        stored = raw.side_data.get("DISPLAYMATRIX")
        if not isinstance(stored, Buffer):
            return cls()
        matrix_33 = np.frombuffer(memoryview(stored), np.int32).reshape(3, 3)
        (a, b), (c, d) = matrix_33[:2, :2].tolist()  # (x, y) -> (a x + c y, b x + d y)
        scale = max(map(abs, (a, b, c, d)))
        transposed = abs(b) > abs(a)
        x, y, *others = (c, b, a, d) if transposed else (a, d, b, c)
        if not scale or max(map(abs, others)) > _TOLERANCE * scale or abs(abs(x) - abs(y)) > _TOLERANCE * scale:
            numbers = [round(entry / 65536, 3) for entry in (a, b, c, d)]
            raise ValueError(
                f"its display matrix {numbers} must turn it by quarter turns or mirror it, and does neither: encode it "
                "upright"
            )
        return cls(transposed, left_right=x < 0, upside_down=y < 0)

    def size(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return (height, width) of the upright frame."""
        return (width_px, height_px) if self.transposed else (height_px, width_px)

    def apply(self, array: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the upright frame, `_HW` or `_HW3`."""
        if self.transposed:
            array = cv2.transpose(array)
        if self.left_right or self.upside_down:
            array = cv2.flip(array, -1 if self.left_right and self.upside_down else int(self.left_right))
        return np.asarray(array, np.uint8)
