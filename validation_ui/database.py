"""The database: SQLite with one writer thread, or PostgreSQL; the same statements on both.

SQLite has one writer by nature. Here it is one *thread*, first come, first served: nobody starves and nothing is ever
"locked". (Measured in facts/validation.md, section 3: connections that compete lose decisions.) PostgreSQL runs pieces
of work side by side.
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
_CONNECTIONS = 16  # of PostgreSQL, each for reading and for writing
_ATTEMPTS = 5
_RETRY = {"40001", "40P01"}  # serialization failure, deadlock: PostgreSQL asks to try again


class Database:
    """Reads and writes of one database.

    Args:
        url: `sqlite:////path/file.sqlite3` or `postgresql+psycopg://user@host/name`.
        now: the server's clock, seconds since 1970.
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
        """A connection that sees one state of the database and changes nothing."""
        with self._reader.connect() as connection:
            yield connection

    def submit(self, work: Work[T]) -> Future[T]:
        """Have `work` done in a transaction: all of it is kept before the future is done, or nothing."""
        return self._threads.submit(self._transaction, work)

    def write(self, work: Work[T]) -> T:
        """Do `work` in a transaction and wait for it."""
        return self.submit(work).result()

    async def aglance(self, wanted: Select[Any], binds: dict[str, Any]) -> Row[Any] | None:
        """The first row that a short statement reads, from an event loop."""

        def look() -> Row[Any] | None:
            with self._glancer.connect() as connection:
                return connection.execute(wanted, binds).first()

        # SQLite's readers wait for nobody, and to hand this to a thread would take longer
        return look() if self.is_sqlite else await asyncio.to_thread(look)

    async def awrite(self, work: Work[T]) -> T:
        """As `write`, from an event loop."""
        return await asyncio.wrap_future(self.submit(work))

    def create(self) -> None:
        """Make the tables of an empty database, or bring older ones to the schema of this release."""
        self.write(migrations.upgrade)

    def close(self) -> None:
        """Finish what waits, then let go of the database."""
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
        if begin:  # one statement needs none
            connection.exec_driver_sql(begin)

    return engine
