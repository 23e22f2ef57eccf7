"""API for admins: people, invites, gold items, the audit log."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy import Connection, case, func, select, update

from validation_ui import audit
from validation_ui.people import accounts
from validation_ui.people.access import close_sessions
from validation_ui.problem import Problem
from validation_ui.schema import Account, Gold, Role, Standing, item, judgement, text_version
from validation_ui.schema import audit as audit_table
from validation_ui.web.account import ServingDep
from validation_ui.web.requests import MAX_ID, AdminDep, Body, DatabaseDep, DatabaseId, OneOf

router = APIRouter()


class Change(Body):
    """The body that changes a person's role, standing or account."""

    role: OneOf[Role] | None = None
    standing: OneOf[Standing] | None = None
    account: OneOf[Account] | None = None


class Invite(Body):
    """The body that makes an invite for a role."""

    role: OneOf[Role]


class Retire(Body):
    """The body that takes a gold item out of use or back into it."""

    retired: bool


@router.get("/api/people")
def list_people(database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """List all people with their roles."""
    with database.read() as connection:
        return {"people": accounts.people(connection, database.now())}


@router.patch("/api/people/{person_id}", status_code=204)
def change_person(person_id: DatabaseId, body: Change, database: DatabaseDep, caller: AdminDep) -> None:
    """Change the role, the standing or the account of a person."""
    work = partial(accounts.change, person_id=person_id, by=caller, now=database.now(), **dict(body))
    database.write(work)


@router.post("/api/people/{person_id}/sessions/revoke")
def revoke_sessions(person_id: DatabaseId, database: DatabaseDep, caller: AdminDep) -> dict[str, int]:
    """End all sessions of a person at once."""

    def work(connection: Connection) -> int:
        count = close_sessions(connection, person_id)
        audit.append(
            connection,
            at=database.now(),
            actor=f"person:{caller.id}",
            action="revoke_sessions",
            subject=f"person:{person_id}",
            body={"count": count},
        )
        return count

    return {"revoked": database.write(work)}


@router.get("/api/invites")
def list_invites(database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """List the invites that can still be accepted."""
    with database.read() as connection:
        return {"invites": accounts.invites(connection, database.now())}


@router.post("/api/invites", status_code=201)
def invite(
    body: Invite, request: Request, database: DatabaseDep, serving: ServingDep, caller: AdminDep
) -> dict[str, Any]:
    """Make an invite and return its link, which cannot be shown again."""
    work = partial(accounts.make_invite, secret=serving.secret, role=body.role, by=caller.id, now=database.now())
    token, expires_at = database.write(work)
    base = serving.public_url.rstrip("/") or str(request.base_url).rstrip("/")
    return {"url": f"{base}/invite/{token}", "expires_at": expires_at}


@router.delete("/api/invites/{invite_id}", status_code=204)
def revoke_invite(invite_id: DatabaseId, database: DatabaseDep, caller: AdminDep) -> None:
    """Revoke an invite, so that its link no longer works."""
    database.write(partial(accounts.revoke_invite, invite_id=invite_id, by=caller.id, now=database.now()))


@router.get("/api/gold")
def list_gold(database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """List the gold items with their texts, and how often they were judged and judged right, to find bad ones."""
    live = judgement.c.item_id == item.c.id, judgement.c.undone_at.is_(None), judgement.c.gold_right.is_not(None)
    right = func.coalesce(func.sum(case((judgement.c.gold_right.is_(True), 1), else_=0)), 0)
    wanted = (
        select(
            item.c.public_id,
            item.c.gold,
            item.c.retired,
            item.c.video_id,
            text_version.c.parts,
            select(func.count()).where(*live).scalar_subquery().label("judged"),
            select(right).where(*live).scalar_subquery().label("right"),
        )
        .join_from(item, text_version, item.c.text_id == text_version.c.id)
        .where(item.c.gold != Gold.NONE)
        .order_by(item.c.id)
    )
    with database.read() as connection:
        return {"gold": [dict(row) for row in connection.execute(wanted).mappings()]}


@router.patch("/api/gold/{public_id}", status_code=204)
def retire_gold(
    public_id: Annotated[str, Path(max_length=24, pattern=r"^[A-Za-z0-9_-]+$")],
    body: Retire,
    database: DatabaseDep,
    caller: AdminDep,
) -> None:
    """Take a gold item whose known answer is wrong out of use, or put it back."""

    def work(connection: Connection) -> None:
        which = item.c.public_id == public_id, item.c.gold != Gold.NONE
        if connection.execute(update(item).where(*which).values(retired=body.retired)).rowcount != 1:
            raise Problem(404, "no_item", "There is no gold item of that name.")
        audit.append(
            connection,
            at=database.now(),
            actor=f"person:{caller.id}",
            action="retire_gold" if body.retired else "restore_gold",
            subject=f"item:{public_id}",
        )

    database.write(work)


@router.get("/api/audit")
def list_audit(
    database: DatabaseDep,
    caller: AdminDep,
    after: Annotated[int, Query(ge=0, le=MAX_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """List rows of the audit log, oldest first, and the id of the last row of all."""
    wanted = select(audit_table).where(audit_table.c.id > after).order_by(audit_table.c.id).limit(limit)
    with database.read() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
        last = connection.execute(select(func.max(audit_table.c.id))).scalar_one()
    return {"rows": rows, "last": last or 0}


@router.get("/api/audit/verify")
def verify_audit(database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """Check the hash chain of the audit log and return the result."""
    with database.read() as connection:
        try:
            return {"whole": True, "rows": audit.verify(connection), "message": ""}
        except ValueError as error:
            return {"whole": False, "rows": 0, "message": str(error)}
