"""An item's state, texts and slots, and the quotas of the split.

`settle` is called after every change of an item's judgements: it derives the state and the text (`protocol.derive`) and
opens or voids slots to match. Only ACCEPTED items of texts that the run kept count for the quotas; an object with a
long and a short expression counts as one object.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    bindparam,
    distinct,
    func,
    insert,
    select,
    update,
)

from validation_ui.judging.lengths import length_level
from validation_ui.judging.protocol import ItemFacts, Judgement, Outcome, derive
from validation_ui.schema import (
    Decision,
    ItemState,
    SlotKind,
    SlotState,
    Source,
    audit_head,
    has_any,
    item,
    judgement,
    pointing,
    slot,
    text_version,
)
from validation_ui.settings import Settings

_FINAL = (ItemState.ACCEPTED, ItemState.SURPLUS, ItemState.DROPPED)
_ACCEPTED = (ItemState.ACCEPTED, ItemState.SURPLUS)
PENDING = (SlotState.OPEN, SlotState.LEASED)
_ITEM: BindParameter[int] = bindparam("item")
_LOCK = select(item).where(item.c.id == _ITEM).with_for_update(key_share=True)
_CHANGE = update(item).where(item.c.id == _ITEM)
_SOURCE = select(judgement.c.id).where(judgement.c.short_item_id == _ITEM, judgement.c.undone_at.is_(None))
_TEXTS = select(text_version.c.id, text_version.c.sha256).where(text_version.c.item_id == _ITEM)
_JUDGEMENTS = (
    select(judgement.c.kind, judgement.c.text_id, judgement.c.decision, judgement.c.new_text_id)
    .add_columns(pointing.c.hit, pointing.c.answer)
    .outerjoin_from(judgement, pointing, pointing.c.id == judgement.c.pointing_id)
    .where(judgement.c.item_id == _ITEM, judgement.c.undone_at.is_(None))
    .order_by(judgement.c.id)
)
_PENDING_SLOTS = (
    select(slot.c.id, slot.c.kind, slot.c.text_id)
    .where(slot.c.item_id == _ITEM, has_any(slot.c.state, PENDING))
    .order_by(slot.c.state, slot.c.n)  # leased slots before open ones
)
_VOID = update(slot).where(slot.c.id == bindparam("slot")).values(state=SlotState.VOID, version=slot.c.version + 1)
_LAST_N = select(func.coalesce(func.max(slot.c.n), 0)).where(slot.c.item_id == _ITEM, slot.c.kind == bindparam("pass"))
_OPEN = insert(slot)
_SLOTS = select(slot.c.id).where(slot.c.item_id == item.c.id)
_MIXED_IN_SHORT = item.c.source != Source.KEPT, item.c.kind == "short", item.c.author_id.is_(None)
_WAITING = select(item).where(  # short texts that the import mixed in, until they come to the blind pass
    item.c.masklet_id == bindparam("of_masklet"), *_MIXED_IN_SHORT, item.c.retired.is_(False), ~_SLOTS.exists()
)
_CAME = (  # a slot by which such a text has come there, or should have while it was withdrawn
    select(slot.c.id)
    .join_from(slot, item)
    .where(item.c.masklet_id == bindparam("of_masklet"), slot.c.kind == SlotKind.BLIND)
    .where((item.c.id == _ITEM) | (item.c.kind == "long"))
)
IN_SPLIT = item.c.source == Source.KEPT  # the condition on an `item` row that it may come into the split


def lock_item(connection: Connection, item_id: int) -> Row[Any]:
    """Lock an item against changes by others until this transaction ends, and return its row."""
    return connection.execute(_LOCK, {"item": item_id}).one()


def settle(connection: Connection, item_id: int, *, settings: Settings, now: float) -> ItemState:
    """Derive the item's state and text from its live judgements, open or void slots to match, return the state.

    If the text changes, the item's version is raised by one and its level of length is that of the new text. The holder
    of a voided lease loses it but keeps the draft. If the item leaves the split, surplus items take its place.
    """
    return settle_locked(connection, lock_item(connection, item_id), settings=settings, now=now)


def settle_locked(connection: Connection, before: Row[Any], *, settings: Settings, now: float) -> ItemState:
    """Settle an item whose row the caller got from `lock_item` and has not changed since."""
    if before.gold:
        return ItemState.GOLD
    item_id = before.id
    hashes = _hashes(connection, item_id)
    first_text_id = min(hashes)
    outcome = derive(
        _facts(connection, before, first_text_id),
        hashes,
        _judgements(connection, item_id),
        max_edits=settings.max_edits,
    )
    state = outcome.state
    if state is ItemState.ACCEPTED and before.state in _ACCEPTED:
        state = ItemState(before.state)
    elif (
        state is ItemState.ACCEPTED
        and before.source == Source.KEPT
        and not has_room(connection, item_id, before.kind, settings)
    ):
        state = ItemState.SURPLUS
    settled_at = None if state not in _FINAL else before.settled_at if state == before.state else now
    after: dict[str, Any] = {
        "state": state,
        "text_id": outcome.text_id,
        "version": before.version + (outcome.text_id != before.text_id),
        "settled_at": settled_at,
    }
    if outcome.text_id != before.text_id:
        after["strata"] = before.strata | {"length": length_level(before.kind, text_parts(connection, outcome.text_id))}
    connection.execute(_CHANGE, {"item": item_id, **after})
    _slots(connection, before, first_text_id, outcome)
    if before.state == ItemState.ACCEPTED and state != ItemState.ACCEPTED:
        promote(connection, settings, now=now)
    return state


def _facts(connection: Connection, row: Row[Any], first_text_id: int) -> ItemFacts:
    blind = 2 if row.blind_overlap else 1
    if row.kind == "long":
        return ItemFacts(first_text_id, 2 if row.overlap else 1, withdrawn=row.retired, blind=blind)
    if row.author_id is None:  # mixed in by the import
        waits = connection.execute(_CAME, {"item": row.id, "of_masklet": row.masklet_id}).first() is None
        no_target = row.source == Source.NO_TARGET
        return ItemFacts(first_text_id, 0, withdrawn=row.retired, blind=blind, no_target=no_target, waits=waits)
    is_undone = connection.execute(_SOURCE, {"item": row.id}).first() is None
    return ItemFacts(first_text_id, 0, withdrawn=row.retired or is_undone, blind=blind)


def _hashes(connection: Connection, item_id: int) -> dict[int, str]:
    return {row.id: row.sha256 for row in connection.execute(_TEXTS, {"item": item_id})}


def _judgements(connection: Connection, item_id: int) -> list[Judgement]:
    return [
        Judgement(
            *(SlotKind(row.kind), row.text_id, Decision(row.decision), row.new_text_id, row.hit),
            absent=row.answer == "absent",
        )
        for row in connection.execute(_JUDGEMENTS, {"item": item_id})
    ]


def _slots(connection: Connection, row: Row[Any], first_text_id: int, outcome: Outcome) -> None:
    """Keep the pending slots that are still wanted, void the others, and open those that are missing."""
    missing = outcome.wanted
    for pending in connection.execute(_PENDING_SLOTS, {"item": row.id}).all():
        if missing and pending.kind == outcome.state and (pending.text_id or first_text_id) == outcome.text_id:
            missing -= 1
        else:
            connection.execute(_VOID, {"slot": pending.id})
    if not missing:
        return
    if outcome.state is ItemState.BLIND and row.kind == "long":
        _wake(connection, row.masklet_id)
    last = connection.execute(_LAST_N, {"item": row.id, "pass": outcome.state}).scalar_one()
    for n in range(last + 1, last + 1 + missing):
        values = {
            "item_id": row.id,
            "kind": SlotKind(outcome.state),
            "n": n,
            "state": SlotState.OPEN,
            "priority": row.priority,
            "text_id": outcome.text_id,
        }
        connection.execute(_OPEN, values)


def _wake(connection: Connection, masklet_id: int) -> None:
    """Open the slots of the short texts of an object that wait for its long one.

    They come just before it, as a short expression does that somebody writes: neither the ids of slots nor the order
    tell them apart.
    """
    for waiting in connection.execute(_WAITING, {"of_masklet": masklet_id}).all():
        first = {"item_id": waiting.id, "kind": SlotKind.BLIND, "n": 1, "state": SlotState.OPEN}
        connection.execute(_OPEN, first | {"priority": waiting.priority, "text_id": waiting.text_id})


_COUNTS = select(
    func.count().filter(item.c.kind == "long"),
    func.count().filter(item.c.kind == "short"),
    func.count(distinct(item.c.video_id)),
).where(item.c.state == ItemState.ACCEPTED, IN_SPLIT)
LOCK_LOG = select(audit_head.c.id).with_for_update()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Counts accepted items by kind, and of the videos that they are in."""

    long: int
    short: int
    videos: int

    def is_full(self, kind: str, settings: Settings) -> bool:
        """Return whether the quota of expressions of `kind`, long or short, is filled."""
        return self.long >= settings.long if kind == "long" else self.short >= settings.short


