"""The package's own scripts and styles: a closed table of names, read when asked for."""

import hashlib
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class StaticFiles:
    """Answers by exact name alone, so no name leads out of the package."""

    def __init__(self) -> None:
        self._paths = {
            path.relative_to(_FOLDER).as_posix(): path for path in _FOLDER.rglob("*") if path.suffix in _TYPES
        }

    async def answer(self, request: Request) -> Response:
        """The file, or 304 if the browser has it; browsers ask each time, so an upgrade is seen at once."""
        path = self._paths.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        content = await run_in_threadpool(path.read_bytes)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "Cache-Control": "no-cache"}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=_TYPES[path.suffix])
