"""Backups of the database, made while the app runs, and put back while it does not.

A backup has everything but the secret and the pictures (`frames/`). It is readable by its owner alone, like the
database. A file appears under its name only when it is whole.
"""

import hashlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select, text, update

from manifests.io import Folder
from validation_ui import audit, trouble
from validation_ui.database import Database
from validation_ui.project import RESTORED, Project
from validation_ui.schema import audit as audit_table
from validation_ui.schema import invite, item, judgement, meta, person, session, video

_TOOLS = "install PostgreSQL's client programs, of the server's version or newer"


def make(database: Database, to: Path) -> None:
    """Copy the database as it is at this moment into a new file: by VACUUM INTO, or pg_dump.

    Raises:
        ValueError: there is such a file already, or pg_dump is missing or fails.
        TroubleError: the disk is full; the file is not there.
    """
    if to.exists() or to.is_symlink():
        raise ValueError(f"{to} is there already: name a new file")
    with _whole(to) as part:
        if database.is_sqlite:
            with closing(sqlite3.connect(str(database.url.database))) as connection:
                try:
                    connection.execute("VACUUM INTO ?", [str(part)])
                except sqlite3.OperationalError as error:
                    raise trouble.TroubleError(f"{to} was not made ({error}): is its disk full?") from error
        else:
            _run(database, "pg_dump", "--format=custom", "--no-owner", f"--file={part}")


@dataclass(frozen=True)
class Restored:
    """What was put in place of the present database, and where that is now; None if there was none."""

    people: int
    judged_at: float | None
    log_rows: int
    kept: Path | None
    missing_chunks: int


def restore(project: Project, backup: Path) -> Restored:
    """Put a backup in the place of the project's database; the present one is kept in a file beside it.

    All sessions end, and invites that were open at the time of the backup are revoked: what was closed since then must
    not open again. The log gets a row that tells of it.

    Raises:
        ValueError: the file is no whole backup of this app, the app is running, or the backup is of another run.
    """
    if not backup.is_file():
        raise ValueError(f"a backup is a file, made by `python -m validation_ui backup`; there is none at {backup}")
    project.data.mkdir(parents=True, exist_ok=True)
    database = Database(project.url)
    try:
        kept = (
            _restore_sqlite(project, database, backup)
            if database.is_sqlite
            else _restore_dump(project, database, backup)
        )
    finally:
        database.close()
    database = project.open()  # migrates a backup of an older release
    try:
        sha256 = hashlib.sha256(backup.read_bytes()).hexdigest()
        return database.write(lambda connection: _begin_again(connection, project, sha256, kept, database.now()))
    except ValueError as error:  # only a dump of PostgreSQL cannot be looked into before it is restored
        raise ValueError(f"{backup} was restored, but {error}; what was there is kept as {kept}") from error
    finally:
        database.close()


def _restore_sqlite(project: Project, database: Database, backup: Path) -> Path | None:
    at = Path(str(database.url.database))
    with _whole(at.with_name(f"{at.name}.restored"), replace=True) as part:
        shutil.copyfile(backup, part)
        _check_sqlite(project, part, backup)
    part = at.with_name(f"{at.name}.restored")
    kept = None
    if at.exists():
        _stop_unless_alone(at)
        kept = _name_for_kept(at)
        os.link(at, kept)
        for end in ("-wal", "-shm"):  # only a damaged database still has them
            with suppress(FileNotFoundError):
                at.with_name(at.name + end).rename(kept.with_name(kept.name + end))
    part.replace(at)
    return kept


def _check_sqlite(project: Project, copy: Path, backup: Path) -> None:
    """Check that the copy of a backup is a whole database of this app and this run."""
    try:
        with closing(sqlite3.connect(copy)) as connection:
            faults = connection.execute("PRAGMA integrity_check").fetchone()
            size = connection.execute(
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            ).fetchone()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{backup} is no whole backup of an SQLite database: {error}") from error
    if size != (backup.stat().st_size,):  # a last page that is cut off may be one that nothing is on
        raise ValueError(f"{backup} is no whole backup: it has {backup.stat().st_size} bytes and should have {size[0]}")
    if faults != ("ok",):
        raise ValueError(f"{backup} is damaged: {faults[0]}")
    database = Database(f"sqlite:///{copy.resolve()}")
    try:
        database.create()
        with database.read() as connection:
            _check_rows(connection, project)
    except ValueError as error:
        raise ValueError(f"{backup}: {error}") from error
    finally:
        database.close()
        for end in ("-wal", "-shm"):
            copy.with_name(copy.name + end).unlink(missing_ok=True)


