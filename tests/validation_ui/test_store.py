"""The database: work is whole or not there, on SQLite and PostgreSQL, from many threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import Executable, func, insert, select, update
from sqlalchemy.engine import Connection

from tests.validation_ui.rows import fill
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.schema import audit as audit_table
from validation_ui.schema import audit_head, meta, slot


def test_work_that_raises_leaves_nothing_and_harms_no_other(store: Database) -> None:
    def half(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="half", value=1))
        raise KeyError("half")

    def whole(connection: Connection) -> None:
        connection.execute(insert(meta).values(key="whole", value=1))

    futures = [store.submit(work) for work in (half, whole)]
    with pytest.raises(KeyError, match="half"):
        futures[0].result()
    futures[1].result()
    with store.read() as connection:
        assert connection.scalars(select(meta.c.key)).all() == ["whole"]


def test_work_that_waits_together_succeeds_or_fails_for_itself(store: Database) -> None:
    blocked = Event()
    first = store.submit(lambda _: blocked.wait(60))

    def add(n: int) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            connection.execute(insert(meta).values(key=f"{n % 30}", value=n))  # 30 comes too late for 0
            return n

        return work

    futures = [store.submit(add(n)) for n in range(31)]
    blocked.set()
    assert first.result()
    failed = [n for n, future in enumerate(futures) if future.exception()]
    assert len(failed) == 1
    assert failed[0] in (0, 30)
    assert all(future.result() == n for n, future in enumerate(futures) if n not in failed)
    with store.read() as connection:
        assert sorted(map(int, connection.scalars(select(meta.c.key)))) == list(range(30))


def test_forty_threads_count_without_losing_one(store: Database) -> None:
    store.write(lambda c: c.execute(insert(meta).values(key="count", value=0)))

    def count(connection: Connection) -> None:
        value = connection.execute(select(meta.c.value).where(meta.c.key == "count").with_for_update()).scalar_one()
        connection.execute(update(meta).where(meta.c.key == "count").values(value=value + 1))

    with ThreadPoolExecutor(40) as pool:
        for future in [pool.submit(store.write, count) for _ in range(200)]:
            future.result()
    with store.read() as connection:
        assert connection.execute(select(meta.c.value)).scalar_one() == 200


def test_a_reader_sees_what_an_event_loop_wrote(store: Database) -> None:
    asyncio.run(store.awrite(fill))
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(slot)).scalar_one() == 6


def log(connection: Connection) -> None:
    audit.append(connection, at=1.5, actor="person:1", action="submit", subject="slot:1", body={"decision": "accept"})


@pytest.fixture
def logged(store: Database) -> Database:
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(store.write, log) for _ in range(20)]:
            future.result()
    return store


def test_the_log_is_whole_after_many_writers(logged: Database) -> None:
    with logged.read() as connection:
        assert audit.verify(connection) == 20


@pytest.mark.parametrize(
    "tamper",
    [
        update(audit_table).where(audit_table.c.id == 7).values(body='{"decision": "reject"}'),
        update(audit_table).where(audit_table.c.id == 7).values(actor="person:2"),
        audit_table.delete().where(audit_table.c.id == 7),
        audit_table.delete().where(audit_table.c.id > 17),
        audit_table.delete(),
        update(audit_head).values(hash="0" * 64),
    ],
    ids=["text", "actor", "hole", "end cut off", "emptied", "head"],
)
def test_a_log_that_was_changed_says_so(logged: Database, tamper: Executable) -> None:
    logged.write(lambda connection: connection.execute(tamper).rowcount)
    with logged.read() as connection, pytest.raises(ValueError, match="not as it was written"):
        audit.verify(connection)
