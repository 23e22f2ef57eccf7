"""API of the item browser: the list of items, and what an admin may do with one of them.

The list shows texts and states but no image, mask, point or note, so it tells nobody where an object is. An admin who
opens an item is shown the object and what others said of it: from then on they are not asked about this item, and get
no blind items of its video (`look`). The page warns those who judge themselves before that.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection, select

from validation_ui.database import Database
from validation_ui.judging import interventions, leases
from validation_ui.judging.interventions import Effect
from validation_ui.judging.item_views import shown_to_adjudicator
from validation_ui.judging.team import read_team
from validation_ui.people.access import Caller
from validation_ui.problem import Problem
from validation_ui.schema import Gold, Role, SlotKind, Standing, item, judgement, masklet, skipped
from validation_ui.settings import REASONS
from validation_ui.statistics.unstaffed import unstaffed
from validation_ui.web import item_list
from validation_ui.web.item_list import Disagreement, Sort, StateFilter
from validation_ui.web.requests import MAX_ID, AdminDep, Body, DatabaseDep, ObserverDep
from validation_ui.web.review import PublicId

router = APIRouter()
_PRINTABLE = r"^[^\x00-\x1f]*$"  # PostgreSQL takes no NUL


class Step(Body):
    """The body of every step with an item: the state that the admin saw, a note, and whether it is only tried."""

    mark: str = Field(max_length=80)
    note: str = Field(default="", max_length=400)
    preview: bool = False  # tell what it would do, and do nothing


class Reopen(Step):
    """The body that sets judgements of an item aside: the last one, or all of them."""

    since: interventions.Since


class Withdraw(Step):
    """The body that takes an item out, or puts it back."""

    withdrawn: bool


class Assign(Step):
    """The body that gives the next judgement of an item to a person."""

    person_id: int = Field(ge=1, le=MAX_ID)


class Correct(Step):
    """The body that changes the known answer of a gold item."""

    answer: Literal["accept", "reject"]


@router.get("/api/items")
def list_items(
    database: DatabaseDep,
    caller: ObserverDep,
    id: Annotated[str, Query(max_length=120, pattern=_PRINTABLE)] = "",
    video: Annotated[str, Query(max_length=80, pattern=_PRINTABLE)] = "",
    state: StateFilter | None = None,
    person: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    reason: Annotated[str | None, Query(max_length=40)] = None,
    pass_: Annotated[SlotKind | None, Query(alias="pass")] = None,
    disagreement: Disagreement | None = None,
    sort: Sort = Sort.QUEUE,
    after: Annotated[str, Query(max_length=120, pattern=_PRINTABLE)] = "",
) -> dict[str, Any]:
    """List items, 50 at a time: `{"items": [{"public_id", "video_id", "kind", "state", …}], "total", "next"|null}`.

    Admins may use every filter. Readers see no gold items and no names. Adjudicators see what waits for an adjudicator
    or is settled, unless they were given it in another pass; as they may still have to settle an item, they may not
    look for it by what others said.
    """
    admin = caller.role == Role.ADMIN
    if not admin and (person is not None or state is StateFilter.GOLD):
        raise Problem(403, "role", "Only admins look for items by person, and for gold items.")
    if caller.role == Role.ADJUDICATOR and (reason or pass_ or disagreement):
        message = "What others said of an item is not shown before you settle it: look by id, video or state."
        raise Problem(403, "role", message)
    if reason is not None and reason not in REASONS:
        raise Problem(422, "invalid", f"A reason is one of {', '.join(REASONS)}.")
    wanted = item_list.Query(id.strip(), video.strip(), state, person, reason, pass_, disagreement, sort, after)
    with database.read() as connection:
        adjudicator = caller.id if caller.role == Role.ADJUDICATOR else None
        return item_list.find(connection, wanted, names=admin, gold=admin, now=database.now(), adjudicator=adjudicator)


@router.get("/api/items/{public_id}/desk")
def desk(public_id: PublicId, database: DatabaseDep, caller: ObserverDep) -> dict[str, Any]:
    """Return what an item's page needs beside the item: whether to look uses the caller up, and the steps of an admin.

    `{"uses_up": {"blind", "item"}, "admin": null | {"mark", "number", "object_id", "state", "withdrawn", "exported",`
    `"gold"|null, "retired", "mates": […], "holders": […], "candidates": […], "stuck": null | {"reason", "way_out"}}}`.
    """
    with database.read() as connection:
        row = interventions.find(connection, public_id)
        hidden = bool(row.gold) and caller.role != Role.ADMIN
        if caller.role == Role.ADJUDICATOR:
            shown = select(item.c.id).where(item.c.id == row.id, *shown_to_adjudicator(caller.id))
            hidden = connection.execute(shown).first() is None
        if hidden:
            raise Problem(404, "no_item", "There is no item of that name.")
        admin = _admin_view(connection, row, database.now()) if caller.role == Role.ADMIN else None
        return {"uses_up": _uses_up(connection, row, caller), "admin": admin}


@router.post("/api/items/{public_id}/look", status_code=204)
def look(public_id: PublicId, body: Body, database: DatabaseDep, caller: AdminDep) -> None:
    """Record that the admin looks at the object and the judgements of an item."""
    now = database.now()
    database.write(lambda c: interventions.look(c, public_id=public_id, by=caller.id, now=now))


@router.post("/api/items/{public_id}/reopen")
def reopen(public_id: PublicId, body: Reopen, database: DatabaseDep, caller: AdminDep) -> Effect:
    """Set judgements aside and ask again for what is missing."""
    return _step(database, body, caller, public_id, interventions.reopen, since=body.since)


@router.post("/api/items/{public_id}/withdraw")
def withdraw(public_id: PublicId, body: Withdraw, database: DatabaseDep, caller: AdminDep) -> Effect:
    """Take an item out of the project, or put it back."""
    return _step(database, body, caller, public_id, interventions.withdraw, withdrawn=body.withdrawn)


@router.post("/api/items/{public_id}/assign")
def assign(public_id: PublicId, body: Assign, database: DatabaseDep, caller: AdminDep) -> Effect:
    """Keep the next judgement of an item for one person."""
    return _step(database, body, caller, public_id, interventions.assign, person_id=body.person_id)


@router.post("/api/items/{public_id}/answer")
def correct(public_id: PublicId, body: Correct, database: DatabaseDep, caller: AdminDep) -> Effect:
    """Change the known answer of a gold item."""
    answer = {text: gold for gold, text in interventions.ANSWERS.items()}[body.answer]
    return _step(database, body, caller, public_id, interventions.correct_gold, answer=answer)


class _TriedError(Exception):
    """Rolls a transaction back whose effect was only to be told."""

    def __init__(self, told: Any) -> None:
        super().__init__()
        self.told = told


def tried(database: Database, work: Callable[[Connection], Any], *, preview: bool) -> Any:
    """Run `work` as one transaction and return its result; if it is a preview, change nothing."""

    def attempt(connection: Connection) -> Any:
        told = work(connection)
        if preview:
            raise _TriedError(told)
        return told

    try:
        return database.write(attempt)
    except _TriedError as rolled_back:
        return rolled_back.told


def _step(
    database: Database, body: Step, caller: Caller, public_id: str, step: Callable[..., Effect], **more: Any
) -> Effect:
    now = database.now()
    common = {"public_id": public_id, "seen_mark": body.mark, "by": caller.id, "note": body.note.strip(), "now": now}
    effect: Effect = tried(database, lambda c: step(c, **common, **more), preview=body.preview)
    return effect


def _uses_up(connection: Connection, row: Any, caller: Caller) -> dict[str, bool]:
    """Tell what the caller could not do any more after a look: blind items of the video, and this item."""
    nothing = {"blind": False, "item": False}
    judged_once = select(judgement.c.id).where(judgement.c.person_id == caller.id).limit(1)
    if caller.role == Role.READER or caller.standing != Standing.ACTIVE:
        return nothing
    if caller.role == Role.ADMIN and connection.execute(judged_once).first() is None:
        return nothing  # an admin who does not judge
    mine = select(judgement.c.id).where(judgement.c.item_id == row.id, judgement.c.person_id == caller.id)
    passed = select(skipped.c.at).where(skipped.c.item_id == row.id, skipped.c.person_id == caller.id)
    asked = row.state in tuple(SlotKind) and not any(connection.execute(q).first() for q in (mine, passed))
    seen = leases.has_seen(connection, caller.id, row.video_id)
    return {"blind": not seen and not row.gold, "item": asked and caller.role == Role.ADMIN}


def _admin_view(connection: Connection, row: Any, now: float) -> dict[str, Any]:
    stuck = next((one for one in unstaffed(connection, read_team(connection)) if one.public_id == row.public_id), None)
    mates = select(item.c.public_id, item.c.kind, item.c.state).where(
        item.c.masklet_id == row.masklet_id, item.c.id != row.id, item.c.gold == Gold.NONE
    )
    people = interventions.candidates(connection, row, now)
    return {
        "mark": interventions.mark(connection, row),
        "number": row.id,
        "object_id": connection.execute(select(masklet.c.object_id).where(masklet.c.id == row.masklet_id)).scalar_one(),
        "video_id": row.video_id,
        "state": row.state,
        "kind": row.kind,
        "retired": bool(row.retired),
        "exported": row.exported_at is not None,
        "answer": interventions.ANSWERS[Gold(row.gold)] if row.gold else None,
        "judged": connection.execute(
            select(judgement.c.id).where(judgement.c.item_id == row.id, judgement.c.undone_at.is_(None)).limit(1)
        ).first()
        is not None,
        "mates": [dict(mate) for mate in connection.execute(mates.order_by(item.c.id)).mappings()],
        "candidates": [vars(one) for one in people],
        "stuck": {"reason": stuck.reason, "way_out": stuck.way_out} if stuck else None,
    }
