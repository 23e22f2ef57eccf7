"""Lets teams of simulated people finish a project on the real queue, and counts what nobody was left for.

Every text has a known quality (good, fixable or bad), on which the chances of all answers depend, so the figures of two
releases compare. People work side by side in simulated time, reserve the next item as the page does, and stop when
nothing came for them for hours. Printed per team: `stuck` = judgements that somebody of the team could still give but
never gets; `no_person_left` = items for which nobody of the team is left; judgements per accepted item, and
`without_final_blind`: the same without the blind judgement of what an adjudicator accepted, which the first release
did not ask for.

    python -m benchmarks.team 3+1 5+1 12+1 --videos 100
    python -m benchmarks.team 3+1 --objects 6 --slow --leave
"""

import argparse
import heapq
import json
import random
import sys
import tempfile
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from benchmarks import load_project
from validation_ui.database import Database
from validation_ui.judging import pointing, queue, submission
from validation_ui.judging.verdict import Verdict
from validation_ui.problem import Problem
from validation_ui.schema import (
    ItemState,
    Role,
    SlotKind,
    SlotState,
    Standing,
    item,
    judgement,
    person,
    seen,
    skipped,
    slot,
    text_version,
)
from validation_ui.schema import pointing as pointings
from validation_ui.settings import PARTS, Settings

SETTINGS = Settings(videos=10**6, long=10**6, short=10**6, per_video=10**6, gold_frac=0.0, entry_items=0)
OVERLAP_FRAC, SHORT_EVERY = 0.15, 6
QUALITY = {"good": 0.70, "fixable": 0.12, "bad": 0.18}
EDIT_IS_GOOD = 0.9
HIT = {"good": 0.95, "fixable": 0.75, "bad": 0.25}
DECIDES: dict[str, dict[str, dict[str, float]]] = {  # pass -> quality of the text -> decision -> chance
    "sighted": {
        "good": {"accept": 0.93, "edit": 0.03, "reject": 0.03, "flag": 0.01},
        "fixable": {"accept": 0.15, "edit": 0.60, "reject": 0.20, "flag": 0.05},
        "bad": {"accept": 0.10, "edit": 0.00, "reject": 0.85, "flag": 0.05},
    },
    "blind": {
        "good": {"accept": 0.95, "edit": 0.02, "reject": 0.02, "flag": 0.01},
        "fixable": {"accept": 0.25, "edit": 0.50, "reject": 0.20, "flag": 0.05},
        "bad": {"accept": 0.15, "edit": 0.00, "reject": 0.80, "flag": 0.05},
    },
    "adjudicate": {
        "good": {"accept": 0.95, "reject": 0.05},
        "fixable": {"edit": 0.70, "reject": 0.30},
        "bad": {"accept": 0.10, "reject": 0.90},
    },
}
SPENT_S = {"sighted": 75.0, "blind": 45.0, "adjudicate": 60.0}
RETRY_S = 120.0  # who gets nothing looks again after this time
GIVE_UP_S = 8 * 3600.0  # the work is over if nobody got anything for this time
SLOW = 8.0
LEAVE_FRAC, AWAY_S = 0.03, 3 * 3600.0


