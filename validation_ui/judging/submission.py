"""Stores the decision of a reviewer on a slot that they hold: once per idempotency key, for the text that they saw."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import BindParameter, Connection, Row, and_, bindparam, delete, insert, select, update

from validation_ui import audit
from validation_ui.judging import gold, items, leases, undoing
from validation_ui.judging.items import settle_locked
from validation_ui.judging.lengths import length_level
from validation_ui.judging.verdict import CheckedVerdict, Task, Verdict, check
from validation_ui.problem import Problem
from validation_ui.schema import (
    ADJUDICATORS,
    Account,
    Decision,
    Gold,
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Standing,
    draft,
    item,
    judgement,
    pointing,
    reply,
    slot,
    text_version,
)
from validation_ui.settings import Settings

_ME: BindParameter[int] = bindparam("me")
_SLOT: BindParameter[int] = bindparam("slot")
_REPLY = select(reply.c.request_sha256, reply.c.body).where(
    reply.c.person_id == _ME, reply.c.key == bindparam("with_key")
)
_KEEP_REPLY = insert(reply)
_TEXT = select(text_version.c.parts).where(text_version.c.id == item.c.text_id)
_HELD = (  # the item, locked as by `lock_item`, with its text, what its slot asks and what the person pointed at
    select(item, _TEXT.scalar_subquery().label("parts"), slot.c.id.label("slot_id"), slot.c.kind.label("pass_"))
    .add_columns(slot.c.claimed_at, slot.c.text_id.label("asked_text_id"))
    .add_columns(pointing.c.id.label("pointing_id"), pointing.c.hit, pointing.c.revealed_at)
    .join_from(slot, item, item.c.id == slot.c.item_id)
    .outerjoin(pointing, and_(pointing.c.slot_id == slot.c.id, pointing.c.person_id == _ME))
    .where(slot.c.id == _SLOT, slot.c.holder_id == _ME)
    .with_for_update(of=item, key_share=True)
)
_NO_DRAFT = delete(draft).where(draft.c.slot_id == _SLOT, draft.c.person_id == _ME)
_KEEP = insert(judgement).returning(judgement.c.id)
_SHORT_WRITTEN = select(judgement.c.id).where(
    judgement.c.item_id == bindparam("item"), judgement.c.short_item_id.is_not(None), judgement.c.undone_at.is_(None)
)


def submit(
    connection: Connection,
    *,
    person_id: int,
    role: Role,
    slot_id: int,
    key: str,
    version: int,
    verdict: Verdict,
    now: float,
) -> dict[str, Any]:
    """Store a judgement; return {"judgement": its id, "undo": how many judgements the person can undo now}.

    Args:
        connection: in a transaction.
        person_id: the person who judges.
        role: their role.
        slot_id: the slot that they hold, or held last if nobody took it since.
        key: the idempotency key of the request: a repeated request gets the response to the first one.
        version: the version of the item that the person saw.
        verdict: their decision and its grounds.
        now: the time of the server's clock.

    Raises:
        Problem: 403 barred, 409 lease_lost, 412 text_changed (with both texts), 422 invalid or key_reused.
    """
    me, settings = leases.lock_person(connection, person_id)
    request_sha256 = _sha256(slot_id, version, verdict)
    given = _given(connection, person_id, key, request_sha256)
    if given is not None:
        return given
    if me.standing in (Standing.FAILED, Standing.STOPPED) or me.account != Account.OPEN:
        raise Problem(403, "barred", "Your judgements are stopped. Ask an admin how to go on; your draft is kept.")
    about = connection.execute(_HELD, {"slot": slot_id, "me": person_id}).first()
    if about is None or (about.pass_ == SlotKind.ADJUDICATE and role not in ADJUDICATORS):
        raise leases.lease_lost()
    _check_version(connection, about, person_id, version)
    _take_slot(connection, slot_id, person_id)
    task = _task(connection, about, settings)
    checked = check(verdict, task, settings)
    if about.pass_ == SlotKind.BLIND:
        _check_pointing(about)
    judgement_id = _keep(connection, about, me, checked, verdict, now)
    connection.execute(_NO_DRAFT, {"slot": slot_id, "me": person_id})
    state = settle_locked(connection, about, settings=settings, now=now)
    if about.gold:
        _score(connection, me, settings, now)
    answer = {"judgement": judgement_id, "undo": undoing.count(connection, person_id, settings)}
    given = {"person_id": person_id, "key": key, "request_sha256": request_sha256, "status": 200, "body": answer}
    connection.execute(_KEEP_REPLY, given | {"created_at": now})
    audit.append(
        connection,
        at=now,
        actor=f"person:{person_id}",
        action="submit",
        subject=f"slot:{slot_id}",
        body={
            "judgement": judgement_id,
            "item": about.public_id,
            "decision": verdict.decision,
            "text_sha256": items.text_sha256(task.parts),
            "new_text_sha256": items.text_sha256(checked.new_parts) if checked.new_parts else None,
            "state": state,
        },
    )
    return answer


def asks_short(connection: Connection, about: Row[Any], kind: SlotKind, settings: Settings) -> bool:
    """Return whether the sighted reviewer of this item is asked to write a short expression.

    That is asked once for an item, and no longer when the quota of short expressions is filled.

    Args:
        connection: a connection to read from.
        about: the item's row.
        kind: the slot's pass.
        settings: the settings of the project.
    """
    if kind != SlotKind.SIGHTED or not about.wants_short:
        return False
    if connection.execute(_SHORT_WRITTEN, {"item": about.id}).first() is not None:
        return False
    return not items.count_accepted(connection).is_full("short", settings)


def _given(connection: Connection, person_id: int, key: str, request_sha256: str) -> dict[str, Any] | None:
    """Return the response to the first request with this key, or None if this is the first."""
    first = connection.execute(_REPLY, {"me": person_id, "with_key": key}).first()
    if first is None:
        return None
    if first.request_sha256 != request_sha256:
        raise Problem(422, "key_reused", "This Idempotency-Key was used for another request. Use a new one.")
    answer: dict[str, Any] = first.body
    return answer


def _check_version(connection: Connection, about: Row[Any], person_id: int, version: int) -> None:
    now: int = about.version
    if about.gold:
        now = gold.shown_version(connection, about.id, person_id, now)
    if version == now:
        return
    raise Problem(
        412,
        "text_changed",
        "The text changed while you were at it. Look at what changed, then judge it again.",
        base=items.text_parts(connection, about.asked_text_id or items.first_text_id(connection, about.id)),
        theirs=items.text_parts(connection, about.text_id),  # not `about.parts`, which may be of an older text
        version=now,
    )


def _take_slot(connection: Connection, slot_id: int, person_id: int) -> None:
    """End the lease; if the UPDATE changes no row, the slot was not the person's any more."""
    done = {"state": SlotState.DONE, "holder_id": None, "lease_until": None}
    if connection.execute(leases.CHANGE_KEPT, {"slot": slot_id, "me": person_id, **done}).rowcount != 1:
        raise leases.lease_lost()


