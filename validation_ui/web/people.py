"""API for admins: a new password for somebody, who judged what, and having work done again."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy import func, select

from validation_ui.judging import undoing
from validation_ui.people import accounts
from validation_ui.problem import Problem
from validation_ui.schema import Gold, item, judgement, person
from validation_ui.web.account import ServingDep
from validation_ui.web.requests import MAX_ID, AdminDep, Body, DatabaseDep, DatabaseId

router = APIRouter()
Time = Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)]


class Redo(Body):
    """The body that has the work of a person done again: what they judged at this time or later."""

    since: float = Field(ge=0, le=1e11, allow_inf_nan=False)


@router.post("/api/people/{person_id}/reset", status_code=201)
def reset(
    person_id: DatabaseId, request: Request, database: DatabaseDep, serving: ServingDep, caller: AdminDep
) -> dict[str, Any]:
    """End the password and the sessions of a person; return a link to choose a new password, shown only once."""
    work = partial(accounts.reset_password, person_id=person_id, by=caller.id, now=database.now())
    token, expires_at = database.write(work)
    base = serving.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return {"url": f"{base}/reset/{token}", "expires_at": expires_at}


@router.get("/api/people/{person_id}/redo")
def redoable(person_id: DatabaseId, database: DatabaseDep, caller: AdminDep, since: Time = 0.0) -> dict[str, Any]:
    """Count what would be opened again, and name the exported items among it."""
    with database.read() as connection:
        wanted = undoing.redoable(person_id, since).subquery()
        number, items = connection.execute(select(func.count(), func.count(wanted.c.item_id.distinct()))).one()
        exported = (
            select(item.c.public_id)
            .where(item.c.id.in_(select(wanted.c.item_id)) | item.c.id.in_(select(wanted.c.short_item_id)))
            .where(item.c.exported_at.is_not(None))
            .order_by(item.c.id)
        )
        return {"judgements": number, "items": items, "exported": list(connection.scalars(exported))}


@router.post("/api/people/{person_id}/redo")
def redo(person_id: DatabaseId, body: Redo, database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """Open again to others what a person judged; name the items whose exported text rested on it."""
    with database.read() as connection:
        if connection.execute(select(person.c.id).where(person.c.id == person_id)).first() is None:
            raise Problem(404, "no_person", "There is no such person.")
    work = partial(undoing.redo, person_id=person_id, since=body.since, by=caller.id, now=database.now())
    redone = database.write(work)
    return {"judgements": len(redone.judgements), "items": redone.items, "exported": redone.exported}


@router.get("/api/judgements")
def who_judged_what(
    database: DatabaseDep,
    caller: AdminDep,
    person_id: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    public_id: Annotated[str | None, Query(max_length=24)] = None,
    before: Annotated[int, Query(ge=1, le=MAX_ID)] = MAX_ID,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """List judgements with the people who made them, newest first: of one person, of one item, or all."""
    wanted = (
        select(
            *(judgement.c.id, judgement.c.person_id, person.c.name, judgement.c.created_at, judgement.c.kind),
            *(judgement.c.decision, judgement.c.spent_s, judgement.c.undone_at, judgement.c.undone_by),
            *(
                item.c.public_id,
                item.c.video_id,
                item.c.state,
                item.c.exported_at,
                (item.c.gold != Gold.NONE).label("gold"),
            ),
        )
        .join_from(judgement, item, item.c.id == judgement.c.item_id)
        .join(person, person.c.id == judgement.c.person_id)
        .where(judgement.c.id < before)
        .order_by(judgement.c.id.desc())
        .limit(limit + 1)
    )
    wanted = wanted.where(judgement.c.person_id == person_id) if person_id is not None else wanted
    wanted = wanted.where(item.c.public_id == public_id) if public_id is not None else wanted
    with database.read() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
    return {"judgements": rows[:limit], "more": len(rows) > limit}
