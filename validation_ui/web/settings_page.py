"""API of the settings page: every setting with its limits, what a change would do, and the change."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from pydantic import Field
from sqlalchemy import Connection

from validation_ui import changing
from validation_ui.database import Database
from validation_ui.importing.more import outstanding
from validation_ui.problem import Problem
from validation_ui.settings import Settings
from validation_ui.web.item_routes import tried
from validation_ui.web.requests import AdminDep, Body, DatabaseDep

router = APIRouter()


class NewSettings(Body):
    """The body that changes settings: new values by name, and whether that is only tried."""

    values: dict[Annotated[str, Field(max_length=40)], Any] = Field(max_length=40)
    preview: bool = False


@router.get("/api/settings")
def show(request: Request, database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """Return the settings: `{"tag", "settings": [{"name", "value", "default", "whole", "group", "label", …}], "draw"}`.

    `draw` is what `draw_state` returns.
    """
    with database.read() as connection:
        settings = Settings.load(connection)
        facts = changing.facts(connection, database.now())
    values, defaults = settings.as_dict(), Settings().as_dict()
    rows = [
        {"name": name, "value": values[name], "default": defaults[name], "whole": isinstance(values[name], int)}
        | {"fact": facts.get(name)}
        | vars(rule)
        for name, rule in changing.RULES.items()
    ]
    return {"tag": changing.tag(settings), "settings": rows, "draw": draw_state(request, database)}


@router.put("/api/settings")
def change(
    body: NewSettings,
    request: Request,
    database: DatabaseDep,
    caller: AdminDep,
    if_match: Annotated[str, Header(pattern=r'^"[0-9a-f]{32}"$')],
) -> dict[str, Any]:
    """Change settings, or tell what that would do; If-Match has the tag of the settings that the admin saw.

    `{"values": {name: [old, new]}, "notes": [sentence, …], "tag"}`
    """

    def work(connection: Connection) -> changing.Changed:
        return changing.change(
            connection,
            body.values,
            actor=f"person:{caller.id}",
            now=database.now(),
            seen_tag=if_match.strip('"'),
        )

    changed: changing.Changed = tried(database, work, preview=body.preview)
    if changed.raised:
        changed.notes.append("more candidates are drawn from the run, if it has any: Progress shows them as they come")
        if not body.preview:
            request.app.state.draws.start()
    return {"values": changed.values, "notes": changed.notes, "tag": changing.tag(changed.settings)}


@router.post("/api/settings/draw", status_code=204)
def draw(body: Body, request: Request, database: DatabaseDep, caller: AdminDep) -> None:
    """Begin to draw the candidates that raised quotas still need."""
    state = draw_state(request, database)
    if state is None or state["running"]:
        why = "They are being drawn already." if state else "No candidates wait to be drawn: all quotas have theirs."
        raise Problem(409, "nothing_to_draw", why)
    request.app.state.draws.start()


def draw_state(request: Request, database: Database) -> dict[str, Any] | None:
    """Return `{"running", "fault"}` if candidates for raised quotas are still to be drawn: whether that is being done.

    `fault` says why the last try failed, "" if none did.
    """
    with database.read() as connection:
        fault = outstanding(connection)
    return None if fault is None else {"running": request.app.state.draws.is_running, "fault": fault}
