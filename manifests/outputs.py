"""The folder that a command writes to, looked at before hours of work."""

import errno
import os
import shutil
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


def check_space(path: Path, needed_bytes: int, what: str) -> None:
    """See whether there is room for what will be written below `path`, which may not be there yet.

    Raises:
        ValueError: there is less.
    """
    above = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    free_bytes = shutil.disk_usage(above).free
    if free_bytes < needed_bytes:
        raise ValueError(
            f"{path} must have room for {what}, {needed_bytes / 2**30:.2f} GiB, got {free_bytes / 2**30:.2f} GiB free: "
            "free some, or name another folder"
        )


def is_full(error: Exception) -> bool:
    """Whether `error` is of a disk without room, as Python, torch or safetensors tells it."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
