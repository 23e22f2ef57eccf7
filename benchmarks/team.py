"""Lets teams of simulated people finish a project on the real queue, and counts what nobody was left for.

Every text has a known quality (good, fixable or bad), on which the chances of all answers depend, so the figures of two
releases compare. People work side by side in simulated time, reserve the next item as the page does, and stop when
nothing came for them for hours. What is printed of every team is said in `team_figures.py`.

    python -m benchmarks.team 3+1 5+1 12+1 --videos 100
    python -m benchmarks.team 3+1 --objects 6 --slow --leave --late
"""

import argparse
import heapq
import json
import random
import sys
import tempfile
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from benchmarks import load_project
from benchmarks.team_figures import Figures, count
from validation_ui.database import Database
from validation_ui.judging import pointing, queue, submission
from validation_ui.judging.verdict import Verdict
from validation_ui.problem import Problem
from validation_ui.schema import Role, SlotKind, Standing, item, judgement, person, slot
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
LATE_S = 3600.0


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
        late: the adjudicators are there first; the reviewers end their entry tests LATE_S after one another.
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
        late: bool = False,
    ) -> None:
        self.objects, self.slow, self.leave, self.late = objects, slow, leave, late
        self.rng, self.seed = random.Random(seed), seed
        self.now = 1e9
        self.videos, self.hours = videos, 0.0
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
        common = {"password_hash": "!", "created_at": 0.0}
        rows = [
            {"id": n, "name": f"p{n}", "name_key": f"p{n}", "role": role}
            | common
            # the test has no items here, so the first claim ends it
            | {"standing": Standing.ENTRY if self.late and role == Role.REVIEWER else Standing.ACTIVE}
            for n, role in self.roles.items()
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

    def work(self) -> Figures:
        """Let everybody work until nothing comes any more, and count; `hours` has how long it took."""
        start = last_at = self.now
        events: list[tuple[float, int, int | None]] = [
            (self.now + (n * LATE_S if self.late and role == Role.REVIEWER else n), n, None)
            for n, role in self.roles.items()
        ]
        heapq.heapify(events)
        while events:
            self.now, who, held = heapq.heappop(events)
            if held is not None and self.leave and self.rng.random() < LEAVE_FRAC:
                heapq.heappush(events, (self.now + AWAY_S * self.rng.uniform(0.5, 1.5), who, None))
                last_at = self.now
                continue
            slot_id = None
            if held is not None:
                # who was away for hours may have lost the item
                with suppress(Problem) if self.leave else nullcontext():
                    slot_id = self._answer(who, held)
            slot_id = slot_id or self._claim(who, prefetch=False)
            if slot_id is not None:
                last_at = self.now
                self._claim(who, prefetch=True)
                with self.database.read() as connection:
                    kind = connection.execute(select(slot.c.kind).where(slot.c.id == slot_id)).scalar_one()
                spent_s = SPENT_S[kind] * self.rng.uniform(0.5, 1.5) * (SLOW if self.slow and who == 1 else 1)
                heapq.heappush(events, (self.now + spent_s, who, slot_id))
            elif self.now - last_at < GIVE_UP_S:
                heapq.heappush(events, (self.now + RETRY_S, who, None))
        self.hours = (last_at - start) / 3600
        with self.database.read() as connection:
            return count(connection, self.roles)

    def _claim(self, who: int, *, prefetch: bool) -> int | None:
        return self.database.write(lambda c: self._next(c, who, prefetch=prefetch))

    def _next(self, connection: Connection, who: int, *, prefetch: bool = False) -> int | None:
        role, kinds = self.roles[who], list(SlotKind)
        return queue.claim(connection, person_id=who, role=role, kinds=kinds, now=self.now, prefetch=prefetch).slot_id

    def _answer(self, who: int, slot_id: int) -> int | None:
        """Point and judge; return the item that comes with a pointing, while the object waits for others."""

        def work(connection: Connection) -> int | None:
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
                return self._next(connection, who)
            self.keys += 1
            verdict = self._verdict(connection, row, _one_of(DECIDES[row.kind][quality], rng))
            request = {"key": f"key-{self.keys:08}", "version": row.version, "verdict": verdict, "now": self.now}
            submission.submit(connection, person_id=who, role=self.roles[who], slot_id=slot_id, **request)
            if verdict.decision == "edit":
                written = select(judgement.c.new_text_id).order_by(judgement.c.id.desc()).limit(1)
                is_good = rng.random() < EDIT_IS_GOOD
                self.quality[connection.execute(written).scalar_one()] = "good" if is_good else "fixable"
            return None

        return self.database.write(work)

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

    def close(self) -> None:
        """Close the connections to the database."""
        self.database.close()


def _one_of(chances: dict[str, float], rng: random.Random) -> str:
    return rng.choices(list(chances), list(chances.values()))[0]


def run(reviewers: int, adjudicators: int, *, videos: int, seed: int = 1, **how: Any) -> tuple[Figures, float]:
    """Simulate one team on one project; return what it made of it and its hours. `how` has more arguments of `Team`."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        team = Team(Path(folder), reviewers, adjudicators, videos, seed, **how)
        try:
            return team.work(), round(team.hours, 1)
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
    parser.add_argument("--late", action="store_true", help="the reviewers begin an hour after one another")
    parser.add_argument("--seed", type=int, default=1, help="seed of the answers")
    options = parser.parse_args()
    for team in options.teams:
        reviewers, adjudicators = map(int, team.split("+"))
        how = {"objects": options.objects, "slow": options.slow, "leave": options.leave, "late": options.late}
        figures, hours = run(reviewers, adjudicators, videos=options.videos, seed=options.seed, **how)
        about = {"team": team, "videos": options.videos, "hours": hours}
        left = {"no_person_left_frac": round(figures.no_person_left_frac, 4)}
        sys.stdout.write(json.dumps(about | asdict(figures) | left) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
