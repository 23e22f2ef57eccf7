"""What a reviewer does all day: few statements, each compiled once, and none goes through a table that grows."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from operator import le
from typing import Any

import pytest
from sqlalchemy import Connection, event

from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import fill
from validation_ui.database import Database
from validation_ui.judging import item_views

GROWS = ("item", "slot", "judgement", "pointing", "seen", "skipped", "draft", "reply", "audit", "masklet", "video")
# the accepted items are counted for the quotas, by an index that covers the count
COUNTS = "count(DISTINCT item.video_id)"
ROLE = "SELECT person.role \nFROM person \nWHERE person.id = ?"  # asked by `Desk`; the app knows it from the session


@pytest.fixture
def plans(store: Database) -> Iterator[dict[str, list[str]]]:
    """How SQLite carries out each statement that the test runs."""
    if not store.is_sqlite:
        pytest.skip("PostgreSQL plans by the sizes of its tables, which are small here")
    seen: dict[str, list[str]] = {}

    def plan(connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement not in seen and statement.split()[0] in ("SELECT", "UPDATE", "DELETE"):
            raw: Any = connection.connection.dbapi_connection
            rows = raw.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            seen[statement] = [row[3] for row in rows]

    event.listen(store._writer, "before_cursor_execute", plan)
    yield seen
    event.remove(store._writer, "before_cursor_execute", plan)


def test_what_a_reviewer_does_all_day_uses_indexes(store: Database, plans: dict[str, list[str]]) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=6, objects=2)))
    plans.clear()
    for _ in range(3):  # the second and third time there are videos that the person has seen
        for name in ("ann", "ben"):
            desk.judge(name, desk.claim(name))
    assert any("pointing.revealed_at IS NOT NULL" in statement for statement in plans), "blind leases that ended"
    assert any("ORDER BY seen.at DESC" in statement for statement in plans), "videos seen lately"
    slow = {
        statement: step
        for statement, steps in plans.items()
        for step in steps
        if step.split()[0] == "SCAN"
        and step.split()[1] in GROWS
        or "ix_item_state_kind (state=?)" in step
        and COUNTS not in statement
    }
    assert not slow


@pytest.fixture
def runs(store: Database) -> Iterator[list[str]]:
    """Every statement that the test runs in a write transaction."""
    made: list[str] = []

    def note(_connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        made.append(statement)

    event.listen(store._writer, "before_cursor_execute", note)
    yield made
    event.remove(store._writer, "before_cursor_execute", note)


def test_no_statement_is_compiled_again(store: Database, runs: list[str]) -> None:
    """SQLite does that if a parameter decides whether a partial index serves, and it takes longer than to run it."""
    if not store.is_sqlite:
        pytest.skip("PostgreSQL decides by itself when to plan again")
    desk = Desk(store, store.write(lambda c: fill(c, videos=6, objects=2)))
    compiled: set[int] = set()  # places in `runs`

    def authorize(action: int, *_: Any) -> int:  # SQLite asks while it compiles, never while it runs
        if action != sqlite3.SQLITE_TRANSACTION:  # COMMIT, which does not come as a statement
            compiled.add(len(runs))
        return sqlite3.SQLITE_OK

    def watch(connection: Connection) -> None:
        raw: Any = connection.connection.dbapi_connection
        raw.set_authorizer(authorize)

    store.write(watch)
    for _ in range(3):
        for name in ("ann", "ben", "cy"):
            slot_id = desk.claim(name)
            if desk.row(slot_id).kind == "sighted" or desk.find(name, slot_id):
                desk.judge(name, slot_id)
    times = Counter(runs[place - 1] for place in compiled)
    assert "UPDATE slot SET" in str(times), "the authorizer is asked"
    assert {statement: count for statement, count in times.items() if count > 1} == {}


def test_a_request_runs_few_statements(store: Database, runs: list[str]) -> None:
    """SQLAlchemy takes ten times as long for a statement as SQLite, so their number is what a request costs."""
    if not store.is_sqlite:
        pytest.skip("the same statements, with those that are only read")
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=2)))

    def count(do: Callable[..., Any], *what: Any) -> Any:
        runs.clear()
        found = do(*what)
        asked = [run for run in runs if not run.startswith("BEGIN") and run != ROLE]
        numbers.append(len(asked))
        return found

    def view(name: str, slot_id: int) -> None:
        store.write(lambda c: item_views.slot_view(c, desk.ids[name], slot_id, store.now()))

    for _ in range(2):
        desk.judge("ann", desk.claim("ann"))
    numbers: list[int] = []
    sighted = count(desk.claim, "ann", "sighted")
    count(desk.claim, "ann", "sighted")  # the same again, as after a reload
    count(view, "ann", sighted)
    count(desk.judge, "ann", sighted)
    assert all(map(le, numbers, [13, 5, 1, 18])), numbers
    numbers.clear()
    blind = count(desk.claim, "ben", "blind")
    count(desk.point, "ben", blind)
    count(desk.claim, "ben", "blind")  # the next one of the video
    count(view, "ben", blind)
    assert all(map(le, numbers, [11, 10, 4, 1])), numbers
