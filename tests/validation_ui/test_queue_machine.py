"""Several people do whatever they please, in any order, on a real database; what must hold, holds after each step."""

import shutil
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, select

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, add_item, add_masklet, add_waiting, fill
from validation_ui.database import Database
from validation_ui.judging import pointing
from validation_ui.problem import Problem
from validation_ui.schema import Source, Standing, item, person, slot

PEOPLE = ("ann", "ben", "cy", "dan", "eve", "fay")
SETTINGS = replace(SMALL, long=4, short=2, per_video=1, videos=2, gold_frac=0.2, entry_items=2, gold_window=3)
WHO = st.sampled_from(PEOPLE)
DEED = st.tuples(
    WHO,
    st.sampled_from(["accept", "accept", "accept", "accept", "edit", "reject", "flag"]),
    st.sampled_from(["pointed", "pointed", "pointed", "pointed", "missed", "ambiguous", "absent"]),
)

pytestmark = pytest.mark.long

_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None  # nothing here is about a sync of the disk
_EMPTY: dict[str, tuple[Path, dict[str, int]]] = {}


def _project() -> tuple[Path, dict[str, int]]:
    """A database to copy: making it takes longer than an example."""
    if not _EMPTY:
        path = Path(tempfile.mkdtemp(dir=_FAST)) / "empty.sqlite3"
        store = Database(f"sqlite:///{path}")
        store.create()

        def work(connection: Connection) -> dict[str, int]:
            ids = fill(
                connection,
                videos=3,
                objects=2,
                gold=6,
                reviewers=PEOPLE[:4],
                adjudicators=PEOPLE[4:],
                wants_short=True,
                settings=SETTINGS,
            )
            connection.execute(item.update().where(item.c.id.in_([ids["v0_o0"], ids["v1_o1"]])).values(overlap=True))
            connection.execute(item.update().where(item.c.id % 3 == 1, item.c.gold == "").values(blind_overlap=True))
            connection.execute(slot.insert(), [_second(ids["v0_o0"]), _second(ids["v1_o1"])])
            add_waiting(connection, ids["v0_o1"], "absent", "the bar that is not there")
            add_waiting(connection, ids["v1_o0"], "short", "the bar that moves right", Source.REJECTED)
            third = add_masklet(connection, "v2", 2)
            add_item(connection, third, "v2", "rejected", priority=2, source=Source.REJECTED, wants_short=True)
            connection.execute(person.update().where(person.c.name == "dan").values(standing=Standing.ENTRY))
            return ids

        _EMPTY["x"] = path, store.write(work)
        store.close()
    return _EMPTY["x"]


def _second(item_id: int) -> dict[str, object]:
    return {"item_id": item_id, "kind": "sighted", "n": 2, "state": "open", "priority": 0}


class People(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        empty, ids = _project()
        self.folder = Path(tempfile.mkdtemp(dir=empty.parent))
        shutil.copy(empty, self.folder / "v.sqlite3")
        self.clock = Clock()
        self.store = Database(f"sqlite:///{self.folder}/v.sqlite3", now=self.clock)
        self.desk = Desk(self.store, ids)
        self.had: dict[str, list[int]] = {who: [] for who in PEOPLE}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def _kept(self, who: str, last: int) -> int | None:
        """One of the last slots that somebody was given, still theirs or not."""
        return self.had[who][-1 - last % len(self.had[who])] if self.had[who] else None

    @rule(
        who=WHO, prefetch=st.booleans(), kinds=st.sets(st.sampled_from(["sighted", "blind", "adjudicate"]), min_size=1)
    )
    def claim(self, who: str, prefetch: bool, kinds: set[str]) -> None:
        result = self.desk.ask(who, *sorted(kinds), prefetch=prefetch)
        if result.slot_id is None:
            assert result.why is not None
            assert result.why["message"]
        else:
            self.had[who].append(result.slot_id)

    def _do(self, day: list[tuple[str, str, str]]) -> None:
        """Each claims, points and judges in turn."""
        for who, decision, answer in day:
            slot_id = self.desk.ask(who).slot_id
            if slot_id is not None:
                self.had[who].append(slot_id)
                self.answer(who, slot_id, decision, answer)
                self.clock.now += 1

    @initialize(day=st.lists(DEED, min_size=20, max_size=40))
    def first_day(self, day: list[tuple[str, str, str]]) -> None:
        self._do(day)

    @rule(day=st.lists(DEED, min_size=4, max_size=12))
    def work(self, day: list[tuple[str, str, str]]) -> None:
        self._do(day)

    @rule(who=WHO, last=st.integers(0, 3), decision=st.sampled_from(["accept", "edit", "reject"]))
    def late(self, who: str, last: int, decision: str) -> None:
        """Judge something that was given some time ago."""
        slot_id = self._kept(who, last)
        if slot_id is not None:
            with suppress(Problem):
                self.answer(who, slot_id, decision, "pointed")

    def answer(self, who: str, slot_id: int, decision: str, answer: str) -> None:
        row = self.desk.row(slot_id)
        if row.kind == "blind":
            with suppress(Problem):  # they answered before an undo, which does not undo that
                self.desk.point_on(who, slot_id, "pointed" if answer == "missed" else answer, hit=answer != "missed")
            with self.store.read() as connection:
                view = pointing.view(connection, self.desk.ids[who], slot_id)
            if view is not None and not view["revealed"]:
                with pytest.raises(Problem):
                    self.desk.judge(who, slot_id, decision)
                return  # the other blind items of the video come first
        if row.kind == "adjudicate" and decision == "flag":
            decision = "reject"
        wants_short = row.kind == "sighted" and not row.gold and decision in ("accept", "edit")
        short: dict[str, Any] = {"short": f"a short text by {who}"} if wants_short else {}
        self.desk.judge(who, slot_id, decision, **short)

    @rule(who=WHO, last=st.integers(0, 3), action=st.sampled_from(["heartbeat", "release", "skip", "point"]))
    def touch(self, who: str, last: int, action: str) -> None:
        slot_id = self._kept(who, last)
        if slot_id is not None and (action != "point" or self.desk.row(slot_id).kind == "blind"):
            with suppress(Problem):
                getattr(self.desk, action)(who, slot_id)

    @rule(who=WHO)
    def undo(self, who: str) -> None:
        with suppress(Problem):
            _, slot_id = self.desk.undo(who)
            self.had[who].extend([slot_id] if slot_id else [])

    @rule(seconds=st.sampled_from([1.0, 60.0, 130.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(who=WHO)
    def again(self, who: str) -> None:
        """An admin lets somebody go on."""
        self.store.write(
            lambda c: (
                c.execute(
                    person.update()
                    .where(person.c.id == self.desk.ids[who], person.c.standing.in_(["failed", "stopped"]))
                    .values(standing=Standing.ENTRY, entry_round=person.c.entry_round + 1)
                ).rowcount
            )
        )

    @invariant()
    def holds(self) -> None:
        check(self.store)
        with self.store.read() as connection:
            held = connection.execute(select(slot.c.holder_id, slot.c.item_id).where(slot.c.state == "leased")).all()
        assert len(held) == len(set(held)), "two slots of an item are held by one person"


TestPeople = People.TestCase
TestPeople.settings = settings(
    max_examples=10,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