def count_accepted(connection: Connection) -> Accepted:
    """Count the accepted items of the project."""
    return Accepted(*connection.execute(_COUNTS).one())


def video_has_room(which: FromClause, *, videos_full: bool) -> ColumnElement[bool]:
    """Build the condition that the split may take the object of an item, by the limits on its video.

    It has the parameter `per_video`, the most objects of one video.

    Args:
        which: the `item` table or an alias of it.
        videos_full: the split takes no more videos, only more objects of those it has.
    """
    other = item.alias("other")
    others = select(func.count(distinct(other.c.masklet_id))).where(
        other.c.video_id == which.c.video_id,
        other.c.state == ItemState.ACCEPTED,
        other.c.source == Source.KEPT,
        other.c.masklet_id != which.c.masklet_id,
    )
    room = others.correlate(which).scalar_subquery() < bindparam("per_video")
    if not videos_full:
        return room
    mate = item.alias("mate")
    known = select(mate.c.id).where(
        mate.c.video_id == which.c.video_id, mate.c.state == ItemState.ACCEPTED, mate.c.source == Source.KEPT
    )
    return and_(room, known.correlate(which).exists())


def _fits(*, videos_full: bool) -> ColumnElement[bool]:
    fitting = item.alias("fitting")
    return select(fitting.c.id).where(fitting.c.id == _ITEM, video_has_room(fitting, videos_full=videos_full)).exists()


