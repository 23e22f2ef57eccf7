"""Trouble with disk, database, port or settings: one sentence, an exit code, and nothing lost."""

import json
import logging
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from manifests.io import Folder
from tests.running import ROOT
from tests.validation_ui.site import Site, make_site
from validation_ui import audit, backups, database, trouble
from validation_ui.__main__ import main
from validation_ui.database import Database, checked_url
from validation_ui.project import Project

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path, with_tables: Callable[[str], str]) -> Project:
    """A project whose database is there, with an import on record but without rows."""
    data = tmp_path / "validation"
    data.mkdir()
    shutil.copy(str(make_url(with_tables("sqlite")).database), data)
    at = data / "validation.sqlite3"
    run = {"out": str(tmp_path), "report": {}}
    with closing(sqlite3.connect(at)) as connection:
        connection.execute("INSERT INTO meta VALUES ('run', ?), ('settings', '{\"long\": 7}')", [json.dumps(run)])
        connection.commit()
    return Project(Folder(str(tmp_path)), data, sav=str(tmp_path))


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Run:
    """Run a command on a project; its exit code and the one sentence that it logged."""

    def called(name: str, project: Project, *options: str) -> tuple[int, str]:
        caplog.clear()
        more = ["--database", project.database] if project.database else []
        more += ["--sav-root", project.sav] if project.sav else []
        code = main([name, project.out.path(), "--data", str(project.data), *more, *options])
        errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(errors) == (code != 0), caplog.text
        assert all("\n" not in record.getMessage() and record.exc_info is None for record in errors)
        return code, "".join(record.getMessage() for record in errors)

    return called


def at(project: Project) -> Path:
    return project.data / "validation.sqlite3"


def write(project: Project, *statements: str) -> None:
    with closing(sqlite3.connect(at(project))) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def is_folder(project: Project) -> None:
    at(project).unlink()
    at(project).mkdir()


def is_dangling(project: Project) -> None:
    at(project).unlink()
    at(project).symlink_to(project.data / "gone" / "validation.sqlite3")


