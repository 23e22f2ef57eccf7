"""What was said of an item, for the page behind its link."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from sqlalchemy import select

from validation_ui.access import Caller, need
from validation_ui.problem import Problem
from validation_ui.routes.account import StoreDep
from validation_ui.schema import ItemState, Role, item, judgement, pointing, text_version

router = APIRouter()
_SETTLED = (ItemState.ACCEPTED, ItemState.SURPLUS, ItemState.DROPPED)


@router.get("/api/items/{public_id}/history")
def history(
    public_id: Annotated[str, Path(max_length=24)],
    store: StoreDep,
    caller: Annotated[Caller, Depends(need(Role.READER, Role.REVIEWER))],
) -> dict[str, Any]:
    """Judgements that stand, oldest first, without names: `{"judgements": [{label, mine, kind, decision, …}]}`.

    Readers and admins see all, adjudicators all of what is settled; else people see their own, lest what others said
    sway them.
    """
    with store.read() as connection:
        about = connection.execute(select(item).where(item.c.public_id == public_id)).first()
        if about is None:
            raise Problem(404, "no_item", "There is no such item, or it is not yours to look at.")
        rows = connection.execute(
            select(judgement, pointing.c.answer, pointing.c.hit, text_version.c.parts.label("text"))
            .outerjoin(pointing, pointing.c.id == judgement.c.pointing_id)
            .outerjoin(text_version, text_version.c.id == judgement.c.new_text_id)
            .where(judgement.c.item_id == about.id, judgement.c.undone_at.is_(None))
            .order_by(judgement.c.id)
        ).all()
    settled = caller.role == Role.ADJUDICATOR and about.state in _SETTLED
    if not (caller.role == Role.ADMIN or (caller.role == Role.READER and not about.gold) or settled):
        rows = [row for row in rows if row.person_id == caller.id]  # of gold items too: nothing tells them from others
    people: dict[int, str] = {}
    return {
        "judgements": [
            {
                "label": people.setdefault(row.person_id, f"Person {len(people) + 1}"),
                "mine": row.person_id == caller.id,
                "kind": row.kind,
                "decision": row.decision,
                "parts": row.parts,
                "reasons": row.reasons,
                "note": row.note,
                "text": row.text,
                "answer": row.answer,
                "hit": row.hit,
                "at": row.created_at,
            }
            for row in rows
        ]
    }
