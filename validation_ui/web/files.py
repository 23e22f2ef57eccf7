"""Files that the app hands out: chunks of pictures by their hash, source videos by a random id. Nothing else.

A path never comes from a request: a name must look like a hash, a video is looked up in the database, and what comes
out of either must lie inside the folder that it is meant to lie in.
"""

import re
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, JSONResponse, Response

_CHUNK = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_MAX_RANGE_CHARS = 64  # CVE-2025-62727: what is longer asks for many ranges
_FIXED = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}


def inside(root: Path, name: str) -> Path:
    """`root / name`, links followed.

    Raises:
        ValueError: that is not inside `root`.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"a file must lie inside {root}, got {name!r}: it leads to {path}")
    return path


def chunk_path(data: Path, name: str) -> Path | None:
    """The chunk of this hash in a project's folder; None if there is none."""
    if not _CHUNK.fullmatch(name):
        return None
    frames = data / "frames"
    path = inside(frames, f"{name}.bin")
    return path if path.is_file() else None


def answer(path: Path, media_type: str, headers: Headers, *, etag: str, immutable: bool) -> Response:
    """The file, part of it, or the word that the browser has it already.

    Args:
        path: an existing file.
        media_type: fixed by the kind of file, never by its name.
        headers: of the request.
        etag: with its quotes.
        immutable: it never changes under this address.
    """
    fixed = _FIXED | {
        "ETag": etag,
        "Cache-Control": "private, max-age=31536000, immutable" if immutable else "private, no-cache",
    }
    if headers.get("if-none-match") == etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=fixed)
    stat = path.stat()
    if not satisfiable(headers.getlist("range"), stat.st_size):
        message = f"Ask for one range of bytes of 0 to {stat.st_size - 1}, such as bytes=0-1023."
        return JSONResponse(
            {"error": {"code": "range", "message": message}},
            status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            headers=_FIXED | {"Content-Range": f"bytes */{stat.st_size}", "Cache-Control": "no-store"},
        )
    return FileResponse(path, media_type=media_type, headers=fixed, stat_result=stat)


def satisfiable(ranges: list[str], size: int) -> bool:
    """True if Range headers ask for nothing, or for one part of a file of `size` bytes.

    Starlette answers the rest; it is only ever given what passes here.
    """
    if not ranges:
        return True
    if len(ranges) > 1 or len(ranges[0]) > _MAX_RANGE_CHARS:
        return False
    match = _RANGE.fullmatch(ranges[0])
    if match is None:
        return False
    first, last = match.groups()
    if not first:
        return last != "" and int(last) > 0 and size > 0
    return int(first) < size and (last == "" or int(last) >= int(first))
