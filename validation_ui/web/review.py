"""API of the review page: claim an item, point, decide, undo; and the items behind links."""

from functools import partial
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Path, Response
from pydantic import AfterValidator, Field
from pydantic_core import to_json
from sqlalchemy import Connection, select

from validation_ui.judging import fates, item_views, leases, pointing, queue, submission, undoing
from validation_ui.judging.verdict import Verdict, clean
from validation_ui.people.access import Caller, need
from validation_ui.problem import Problem
from validation_ui.schema import Role, SlotKind, item, judgement, text_version
from validation_ui.schema import pointing as pointings
from validation_ui.web.requests import Body, DatabaseDep, OneOf, ReviewerDep

router = APIRouter()
T = TypeVar("T")
LookerDep = Annotated[Caller, Depends(need(Role.REVIEWER, Role.READER))]
SlotId = Annotated[int, Path(ge=1, le=2**31 - 1)]
PublicId = Annotated[str, Path(max_length=24, pattern=r"^[A-Za-z0-9_-]+$")]


class ClaimItem(Body):
    """The body of a claim: the passes to choose from, and whether the item is reserved for later."""

    kinds: list[OneOf[SlotKind]] = Field(min_length=1, max_length=len(SlotKind))
    prefetch: bool = False


NextKinds = Annotated[list[OneOf[SlotKind]], Field(max_length=len(SlotKind))]


class Pointed(pointing.PointAnswer):
    """The body of a blind answer, and the passes from which the next item is brought along if this one waits."""

    next_kinds: NextKinds = []


class Skip(Body):
    """The body of a skip: why the person leaves the item to others."""

    reason: Annotated[str, Field(max_length=40), AfterValidator(partial(clean, empty=True))] = ""


class Draft(Body):
    """The body that saves a draft, with the version of the draft that it replaces."""

    body: dict[str, Any] = Field(max_length=40)
    version: int = Field(ge=0, le=2**31 - 1)


class Extent(Body):
    """The body that chooses one of the outlines under the points; `next_kinds` as in `Pointed`."""

    choice: int = Field(ge=0, le=99)
    next_kinds: NextKinds = []


@router.post("/api/claim")
async def claim(body: ClaimItem, database: DatabaseDep, caller: ReviewerDep) -> Response:
    """Lease the next item to the caller, or tell why there is none."""
    now = database.now()

    def work(connection: Connection) -> dict[str, Any]:
        return next_item(connection, caller.id, caller.role, body.kinds, now, prefetch=body.prefetch)

    return _json(await database.awrite(work))


