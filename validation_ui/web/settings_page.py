"""API of the settings page: every setting with its limits, what a change would do, and the change."""

from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Header, Request
from pydantic import Field
from sqlalchemy import Connection

from validation_ui import changing
from validation_ui.settings import Settings
from validation_ui.web.item_routes import tried
from validation_ui.web.requests import AdminDep, Body, DatabaseDep

router = APIRouter()


class NewSettings(Body):
    """The body that changes settings: new values by name, and whether that is only tried."""

    values: dict[Annotated[str, Field(max_length=40)], float] = Field(max_length=40)
    preview: bool = False


@router.get("/api/settings")
def show(database: DatabaseDep, caller: AdminDep) -> dict[str, Any]:
    """Return the settings: `{"tag", "settings": [{"name", "value", "default", "whole", "group", "label", …}]}`."""
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
    return {"tag": changing.tag(settings), "settings": rows}


@router.put("/api/settings")
def change(
    body: NewSettings,
    request: Request,
    background: BackgroundTasks,
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
            background.add_task(request.app.state.draw_more)
    return {"values": changed.values, "notes": changed.notes, "tag": changing.tag(changed.settings)}
