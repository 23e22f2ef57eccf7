"""Migrates a database to the schema of this release (Alembic); `versions/` has one file for every change."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from validation_ui.migrations import recognise


def config(connection: Connection) -> Config:
    """Return Alembic's configuration to run the migrations of this folder on `connection`, in its transaction."""
    alembic_config = Config(attributes={"connection": connection})
    alembic_config.set_main_option("script_location", str(Path(__file__).parent))
    return alembic_config


def check(connection: Connection) -> None:
    """Check that a database is empty or one that `upgrade` can work on.

    Raises:
        ValueError: the database is of another program or a newer release, or was left half migrated.
    """
    recognise.check(connection, config(connection))


def upgrade(connection: Connection) -> None:
    """Create the tables of an empty database, or apply the migrations that an older one lacks.

    Raises:
        ValueError: the database is of another program or a newer release, or was left half migrated.
    """
    check(connection)
    command.upgrade(config(connection), "head")