@router.get("/api/slots/{slot_id}")
def show(slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> dict[str, Any]:
    """Return an item that the caller holds."""
    with database.read() as connection:
        return _found(item_views.slot_view(connection, caller.id, slot_id, database.now()))


@router.get("/api/slots/{slot_id}/fate")
def fate(slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> dict[str, Any]:
    """Tell what became of a slot that the caller held."""
    with database.read() as connection:
        return fates.fate(connection, caller.id, slot_id)


@router.get("/api/slots/{slot_id}/masks")
def slot_masks(slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> Response:
    """Return the masks of an item that the caller holds; in the blind pass only after they answered."""
    with database.read() as connection:
        return _json_text(_found(item_views.slot_masks(connection, caller.id, slot_id)))


@router.post("/api/slots/{slot_id}/heartbeat")
async def heartbeat(body: Body, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> dict[str, float]:
    """Renew the lease of a slot."""
    now = database.now()
    until = await database.awrite(partial(leases.heartbeat, person_id=caller.id, slot_id=slot_id, now=now))
    return {"lease_until": until, "server_now": now}


@router.post("/api/slots/{slot_id}/release", status_code=204)
async def release(body: Body, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> None:
    """Release a slot to others."""
    await database.awrite(partial(leases.release, person_id=caller.id, slot_id=slot_id, now=database.now()))


@router.post("/api/slots/{slot_id}/skip", status_code=204)
async def skip(body: Skip, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> None:
    """Release a slot to others and never get its item again."""
    work = partial(leases.skip, person_id=caller.id, slot_id=slot_id, reason=body.reason, now=database.now())
    await database.awrite(work)


@router.put("/api/slots/{slot_id}/draft")
async def save_draft(body: Draft, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> dict[str, int]:
    """Save the draft of an answer."""
    work = partial(
        leases.save_draft,
        person_id=caller.id,
        slot_id=slot_id,
        body=body.body,
        version=body.version,
        now=database.now(),
    )
    return {"version": await database.awrite(work)}


@router.post("/api/slots/{slot_id}/pointing")
async def point(body: Pointed, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> Response:
    """Answer a blind item by pointing at the object, or by saying that it is ambiguous or absent; see `answered`."""

    def find() -> pointing.PointResult:
        with database.read() as connection:
            return pointing.find(connection, caller.id, slot_id, body)

    result, now = await anyio.to_thread.run_sync(find), database.now()

    def work(connection: Connection) -> dict[str, Any]:
        pointing.record(connection, person_id=caller.id, slot_id=slot_id, answer=body, result=result, now=now)
        return answered(connection, caller.id, caller.role, slot_id, body.next_kinds, now)

    return _json(await database.awrite(work))


@router.post("/api/slots/{slot_id}/extent")
async def choose(body: Extent, slot_id: SlotId, database: DatabaseDep, caller: ReviewerDep) -> Response:
    """Choose the outline that was meant, if there are several under the points; see `answered`."""
    now = database.now()

    def work(connection: Connection) -> dict[str, Any]:
        pointing.choose(connection, person_id=caller.id, slot_id=slot_id, choice=body.choice, now=now)
        return answered(connection, caller.id, caller.role, slot_id, body.next_kinds, now)

    return _json(await database.awrite(work))


@router.post("/api/slots/{slot_id}/submit")
async def submit(
    body: Verdict,
    slot_id: SlotId,
    database: DatabaseDep,
    caller: ReviewerDep,
    idempotency_key: Annotated[str, Header(pattern=r"^[A-Za-z0-9-]{8,64}$")],
    if_match: Annotated[str, Header(pattern=r'^"[0-9]{1,9}"$')],
) -> Response:
    """Submit the decision on an item; a repeated request with the same Idempotency-Key gets the first response."""
    work = partial(
        submission.submit,
        person_id=caller.id,
        role=caller.role,
        slot_id=slot_id,
        key=idempotency_key,
        version=int(if_match.strip('"')),
        verdict=body,
        now=database.now(),
    )
    return _json(await database.awrite(work))


@router.post("/api/undo")
async def undo(body: Body, database: DatabaseDep, caller: ReviewerDep) -> dict[str, Any]:
    """Undo the caller's last decision."""
    now = database.now()

    def work(connection: Connection) -> dict[str, Any]:
        judgement_id, slot_id = undoing.undo(connection, person_id=caller.id, now=now)
        view = item_views.slot_view(connection, caller.id, slot_id, now) if slot_id is not None else None
        return {"undone": judgement_id, "slot": view}

    return await database.awrite(work)


@router.get("/api/mine")
def mine(database: DatabaseDep, caller: ReviewerDep) -> list[dict[str, Any]]:
    """List the caller's last decisions."""
    with database.read() as connection:
        return undoing.mine(connection, caller.id)


@router.get("/api/items/{public_id}")
def show_item(public_id: PublicId, database: DatabaseDep, caller: LookerDep) -> dict[str, Any]:
    """Return the item behind a link."""
    with database.read() as connection:
        return _found(item_views.item_view(connection, caller.id, caller.role, public_id))


@router.get("/api/items/{public_id}/masks")
async def item_masks(public_id: PublicId, database: DatabaseDep, caller: LookerDep) -> Response:
    """Return the masks of the item behind a link; the caller gets no blind items of this video from now on."""

    def look() -> tuple[str, bytes] | None:
        with database.read() as connection:
            return item_views.item_masks(connection, caller.id, caller.role, public_id)

    video_id, masks = _found(await anyio.to_thread.run_sync(look))
    await database.awrite(lambda c: leases.mark_seen(c, caller.id, video_id, database.now()))
    return _json_text(masks)


@router.get("/api/items/{public_id}/history")
def history(
    public_id: PublicId,
    database: DatabaseDep,
    caller: Annotated[Caller, Depends(need(Role.READER, Role.REVIEWER))],
) -> dict[str, Any]:
    """List the live judgements of an item, oldest first, without names.

    The response is `{"judgements": [{label, mine, kind, decision, …}]}`. Admins see all judgements, readers all of
    items that are not gold, adjudicators all of settled items that were not given to them in another pass. Otherwise
    people see their own only, so that the judgements of others do not influence them and gold items look like all
    others.
    """
    with database.read() as connection:
        about = connection.execute(select(item).where(item.c.public_id == public_id)).first()
        if about is None:
            raise Problem(404, "no_item", "There is no such item, or it is not yours to look at.")
        rows = connection.execute(
            select(judgement, pointings.c.answer, pointings.c.hit, text_version.c.parts.label("text"))
            .outerjoin(pointings, pointings.c.id == judgement.c.pointing_id)
            .outerjoin(text_version, text_version.c.id == judgement.c.new_text_id)
            .where(judgement.c.item_id == about.id, judgement.c.undone_at.is_(None))
            .order_by(judgement.c.id)
        ).all()
        shown = select(item.c.id).where(item.c.id == about.id, *item_views.shown_to_adjudicator(caller.id))
        settled = (
            caller.role == Role.ADJUDICATOR
            and about.state in item_views.SETTLED
            and connection.execute(shown).first() is not None
        )
    if not (caller.role == Role.ADMIN or (caller.role == Role.READER and not about.gold) or settled):
        rows = [row for row in rows if row.person_id == caller.id]
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


def next_item(
    connection: Connection, person_id: int, role: Role, kinds: list[SlotKind], now: float, *, prefetch: bool = False
) -> dict[str, Any]:
    """Claim an item and return its view, or `{"slot": None, "why"}` (type Claimed in review/types.js)."""
    result = queue.claim(connection, person_id=person_id, role=role, kinds=kinds, now=now, prefetch=prefetch)
    view = item_views.slot_view(connection, person_id, result.slot_id, now) if result.slot_id is not None else None
    return view or {"slot": None, "why": result.why}


def answered(
    connection: Connection, person_id: int, role: Role, slot_id: int, kinds: list[SlotKind], now: float
) -> dict[str, Any]:
    """Return the blind answer that a person just gave, and what comes after it (type Answered in review/types.js).

    While the object waits for the other blind items of the video, `next` is what a claim of these `kinds` gives, so the
    page need not ask again. It is null if there are no kinds, or the person goes on with the item that they answered.
    """
    told = _found(pointing.view(connection, person_id, slot_id))
    goes_on = kinds and told["waits"]
    return told | {"next": next_item(connection, person_id, role, kinds, now) if goes_on else None}


def _found(value: T | None) -> T:
    if value is None:
        raise Problem(404, "not_found", "There is no such item, or it is not yours. Take the next one.")
    return value


def _json(body: dict[str, Any]) -> Response:
    return _json_text(to_json(body))  # several hundred times of frames, a few times as fast as with Python's json


def _json_text(text: bytes) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})
