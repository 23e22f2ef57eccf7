"""The database: SQLite with one writer thread, or PostgreSQL; the same statements run on both.

SQLite allows one writer at a time. Here all writes go through one *thread*, in the order in which they were asked for,
so no write waits without end or fails with "database is locked" (docs/validation.md, "Writing to the database").
PostgreSQL runs several transactions side by side.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Row, Select, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from validation_ui import migrations
from validation_ui.trouble import is_locked

T = TypeVar("T")
Work = Callable[[Connection], T]
_CONNECTIONS = 16  # to PostgreSQL: this many for reading and as many for writing
_ATTEMPTS = 5
LOCK_S = 15.0  # a write waits this long for another process that holds the lock of the database, then it fails
_BUSY_MS = 1000  # after this time SQLite tells that it is locked, and it is tried again
# what PostgreSQL asks to try again: serialization failure, deadlock; and a row that another transaction inserted
# after this one had looked for it (unique violation): the next attempt finds it
_RETRY = {"40001", "40P01", "23505"}


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
            self._glancer, self._reader, self._writer = _sqlite(url), _sqlite(url), _sqlite(url)
        else:
            self._glancer = self._reader = self._writer = _postgres(self.url)
        self._threads = ThreadPoolExecutor(1 if self.is_sqlite else _CONNECTIONS, thread_name_prefix="writer")

    @property
    def shown(self) -> str:
        """The database as messages name it."""
        return shown_url(self.url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for reading; on SQLite it sees one state of the database until it is closed."""
        with self._reader.connect() as connection:
            self._begin(connection, "BEGIN")
            yield connection

    def submit(self, work: Work[T]) -> Future[T]:
        """Schedule `work` as one transaction: when the future is done, it was committed, or rolled back as a whole."""
        return self._threads.submit(self._transaction, work, time.monotonic() + LOCK_S)

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
        """Create the tables of an empty database, or migrate older ones to the schema of this release.

        Raises:
            ValueError: the database is of another program or a newer release, or was left half migrated.
        """
        if self.is_sqlite and self.url.database:
            _recognise(Path(self.url.database))
            make_private(Path(self.url.database))
        self.write(migrations.upgrade)

    def close(self) -> None:
        """Finish the scheduled writes, then close all connections."""
        self._threads.shutdown()
        for engine in (self._glancer, self._reader, self._writer):
            engine.dispose()

    def _begin(self, connection: Connection, statement: str) -> None:
        """Begin an SQLite transaction; with SQLAlchemy's event for it, every statement would be slower."""
        if self.is_sqlite:
            connection.exec_driver_sql(statement)

    def _transaction(self, work: Work[T], deadline: float) -> T:
        """Run `work`; try again what the database asks to, and until the deadline if another process locked it."""
        attempt = 0
        while True:
            try:
                with self._writer.begin() as connection:
                    self._begin(connection, "BEGIN IMMEDIATE")
                    return work(connection)
            except DBAPIError as error:
                attempt += 1
                is_short = attempt < _ATTEMPTS and getattr(error.orig, "sqlstate", None) in _RETRY
                if not is_short and not (is_locked(error) and time.monotonic() < deadline):
                    raise
            if is_short:
                time.sleep(0.01 * 2**attempt)


def shown_url(url: URL) -> str:
    """Return the file of an SQLite database, or the URL of another without a password, for messages."""
    is_file = url.get_backend_name() == "sqlite" and url.database
    return str(url.database) if is_file else url.render_as_string(hide_password=True)


def checked_url(url: str) -> str:
    """Return the URL of a database that a command was given.

    Raises:
        ValueError: it is none of SQLite or PostgreSQL, or has a password: other users of the machine can read that in
            the list of processes.
    """
    example = "postgresql+psycopg://user@host/name"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(f"--database must be a URL such as {example}") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ValueError(f"--database must be of PostgreSQL or SQLite, such as {example}, got {parsed.drivername}://…")
    if parsed.password or "password" in parsed.query:
        raise ValueError(
            "--database must have no password, which others could read in the list of processes: give it in the "
            "environment as PGPASSWORD, or in the file ~/.pgpass or one that PGPASSFILE names, and change it now"
        )
    return url


def make_private(path: Path) -> None:
    """Make an SQLite database readable by its owner alone, whatever the umask; a new one is created so.

    SQLite gives the files that it makes beside it (`-wal`, `-shm`, `-journal`) the mode of the database.
    """
    if path.is_dir() or not path.parent.is_dir():
        return  # SQLite tells what is wrong with it
    with suppress(FileNotFoundError):  # a link that leads nowhere
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o600))
    for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
        with suppress(FileNotFoundError, PermissionError):  # it is another user's
            if stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(0o600)


def _recognise(path: Path) -> None:
    """Refuse a file that is none of ours before it is opened for writing, which would change its journal mode."""
    if not path.is_file() or not path.stat().st_size:
        return
    engine = create_engine(f"sqlite:///file:{quote(str(path.resolve()))}?immutable=1&uri=true")
    try:
        with engine.connect() as connection:
            migrations.check(connection)
    except DBAPIError:
        pass  # told when it is opened
    finally:
        engine.dispose()


def _postgres(url: URL) -> Engine:
    patience = {} if "connect_timeout" in url.query else {"connect_timeout": 10}
    engine = create_engine(url, pool_size=2 * _CONNECTIONS, pool_pre_ping=True, connect_args=patience)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = '{LOCK_S:.0f}s'")
        connection.commit()

    return engine


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, connect_args={"isolation_level": None, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        # WAL: readers never wait for the writer; FULL: what was acknowledged survives a loss of power
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={_BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
