"""Finds items by closed lists of filters and sorts, a page at a time, for the item browser.

No field name ever comes from a client: every filter and sort is a member of an enum with its own SQL (CVE-2023-47117
leaked password hashes through filters that a client could build). Pages are found by the key of the last row and not by
their number, so the last page takes as long as the first.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, func, or_, select

from validation_ui.judging.item_views import shown_to_adjudicator
from validation_ui.judging.team import read_team
from validation_ui.problem import Problem
from validation_ui.schema import (
    Decision,
    ItemState,
    SlotKind,
    SlotState,
    item,
    judgement,
    masklet,
    person,
    pointing,
    slot,
    text_version,
)
from validation_ui.settings import PARTS
from validation_ui.statistics.unstaffed import unstaffed

MAX_ROWS = 50
_FOR = (Decision.ACCEPT, Decision.EDIT)
_SHOWN_CHARS = 160  # of an item's text in the list


class StateFilter(StrEnum):
    """States to look for: those of an item, and groups of them."""

    OPEN = "open"  # waits for somebody
    SIGHTED = "sighted"
    BLIND = "blind"
    ADJUDICATE = "adjudicate"
    ACCEPTED = "accepted"
    SURPLUS = "surplus"
    DROPPED = "dropped"
    STUCK = "stuck"  # waits, and nobody of the team may judge it
    WITHDRAWN = "withdrawn"  # an admin took it out
    GOLD = "gold"


class Disagreement(StrEnum):
    """Ways in which people disagree about an item."""

    ANY = "any"
    SIGHTED = "sighted"  # of two sighted reviewers one is for the text and one is not
    MISSED = "missed"  # somebody did not find the object in the blind pass
    BLIND = "blind"  # somebody rejected or flagged in the blind pass
    ADJUDICATED = "adjudicated"  # an adjudicator settled it


class Sort(StrEnum):
    """Orders of the list."""

    QUEUE = "queue"  # in which it is judged
    LATEST = "latest"  # judged last comes first
    VIDEO = "video"


@dataclass(frozen=True)
class Query:
    """What to look for; None or "" = anything. `person`, `reason` and `pass_` hold for one and the same judgement."""

    id: str = ""  # public id, number in the export, or object id
    video: str = ""  # its id, or how this begins
    state: StateFilter | None = None
    person: int | None = None
    reason: str | None = None
    pass_: SlotKind | None = None
    disagreement: Disagreement | None = None
    sort: Sort = Sort.QUEUE
    after: str = ""  # the `next` of the page before


def find(
    connection: Connection, query: Query, *, names: bool, gold: bool, now: float, adjudicator: int | None = None
) -> dict[str, Any]:
    """Return one page: {"items": […], "total", "next": where the next page begins, or None}.

    Args:
        connection: a connection to read from.
        query: what to look for.
        names: whether to tell how an item was judged, and who is at work on it.
        gold: whether gold items are listed too.
        now: the time of the server's clock.
        adjudicator: id of the adjudicator who looks; they find what `shown_to_adjudicator` says. None = somebody else.
    """
    where = _conditions(connection, query)
    if adjudicator is not None:
        where += shown_to_adjudicator(adjudicator)
    if not gold:
        where.append(item.c.state != ItemState.GOLD)
    key = _KEYS[query.sort]
    descends = query.sort is Sort.LATEST
    rows = select(item.c.id, key.label("key")).join_from(item, masklet, masklet.c.id == item.c.masklet_id).where(*where)
    total = connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one()
    if query.after:
        value, last_id = _cursor(query)
        later = key < value if descends else key > value
        rows = rows.where(or_(later, and_(key == value, item.c.id < last_id if descends else item.c.id > last_id)))
    order = (key.desc(), item.c.id.desc()) if descends else (key, item.c.id)
    page = connection.execute(rows.order_by(*order).limit(MAX_ROWS + 1)).all()
    ids = [row.id for row in page[:MAX_ROWS]]
    more = f"{page[MAX_ROWS - 1].key}~{ids[-1]}" if len(page) > MAX_ROWS else None
    return {"items": _details(connection, ids, names=names, now=now), "total": total, "next": more}


_LATEST = select(func.coalesce(func.max(judgement.c.id), 0)).where(judgement.c.item_id == item.c.id)
_KEYS: dict[Sort, Any] = {
    Sort.QUEUE: item.c.priority,
    Sort.LATEST: _LATEST.correlate(item).scalar_subquery(),
    Sort.VIDEO: item.c.video_id,
}
_OPEN = (ItemState.SIGHTED, ItemState.BLIND, ItemState.ADJUDICATE)


def _cursor(query: Query) -> tuple[Any, int]:
    value, _, last_id = query.after.rpartition("~")
    numbers = [last_id] if query.sort is Sort.VIDEO else [value, last_id]
    if not all(re.fullmatch("[0-9]{1,10}", number) and int(number) < 2**31 for number in numbers):
        raise Problem(422, "invalid", "This is not where a page begins: go back to the first page.")
    return (value if query.sort is Sort.VIDEO else int(value)), int(last_id)


def _conditions(connection: Connection, query: Query) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if query.id:
        named = [item.c.public_id == query.id, masklet.c.object_id == query.id]
        if query.id.isascii() and query.id.isdecimal() and len(query.id) < 10:
            named.append(item.c.id == int(query.id))
        found.append(or_(*named))
    if query.video:
        found.append(item.c.video_id.startswith(query.video, autoescape=True))
    if query.state is StateFilter.OPEN:
        found.append(item.c.state.in_(_OPEN))
    elif query.state is StateFilter.WITHDRAWN:
        found.append(and_(item.c.retired, item.c.state != ItemState.GOLD))
    elif query.state is StateFilter.STUCK:
        stuck = [one.public_id for one in unstaffed(connection, read_team(connection))]
        found.append(item.c.public_id.in_(stuck))
    elif query.state is not None:
        found.append(item.c.state == ItemState(query.state))
    if query.person is not None or query.reason is not None or query.pass_ is not None:
        of = [_live()]
        if query.person is not None:
            of.append(judgement.c.person_id == query.person)
        if query.reason is not None:  # one of a closed list: its quotes keep it from being part of another
            of.append(cast(judgement.c.reasons, Text).like(f'%"{query.reason}"%'))
        if query.pass_ is not None:
            of.append(judgement.c.kind == query.pass_)
        found.append(select(judgement.c.id).where(*of).correlate(item).exists())
    if query.disagreement is not None:
        found.append(_disagrees(query.disagreement))
    return found


def _live() -> ColumnElement[bool]:
    return and_(judgement.c.item_id == item.c.id, judgement.c.undone_at.is_(None))


def _disagrees(how: Disagreement) -> ColumnElement[bool]:
    one, other = judgement.alias("one"), judgement.alias("other")
    conditions = {
        Disagreement.SIGHTED: select(one.c.id)
        .join(other, other.c.item_id == one.c.item_id)
        .where(one.c.item_id == item.c.id, one.c.undone_at.is_(None), other.c.undone_at.is_(None))
        .where(one.c.kind == SlotKind.SIGHTED, other.c.kind == SlotKind.SIGHTED)
        .where(one.c.decision.in_(_FOR), other.c.decision.not_in(_FOR))
        .correlate(item)
        .exists(),
        Disagreement.MISSED: select(judgement.c.id)
        .join(pointing, pointing.c.id == judgement.c.pointing_id)
        .where(_live(), pointing.c.hit.is_(False))
        .correlate(item)
        .exists(),
        Disagreement.BLIND: select(judgement.c.id)
        .where(_live(), judgement.c.kind == SlotKind.BLIND, judgement.c.decision.not_in(_FOR))
        .correlate(item)
        .exists(),
        Disagreement.ADJUDICATED: select(judgement.c.id)
        .where(_live(), judgement.c.kind == SlotKind.ADJUDICATE)
        .correlate(item)
        .exists(),
    }
    if how is not Disagreement.ANY:
        return conditions[how]
    return or_(item.c.state == ItemState.ADJUDICATE, *conditions.values())


def _details(connection: Connection, ids: list[int], *, names: bool, now: float) -> list[dict[str, Any]]:
    """Return what the list shows of some items, in this order; nothing of it tells where the object is."""
    rows = {
        row.id: row
        for row in connection.execute(
            select(item, text_version.c.parts)
            .join_from(item, text_version, text_version.c.id == item.c.text_id)
            .where(item.c.id.in_(ids))
        )
    }
    counts = (
        select(judgement.c.item_id, func.count())
        .where(judgement.c.item_id.in_(ids), judgement.c.undone_at.is_(None))
        .group_by(judgement.c.item_id)
    )
    leased = (
        select(slot.c.item_id, person.c.name)
        .join_from(slot, person, person.c.id == slot.c.holder_id)
        .where(slot.c.item_id.in_(ids), slot.c.state == SlotState.LEASED, slot.c.lease_until >= now)
    )
    judged: dict[int, int] = dict(connection.execute(counts).all())
    holders: dict[int, str] = dict(connection.execute(leased).all())
    return [
        {
            "public_id": row.public_id,
            "number": row.id,
            "video_id": row.video_id,
            "kind": row.kind,
            "state": row.state,
            "withdrawn": bool(row.retired),
            "exported": row.exported_at is not None,
            "text": _short(" ".join(row.parts[part] for part in PARTS[row.kind])),
            "judgements": judged.get(row.id, 0) if names else None,
            "holder": holders.get(row.id) if names else None,
        }
        for row in (rows[item_id] for item_id in ids)
    ]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1].rstrip() + "…"
