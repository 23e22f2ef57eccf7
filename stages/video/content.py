"""What a file really is: there are pointers, error pages, archives and half downloads called .mp4 and .json."""

import io
import re
from typing import BinaryIO, Literal

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
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"{\x00", b"\x00{", b"[\x00", b"\x00[")
_LFS = "version https://git-lfs"
_ERROR_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,60})", re.IGNORECASE)
_BOXES = (b"ftyp", b"moov", b"mdat", b"moof")  # parts of an mp4 that it cannot be played without


def foreign(head: bytes, wanted: Wanted) -> str | None:
    """What a file is that cannot be what it is wanted as, and what to do; None where its first bytes may be right.

    Args:
        head: its first HEAD_BYTES, or all of it.
        wanted: what its name says.
    """
    what, remedy = _kind(head, wanted) or ("", "")
    return f"must be {wanted}, got {what}: {remedy}" if what else None


def json_text(raw: bytes) -> bytes:
    """The JSON of a file as UTF-8 without a byte order mark.

    Raises:
        ValueError: it is something else, which the message names.
    """
    text = raw.removeprefix(b"\xef\xbb\xbf")
    if told := foreign(text[:HEAD_BYTES], "JSON"):
        raise ValueError(told)
    return text


def breaks_off(file: BinaryIO) -> str | None:
    """How much of an mp4 is missing if its parts say that they go on beyond its end; None if they do not, or no mp4."""
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


def _kind(head: bytes, wanted: Wanted) -> tuple[str, str] | None:
    if not head:
        return "an empty file (0 bytes)", _AGAIN
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
    if head.startswith(_UTF_16):
        return "UTF-16 text", "save it as UTF-8" if wanted == "JSON" else _AGAIN
    return _text(head, wanted)


def _text(head: bytes, wanted: Wanted) -> tuple[str, str] | None:
    try:
        text = head.decode("utf-8-sig", "strict" if len(head) < HEAD_BYTES else "ignore").lstrip()
    except UnicodeDecodeError:
        return None
    start = text[:200].lower()
    if start.startswith(_LFS):
        return "a Git LFS pointer", "get the file itself with `git lfs pull`"
    if start.startswith(("<!doctype html", "<html", "<head", "<body")):
        title = _TITLE.search(text)
        return f"a web page{f' ({title[1].strip()})' if title else ''}", _AGAIN
    if start.startswith("<"):
        code = _ERROR_CODE.search(text)
        return f"an error message in XML ({code[1]})" if code else "XML", _AGAIN
    if wanted == "JSON" and text[:1] in ("{", "["):
        return None
    if text and all(sign.isprintable() or sign.isspace() for sign in text):
        return f"text that begins {text[:60]!r}", _AGAIN
    return None
