"""Brings a database to the schema of this release (Alembic); `versions/` has one file a change."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def config(connection: Connection) -> Config:
    """Alembic's configuration: our migrations, on `connection`, in its transaction."""
    found = Config(attributes={"connection": connection})
    found.set_main_option("script_location", str(Path(__file__).parent))
    return found


def upgrade(connection: Connection) -> None:
    """Make the tables of an empty database, or bring older ones up to date."""
    command.upgrade(config(connection), "head")