def _check_rows(connection: Connection, project: Project) -> None:
    audit.verify(connection)
    run = connection.execute(select(meta.c.value).where(meta.c.key == "run")).scalar()
    if run is None:
        raise ValueError("nothing was imported into this database when the backup was made")
    if Folder(run["out"]).path() != project.out.path():
        raise ValueError(f"this is a backup of the run {run['out']}, not of {project.out.url}: name that run")


def _stop_unless_alone(at: Path) -> None:
    """Write all of a database into its one file; this needs that nobody else has it open."""
    running = f"{at} is in use: stop the app (`serve`) and other commands first, then restore"
    try:
        with closing(sqlite3.connect(at, timeout=1.0, isolation_level=None)) as connection:
            mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        if not str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
            return  # damaged: that may be why it is restored; it is kept as it is
        raise ValueError(running) from error
    except sqlite3.DatabaseError:
        return
    if mode != ("delete",):
        raise ValueError(running)


def _restore_dump(project: Project, database: Database, backup: Path) -> Path | None:
    with database.read() as connection:
        wanted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        others = connection.execute(text(wanted)).scalar_one()
        is_empty = connection.execute(text("SELECT to_regclass('audit_head') IS NULL")).scalar_one()
    if others:
        raise ValueError(f"{project.shown} is in use (other connections: {others}): stop the app first, then restore")
    kept = None
    if not is_empty:
        kept = _name_for_kept(project.data / "postgresql.dump")
        make(database, kept)
    _run(database, "pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error",
         f"--dbname={database.url.database}", str(backup))  # fmt: skip
    return kept


def _begin_again(connection: Connection, project: Project, sha256: str, kept: Path | None, now: float) -> Restored:
    _check_rows(connection, project)
    connection.execute(delete(session))
    # pages and drafts know texts of the time after the backup: what they send must not pass for one on the present
    # text; and what browsers keep by the id of a slot must not appear on another item, as ids are given again
    connection.execute(update(item).values(version=int(now // 60)))
    connection.execute(delete(meta).where(meta.c.key == RESTORED))
    connection.execute(insert(meta).values(key=RESTORED, value=now))
    open_ = invite.c.used_at.is_(None), invite.c.revoked_at.is_(None)
    connection.execute(update(invite).where(*open_).values(revoked_at=now))
    body = {"sha256": sha256}
    audit.append(connection, at=now, actor="cli", action="restore", subject="project", body=body)
    chunks = {name for row in connection.execute(select(video.c.chunks)) for chunk in row.chunks
              for name in (chunk["key"], chunk["rest"]) if name}  # fmt: skip
    there = {path.name for path in (project.data / "frames").glob("*.bin")}
    people = connection.execute(select(func.count()).select_from(person)).scalar_one()
    judged_at = connection.execute(select(func.max(judgement.c.created_at))).scalar()
    rows = connection.execute(select(func.count()).select_from(audit_table)).scalar_one()
    return Restored(people, judged_at, rows, kept, len(chunks - there))


def _name_for_kept(at: Path) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    names = (at.with_name(f"{at.name}.before-restore-{stamp}-{n}") for n in itertools.count(1))
    return next(name for name in names if not name.exists())


@contextmanager
def _whole(to: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give the path of an empty private file beside `to`; it gets its name if the block ends well, else it is removed.

    With `replace`, a file that is there already is overwritten.
    """
    part = to.with_name(f".{to.name}.part-{os.getpid()}")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(to)) from error  # by the name that was given
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        if replace:
            part.replace(to)
        else:
            os.link(part, to)  # unlike a rename this fails if somebody else made the file meanwhile
    finally:
        for end in ("", "-journal", "-wal", "-shm"):
            part.with_name(part.name + end).unlink(missing_ok=True)


def _run(database: Database, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's client on the database; the password goes by the environment.

    Raises:
        ValueError: the program is missing or fails.
    """
    found = shutil.which(program)
    if found is None:
        raise ValueError(f"this needs {program}, which is not on PATH: {_TOOLS}")
    url = database.url
    given = {
        "PGHOST": url.query.get("host", url.host),
        "PGHOSTADDR": url.query.get("hostaddr"),
        "PGPORT": url.query.get("port", url.port),
        "PGUSER": url.query.get("user", url.username),
        "PGPASSWORD": url.query.get("password", url.password),
        "PGDATABASE": url.database,
        "PGSSLMODE": url.query.get("sslmode"),
        "PGSSLROOTCERT": url.query.get("sslrootcert"),
    }
    environment = os.environ | {name: str(value) for name, value in given.items() if value}
    ran = subprocess.run([found, *arguments], capture_output=True, text=True, check=False, env=environment)
    if ran.returncode:
        raise ValueError(f"{program} failed: {' '.join(ran.stderr.split())}")
