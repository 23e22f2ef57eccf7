"""Migrations: they make what schema.py says, up and down, on both databases."""

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, select

from tests.validation_ui.judged import accept
from tests.validation_ui.rows import fill
from validation_ui import audit, migrations
from validation_ui.database import Database
from validation_ui.schema import metadata


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def test_up_makes_the_declared_tables_and_down_removes_them(empty_store: Database) -> None:
    def up_and_down(connection: Connection) -> None:
        migrations.upgrade(connection)
        assert tables(connection) == {*metadata.tables, "alembic_version"}
        command.check(migrations.config(connection))  # raises if the models say anything else
        command.downgrade(migrations.config(connection), "base")
        assert tables(connection) == {"alembic_version"}
        migrations.upgrade(connection)
        fill(connection)
        audit.append(connection, at=1.0, actor="cli", action="import", subject="project")
        assert audit.verify(connection) == 1

    empty_store.write(up_and_down)


def test_upgrading_twice_changes_nothing(empty_store: Database) -> None:
    empty_store.write(migrations.upgrade)
    empty_store.write(fill)
    empty_store.write(migrations.upgrade)
    with empty_store.read() as connection:
        assert len(connection.execute(metadata.tables["item"].select()).all()) == 6


def test_accepted_texts_that_nobody_found_go_back_to_the_blind_pass(empty_store: Database) -> None:
    """A database of the first release, in which an adjudicator's accept went straight in."""

    def first_release(connection: Connection) -> dict[str, int]:
        migrations.upgrade(connection)
        ids = fill(connection, videos=2, objects=1)
        accept(connection, ids["v0_o0"], ids["ann"], ids["ben"])
        accept(connection, ids["v1_o0"], ids["ann"], ids["ben"], hit=False)
        command.downgrade(migrations.config(connection), "0001")
        return ids

    ids = empty_store.write(first_release)
    empty_store.write(migrations.upgrade)
    with empty_store.read() as connection:
        items = metadata.tables["item"]
        states = dict(connection.execute(select(items.c.id, items.c.state)).all())
        slots = metadata.tables["slot"]
        waiting = select(slots.c.item_id).where(slots.c.kind == "blind", slots.c.state == "open")
        assert connection.execute(waiting).scalars().all() == [ids["v1_o0"]]
        pointings = metadata.tables["pointing"]
        assert None not in connection.execute(select(pointings.c.revealed_at)).scalars().all()
    assert (states[ids["v0_o0"]], states[ids["v1_o0"]]) == ("accepted", "blind")


def test_a_schema_that_drifts_from_its_migrations_is_noticed(empty_store: Database) -> None:
    def drift(connection: Connection) -> None:
        migrations.upgrade(connection)
        connection.exec_driver_sql("ALTER TABLE item DROP COLUMN exported_at")
        command.check(migrations.config(connection))

    with pytest.raises(CommandError, match="exported_at"):
        empty_store.write(drift)