@dataclass
class Result:
    """What a team made of a project."""

    team: str
    videos: int
    items: int
    accepted: int
    dropped: int
    stuck: int
    no_person_left: int
    judgements: dict[str, int]
    hours: float
    unfound: int = 0  # accepted texts without a hit on their final wording
    without_final_blind: float = 0.0  # judgements per accepted item
    stuck_by_pass: dict[str, int] = field(default_factory=dict)

    @property
    def no_person_left_frac(self) -> float:
        """The fraction of all items, short ones included, that end without a person."""
        return self.no_person_left / self.items

    @property
    def judgements_per_accepted(self) -> float:
        """Mean number of judgements that an accepted item cost, those of dropped items included."""
        return sum(self.judgements.values()) / max(1, self.accepted)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as they are printed."""
        return vars(self) | {
            "no_person_left_frac": round(self.no_person_left_frac, 4),
            "judgements_per_accepted": round(self.judgements_per_accepted, 3),
        }


class Team:
    """Simulated people at work on a project in a database of their own.

    Args:
        folder: where the database is made; a RAM disk is faster.
        reviewers: number of people with the role reviewer.
        adjudicators: number of people with the role adjudicator.
        videos: number of videos.
        seed: of all answers.
        objects: number of objects of a video.
        slow: the first reviewer takes SLOW times as long as the others.
        leave: people come and go: with the chance LEAVE_FRAC they leave an item as it is, and come back after hours.
    """

    def __init__(
        self,
        folder: Path,
        reviewers: int,
        adjudicators: int,
        videos: int,
        seed: int,
        *,
        objects: int = load_project.OBJECTS,
        slow: bool = False,
        leave: bool = False,
    ) -> None:
        self.objects, self.slow, self.leave = objects, slow, leave
        self.rng, self.seed = random.Random(seed), seed
        self.now = 1e9
        self.name, self.videos = f"{reviewers}+{adjudicators}", videos
        self.database = Database(f"sqlite:///{folder}/team.sqlite3", now=lambda: self.now)
        self.database.create()
        self.roles = {
            n + 1: Role.REVIEWER if n < reviewers else Role.ADJUDICATOR for n in range(reviewers + adjudicators)
        }
        self.quality: dict[int, str] = {}  # text id -> quality
        self.keys = 0
        self.database.write(self._people)
        for _ in load_project.items(
            self.database, [], objects * videos, first=0, together=60 * objects, objects=objects
        ):
            pass
        self.database.write(self._order)

    def _people(self, connection: Connection) -> None:
        SETTINGS.save(connection)
        common = {"standing": Standing.ACTIVE, "password_hash": "!", "created_at": 0.0}
        rows = [
            {"id": n, "name": f"p{n}", "name_key": f"p{n}", "role": role} | common for n, role in self.roles.items()
        ]
        connection.execute(insert(person), rows)

    def _order(self, connection: Connection) -> None:
        """Sort the items as `sample.draw` does: the first objects of all videos, then the second ones."""
        order: list[int] = []
        for n in range(self.objects):
            round_ = list(range(n + 1, self.objects * self.videos + 1, self.objects))
            self.rng.shuffle(round_)
            order += round_
        for priority, item_id in enumerate(order):
            twice = self.rng.random() < OVERLAP_FRAC
            values = {"priority": priority, "overlap": twice, "wants_short": priority % SHORT_EVERY == 0}
            connection.execute(update(item).where(item.c.id == item_id).values(**values))
            connection.execute(update(slot).where(slot.c.item_id == item_id).values(priority=priority))
            if twice:
                second = {"item_id": item_id, "kind": "sighted", "n": 2, "state": "open", "priority": priority}
                connection.execute(insert(slot).values(**second))

    def work(self) -> Result:
        """Let everybody work until nothing comes any more, and count."""
        start = last_at = self.now
        events: list[tuple[float, int, int | None]] = [(self.now + n, n, None) for n in self.roles]
        heapq.heapify(events)
        while events:
            self.now, who, held = heapq.heappop(events)
            if held is not None and self.leave and self.rng.random() < LEAVE_FRAC:
                heapq.heappush(events, (self.now + AWAY_S * self.rng.uniform(0.5, 1.5), who, None))
                last_at = self.now
                continue
            if held is not None:
                # who was away for hours may have lost the item
                with suppress(Problem) if self.leave else nullcontext():
                    self._answer(who, held)
            slot_id = self._claim(who, prefetch=False)
            if slot_id is not None:
                last_at = self.now
                self._claim(who, prefetch=True)
                with self.database.read() as connection:
                    kind = connection.execute(select(slot.c.kind).where(slot.c.id == slot_id)).scalar_one()
                spent_s = SPENT_S[kind] * self.rng.uniform(0.5, 1.5) * (SLOW if self.slow and who == 1 else 1)
                heapq.heappush(events, (self.now + spent_s, who, slot_id))
            elif self.now - last_at < GIVE_UP_S:
                heapq.heappush(events, (self.now + RETRY_S, who, None))
        return self._count((last_at - start) / 3600)

    def _claim(self, who: int, *, prefetch: bool) -> int | None:
        def work(connection: Connection) -> int | None:
            role = self.roles[who]
            kinds = list(SlotKind)
            return queue.claim(
                connection, person_id=who, role=role, kinds=kinds, now=self.now, prefetch=prefetch
            ).slot_id

        return self.database.write(work)

    def _answer(self, who: int, slot_id: int) -> None:
        def work(connection: Connection) -> None:
            before = judgement.c.item_id == slot.c.item_id, judgement.c.kind == slot.c.kind
            row = connection.execute(
                select(slot.c.kind, slot.c.item_id, item.c.kind.label("item_kind"), item.c.text_id, item.c.version)
                .add_columns(item.c.masklet_id, select(func.count()).where(*before).scalar_subquery().label("before"))
                .join_from(slot, item)
                .where(slot.c.id == slot_id)
            ).one()
            # the n-th answer in a pass depends on the item only, so that teams and releases compare
            name = f"{self.seed} {row.masklet_id} {row.item_kind}"
            quality = self.quality.setdefault(row.text_id, _one_of(QUALITY, random.Random(name)))
            rng = random.Random(f"{name} {row.kind} {row.before}")
            is_hit = rng.random() < HIT[quality]
            if row.kind == SlotKind.BLIND and not self._point(connection, who, slot_id, is_hit):
                return  # the other items of the video come first
            self.keys += 1
            verdict = self._verdict(connection, row, _one_of(DECIDES[row.kind][quality], rng))
            request = {"key": f"key-{self.keys:08}", "version": row.version, "verdict": verdict, "now": self.now}
            submission.submit(connection, person_id=who, role=self.roles[who], slot_id=slot_id, **request)
            if verdict.decision == "edit":
                written = select(judgement.c.new_text_id).order_by(judgement.c.id.desc()).limit(1)
                is_good = rng.random() < EDIT_IS_GOOD
                self.quality[connection.execute(written).scalar_one()] = "good" if is_good else "fixable"

        self.database.write(work)

    def _point(self, connection: Connection, who: int, slot_id: int, is_hit: bool) -> bool:
        """Answer the blind question if that was not done yet; return whether the object is revealed."""
        view = pointing.view(connection, who, slot_id)
        if view is None:
            result = pointing.PointResult(hit=is_hit, chance_frac=0.1)
            answer = pointing.PointAnswer(answer="absent")
            pointing.record(connection, person_id=who, slot_id=slot_id, answer=answer, result=result, now=self.now)
            view = pointing.view(connection, who, slot_id)
        return view is not None and bool(view["revealed"])

    def _verdict(self, connection: Connection, row: Any, decision: str) -> Verdict:
        names = PARTS[row.item_kind]
        body: dict[str, Any] = {"decision": decision, "watched_frac": 1.0}
        if decision == "accept":
            body["parts"] = dict.fromkeys(names, "right")
        elif decision == "edit":
            body["text"] = {names[0]: f"a new wording, number {self.keys}"}
        else:
            body |= {"reasons": ["other"], "note": "x"}
        about = connection.execute(select(item).where(item.c.id == row.item_id)).one()
        is_for = decision in ("accept", "edit")
        if is_for and submission.asks_short(connection, about, SlotKind(row.kind), SETTINGS):
            body["short"] = f"the disk number {self.keys}"
        return Verdict.model_validate(body)

    def _count(self, hours: float) -> Result:
        with self.database.read() as connection:
            states = Counter(connection.execute(select(item.c.state)).scalars())
            kinds = Counter(connection.execute(select(judgement.c.kind)).scalars())
            pending = connection.execute(
                select(slot.c.kind, slot.c.item_id, item.c.video_id, item.c.author_id)
                .join_from(slot, item)
                .where(slot.c.state.in_([SlotState.OPEN, SlotState.LEASED]))
            ).all()
            stuck = [row for row in pending if self._could_be_done(connection, row)]
            left = {row.item_id for row in pending} - {row.item_id for row in stuck}
            unfound = self._unfound(connection)
            extra, lost = self._final_blind(connection)
        accepted = states[ItemState.ACCEPTED]
        return Result(
            team=self.name,
            videos=self.videos,
            items=sum(states.values()),
            accepted=accepted,
            dropped=states[ItemState.DROPPED],
            stuck=len(stuck),
            no_person_left=len(left),
            judgements=dict(kinds),
            hours=round(hours, 1),
            unfound=unfound,
            without_final_blind=round((sum(kinds.values()) - extra) / max(1, accepted + lost), 3),
            stuck_by_pass=dict(Counter(row.kind for row in stuck)),
        )

    def _could_be_done(self, connection: Connection, row: Any) -> bool:
        """Return whether the protocol allows this judgement to anybody of the team, whatever the queue does."""
        barred = {row.author_id}
        for table in (judgement, skipped):
            barred |= set(connection.execute(select(table.c.person_id).where(table.c.item_id == row.item_id)).scalars())
        wrote = select(text_version.c.author_id).where(
            text_version.c.item_id == row.item_id, text_version.c.id == item.c.text_id
        )
        barred |= set(connection.execute(wrote.where(item.c.id == row.item_id)).scalars())
        if row.kind == SlotKind.BLIND:
            barred |= set(connection.execute(select(seen.c.person_id).where(seen.c.video_id == row.video_id)).scalars())
        may = (who for who, role in self.roles.items() if row.kind != SlotKind.ADJUDICATE or role != Role.REVIEWER)
        return any(who not in barred for who in may)

    def _final_blind(self, connection: Connection) -> tuple[int, int]:
        """Return how many blind judgements came after an adjudicator's accept, and how many items ended by a miss."""
        last: dict[int, Any] = {}
        extra = lost = 0
        rows = select(judgement.c.item_id, judgement.c.kind, judgement.c.decision, pointings.c.hit).outerjoin(
            pointings, pointings.c.id == judgement.c.pointing_id
        )
        for row in connection.execute(rows.order_by(judgement.c.id)):
            before = last.get(row.item_id)
            if before is not None and (before.kind, before.decision) == ("adjudicate", "accept"):
                extra, lost = extra + 1, lost + (not row.hit)
            last[row.item_id] = row
        return extra, lost

    def _unfound(self, connection: Connection) -> int:
        """Return how many accepted items have no blind hit on the text that would be exported."""
        hits = (
            select(judgement.c.id)
            .join_from(judgement, pointings, pointings.c.id == judgement.c.pointing_id)
            .join(text_version, text_version.c.id == judgement.c.text_id)
            .where(judgement.c.item_id == item.c.id, judgement.c.text_id == item.c.text_id, pointings.c.hit)
        )
        accepted = select(item.c.id).where(item.c.state == ItemState.ACCEPTED, ~hits.exists())
        return len(connection.execute(accepted).all())

    def close(self) -> None:
        """Close the connections to the database."""
        self.database.close()


