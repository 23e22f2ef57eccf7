"""Migrates a database to the schema of this release (Alembic); `versions/` has one file for every change."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def config(connection: Connection) -> Config:
    """Return Alembic's configuration to run the migrations of this folder on `connection`, in its transaction."""
    alembic_config = Config(attributes={"connection": connection})
    alembic_config.set_main_option("script_location", str(Path(__file__).parent))
    return alembic_config


def upgrade(connection: Connection) -> None:
    """Create the tables of an empty database, or apply the migrations that an older one lacks."""
    command.upgrade(config(connection), "head")
