"""No frequent statement goes through a whole table: its time would grow with the project."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event

from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import fill
from validation_ui.database import Database

GROWS = ("item", "slot", "judgement", "pointing", "seen", "skipped", "draft", "reply", "audit", "masklet", "video")
# the accepted items are counted for the quotas, by an index that covers the count
COUNTS = "count(DISTINCT item.video_id)"


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
