"""Trouble that is no fault of the program: a full disk, a locked or damaged database, a server that is down.

`explain` turns what Python, SQLite, PostgreSQL and the system raise into one sentence, for the command line and for the
pages. What it does not know is a fault of ours and keeps its traceback.
"""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

USER, STOPPED = 2, 3  # exit codes, as in docs/annotate.md: wrong settings; stopped, the same command may go on later
_FULL = "free some space, then do this again; what was saved before is kept"
_SQLITE = {  # by the beginning of SQLite's name of the error (sqlite.org/rescode.html): sentence, exit code, seconds
    "SQLITE_BUSY": ("is locked by another program: wait until that has ended, or stop it, then try again", STOPPED, 5),
    "SQLITE_LOCKED": (
        "is locked by another program: wait until that has ended, or stop it, then try again",
        STOPPED,
        5,
    ),
    "SQLITE_FULL": (f"cannot be written, as the disk is full: {_FULL}", STOPPED, 60),
    "SQLITE_IOERR": ("cannot be read or written (disk I/O error): is the disk full, or broken?", STOPPED, 60),
    "SQLITE_READONLY": ("cannot be written: let the user who runs this write the file and its folder", USER, 60),
    "SQLITE_PERM": ("cannot be written: let the user who runs this write the file and its folder", USER, 60),
    "SQLITE_CANTOPEN": ("cannot be opened: it must be a file, in a folder that exists and can be written", USER, 60),
    "SQLITE_NOTADB": ("is no SQLite database: move it away, or name another folder with --data", USER, 60),
    "SQLITE_CORRUPT": ("is damaged or cut off: `python -m validation_ui restore` puts a backup in its place", USER, 60),
}
_POSTGRES = {  # by what the message says or, where there is one, the SQLSTATE
    "password authentication failed": ("check the password: it is read from PGPASSWORD or from ~/.pgpass", USER),
    "no password supplied": ("it wants a password: give it in PGPASSWORD or in ~/.pgpass", USER),
    "does not exist": ("make it with `createdb`, or name another with --database", USER),
    "failed to resolve host": ("check the host in --database", USER),
    "permission denied": ("its owner must allow this user to do that", USER),
    "53100": (f"its disk is full: {_FULL}", STOPPED),
    "53300": ("it has too many connections: close others, or raise max_connections", STOPPED),
    "55P03": ("somebody holds a lock in it: wait until that has ended, then try again", STOPPED),
}


@dataclass(frozen=True)
class Trouble:
    """What is wrong, as a sentence; the exit code of a command, and after what time a request may be repeated."""

    sentence: str
    exit_code: int
    retry_after_s: int = 60


class TroubleError(Exception):
    """Stops a command because of trouble that whoever raises it can explain best: the message is the sentence."""


def explain(error: BaseException, database: str) -> Trouble | None:
    """Return what is wrong, or None if `error` is a fault of the program.

    Args:
        error: what was raised.
        database: the database's file or URL as it is shown, without a password.
    """
    if isinstance(error, TroubleError):
        return Trouble(str(error), STOPPED)
    if isinstance(error, PoolTimeoutError):
        return Trouble(f"the database {database} does not keep up: all connections are in use", STOPPED, 5)
    if isinstance(error, DBAPIError):
        name = getattr(error.orig, "sqlite_errorname", None)
        return _sqlite(name, database) if name else _postgres(error, database)
    if isinstance(error, OSError) and error.errno is not None:
        return _system(error)
    return None


def is_locked(error: DBAPIError) -> bool:
    """Return whether SQLite gave up because another process holds the database's lock."""
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _sqlite(name: str, database: str) -> Trouble | None:
    for begin, (sentence, code, retry_after_s) in _SQLITE.items():
        if name.startswith(begin):
            return Trouble(f"the database {database} {sentence}{_what_is_there(database, name)}", code, retry_after_s)
    return None


def _what_is_there(database: str, name: str) -> str:
    path = Path(database)
    if not name.startswith("SQLITE_CANTOPEN"):
        return ""
    if path.is_symlink() and not path.exists():
        return f"; it is a link to {path.readlink()}, which is not there"
    return "; it is a folder" if path.is_dir() else ""


def _postgres(error: DBAPIError, database: str) -> Trouble | None:
    told = " ".join(str(error.orig).split())
    state = getattr(error.orig, "sqlstate", None)
    is_gone = type(error.orig).__name__ in ("OperationalError", "AdminShutdown", "CrashShutdown", "CannotConnectNow")
    for mark, (advice, code) in _POSTGRES.items():
        if mark == state or (state is None and is_gone and mark in told):
            return Trouble(f"the database {database} refused this ({told}): {advice}", code)
    if is_gone or error.connection_invalidated:
        return Trouble(f"the database {database} cannot be reached ({told}): is its server running?", STOPPED, 5)
    if state == "42501":
        return Trouble(f"the database {database} refused this ({told}): its owner must allow it", USER)
    return None


def _system(error: OSError) -> Trouble:
    where = error.filename or error.filename2
    told = f"{os.fsdecode(where)}: {error.strerror}" if isinstance(where, str | bytes) else str(error.strerror)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return Trouble(f"the disk is full or a limit of file sizes is reached ({told}): {_FULL}", STOPPED)
        case errno.EIO:
            return Trouble(f"the disk failed ({told})", STOPPED)
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return Trouble(f"this may not be written or read ({told}): change its permissions, or name another", USER)
        case errno.EISDIR | errno.ENOTDIR | errno.EEXIST | errno.ENOENT | errno.ELOOP | errno.ENAMETOOLONG:
            return Trouble(f"a file or folder is not what it must be ({told}): move it away, or name another", USER)
    return Trouble(f"the system refused something ({told})", STOPPED)
