"""API of what newcomers go through: the guide, once, and the result of their entry test."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Connection, delete, insert, select

from validation_ui import audit
from validation_ui.judging import entry_feedback, leases
from validation_ui.outlines import outlined
from validation_ui.people.access import Caller, data_of
from validation_ui.problem import Problem
from validation_ui.schema import Role, Standing, meta
from validation_ui.web.requests import Body, DatabaseDep, ReviewerDep, SomeoneDep
from validation_ui.web.review import PublicId

router = APIRouter()


def needs_guide(connection: Connection, caller: Caller) -> bool:
    """Return whether the person is about to take the entry test and has not been through the guide."""
    if caller.standing != Standing.ENTRY or caller.role == Role.READER:
        return False
    return connection.execute(select(meta.c.key).where(meta.c.key == _key(caller.id))).first() is None


@router.post("/api/guide/read", status_code=204)
def read_guide(body: Body, database: DatabaseDep, caller: SomeoneDep) -> None:
    """Record that the person has been through the guide; to do it again changes nothing."""

    def work(connection: Connection) -> None:
        if connection.execute(delete(meta).where(meta.c.key == _key(caller.id))).rowcount == 0:
            who = f"person:{caller.id}"
            audit.append(connection, at=database.now(), actor=who, action="read_guide", subject=who)
        connection.execute(insert(meta).values(key=_key(caller.id), value={"at": database.now()}))

    database.write(work)


@router.get("/api/entry")
def show(database: DatabaseDep, caller: ReviewerDep) -> dict[str, Any]:
    """Return the result of the caller's last entry test: `{"test": null | {"passed", "right", "of", "items"|null, …}}`.

    `items` is null while the caller may meet these items again.
    """
    with database.read() as connection:
        return {"test": entry_feedback.feedback(connection, caller.id)}


@router.get("/api/entry/{public_id}/picture.jpg")
def picture(
    public_id: PublicId,
    request: Request,
    database: DatabaseDep,
    caller: ReviewerDep,
    data: Annotated[Path, Depends(data_of)],
) -> Response:
    """Send a picture of an item of the caller's test, with the outline of the object."""
    with database.read() as connection:
        row = entry_feedback.shown_item(connection, caller.id, public_id)
        jpeg = outlined(connection, data, row) if row is not None else None
    if row is None or jpeg is None:
        raise Problem(404, "no_picture", "There is no picture of this item for you.")
    video_id = row.video_id
    database.write(lambda c: leases.mark_seen(c, caller.id, video_id, database.now()))
    return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


def _key(person_id: int) -> str:
    return f"guide:{person_id}"
