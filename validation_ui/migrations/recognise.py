"""Recognises a database before it is migrated: only one of ours, of this release or an older one, is touched."""

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

_OURS = {"audit_head", "meta", "person", "slot"}  # tables that every release has


def check(connection: Connection, config: Config) -> None:
    """Check that the database is empty or one of this app, whole, and not of a newer release.

    Raises:
        ValueError: it is not; nothing of it was changed.
    """
    tables = set(inspect(connection).get_table_names())
    if not tables - {"alembic_version"}:
        return
    if not tables >= _OURS:
        raise ValueError(
            f"this is the database of another program, with the tables {', '.join(sorted(tables)[:5])}: name an empty "
            "one with --database, or another folder with --data"
        )
    versions = (
        set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
        if "alembic_version" in tables
        else set()
    )
    rest = sorted(table for table in tables if table.startswith("_alembic_tmp_"))
    if not versions or rest:
        what = f"the table {rest[0]} is left of it" if rest else "it does not say which release its tables are of"
        raise ValueError(f"a migration of this database was broken off: {what}; restore a backup")
    script = ScriptDirectory.from_config(config)
    known = {revision.revision for revision in script.walk_revisions()}
    if versions - known:
        raise ValueError(
            f"this database is of a newer release (its version is {', '.join(sorted(versions))}, and this release "
            f"knows {', '.join(script.get_heads())} and older): use that release, or restore a backup of this one"
        )
