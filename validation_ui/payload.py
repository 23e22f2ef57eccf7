"""What the pages are told of a slot or an item.

Before the answer of a blind pass this is the text and the video, and nothing that depends on which object is meant.
"""

from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select

from validation_ui import drafts, gold, pointing, stored_masks, texts
from validation_ui.judging import asks_short
from validation_ui.schema import (
    Role,
    SlotKind,
    SlotState,
    Standing,
    item,
    judgement,
    masklet,
    person,
    slot,
    text_version,
    video,
)
from validation_ui.schema import pointing as pointings
from validation_ui.settings import PARTS, Settings
from validation_ui.verdict import MIN_WATCHED_FRAC

_ABOUT: Select[Any] = (  # an item, its current text and its video
    select(
        *(item.c[name] for name in ("id", "public_id", "kind", "version", "state", "gold", "wants_short", "video_id")),
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
        slot.c.id.label("slot_id"), slot.c.kind.label("pass_"), slot.c.version.label("slot_version"), slot.c.lease_until
    )
    .join(slot, slot.c.item_id == item.c.id)
    .where(slot.c.id == bindparam("slot"), slot.c.holder_id == bindparam("me"), slot.c.state == SlotState.LEASED)
)
_STANDING = select(person.c.standing, person.c.entry_round).where(person.c.id == bindparam("me"))


def slot_view(connection: Connection, person_id: int, slot_id: int, now: float) -> dict[str, Any] | None:
    """SlotView of a slot that the person holds; None if they do not."""
    row = _held(connection, person_id, slot_id)
    if row is None:
        return None
    settings = Settings.load(connection)
    pointed = pointing.view(connection, person_id, slot_id) if row.pass_ == SlotKind.BLIND else None
    return {
        "slot": {
            "id": slot_id,
            "kind": row.pass_,
            "version": row.slot_version,
            "lease_until": row.lease_until,
            "server_now": now,
            "entry": _entry(connection, person_id, settings),
        },
        "item": _item(row) | {"wants_short": asks_short(connection, row, SlotKind(row.pass_), settings)},
        "video": _video(row),
        "rules": {
            "watched_frac": MIN_WATCHED_FRAC,
            "short_words": [settings.short_words_min, settings.short_words_max],
        },
        "masks": f"/api/slots/{slot_id}/masks" if _is_revealed(row, pointed) else None,
        "pointing": pointed,
        "opinions": _opinions(connection, row.id) if row.pass_ == SlotKind.ADJUDICATE else [],
        "draft": drafts.view(connection, person_id, slot_id),
    }


def slot_masks(connection: Connection, person_id: int, slot_id: int) -> bytes | None:
    """Masks of a slot's object as JSON; None for whoever does not hold it, or may not see them yet."""
    row = _held(connection, person_id, slot_id)
    if row is None or not _is_revealed(row, pointing.view(connection, person_id, slot_id)):
        return None
    return _masks(connection, row.id)


def item_view(connection: Connection, person_id: int, role: Role, public_id: str) -> dict[str, Any] | None:
    """ItemView for a link; None if there is no such item, or it must not be seen."""
    about = _open_item(connection, person_id, role, public_id)
    if about is None:
        return None
    return {
        "item": _item(about) | ({"state": about.state} if role != Role.REVIEWER else {}),
        "video": _video(about),
        "masks": f"/api/items/{about.public_id}/masks",
    }


def item_masks(connection: Connection, person_id: int, role: Role, public_id: str) -> tuple[str, bytes] | None:
    """(video id, masks as JSON) of an item for a link; None as `item_view`."""
    about = _open_item(connection, person_id, role, public_id)
    return None if about is None else (about.video_id, _masks(connection, about.id))


def _open_item(connection: Connection, person_id: int, role: Role, public_id: str) -> Row[Any] | None:
    """The item, if a link may open it: for who judged it, and for those whose role is to look, but for gold items.

    A reviewer who has not judged it may still be asked to find it blind.
    """
    about = connection.execute(_BY_NAME, {"name": public_id}).first()
    if about is None:
        return None
    judged = select(judgement.c.id).where(
        judgement.c.item_id == about.id, judgement.c.person_id == person_id, judgement.c.undone_at.is_(None)
    )
    if connection.execute(judged).first() is not None or role == Role.ADMIN:
        return about
    return about if role in (Role.ADJUDICATOR, Role.READER) and not about.gold else None


def _held(connection: Connection, person_id: int, slot_id: int) -> Row[Any] | None:
    return connection.execute(_HELD, {"slot": slot_id, "me": person_id}).first()


def _is_revealed(row: Row[Any], pointed: dict[str, Any] | None) -> bool:
    return row.pass_ != SlotKind.BLIND or (pointed is not None and pointed["revealed"])


def _entry(connection: Connection, person_id: int, settings: Settings) -> dict[str, int] | None:
    me = connection.execute(_STANDING, {"me": person_id}).one()
    if me.standing != Standing.ENTRY:
        return None
    done, of = gold.entry_progress(connection, person_id, me.entry_round, settings)
    return {"done": done, "of": of}


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
    """Masks of an item's object: {"size", "annotated", "rles"}, the stored text as it is."""
    row = connection.execute(
        select(masklet.c.rles, video.c.height_px, video.c.width_px, video.c.frame_count)
        .join_from(item, masklet, masklet.c.id == item.c.masklet_id)
        .join(video, video.c.id == item.c.video_id)
        .where(item.c.id == item_id)
    ).one()
    head = f'{{"size":[{row.height_px},{row.width_px}],"annotated":{stored_masks.annotated(row.frame_count)},"rles":'
    return head.encode() + stored_masks.packed_json(row.rles) + b"}"


def _opinions(connection: Connection, item_id: int) -> list[dict[str, Any]]:
    """What others said of an item, without their names."""
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
            "text": texts.parts_of(connection, row.new_text_id) if row.new_text_id else None,
            "pointing": {"answer": row.answer, "points": row.points, "hit": row.hit} if row.pointing_id else None,
        }
        for place, row in enumerate(rows)
    ]
