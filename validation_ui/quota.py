"""How much of the split is filled: expressions by kind, videos, and objects of one video.

Only ACCEPTED items count. An object with a long and a short expression is one object.
"""

from dataclasses import dataclass

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, distinct, func, select

from validation_ui.schema import ItemState, audit_head, item
from validation_ui.settings import Settings


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
    accepted = item.c.state == ItemState.ACCEPTED
    by_kind = select(item.c.kind, func.count().label("n")).where(accepted).group_by(item.c.kind)
    counts = {row.kind: row.n for row in connection.execute(by_kind)}
    videos = connection.execute(select(func.count(distinct(item.c.video_id))).where(accepted)).scalar_one()
    return Filled(counts.get("long", 0), counts.get("short", 0), videos)


def video_has_room(per_video: int | BindParameter[int], *, videos_full: bool) -> ColumnElement[bool]:
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
    connection.execute(select(audit_head.c.id).with_for_update())  # one acceptance at a time, also on PostgreSQL
    found = filled(connection)
    if found.is_full(kind, settings):
        return False
    room = video_has_room(settings.per_video, videos_full=found.videos >= settings.videos)
    return connection.execute(select(item.c.id).where(item.c.id == item_id, room)).first() is not None