def _one_of(chances: dict[str, float], rng: random.Random) -> str:
    return rng.choices(list(chances), list(chances.values()))[0]


def run(reviewers: int, adjudicators: int, *, videos: int, seed: int = 1, **how: Any) -> Result:
    """Simulate one team on one project and return what it made of it; `how` has the other arguments of `Team`."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        team = Team(Path(folder), reviewers, adjudicators, videos, seed, **how)
        try:
            return team.work()
        finally:
            team.close()


def main() -> None:
    """Print the figures of several teams as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teams", nargs="+", help="reviewers+adjudicators, e.g. 3+1")
    parser.add_argument("--videos", type=int, default=100, help="number of videos")
    parser.add_argument("--objects", type=int, default=load_project.OBJECTS, help="objects of a video")
    parser.add_argument("--slow", action="store_true", help=f"the first reviewer takes {SLOW:.0f} times as long")
    parser.add_argument("--leave", action="store_true", help="people leave in mid-item and come back after hours")
    parser.add_argument("--seed", type=int, default=1, help="seed of the answers")
    options = parser.parse_args()
    for team in options.teams:
        reviewers, adjudicators = map(int, team.split("+"))
        how = {"objects": options.objects, "slow": options.slow, "leave": options.leave}
        result = run(reviewers, adjudicators, videos=options.videos, seed=options.seed, **how)
        sys.stdout.write(json.dumps(result.as_dict()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
