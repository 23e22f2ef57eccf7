"""Items that nobody of the team may judge any more (`no_person_left`), with the reason and the way out.

Nothing is stored: whoever joins the team opens these items again.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from validation_ui.judging.eligibility import barred_by_item
from validation_ui.judging.items import IN_SPLIT, PENDING
from validation_ui.judging.team import Team
from validation_ui.schema import SlotKind, item, person, seen, skipped, slot

_WHY = {
    SlotKind.SIGHTED: (
        "everybody judged it or left it to others, or nobody would be left to find it blind afterwards",
        "invite one more reviewer, or leave it: the split goes on with other items",
    ),
    SlotKind.BLIND: (
        "everybody who could find it has seen a mask of its video, judged it or wrote its text",
        "invite one more reviewer, or leave it: it does not come into the split",
    ),
    SlotKind.ADJUDICATE: (
        "every adjudicator judged it, wrote its text or left it to others",
        "invite one more adjudicator or make a reviewer one, or leave it: it does not come into the split",
    ),
}


@dataclass(frozen=True)
class Unstaffed:
    """An item that waits for somebody who is not there."""

    public_id: str
    video_id: str
    kind: str  # long, short
    state: str  # the pass that it waits in
    reason: str
    way_out: str


def unstaffed(connection: Connection, team: Team) -> list[Unstaffed]:
    """Return the items whose next judgement nobody of the team may give; none while there is no team at all."""
    if not team.without(0):
        return []
    found: dict[int, Unstaffed] = {}
    for kind in SlotKind:
        for row in _rows(connection, team, kind):
            reason, way_out = _WHY[kind]
            found[row.id] = Unstaffed(row.public_id, row.video_id, row.kind, row.state, reason, way_out)
    return [found[item_id] for item_id in sorted(found)]


def _rows(connection: Connection, team: Team, kind: SlotKind) -> list[Any]:
    everybody = team.reviewers | team.adjudicators
    who, other = person.alias("who"), person.alias("other")
    judges = select(who.c.id).where(
        who.c.id.in_(team.adjudicators if kind == SlotKind.ADJUDICATE else everybody), *barred_by_item(who.c.id, kind)
    )
    if kind == SlotKind.SIGHTED and team.is_large_enough:  # as in `eligibility`: nothing is begun in vain
        saw = select(seen.c.at).where(seen.c.video_id == item.c.video_id, seen.c.person_id == other.c.id)
        finds = select(other.c.id).where(
            other.c.id.in_(everybody), other.c.id != who.c.id, ~saw.correlate(item, other).exists()
        )
        judges = judges.where(finds.correlate(item, who).exists())
    wanted = (
        select(item.c.id, item.c.public_id, item.c.video_id, item.c.kind, item.c.state)
        .join_from(slot, item, item.c.id == slot.c.item_id)
        .where(slot.c.kind == kind, slot.c.state.in_(PENDING), item.c.state == kind, IN_SPLIT)
        .where(~judges.correlate(item).exists())
        .distinct()
    )
    if kind == SlotKind.SIGHTED:  # what nobody touched is free for everybody: quicker than to ask
        known = select(seen.c.at).where(seen.c.video_id == item.c.video_id)
        passed = select(skipped.c.at).where(skipped.c.item_id == item.c.id)
        wanted = wanted.where(or_(known.exists(), passed.exists()))
    return list(connection.execute(wanted).all())
