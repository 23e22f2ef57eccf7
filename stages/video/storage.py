"""Tells a faulty file, which costs its own rows, from storage that does not answer, which would cost all of them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from manifests.schema import Reason
from stages.base import FatalError, RowError

_OF_THE_FILE = {  # what opening or reading a file may fail with, and the others be fine -> what to tell
    errno.ENOENT: "it is not there, or a link to nothing: put it back, or remove the video's other files",
    errno.EACCES: "its permissions forbid it: allow reading",
    errno.EPERM: "its permissions forbid it: allow reading",
    errno.EISDIR: "it is a folder: put the file itself there",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.ELOOP: "it is a link that leads to itself",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ENXIO: "it is a socket or a device: put the file itself there",
    errno.EINVAL: "it is a pipe, socket or device: put the file itself there",
}
_BY_CLASS = {  # remote file systems raise these without a number
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}


@contextmanager
def readable(name: str, reason: Reason) -> Iterator[None]:
    """Turn errors of opening and reading, in a `with` block, into a RowError or a FatalError that says what to do.

    Args:
        name: what errors call the file that is opened and read there.
        reason: of the RowError.

    Raises:
        RowError: the file itself is the trouble.
        FatalError: it is there and cannot be read now.
    """
    try:
        yield
    except Exception as error:  # clients of remote stores have errors of their own, which are no OSError
        number = getattr(error, "errno", None)
        number = number or next((code for kind, code in _BY_CLASS.items() if isinstance(error, kind)), None)
        if number in _OF_THE_FILE:
            raise RowError(reason, f"{name} cannot be opened: {_OF_THE_FILE[number]}") from error
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> FatalError:
    """Return the error that stops the run: the storage does not give a file or folder now."""
    return FatalError(f"{name} cannot be read now: {type(error).__name__}: {error}; see to the disk or network")