def _task(connection: Connection, about: Row[Any], settings: Settings) -> Task:
    kind = SlotKind(about.pass_)
    wanted = asks_short(connection, about, kind, settings)
    may = kind == SlotKind.SIGHTED and about.wants_short  # it was wanted when they began, and may not be any more
    return Task(
        kind,
        about.kind,
        about.parts,
        "wanted" if wanted else "allowed" if may else "no",
        about.suggested_short,
    )


def _check_pointing(about: Row[Any]) -> None:
    if about.hit is None:
        message = "First point at the object, or say that it is ambiguous or not there."
        raise Problem(422, "invalid", message, fields={"pointing": message})
    if about.revealed_at is None:
        message = "First answer the other blind items of this video: the objects are shown together, then judged."
        raise Problem(422, "invalid", message, fields={"pointing": message})


def _keep(
    connection: Connection,
    about: Row[Any],
    me: Row[Any],
    checked: CheckedVerdict,
    verdict: Verdict,
    now: float,
) -> int:
    """Insert the judgement and the texts that came with it; return the judgement's id."""
    new_text_id = None
    if checked.new_parts is not None:
        new_text_id = items.add_text(
            connection, about.id, checked.new_parts, author_id=me.id, parent_id=about.text_id, now=now
        )
    short_item_id = None
    if checked.short is not None and about.gold:  # kept for an undo, which gives it back as that of a real item
        items.add_text(connection, about.id, {"short": checked.short}, author_id=me.id, parent_id=None, now=now)
    elif checked.short is not None:
        short_item_id = _add_short(connection, about, checked.short, me.id, now)
    started = about.revealed_at if about.pointing_id else about.claimed_at
    values = {
        "slot_id": about.slot_id,
        "item_id": about.id,
        "person_id": me.id,
        "kind": about.pass_,
        "text_id": about.text_id,
        "decision": verdict.decision,
        "parts": verdict.parts,
        "reasons": verdict.reasons,
        "note": checked.note,
        "new_text_id": new_text_id,
        "short_item_id": short_item_id,
        "pointing_id": about.pointing_id,
        "gold_right": gold.is_right(about.gold, Decision(verdict.decision), about.hit) if about.gold else None,
        "entry_round": me.entry_round if about.gold and me.standing == Standing.ENTRY else None,
        "spent_s": max(0.0, now - (now if started is None else started)),
        "watched_frac": verdict.watched_frac,
        "created_at": now,
    }
    return int(connection.execute(_KEEP, values).scalar_one())


def _add_short(connection: Connection, about: Row[Any], text: str, author_id: int, now: float) -> int:
    """Insert an item for a short expression, which begins with the blind pass; return the item's id."""
    values: Mapping[str, Any] = {
        "public_id": secrets.token_urlsafe(9),
        "masklet_id": about.masklet_id,
        "video_id": about.video_id,
        "kind": "short",
        "gold": Gold.NONE,
        "source": about.source,
        "state": ItemState.BLIND,
        "priority": about.priority,
        "blind_overlap": about.blind_overlap,
        "strata": about.strata | {"length": length_level("short", {"short": text})},
        "author_id": author_id,
    }
    item_id = int(connection.execute(insert(item).values(**values).returning(item.c.id)).scalar_one())
    text_id = items.add_text(connection, item_id, {"short": text}, author_id=author_id, parent_id=None, now=now)
    connection.execute(update(item).where(item.c.id == item_id).values(text_id=text_id))
    first = {
        "item_id": item_id,
        "kind": SlotKind.BLIND,
        "state": SlotState.OPEN,
        "priority": about.priority,
        "text_id": text_id,
    }
    connection.execute(insert(slot), [first | {"n": n} for n in range(1, 3 if about.blind_overlap else 2)])
    return item_id


def _score(connection: Connection, me: Row[Any], settings: Settings, now: float) -> None:
    """After an answer to a gold item: end the entry test, or stop a person who falls below the gold gate."""
    if me.standing == Standing.ENTRY:
        gold.finish_entry(connection, me.id, me.entry_round, settings, now)
    elif gold.fails_gate(connection, me.id, settings):
        undoing.stop(connection, me.id, settings, now)


def _sha256(slot_id: int, version: int, verdict: Verdict) -> str:
    body = json.dumps([slot_id, version, verdict.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()
