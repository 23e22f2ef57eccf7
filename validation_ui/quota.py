"""How much of the split is filled: expressions by kind, videos, and objects of one video.

Only ACCEPTED items count. An object with a long and a short expression is one object.
"""

from dataclasses import dataclass
from functools import cache

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, and_, bindparam, distinct, func, select

from validation_ui.schema import ItemState, audit_head, item
from validation_ui.settings import Settings

_COUNTS = select(
    func.count().filter(item.c.kind == "long"),
    func.count().filter(item.c.kind == "short"),
    func.count(distinct(item.c.video_id)),
).where(item.c.state == ItemState.ACCEPTED)
_LOCK = select(audit_head.c.id).with_for_update()


@dataclass(frozen=True, slots=True)
class Filled:
    """Accepted items of the project."""

    long: int
    short: int
    videos: int

    def is_full(self, kind: str, settings: Settings) -> bool:
        """Whether no more expressions of `kind` are wanted."""
        return self.long >= settings.long if kind == "long" else self.short >= settings.short


def filled(connection: Connection) -> Filled:
    """Count what was accepted."""
    return Filled(*connection.execute(_COUNTS).one())


def video_has_room(per_video: BindParameter[int], *, videos_full: bool) -> ColumnElement[bool]:
    """SQL: the video of an `item` row may take its object into the split."""
    other = item.alias("other")
    others = select(func.count(distinct(other.c.masklet_id))).where(
        other.c.video_id == item.c.video_id,
        other.c.state == ItemState.ACCEPTED,
        other.c.masklet_id != item.c.masklet_id,
    )
    room = others.correlate(item).scalar_subquery() < per_video
    if not videos_full:
        return room
    mate = item.alias("mate")
    known = select(mate.c.id).where(mate.c.video_id == item.c.video_id, mate.c.state == ItemState.ACCEPTED)
    return and_(room, known.correlate(item).exists())


def has_room(connection: Connection, item_id: int, kind: str, settings: Settings) -> bool:
    """Whether the split takes this item; nobody else can take its place before the transaction ends."""
    connection.execute(_LOCK)  # one acceptance at a time, also on PostgreSQL
    found = filled(connection)
    if found.is_full(kind, settings):
        return False
    binds = {"item_id": item_id, "per_video": settings.per_video}
    return connection.execute(_with_room(found.videos >= settings.videos), binds).first() is not None


@cache
def _with_room(videos_full: bool) -> Select[int]:
    room = video_has_room(bindparam("per_video"), videos_full=videos_full)
    return select(item.c.id).where(item.c.id == bindparam("item_id"), room)
