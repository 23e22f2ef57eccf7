"""Builds what a page gets of a slot or an item, as JSON.

Before a person has answered a blind item this is the text and the video, and nothing that depends on the target object.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, select

from validation_ui import stored_masks
from validation_ui.judging import gold, items, pointing
from validation_ui.judging.submission import asks_short
from validation_ui.judging.verdict import MIN_WATCHED_FRAC
from validation_ui.schema import (
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Standing,
    draft,
    item,
    judgement,
    masklet,
    person,
    skipped,
    slot,
    text_version,
    video,
)
from validation_ui.schema import pointing as pointings
from validation_ui.settings import PARTS, STORED_SETTINGS, Settings
from validation_ui.strict_json import fault

_ABOUT: Select[Any] = (  # an item with its current text and its video
    select(
        *(
            item.c[name]
            for name in (
                "id",
                "public_id",
                "kind",
                "version",
                "state",
                "gold",
                "wants_short",
                "suggested_short",
                "video_id",
            )
        ),
        text_version.c.parts,
        *(video.c[name] for name in ("media_id", "pts_s", "frame_count", "height_px", "width_px", "chunks")),
        video.c.shown_height_px,
        video.c.shown_width_px,
    )
    .join_from(item, text_version, text_version.c.id == item.c.text_id)
    .join(video, video.c.id == item.c.video_id)
)
_BY_NAME = _ABOUT.where(item.c.public_id == bindparam("name"))
_HELD = (
    _ABOUT.add_columns(
        *(slot.c.kind.label("pass_"), slot.c.version.label("slot_version"), slot.c.lease_until),
        *(person.c.standing, person.c.entry_round, STORED_SETTINGS),
        *(draft.c.body.label("draft"), draft.c.version.label("draft_version"), draft.c.saved_at),
        *pointing.ANSWER,
    )
    .join(slot, slot.c.item_id == item.c.id)
    .join(person, person.c.id == slot.c.holder_id)
    .outerjoin(draft, and_(draft.c.slot_id == slot.c.id, draft.c.person_id == slot.c.holder_id))
    .outerjoin(pointings, and_(pointings.c.slot_id == slot.c.id, pointings.c.person_id == slot.c.holder_id))
    .where(slot.c.id == bindparam("slot"), slot.c.holder_id == bindparam("me"), slot.c.state == SlotState.LEASED)
)
SETTLED = (ItemState.ACCEPTED, ItemState.SURPLUS, ItemState.DROPPED)


def slot_view(connection: Connection, person_id: int, slot_id: int, now: float) -> dict[str, Any] | None:
    """Return the view of a slot (type SlotView in review/types.js), or None if the person does not hold it."""
    row = _held(connection, person_id, slot_id)
    if row is None:
        return None
    settings = Settings.of(row.settings)
    pointed = pointing.shown(connection, person_id, row) if row.answer else None
    wants_short = asks_short(connection, row, SlotKind(row.pass_), settings)
    short = {"wants_short": wants_short, "suggested_short": row.suggested_short if wants_short else None}
    return {
        "slot": {
            "id": slot_id,
            "kind": row.pass_,
            "version": row.slot_version,
            "lease_until": row.lease_until,
            "server_now": now,
            "entry": _entry(connection, person_id, row, settings),
        },
        "item": _item(row) | _gold_version(connection, row, person_id) | short,
        "video": _video(row),
        "rules": {
            "watched_frac": MIN_WATCHED_FRAC,
            "short_words": [settings.short_words_min, settings.short_words_max],
        },
        "masks": f"/api/slots/{slot_id}/masks" if _is_revealed(row) else None,
        "pointing": pointed,
        "opinions": _opinions(connection, row.id) if row.pass_ == SlotKind.ADJUDICATE else [],
        "draft": _draft(row),
    }


def slot_masks(connection: Connection, person_id: int, slot_id: int) -> bytes | None:
    """Return the masks of a slot's object as JSON, or None if the person does not hold it or must not see them yet."""
    row = _held(connection, person_id, slot_id)
    if row is None or not _is_revealed(row):
        return None
    return _masks(connection, row.id)


def item_view(connection: Connection, person_id: int, role: Role, public_id: str) -> dict[str, Any] | None:
    """Return the view of an item for its link, or None if there is no such item or the person must not see it."""
    about = _open_item(connection, person_id, role, public_id)
    if about is None:
        return None
    return {
        "item": _item(about)
        | _own_edit(connection, about, person_id, role)
        | ({"state": about.state} if role in (Role.READER, Role.ADMIN) else {}),
        "video": _video(about),
        "masks": f"/api/items/{about.public_id}/masks",
    }


def item_masks(connection: Connection, person_id: int, role: Role, public_id: str) -> tuple[str, bytes] | None:
    """Return (video id, masks as JSON) of an item for its link; None in the same cases as `item_view`."""
    about = _open_item(connection, person_id, role, public_id)
    return None if about is None else (about.video_id, _masks(connection, about.id))


def _open_item(connection: Connection, person_id: int, role: Role, public_id: str) -> Row[Any] | None:
    """Return the item's row if the person may open it by its link, else None.

    That is allowed to people who judged it and to admins, to readers if it is not gold, and to adjudicators as
    `shown_to_adjudicator` says. Other reviewers may not, as they may still be asked to find the object.
    """
    about = connection.execute(_BY_NAME, {"name": public_id}).first()
    if about is None:
        return None
    judged = select(judgement.c.id).where(
        judgement.c.item_id == about.id, judgement.c.person_id == person_id, judgement.c.undone_at.is_(None)
    )
    if role == Role.ADMIN or connection.execute(judged).first() is not None:
        return about
    if role == Role.READER:
        return None if about.gold else about
    shown = select(item.c.id).where(item.c.id == about.id, *shown_to_adjudicator(person_id))
    return about if role == Role.ADJUDICATOR and connection.execute(shown).first() is not None else None


