"""Reads masks that are stored as PNG pictures: each pixel has the number of its object, by palette or as grey.

OpenCV gives the colours of a palette and not its numbers, so Pillow reads these files.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from stages.video.source_file import HEAD_BYTES

_PNG = b"\x89PNG"
_NUMBERED = ("P", "L", "1", "I", "I;16", "I;16B")  # what Pillow calls a palette, and grey of 8, 1, 32 and 16 bits


def read_index_image(path: Path) -> NDArray[np.integer[Any]]:
    """Read a PNG as index_HW: the number of the object at every pixel, 0 = none.

    A picture in colour counts as grey if its three channels are equal everywhere.

    Raises:
        ValueError: it is no PNG, it is cut off, or it is in colour, where no number can be told.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(_PNG):
        got = "a JPEG picture, whose compression changes the numbers" if head[:2] == b"\xff\xd8" else _named(head)
        raise ValueError(f"{path} must be a PNG, got {got}: get the original")
    try:
        with PilImage.open(path) as image:
            image.load()
            mode = image.mode
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises for a PNG that is cut off or damaged
        raise ValueError(
            f"{path} must be a whole PNG, got one that cannot be decoded ({error}): get it again"
        ) from error
    if mode in _NUMBERED:
        return pixels.astype(np.uint8) if mode == "1" else pixels
    grey_HW: NDArray[np.integer[Any]] = pixels[..., 0]
    colours = pixels[..., : 1 if mode == "LA" else 3]
    if (colours != grey_HW[..., None]).any():
        raise ValueError(
            f"{path} must be an indexed or grey PNG, got colours ({mode}): save it with a palette, object numbers as "
            "indices"
        )
    return grey_HW


def _named(head: bytes) -> str:
    if not head:
        return "an empty file"
    return f"a file that begins {head[:8]!r}"
