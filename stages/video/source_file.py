"""Finds out what is wrong with a file, and whether it is the file at all.

Pointers, error pages, archives and half downloads are called .mp4 and .json too. And a faulty file, which costs its own
rows, is told from storage that does not answer, which would cost all of them.
"""

import errno
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal

from manifests.row_results import FatalError, RowError
from manifests.schema import Reason

Wanted = Literal["a video", "JSON"]

HEAD_BYTES = 4096  # enough to tell: the farthest mark is tar's, at 257
_AGAIN = "get the file again"
_ARCHIVE = "unpack it"
_MARKS = {  # first bytes -> what it is, what to do
    b"\x1f\x8b": ("gzip data", _ARCHIVE),
    b"PK\x03\x04": ("a zip archive", _ARCHIVE),
    b"PK\x05\x06": ("a zip archive without files", _AGAIN),
    b"\xfd7zXZ\x00": ("xz data", _ARCHIVE),
    b"BZh": ("bzip2 data", _ARCHIVE),
    b"\x28\xb5\x2f\xfd": ("zstd data", _ARCHIVE),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _ARCHIVE),
    b"Rar!": ("a rar archive", _ARCHIVE),
    b"\xff\xd8\xff": ("a JPEG picture", _AGAIN),
    b"\x89PNG": ("a PNG picture", _AGAIN),
    b"GIF8": ("a GIF picture", _AGAIN),
    b"%PDF": ("a PDF", _AGAIN),
    b"\x00\x05\x16\x07": ("macOS's notes on a file of this name", _AGAIN),
}
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WIDE_BYTES = 64  # enough to see that every second byte, or three of four, is zero
_LFS = "version https://git-lfs"
_ERROR_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_HTML = re.compile(r"<(!doctype html|html|head|body)\b", re.IGNORECASE)  # maybe behind a comment or an XML line
_SPACE = "\ufeff \t\r\n"
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,60})", re.IGNORECASE)
_BOXES = (b"ftyp", b"moov", b"mdat", b"moof")  # parts of an mp4 that it cannot be played without
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


def foreign(head: bytes, wanted: Wanted) -> str | None:
    """Say what a file is that cannot be what its name says, and what to do; None where its first bytes may be right.

    Args:
        head: its first HEAD_BYTES, or all of it.
        wanted: what its name says that it is.
    """
    what, remedy = _kind(head, wanted) or ("", "")
    return f"must be {wanted}, got {what}: {remedy}" if what else None


def json_text(raw: bytes) -> bytes:
    """Return the JSON of a file as UTF-8 without a byte order mark.

    Raises:
        ValueError: it is something else, which the message names.
    """
    if message := foreign(raw[:HEAD_BYTES], "JSON"):
        raise ValueError(message)
    if raw.endswith(b"\0"):
        raise ValueError(f"ends in zeros: a download was not finished, {_AGAIN}")
    return raw.lstrip(_SPACE.encode())


def breaks_off(file: BinaryIO) -> str | None:
    """Say how much of an mp4 is missing, if its parts go on beyond its end; None if they do not, or it is no mp4."""
    size = file.seek(0, io.SEEK_END)
    at = 0
    while 0 <= at < size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if at == 0 and kind != b"ftyp":
            return None
        length = int.from_bytes(header[8:16], "big") if length == 1 else length or size - at  # 0: up to the end
        if length < 8:
            return None
        at += length
        if at > size and kind in _BOXES:
            return f"breaks off after {size:,} of at least {at:,} bytes: the download was cut, {_AGAIN}"
    return None


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


def _kind(head: bytes, wanted: Wanted) -> tuple[str, str] | None:
    if not head:
        return "an empty file (0 bytes)", _AGAIN
    if not head.strip():
        return "nothing but white space", _AGAIN
    if not any(head):
        return "nothing but zeros", f"a download was not finished, {_AGAIN}"
    for mark, kind in _MARKS.items():
        if head.startswith(mark):
            return kind
    if head[257:262] == b"ustar":
        return "a tar archive", _ARCHIVE
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture", _AGAIN
    if wanted == "JSON" and head[4:8] == b"ftyp":
        return "a video", _AGAIN
    if wide := _wide_text(head[:_WIDE_BYTES]):
        return wide, "save it as UTF-8" if wanted == "JSON" else _AGAIN
    if text := _text(head, wanted):
        return text
    first = head.lstrip(_SPACE.encode())[:1]
    return ("binary data", _AGAIN) if wanted == "JSON" and first not in (b"{", b"[") else None


def _wide_text(start: bytes) -> str | None:
    """Return UTF-16 or UTF-32, if a text of mostly ASCII begins so."""
    signs = start.replace(b"\0", b"")
    plain = signs and all(sign.isprintable() or sign.isspace() for sign in signs.decode("latin-1"))
    if start.startswith(_WIDE_MARKS) or (plain and len(signs) <= 0.6 * len(start)):
        return "UTF-32 text" if len(signs) <= 0.35 * len(start) else "UTF-16 text"
    return None


def _text(head: bytes, wanted: Wanted) -> tuple[str, str] | None:
    try:
        text = head.decode("utf-8", "strict" if len(head) < HEAD_BYTES else "ignore").lstrip(_SPACE)
    except UnicodeDecodeError:
        return None
    if text.lower().startswith(_LFS):
        return "a Git LFS pointer", "get the file itself with `git lfs pull`"
    if text.startswith("<") and _HTML.search(text[:1000]):
        title = _TITLE.search(text)
        return f"a web page{f' ({title[1].strip()})' if title else ''}", _AGAIN
    if text.startswith("<"):
        code = _ERROR_CODE.search(text)
        return f"an error message in XML ({code[1]})" if code else "XML", _AGAIN
    if wanted == "JSON" and text[:1] in ("{", "["):
        return None
    if text and all(sign.isprintable() or sign.isspace() for sign in text):
        return f"text that begins {text[:60]!r}", _AGAIN
    return None