def shown_to_adjudicator(person_id: int) -> list[ColumnElement[bool]]:
    """Build the conditions that an adjudicator finds an `item` row in the list, and may open it.

    It waits for an adjudicator or is settled, and was never given to this person in another pass. Adjudicators take
    part in the other passes, too: if any item that is given there could be found, one that is not would be gold.
    """
    held = slot.c.item_id == item.c.id, slot.c.holder_id == person_id, slot.c.kind != SlotKind.ADJUDICATE
    judged = judgement.c.item_id == item.c.id, judgement.c.person_id == person_id
    given = (
        select(slot.c.id).where(*held),
        select(judgement.c.id).where(*judged, judgement.c.kind != SlotKind.ADJUDICATE),
        select(skipped.c.item_id).where(skipped.c.item_id == item.c.id, skipped.c.person_id == person_id),
    )
    return [item.c.state.in_((ItemState.ADJUDICATE, *SETTLED)), *(~query.correlate(item).exists() for query in given)]


def _own_edit(connection: Connection, about: Row[Any], person_id: int, role: Role) -> dict[str, Any]:
    """Return what differs in a gold item for somebody who edited it: a real item would have their text now."""
    if not about.gold or role == Role.ADMIN:
        return {}
    wrote = select(judgement.c.new_text_id).where(
        judgement.c.item_id == about.id,
        judgement.c.person_id == person_id,
        judgement.c.undone_at.is_(None),
        judgement.c.new_text_id.is_not(None),
    )
    text_id = connection.execute(wrote.order_by(judgement.c.id.desc())).scalar()
    version = _gold_version(connection, about, person_id)
    if text_id is None:
        return version
    parts = items.text_parts(connection, text_id)
    shown = [{"name": name, "text": parts[name]} for name in PARTS[about.kind]]
    return version | {"parts": shown}


def _gold_version(connection: Connection, about: Row[Any], person_id: int) -> dict[str, int]:
    if not about.gold:
        return {}
    return {"version": gold.shown_version(connection, about.id, person_id, about.version)}


def _held(connection: Connection, person_id: int, slot_id: int) -> Row[Any] | None:
    return connection.execute(_HELD, {"slot": slot_id, "me": person_id}).first()


def _is_revealed(row: Row[Any]) -> bool:
    return row.pass_ != SlotKind.BLIND or row.revealed_at is not None


def _entry(connection: Connection, person_id: int, row: Row[Any], settings: Settings) -> dict[str, int] | None:
    if row.standing != Standing.ENTRY:
        return None
    done, of = gold.entry_progress(connection, person_id, row.entry_round, settings)
    return {"done": done, "of": of}


def _draft(row: Row[Any]) -> dict[str, Any] | None:
    """Return the draft; without its body if an earlier release took that in and it cannot be sent."""
    if row.draft_version is None:
        return None
    body = row.draft if fault(row.draft) is None else {}
    return {"body": body, "version": row.draft_version, "saved_at": row.saved_at}


def _item(about: Row[Any]) -> dict[str, Any]:
    return {
        "public_id": about.public_id,
        "kind": about.kind,
        "version": about.version,
        "parts": [{"name": name, "text": about.parts[name]} for name in PARTS[about.kind]],
    }


def _video(clip: Row[Any]) -> dict[str, Any]:
    return {
        "media_id": clip.media_id,
        "times_s": clip.pts_s,
        "frame_count": clip.frame_count,
        "height_px": clip.height_px,
        "width_px": clip.width_px,
        "shown_height_px": clip.shown_height_px,
        "shown_width_px": clip.shown_width_px,
        "source": f"/media/videos/{clip.media_id}",
        "annotated": stored_masks.annotated(clip.frame_count),
        "chunks": [
            {"first": chunk["first"]} | {name: f"/media/frames/{chunk[name]}" for name in ("key", "rest")}
            for chunk in clip.chunks
        ],
    }


def _masks(connection: Connection, item_id: int) -> bytes:
    """Return the masks of an item's object as JSON {"size", "annotated", "rles"}; RLEs are copied as stored."""
    row = connection.execute(
        select(masklet.c.rles, video.c.height_px, video.c.width_px, video.c.frame_count)
        .join_from(item, masklet, masklet.c.id == item.c.masklet_id)
        .join(video, video.c.id == item.c.video_id)
        .where(item.c.id == item_id)
    ).one()
    head = f'{{"size":[{row.height_px},{row.width_px}],"annotated":{stored_masks.annotated(row.frame_count)},"rles":'
    return head.encode() + stored_masks.packed_json(row.rles) + b"}"


def _opinions(connection: Connection, item_id: int) -> list[dict[str, Any]]:
    """Return the live judgements of an item for the adjudicator, with letters instead of names."""
    rows = connection.execute(
        select(judgement, pointings.c.answer, pointings.c.points, pointings.c.hit)
        .outerjoin_from(judgement, pointings, pointings.c.id == judgement.c.pointing_id)
        .where(judgement.c.item_id == item_id, judgement.c.undone_at.is_(None))
        .order_by(judgement.c.id)
    ).all()
    return [
        {
            "label": chr(ord("A") + place),
            "kind": row.kind,
            "decision": row.decision,
            "parts": row.parts,
            "reasons": row.reasons,
            "note": row.note,
            "text": items.text_parts(connection, row.new_text_id) if row.new_text_id else None,
            "pointing": {"answer": row.answer, "points": row.points, "hit": row.hit} if row.pointing_id else None,
        }
        for place, row in enumerate(rows)
    ]
