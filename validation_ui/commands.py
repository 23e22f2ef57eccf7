"""What the sub-commands of `python -m validation_ui` do."""

import argparse
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

from validation_ui import audit, people
from validation_ui.exporting import export as write_export
from validation_ui.importing import import_run as read_run
from validation_ui.importing.sample import set_overlap
from validation_ui.project import Project, is_imported
from validation_ui.schema import Role
from validation_ui.security import load_secret
from validation_ui.serve import Listening
from validation_ui.serve import serve as serve_project
from validation_ui.settings import Settings
from validation_ui.store import Store

logger = logging.getLogger("refsav")


def serve(project: Project, options: argparse.Namespace) -> None:
    """Import the run if need be, then serve until interrupted."""
    names = ("host", "port", "tls_cert", "tls_key", "public_url", "plain_http")
    listening = Listening(**{name: getattr(options, name) for name in names})
    with _opened(project) as store:
        if not is_imported(store):
            _import(project, store, options)
        elif options.set:
            raise ValueError("this project has its settings already: change them with `python -m validation_ui set`")
        serve_project(project, store, listening)


def import_run(project: Project, options: argparse.Namespace) -> None:
    """Import the run; again, or after a kill, does what is left."""
    with _opened(project) as store:
        _import(project, store, options)


def change(project: Project, options: argparse.Namespace) -> None:
    """Change settings in mid-run."""
    with _imported(project) as store:

        def work(connection: Connection) -> Settings:
            old = Settings.load(connection)
            new = old.changed(options.set)
            if new.seed != old.seed:
                raise ValueError("the seed has chosen the split of the videos: it cannot change after the import")
            new.save(connection)
            if new.overlap_frac != old.overlap_frac:
                set_overlap(connection, new.overlap_frac, now=store.now())
            body = {"set": options.set}
            audit.append(connection, at=store.now(), actor="cli", action="settings", subject="project", body=body)
            return new

        _say(json.dumps(store.write(work).as_dict(), indent=1))


def export(project: Project, options: argparse.Namespace) -> None:
    """Write the split."""
    train = options.train or (project.out.path("Ref-SAV.json") if project.out.exists("Ref-SAV.json") else None)
    if train and "://" in train:
        raise ValueError(f"the training file must be on this machine, got {train}: copy it, and name it with --train")
    with _imported(project) as store:
        report = write_export(
            store,
            project.sav_root,
            Path(options.to),
            train=Path(train) if train else None,
            rewrite_train=options.rewrite_train,
            now=store.now(),
        )
    _say(str(report))


def backup(project: Project, options: argparse.Namespace) -> None:
    """Copy the database as it is at this moment, while the app runs."""
    to = Path(options.to)
    if to.exists():
        raise ValueError(f"{to} is there already: name a new file")
    with _imported(project) as store:
        if store.is_sqlite:
            with sqlite3.connect(str(store.url.database)) as connection:
                connection.execute("VACUUM INTO ?", [str(to)])
        else:
            dump = shutil.which("pg_dump")
            if dump is None:
                raise ValueError("a backup of PostgreSQL is made by pg_dump, which is not on PATH: install its client")
            url = store.url.set(drivername="postgresql").render_as_string(hide_password=False)
            ran = subprocess.run(
                [dump, "--format=custom", f"--file={to}", f"--dbname={url}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if ran.returncode:
                raise ValueError(f"{dump} made no backup: {ran.stderr.strip()}")
    _say(f"{to}: {to.stat().st_size} bytes")


def verify_log(project: Project, options: argparse.Namespace) -> None:
    """Check the audit log and, if asked, write it out."""
    with _imported(project) as store, store.read() as connection:
        count = audit.verify(connection)
        if options.to:
            with Path(options.to).open("w") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in audit.rows(connection))
    _say(f"{count} rows, each as it was written")


def invite(project: Project, options: argparse.Namespace) -> None:
    """Print the path of a new invite."""
    if options.role not in tuple(Role):
        raise ValueError(f"--role must be one of {', '.join(Role)}, got {options.role!r}")
    with _imported(project) as store:
        secret, role = load_secret(project.data), Role(options.role)
        token, _ = store.write(
            lambda connection: people.make_invite(connection, secret, role=role, by=None, now=store.now())
        )
    _say(f"at the app's address, once, within 7 days: /invite/{token}")


@contextmanager
def _opened(project: Project) -> Iterator[Store]:
    store = project.open()
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _imported(project: Project) -> Iterator[Store]:
    with _opened(project) as store:
        if not is_imported(store):
            raise ValueError(f"nothing was imported into {project.url} yet: `python -m validation_ui import OUT` first")
        yield store


def _import(project: Project, store: Store, options: argparse.Namespace) -> None:
    settings, workers = Settings().changed(options.set), options.workers or os.cpu_count() or 1
    report = read_run(project.out, project.sav_root, project.data, store, settings, workers=workers)
    _say(str(report))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