_ROOM = _COUNTS.add_columns(_fits(videos_full=False), _fits(videos_full=True))


def has_room(connection: Connection, item_id: int, kind: str, settings: Settings) -> bool:
    """Return whether the quotas allow this item; the answer holds until the transaction ends, as others wait."""
    connection.execute(LOCK_LOG)  # so that two transactions never fill the same last place, also on PostgreSQL
    binds = {"item": item_id, "per_video": settings.per_video}
    *counts, fits_new_video, fits_known_video = connection.execute(_ROOM, binds).one()
    accepted = Accepted(*counts)
    fits = fits_known_video if accepted.videos >= settings.videos else fits_new_video
    return not accepted.is_full(kind, settings) and bool(fits)


def promote(connection: Connection, settings: Settings, *, now: float) -> int:
    """Accept surplus items as far as the quotas allow now, in order of priority; return how many."""
    surplus = select(item.c.id, item.c.kind).where(item.c.state == ItemState.SURPLUS)
    promoted = 0
    for row in connection.execute(surplus.order_by(item.c.priority, item.c.id)).all():
        lock_item(connection, row.id)
        if has_room(connection, row.id, row.kind, settings):
            connection.execute(_CHANGE.values(state=ItemState.ACCEPTED, settled_at=now), {"item": row.id})
            promoted += 1
    return promoted


_PARTS = select(text_version.c.parts).where(text_version.c.id == bindparam("text_id"))


def text_sha256(parts: Mapping[str, str]) -> str:
    """Return the hash that identifies a text: a judgement holds for texts with the same hash only."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def add_text(
    connection: Connection,
    item_id: int,
    parts: Mapping[str, str],
    *,
    author_id: int | None,
    parent_id: int | None,
    now: float,
) -> int:
    """Store a new text version of an item and return its id; the item's current text does not change."""
    row = {
        "item_id": item_id,
        "parts": dict(parts),
        "sha256": text_sha256(parts),
        "author_id": author_id,
        "parent_id": parent_id,
        "created_at": now,
    }
    return int(connection.execute(insert(text_version).values(**row).returning(text_version.c.id)).scalar_one())


def text_parts(connection: Connection, text_id: int) -> dict[str, str]:
    """Return the parts of a text version, part name -> text."""
    parts: dict[str, str] = connection.execute(_PARTS, {"text_id": text_id}).scalar_one()
    return parts


def first_text_id(connection: Connection, item_id: int) -> int:
    """Return the id of the text that the item started with."""
    texts = select(text_version.c.id).where(text_version.c.item_id == item_id).order_by(text_version.c.id).limit(1)
    return int(connection.execute(texts).scalar_one())
