"""The files that the app serves: chunks of images, source videos, and the package's own scripts and styles.

A path never comes from a request: a chunk is named by its hash, a video by a random id that is looked up in the
database, a script by a name on a closed list; and the file must lie inside the folder that it belongs to.
"""

import hashlib
import re
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse

from validation_ui.database import Database
from validation_ui.people.access import Caller, data_of, database_of, need
from validation_ui.problem import Problem
from validation_ui.project import inside
from validation_ui.schema import video

router = APIRouter()
SignedIn = Annotated[Caller, Depends(need())]
_CHUNK = re.compile(r"[0-9a-f]{64}")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_MAX_RANGE_CHARS = 64  # a longer header asks for many ranges, which cost quadratic time (CVE-2025-62727)
_FIXED = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "inline"}


def chunk_path(data: Path, name: str) -> Path | None:
    """Return the file of the chunk with this hash in a project's data folder, or None if there is none."""
    if not _CHUNK.fullmatch(name):
        return None
    frames = data / "frames"
    path = inside(frames, f"{name}.bin")
    return path if path.is_file() else None


def answer(path: Path, media_type: str, headers: Headers, *, etag: str, immutable: bool) -> Response:
    """Respond with the file, with a range of it, or with 304 if the browser has it already.

    Args:
        path: an existing file.
        media_type: the MIME type, decided by the caller and not by the file's name.
        headers: the headers of the request.
        etag: the ETag with its quotes.
        immutable: the file never changes under this URL.
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
    """Return True if there is no Range header, or one that asks for a single part of a file of `size` bytes.

    Only such requests are passed on to Starlette, which serves the range.
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


_STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class StaticFiles:
    """Serves the package's scripts, styles and icons from a closed table of names, so no name leads elsewhere."""

    def __init__(self) -> None:
        self._paths = {
            path.relative_to(_STATIC).as_posix(): path for path in _STATIC.rglob("*") if path.suffix in _TYPES
        }

    async def answer(self, request: Request) -> Response:
        """Respond with the file, or 304 if the browser has it; browsers ask every time, so upgrades show at once."""
        path = self._paths.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        content = await run_in_threadpool(path.read_bytes)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[path.suffix])


@router.api_route("/media/frames/{name}.bin", methods=["GET", "HEAD"])
def frames(name: str, request: Request, _caller: SignedIn, data: Annotated[Path, Depends(data_of)]) -> Response:
    """Serve a chunk of images. Everyone who is signed in may have any: it does not tell which object is meant."""
    path = chunk_path(data, name)
    if path is None:
        raise Problem(404, "no_such_file", "There are no pictures of this name. Reload the page.")
    return answer(path, "application/octet-stream", request.headers, etag=f'"{name}"', immutable=True)


@router.api_route("/media/videos/{media_id}", methods=["GET", "HEAD"])
def source(
    media_id: str, request: Request, _caller: SignedIn, database: Annotated[Database, Depends(database_of)]
) -> Response:
    """Serve a source video or one range of it. Everyone who is signed in may have any, as for chunks."""
    with database.read() as connection:
        row = connection.execute(select(video.c.path, video.c.sha256).where(video.c.media_id == media_id)).first()
    if row is None:
        raise Problem(404, "no_such_file", "There is no video of this name. Reload the page.")
    path = inside(request.app.state.sav_root, row.path)
    if not path.is_file():
        raise Problem(404, "no_such_file", "The source video is no longer in SAV_ROOT. Tell whoever runs this server.")
    return answer(path, "video/mp4", request.headers, etag=f'"{row.sha256}"', immutable=False)