def is_cut(project: Project) -> None:
    at(project).write_bytes(at(project).read_bytes()[: at(project).stat().st_size // 2])


def is_text(project: Project) -> None:
    at(project).write_text("these are my notes, and no database at all\n" * 100)


def is_foreign(project: Project) -> None:
    at(project).unlink()
    write(project, "CREATE TABLE recipes (name TEXT)", "CREATE TABLE person (name TEXT)")


def is_newer(project: Project) -> None:
    write(project, "UPDATE alembic_version SET version_num = '9999_later'")


def is_half(project: Project) -> None:
    write(project, "DELETE FROM alembic_version")


def is_mid_migration(project: Project) -> None:
    write(project, "CREATE TABLE _alembic_tmp_item (id INTEGER)")


def has_cut_settings(project: Project) -> None:
    write(project, "UPDATE meta SET value = '{\"long\": 1' WHERE key = 'settings'")


def has_later_settings(project: Project) -> None:
    write(project, "UPDATE meta SET value = '{\"stars\": 1}' WHERE key = 'settings'")


BROKEN: list[tuple[Callable[[Project], None], str]] = [
    (is_folder, "cannot be opened: it must be a file, in a folder that exists and can be written; it is a folder"),
    (is_dangling, "which is not there"),
    (is_cut, "is damaged or cut off: `python -m validation_ui restore`"),
    (is_text, "is no SQLite database: move it away"),
    (is_foreign, "this is the database of another program, with the tables person, recipes"),
    (is_newer, "this database is of a newer release (its version is 9999_later"),
    (is_half, "a migration of this database was broken off"),
    (is_mid_migration, "the table _alembic_tmp_item is left of it"),
    (has_cut_settings, "the settings in this database cannot be read"),
    (has_later_settings, "the settings in this database cannot be read"),
]


@pytest.mark.parametrize(("spoil", "told"), BROKEN, ids=[spoil.__name__ for spoil, _ in BROKEN])
def test_a_database_that_is_not_what_it_must_be(
    project: Project, run: Run, spoil: Callable[[Project], None], told: str
) -> None:
    spoil(project)
    before = at(project).read_bytes() if at(project).is_file() else None
    code, said = run("set", project, "overlap_frac=0.2")
    assert (code, told in said) == (2, True), said
    assert str(at(project)) in said or "settings" in said
    after = at(project).read_bytes() if at(project).is_file() else None
    if spoil in (is_text, is_foreign, is_newer, is_half, is_mid_migration):
        assert after == before, "what is not ours was not touched"


def test_a_locked_database_is_waited_for_then_named(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_S", 0.5)
    monkeypatch.setattr(database, "_BUSY_MS", 50)
    with closing(sqlite3.connect(at(project), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, said = run("set", project, "overlap_frac=0.2")
        assert (code, "is locked by another program" in said) == (3, True), said
        other.execute("ROLLBACK")
    assert run("set", project, "long=7") == (0, "")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(database, "LOCK_S", 0.5)
    monkeypatch.setattr(database, "_BUSY_MS", 50)
    site = make_site(tmp_path)
    yield site
    site.store.close()


def test_a_request_waits_for_a_lock_and_then_gets_503(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    client = site.client("ann")
    with closing(sqlite3.connect(str(site.store.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = client.patch("/api/me", json={"preferences": {"theme": "dark"}})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "busy"
        assert client.get("/api/me").status_code == 200, "who only reads goes on"
        assert "is locked by another program" in caplog.text
        assert "Traceback" not in caplog.text
        other.execute("ROLLBACK")
    assert client.patch("/api/me", json={"preferences": {"theme": "dark"}}).status_code == 200


def test_a_damaged_database_is_told_once_and_a_fault_of_ours_keeps_its_traceback(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    client = site.client("ann")
    site.store.write(lambda c: c.exec_driver_sql("DROP TABLE invite").rowcount)
    answer = site.client("ada").get("/api/invites")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "failure")
    assert "Traceback" in caplog.text
    assert client.get("/api/me").status_code == 200


FULL = """
import resource, sys
from validation_ui.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def limited(most_bytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process whose files may not grow beyond a size, as on a full disk."""
    command = [sys.executable, "-c", FULL, str(most_bytes), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_backup_that_does_not_fit_leaves_no_file(project: Project, tmp_path: Path) -> None:
    to = tmp_path / "backups" / "monday.sqlite3"
    to.parent.mkdir()
    ran = limited(100_000, "backup", str(tmp_path), "--data", str(project.data), str(to))
    assert ran.returncode == 3, ran.stderr
    assert f"{to} was not made" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(to.parent.iterdir()) == []


def test_a_new_project_that_does_not_fit(tmp_path: Path) -> None:
    ran = limited(50_000, "verify-log", str(tmp_path), "--data", str(tmp_path / "new"))
    assert (ran.returncode, "Traceback" in ran.stderr) == (3, False), ran.stderr
    assert "is the disk full" in ran.stderr


def test_ctrl_c_is_a_sentence(project: Project, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_connection: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "verify", interrupted)
    assert run("verify-log", project) == (3, "stopped. What is done is kept; give the same command again.")


@pytest.mark.parametrize(
    ("to", "code", "told"),
    [("there", 2, "is there already"), ("missing/monday", 2, "No such file or directory"),
     ("file/monday", 2, "Not a directory"),
     ("dangling", 2, "is there already"), ("x" * 300, 2, "File name too long")],
)  # fmt: skip
def test_a_backup_to_a_bad_place(project: Project, tmp_path: Path, run: Run, to: str, code: int, told: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "there").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    got, said = run("backup", project, str(tmp_path / to))
    assert (got, told in said) == (code, True), said
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run as another user to see it")
def test_a_folder_that_may_not_be_written(project: Project, run: Run) -> None:
    project.data.chmod(0o500)
    code, said = run("set", project, "long=7")
    assert (code, "may not be written" in said or "cannot be written" in said) == (2, True), said
    project.data.chmod(0o700)


@pytest.mark.parametrize("data", ["file", "file/below"])
def test_a_data_folder_that_is_none(tmp_path: Path, run: Run, data: str) -> None:
    (tmp_path / "file").touch()
    code, said = run("verify-log", Project(Folder(str(tmp_path)), tmp_path / data))
    assert (code, "is not what it must be" in said) == (2, True), said


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_database_and_backup_are_their_owners_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        project = Project(Folder(str(tmp_path)), tmp_path / "new")
        store = project.open()
        backups.make(store, tmp_path / "backup.sqlite3")
        files = [*project.data.iterdir(), tmp_path / "backup.sqlite3"]
        assert {path.name for path in files} >= {
            "validation.sqlite3",
            "validation.sqlite3-wal",
            "validation.sqlite3-shm",
        }
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        store.close()
        at(project).chmod(0o644)
        project.open().close()
        assert stat.S_IMODE(at(project).stat().st_mode) == 0o600, "also one that an earlier release made"
    finally:
        os.umask(before)


def test_a_taken_port_is_told_before_anything_is_imported(tmp_path: Path, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = run("serve", Project(Folder(str(tmp_path)), tmp_path / "new"), "--port", port)
    assert (code, said.endswith("choose another with --port")) == (2, True), said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [(["--port", "70000"], "--port must be 0 to 65535"), (["--port", "-1"], "--port must be 0 to 65535"),
     (["--host", "no such host", "--plain-http"], "with --host"), (["--host", "192.0.2.1",
      "--plain-http"], "with --host"),
     (["--host", "x" * 70, "--plain-http"], "with --host"), (["--host", "::1", "--public-url",
      "https://h/api"], "/api")],
)  # fmt: skip
def test_hosts_and_ports_where_nobody_can_listen(project: Project, run: Run, options: list[str], told: str) -> None:
    code, said = run("serve", project, "--port", "0", *options)
    assert (code, told in said) == (2, True), said


def test_a_certificate_that_is_none(project: Project, run: Run, tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    code, said = run("serve", project, "--tls-cert", str(junk), "--tls-key", str(junk))
    assert (code, "must be a certificate and its key (PEM)" in said) == (2, True), said


@pytest.mark.parametrize("name", ["import", "serve"])
def test_settings_of_a_project_that_is_there_are_not_set_silently(project: Project, run: Run, name: str) -> None:
    code, said = run(name, project, "--set", "long=500", "videos=1147")
    assert code == 2
    assert "--set did nothing: long is 7, not 500; change them with `python -m validation_ui set`" in said
    write(project, "UPDATE meta SET value = '{}' WHERE key = 'run'")


@pytest.mark.parametrize(
    ("url", "told"),
    [("postgresql+psycopg://me:hunter22@h/x", "must have no password"), ("postgresql://h/x?password=hunter22",
     "no password"),
     ("mysql://me:hunter22@h/x", "must be of PostgreSQL or SQLite"), ("hunter22", "must be a URL")],
)  # fmt: skip
def test_a_password_is_not_given_where_others_can_read_it(tmp_path: Path, run: Run, url: str, told: str) -> None:
    code, said = run("verify-log", Project(Folder(str(tmp_path)), tmp_path / "new", database=url))
    assert (code, told in said) == (2, True), said
    assert "hunter22" not in said


def test_urls_without_a_password_are_taken() -> None:
    for url in (
        "postgresql+psycopg://me@h/x",
        "postgresql+psycopg:///x?host=/run/pg",
        "sqlite:////tmp/x",
        "postgresql://me:@h/x",
    ):
        assert checked_url(url) == url


def test_a_postgresql_that_does_not_answer(tmp_path: Path, run: Run) -> None:
    for url, code, told in (
        ("postgresql+psycopg://me@127.0.0.1:1/x", 3, "is its server running?"),
        ("postgresql+psycopg://me@no-such-host.invalid/x", 2, "check the host in --database"),
    ):
        got, said = run("verify-log", Project(Folder(str(tmp_path)), tmp_path / "new", database=url))
        assert (got, told in said) == (code, True), said


def test_a_postgresql_database_that_is_missing_foreign_or_full_of_locks(
    tmp_path: Path, run: Run, new_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_S", 1.0)
    project = Project(Folder(str(tmp_path)), tmp_path / "new", database=new_postgres)
    missing = replace(project, database=new_postgres.replace(str(make_url(new_postgres).database), "nothing_here"))
    code, said = run("verify-log", missing)
    assert (code, "make it with `createdb`" in said) == (2, True), said
    project.open().close()
    with psycopg.connect(new_postgres.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE audit_head")
        store = Database(new_postgres)
        with pytest.raises(Exception, match="lock timeout") as caught:
            store.write(lambda c: c.exec_driver_sql("SELECT * FROM audit_head FOR UPDATE").all())
        found = trouble.explain(caught.value, store.shown)
        assert found is not None
        assert (found.exit_code, "somebody holds a lock" in found.sentence) == (3, True)
        store.close()
    with psycopg.connect(new_postgres.replace("+psycopg", ""), autocommit=True) as other:
        other.execute("DROP TABLE audit_head CASCADE")
    code, said = run("verify-log", project)
    assert (code, "this is the database of another program" in said) == (2, True), said
