"""What a team made of a project, counted from its database by rules that are written here anew.

The rules of the queue are not asked, so that an item which they forget counts as stuck.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from validation_ui import schema
from validation_ui.schema import ItemState, Role, SlotKind, SlotState


@dataclass(frozen=True)
class Figures:
    """The figures of one team on one project.

    Attributes:
        items: all items, short ones included.
        accepted: those that were accepted.
        dropped: those that were dropped.
        stuck: judgements that somebody of the team could still give, but is never asked for.
        stuck_by_pass: the same by pass.
        no_person_left: items for which nobody of the team is left.
        unfound: accepted texts without a blind hit on their final wording.
        judgements: pass -> number of judgements.
        judgements_per_accepted: mean number that an accepted item cost, those of dropped items included.
        without_final_blind: the same without the blind judgement of what an adjudicator accepted, which the first
            release did not ask for.
    """

    items: int
    accepted: int
    dropped: int
    stuck: int
    stuck_by_pass: dict[str, int]
    no_person_left: int
    unfound: int
    judgements: dict[str, int]
    judgements_per_accepted: float
    without_final_blind: float

    @property
    def no_person_left_frac(self) -> float:
        """The fraction of all items that end without a person."""
        return self.no_person_left / self.items


def count(connection: Connection, roles: Mapping[int, Role]) -> Figures:
    """Count what became of the items; `roles` has everybody of the team by id."""
    states = Counter(connection.execute(select(schema.item.c.state)).scalars())
    kinds = Counter(connection.execute(select(schema.judgement.c.kind)).scalars())
    waiting = schema.slot.c.state.in_([SlotState.OPEN, SlotState.LEASED])
    of_item = (schema.item.c[name] for name in ("video_id", "author_id", "text_id"))
    about = select(schema.slot.c.kind, schema.slot.c.item_id, *of_item).join_from(schema.slot, schema.item)
    pending = connection.execute(about.where(waiting)).all()
    stuck = [row for row in pending if _could_be_done(connection, row, roles)]
    accepted, judged = states[ItemState.ACCEPTED], sum(kinds.values())
    extra, lost = _final_blind(connection)
    return Figures(
        items=sum(states.values()),
        accepted=accepted,
        dropped=states[ItemState.DROPPED],
        stuck=len(stuck),
        stuck_by_pass=dict(Counter(row.kind for row in stuck)),
        no_person_left=len({row.item_id for row in pending} - {row.item_id for row in stuck}),
        unfound=_unfound(connection),
        judgements=dict(kinds),
        judgements_per_accepted=round(judged / max(1, accepted), 3),
        without_final_blind=round((judged - extra) / max(1, accepted + lost), 3),
    )


def _could_be_done(connection: Connection, row: Any, roles: Mapping[int, Role]) -> bool:
    """Return whether the protocol allows this judgement to anybody of the team, whatever the queue does."""
    wrote = select(schema.text_version.c.author_id).where(schema.text_version.c.id == row.text_id)
    barred = {row.author_id, *connection.execute(wrote).scalars()}
    for table in (schema.judgement, schema.skipped):
        barred |= set(connection.execute(select(table.c.person_id).where(table.c.item_id == row.item_id)).scalars())
    if row.kind == SlotKind.BLIND:
        saw = select(schema.seen.c.person_id).where(schema.seen.c.video_id == row.video_id)
        barred |= set(connection.execute(saw).scalars())
    may = {who for who, role in roles.items() if row.kind != SlotKind.ADJUDICATE or role != Role.REVIEWER}
    return bool(may - barred)


def _final_blind(connection: Connection) -> tuple[int, int]:
    """Return how many blind judgements came after an adjudicator's accept, and how many items ended by a miss."""
    last: dict[int, Any] = {}
    extra = lost = 0
    given = schema.judgement
    rows = select(given.c.item_id, given.c.kind, given.c.decision, schema.pointing.c.hit).outerjoin(
        schema.pointing, schema.pointing.c.id == given.c.pointing_id
    )
    for row in connection.execute(rows.order_by(given.c.id)):
        before = last.get(row.item_id)
        if before is not None and (before.kind, before.decision) == ("adjudicate", "accept"):
            extra, lost = extra + 1, lost + (not row.hit)
        last[row.item_id] = row
    return extra, lost


def _unfound(connection: Connection) -> int:
    """Return how many accepted items have no blind hit on the text that would be exported."""
    given, found = schema.judgement, schema.pointing
    hits = (
        select(given.c.id)
        .join_from(given, found, found.c.id == given.c.pointing_id)
        .where(given.c.item_id == schema.item.c.id, given.c.text_id == schema.item.c.text_id, found.c.hit)
    )
    accepted = select(schema.item.c.id).where(schema.item.c.state == ItemState.ACCEPTED, ~hits.exists())
    return len(connection.execute(accepted).all())
