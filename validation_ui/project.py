"""Where the files of a validation project are: the annotation run it judges, its data folder and its database."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, make_url, select

from manifests.io import Folder
from manifests.outputs import brief
from validation_ui.database import Database, shown_url
from validation_ui.schema import meta

RESTORED = "restored_at"  # a key of `meta`


@dataclass(frozen=True)
class Project:
    """The folders and the database of a validation project.

    Attributes:
        out: the folder of the annotation run.
        data: local folder of the images, the secret and, unless `database` is given, the SQLite database.
        sav: SAV_ROOT if the command named one; None = take it from the run.
        database: SQLAlchemy URL of another database, e.g. `postgresql+psycopg://user@host/name`.
    """

    out: Folder
    data: Path
    sav: str | None = None
    database: str | None = None

    @cached_property
    def sav_root(self) -> Path:
        """The folder that holds `sav_train/`.

        Raises:
            ValueError: the run does not name its SAV_ROOT, or this folder does not exist here.
        """
        root = self.sav
        if root is None:
            try:
                root = json.loads(self.out.read_bytes("run.json"))["config"]["sav_root"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self.out.path('run.json')} must tell the SAV_ROOT of the run, got {brief(error)}: name a "
                    "folder made by `make annotate`, or give --sav-root"
                ) from error
        if "://" in str(root) or not Path(str(root)).is_dir():
            raise ValueError(f"SAV_ROOT must be a folder of this machine, got {root}: give --sav-root")
        return Path(str(root))

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.data.resolve()}/validation.sqlite3"

    @property
    def shown(self) -> str:
        """The database as messages name it."""
        return shown_url(make_url(self.url))

    def open(self) -> Database:
        """Open the database; its tables are created if they are missing, and migrated to this release's schema.

        Raises:
            ValueError: the database is of another program or a newer release, or was left half migrated.
        """
        self.data.mkdir(parents=True, exist_ok=True)
        database = Database(self.url)
        try:
            database.create()
        except ValueError as error:
            database.close()
            raise ValueError(f"{self.shown}: {error}") from error
        except BaseException:
            database.close()
            raise
        return database


def is_imported(database: Database) -> bool:
    """Return True if the import of an annotation run into this database was completed."""
    with database.read() as connection:
        return connection.execute(select(meta.c.key).where(meta.c.key == "run")).first() is not None


def restored_at(connection: Connection) -> float:
    """Return when a backup was last put in place of the database, 0 if never: ids were given again since."""
    at: float = connection.execute(select(meta.c.value).where(meta.c.key == RESTORED)).scalar() or 0.0
    return at


def inside(root: Path, name: str) -> Path:
    """Return `root / name` with symbolic links resolved.

    Raises:
        ValueError: the resolved path is not inside `root`.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"a file must lie inside {root}, got {name!r}: it leads to {path}")
    return path
