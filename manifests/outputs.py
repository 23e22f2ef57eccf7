"""Folders that commands write for one another: the names of the files in them, and a look at them before hours of work.

A name stands here if two packages must agree on it; who writes and reads the files is said beside it.
"""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

# In the folder of an annotation run; written by pipeline/annotate.py.
TRAIN_FILE = "Ref-SAV.json"  # kept expressions, as the official Sa2VA training code reads them
NEGATIVES_FILE = "negatives.json"  # beside it: texts that fit nothing in their video, or another object of it

# In the folder of an evaluation split, under the names of the official Ref-SAV release, but for SPLIT_INFO and
# SPLIT_JUDGEMENTS, which are ours; written by validation_ui/exporting, read by pipeline/evaluation and, to leave its
# videos out, by training.
SPLIT_EXPRESSIONS = "meta_expressions_valid.json"  # of each video its frames and expressions
SPLIT_MASKS = "mask_dict.json"  # of each object a run-length mask, or null, for each frame
SPLIT_JUDGEMENTS = "judgements.parquet"  # what people said of every text; read by pipeline/calibrate.py too
SPLIT_INFO = "split.json"  # which videos were set aside, whether or not an expression of them was accepted

# Predictions and their scores, under the names of the official scorer; written and read by pipeline/evaluation.
PREDICTIONS = "results.json"
SCORES_JSON, SCORES_CSV = "ref_sav_valid.json", "ref_sav_valid.csv"


_BRIEF_CHARACTERS = 300


@contextmanager
def locked(file: Path, refusal: str) -> Iterator[None]:
    """Keep other commands that lock `file` out during the block.

    The lock is the system's own: it is gone with the process, however that ends. On a file system without locks a
    warning is logged and the block runs.

    Args:
        file: in a folder that is there; made where it is not there, and left there.
        refusal: what to say if another process has it.

    Raises:
        ValueError: another process has it; the message is `refusal`.
    """
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(refusal) from error
        except OSError as error:
            logger.warning("%s cannot be locked (%s): see to it that no other command writes there", file.parent, error)
        yield


def check_out(path: Path, option: str = "--out") -> None:
    """Check that `path` is a folder that can be written to, or that can be made; makes nothing.

    Args:
        path: the folder.
        option: name of the command's option that gave it, for the message.

    Raises:
        ValueError: `path` is a file, lies below a file, or is a place that this user may not write to.
    """
    try:
        above = _existing(path)
    except OSError as error:
        raise ValueError(f"{option} must be a folder that can be made, got {path}: {brief(error)}") from error
    if not above.is_dir():
        raise ValueError(f"{option} must be a folder, got {path}: {above} is a file")
    if not os.access(above, os.W_OK):
        raise ValueError(f"{option} must be a folder that can be written to, got {path}: {above} cannot")


def make_out(path: Path, option: str = "--out") -> None:
    """Make the folder `path`, and those above it.

    Raises:
        ValueError: it cannot be made there, whatever room there is.
        OSError: the disk is full.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_full(error):
            raise
        raise ValueError(f"{option} must be a folder that can be made, got {path}: {brief(error)}") from error


def check_apart(option: str, given: Path, written: Iterable[Path]) -> None:
    """Check that what a command reads does not lie where it writes, or replaces what is there.

    Args:
        option: name of the command's option that gave it, for the message.
        given: file or folder that is read; one that does not exist is no fault here.
        written: files and folders that the command writes; they need not exist yet. Links are followed.

    Raises:
        ValueError: `given` is one of `written`, or lies in one.
    """
    for place in written:
        if given.exists() and given.resolve().is_relative_to(place.resolve()):
            raise ValueError(
                f"{option} must lie apart from what the command writes, got {given}, and {place} is written: name "
                "another output folder"
            )


def check_space(path: Path, needed_bytes: int, what: str) -> None:
    """Check that the disk has room for what will be written below `path`, which need not exist yet.

    Args:
        path: a folder.
        needed_bytes: size of what will be written.
        what: a name for it, for the message.

    Raises:
        ValueError: less than `needed_bytes` are free.
    """
    free_bytes = shutil.disk_usage(_existing(path)).free
    if free_bytes < needed_bytes:
        raise ValueError(
            f"{path} must have room for {what}, {needed_bytes / 2**30:.2f} GiB, got {free_bytes / 2**30:.2f} GiB free: "
            "free some, or name another folder"
        )


def is_full(error: Exception) -> bool:
    """Tell whether an error of Python, torch or safetensors says that the disk is full."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def brief(error: BaseException) -> str:
    """Return the kind and the message of an error on one short line.

    The repr of an error may be much longer: that of a UnicodeDecodeError holds the whole file.
    """
    line = " ".join(str(error).split())
    return f"{type(error).__name__}: {line if len(line) <= _BRIEF_CHARACTERS else line[:_BRIEF_CHARACTERS] + '…'}"


def _existing(path: Path) -> Path:
    """The path itself or the nearest folder above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())
