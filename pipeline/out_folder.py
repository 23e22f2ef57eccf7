"""The folder that a command writes to, looked at before hours of work."""

import os
from pathlib import Path


def check_out(path: Path, option: str = "--out") -> None:
    """See whether `path` is a folder that can be written to, or can be made; nothing is made.

    Raises:
        ValueError: it is a file, below one, or somewhere that this user may not write.
    """
    above = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    if not above.is_dir():
        raise ValueError(f"{option} must be a folder, got {path}: {above} is a file")
    if not os.access(above, os.W_OK):
        raise ValueError(f"{option} must be a folder that can be written to, got {path}: {above} cannot")
