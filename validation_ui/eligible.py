"""Which slots a person may have, as conditions of the statement that gives one to them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, literal_column, or_, select

from validation_ui import gold, quota
from validation_ui.quota import Filled
from validation_ui.schema import SlotKind, SlotState, item, judgement, seen, skipped, text_version
from validation_ui.settings import Settings


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and what they hold: items, and videos in which they are to find something they must not have seen."""

    id: int
    settings: Settings
    now: float
    prefetch: bool
    items: Collection[int]
    blind_videos: Collection[str]

    @property
    def lease(self) -> dict[str, Any]:
        """Columns of a slot that make it theirs."""
        seconds = self.settings.prefetch_lease_s if self.prefetch else self.settings.lease_s
        return {
            "state": SlotState.LEASED,
            "holder_id": self.id,
            "lease_until": self.now + seconds,
            "claimed_at": None if self.prefetch else self.now,
        }


def is_free(free: FromClause, now: float) -> ColumnElement[bool]:
    """SQL: nobody has a slot, or their lease ran out."""
    # written out, not bound: it must be seen to imply the condition of ix_slot_free
    pending = free.c.state.in_([literal_column("'open'"), literal_column("'leased'")])
    return and_(pending, or_(free.c.state == SlotState.OPEN, free.c.lease_until < now))


def is_eligible(asker: Asker, kind: SlotKind, found: Filled) -> ColumnElement[bool]:
    """SQL: the person may judge an `item` row in this pass."""
    judged = select(judgement.c.id).where(
        judgement.c.item_id == item.c.id,
        judgement.c.person_id == asker.id,
        or_(judgement.c.undone_at.is_(None), judgement.c.undone_by == gold.GATE),
    )
    wrote = select(text_version.c.id).where(text_version.c.id == item.c.text_id, text_version.c.author_id == asker.id)
    passed = select(skipped.c.item_id).where(skipped.c.item_id == item.c.id, skipped.c.person_id == asker.id)
    rules = [
        item.c.state == kind,
        or_(item.c.author_id.is_(None), item.c.author_id != asker.id),
        item.c.id.not_in(asker.items),
        ~judged.exists(),
        ~wrote.exists(),
        ~passed.exists(),
    ]
    if kind == SlotKind.BLIND:
        saw = select(seen.c.at).where(seen.c.video_id == item.c.video_id, seen.c.person_id == asker.id)
        return and_(*rules, ~saw.exists())
    rules.append(item.c.video_id.not_in(asker.blind_videos))
    if kind == SlotKind.SIGHTED:
        rules.append(quota.video_has_room(found, asker.settings))
    return and_(*rules)
