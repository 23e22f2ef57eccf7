"""The database: SQLite with one writer thread, or PostgreSQL; the same statements run on both.

SQLite allows one writer at a time. Here all writes go through one *thread*, in the order in which they were asked for,
so no write waits without end or fails with "database is locked" (docs/validation.md, "Writing to the database").
PostgreSQL runs several transactions side by side.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, Select, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from validation_ui import migrations

T = TypeVar("T")
Work = Callable[[Connection], T]
_CONNECTIONS = 16  # to PostgreSQL: this many for reading and as many for writing
_ATTEMPTS = 5
_RETRY = {"40001", "40P01"}  # serialization failure, deadlock: PostgreSQL asks to try again


class Database:
    """Runs reads and writes on one database.

    Args:
        url: `sqlite:////path/file.sqlite3` or `postgresql+psycopg://user@host/name`.
        now: returns the time of the server's clock, in seconds since 1970.
    """

    def __init__(self, url: str, *, now: Callable[[], float] = time.time) -> None:
        self.url, self.now = make_url(url), now
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._reader, self._writer = _sqlite(url, "BEGIN"), _sqlite(url, "BEGIN IMMEDIATE")
            self._glancer = _sqlite(url, None)
        else:
            self._glancer = self._reader = self._writer = create_engine(
                self.url, pool_size=2 * _CONNECTIONS, pool_pre_ping=True
            )
        self._threads = ThreadPoolExecutor(1 if self.is_sqlite else _CONNECTIONS, thread_name_prefix="writer")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for reading; on SQLite it sees one state of the database until it is closed."""
        with self._reader.connect() as connection:
            yield connection

    def submit(self, work: Work[T]) -> Future[T]:
        """Schedule `work` as one transaction: when the future is done, it was committed, or rolled back as a whole."""
        return self._threads.submit(self._transaction, work)

    def write(self, work: Work[T]) -> T:
        """Run `work` as one transaction and wait for its result."""
        return self.submit(work).result()

    async def aglance(self, wanted: Select[Any], binds: dict[str, Any]) -> Row[Any] | None:
        """Return the first row of a short SELECT; for callers in an event loop."""

        def look() -> Row[Any] | None:
            with self._glancer.connect() as connection:
                return connection.execute(wanted, binds).first()

        # with WAL, SQLite's readers never wait for the writer; to hand this to a thread would take longer
        return look() if self.is_sqlite else await asyncio.to_thread(look)

    async def awrite(self, work: Work[T]) -> T:
        """Run `work` as one transaction and await its result; for callers in an event loop."""
        return await asyncio.wrap_future(self.submit(work))

    def create(self) -> None:
        """Create the tables of an empty database, or migrate older ones to the schema of this release."""
        self.write(migrations.upgrade)

    def close(self) -> None:
        """Finish the scheduled writes, then close all connections."""
        self._threads.shutdown()
        for engine in (self._glancer, self._reader, self._writer):
            engine.dispose()

    def _transaction(self, work: Work[T]) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                with self._writer.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if attempt == _ATTEMPTS - 1 or getattr(error.orig, "sqlstate", None) not in _RETRY:
                    raise
                time.sleep(0.01 * 2**attempt)
        raise AssertionError("the last attempt returns or raises")


def _sqlite(url: str, begin: str | None) -> Engine:
    engine = create_engine(url, connect_args={"isolation_level": None, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # WAL: readers never wait for the writer; FULL: what was acknowledged survives a loss of power
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        if begin:  # a single statement needs no explicit transaction
            connection.exec_driver_sql(begin)

    return engine
