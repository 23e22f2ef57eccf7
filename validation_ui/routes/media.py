"""Addresses of pictures and source videos, for people who are signed in.

Any of them may have any: the raw video of an item tells nobody what is to be found in it.
"""

from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import select

from validation_ui.access import Caller, data_of, need, store_of
from validation_ui.media import answer, chunk_path, inside
from validation_ui.problem import Problem
from validation_ui.schema import video
from validation_ui.store import Store

router = APIRouter()
SignedIn = Annotated[Caller, Depends(need())]


@router.api_route("/media/frames/{name}.bin", methods=["GET", "HEAD"])
def frames(name: str, request: Request, _caller: SignedIn, data: Annotated[FilePath, Depends(data_of)]) -> Response:
    """A chunk of pictures."""
    path = chunk_path(data, name)
    if path is None:
        raise Problem(404, "no_such_file", "There are no pictures of this name. Reload the page.")
    return answer(path, "application/octet-stream", request.headers, etag=f'"{name}"', immutable=True)


@router.api_route("/media/videos/{media_id}", methods=["GET", "HEAD"])
def source(media_id: str, request: Request, _caller: SignedIn, store: Annotated[Store, Depends(store_of)]) -> Response:
    """A source video, whole or one range of it."""
    with store.read() as connection:
        row = connection.execute(select(video.c.path, video.c.sha256).where(video.c.media_id == media_id)).first()
    if row is None:
        raise Problem(404, "no_such_file", "There is no video of this name. Reload the page.")
    path = inside(request.app.state.sav_root, row.path)
    if not path.is_file():
        raise Problem(404, "no_such_file", "The source video is no longer in SAV_ROOT. Tell whoever runs this server.")
    return answer(path, "video/mp4", request.headers, etag=f'"{row.sha256}"', immutable=False)
