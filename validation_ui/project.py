"""Where a validation project lives: the annotation run it judges, its data folder and its database."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy import select

from manifests.io import Folder
from validation_ui.database import Database
from validation_ui.schema import meta


@dataclass(frozen=True)
class Project:
    """A project by its folders.

    Attributes:
        out: the annotation run.
        data: local folder of the pictures, the secret and, unless `database` is given, the SQLite database.
        sav: SAV_ROOT if it was named; else the one that the run was made from.
        database: SQLAlchemy's address of another database, e.g. `postgresql+psycopg://user@host/name`.
    """

    out: Folder
    data: Path
    sav: str | None = None
    database: str | None = None

    @cached_property
    def sav_root(self) -> Path:
        """The folder that holds `sav_train/`.

        Raises:
            ValueError: the run does not say which, or the folder is not there.
        """
        root = self.sav
        if root is None:
            try:
                root = json.loads(self.out.read_bytes("run.json"))["config"]["sav_root"]
            except (FileNotFoundError, KeyError) as error:
                raise ValueError(
                    f"{self.out.path('run.json')} must tell the SAV_ROOT of the run, got {error!r}: name a folder made "
                    "by `make annotate`, or give --sav-root"
                ) from error
        if "://" in str(root) or not Path(str(root)).is_dir():
            raise ValueError(f"SAV_ROOT must be a folder of this machine, got {root}: give --sav-root")
        return Path(str(root))

    @property
    def url(self) -> str:
        """Address of the database."""
        return self.database or f"sqlite:///{self.data.resolve()}/validation.sqlite3"

    def open(self) -> Database:
        """The database, made if need be and brought to the schema of this release."""
        self.data.mkdir(parents=True, exist_ok=True)
        database = Database(self.url)
        database.create()
        return database


def is_imported(database: Database) -> bool:
    """True once an annotation run is in the database."""
    with database.read() as connection:
        return connection.execute(select(meta.c.key).where(meta.c.key == "run")).first() is not None


def inside(root: Path, name: str) -> Path:
    """`root / name`, links followed.

    Raises:
        ValueError: that is not inside `root`.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ValueError(f"a file must lie inside {root}, got {name!r}: it leads to {path}")
    return path
