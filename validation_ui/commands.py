"""The sub-commands of `python -m validation_ui`: every function carries out one of them."""

import argparse
import json
import logging
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from sqlalchemy import Connection

from manifests.outputs import TRAIN_FILE
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.exporting import export as write_export
from validation_ui.importing import import_run as read_run
from validation_ui.importing.more import draw_more, is_raised
from validation_ui.importing.sample import OVERLAPS, set_overlap
from validation_ui.judging.items import promote
from validation_ui.people import accounts
from validation_ui.project import Project, is_imported
from validation_ui.schema import Role
from validation_ui.serving import ListenOptions, Serving, load_secret
from validation_ui.settings import Settings
from validation_ui.statistics.quota_notes import quota_notes
from validation_ui.web.app import create_app

logger = logging.getLogger("refsav")


def serve(project: Project, options: argparse.Namespace) -> None:
    """Import the annotation run if that was not done yet, then serve the app until interrupted."""
    names = ("host", "port", "tls_cert", "tls_key", "public_url", "plain_http")
    listen = ListenOptions(**{name: getattr(options, name) for name in names})
    with _opened(project) as database:
        if not is_imported(database):
            _import(project, database, options)
        elif options.set:
            raise ValueError("this project has its settings already: change them with `python -m validation_ui set`")
        _run_server(project, database, listen)


def import_run(project: Project, options: argparse.Namespace) -> None:
    """Import the annotation run; an import that was interrupted goes on where it stopped."""
    with _opened(project) as database:
        _import(project, database, options)


def change(project: Project, options: argparse.Namespace) -> None:
    """Change settings of an imported project, also while people judge, and print all of them."""
    with _imported(project) as database:
        notes: list[str] = []
        raised: list[bool] = []

        def work(connection: Connection) -> Settings:
            notes.clear()
            old = Settings.load(connection)
            new = old.changed(options.set)
            if new.seed != old.seed:
                raise ValueError("the seed has chosen the split of the videos: it cannot change after the import")
            new.save(connection)
            for column in OVERLAPS:
                frac = getattr(new, f"{column}_frac")
                if frac != getattr(old, f"{column}_frac"):
                    set_overlap(connection, frac, now=database.now(), column=column)
            if promoted := promote(connection, new, now=database.now()):
                notes.append(f"{promoted} items that were accepted beyond the old quotas are in the split now")
            body = {"set": options.set}
            audit.append(connection, at=database.now(), actor="cli", action="settings", subject="project", body=body)
            raised.append(is_raised(old, new))
            return new

        _say(json.dumps(database.write(work).as_dict(), indent=1))
        if raised[-1]:
            notes += _draw_more(project, database)
        with database.read() as connection:
            notes += quota_notes(connection)
        for note in notes:
            logger.warning("%s", note)


def _draw_more(project: Project, database: Database) -> list[str]:
    """Draw what raised quotas need; return what came of it, as sentences without their full stops."""
    try:
        more = draw_more(project.out, project.sav_root, project.data, database, workers=os.cpu_count() or 1)
    except ValueError as error:
        return [f"no new candidates were drawn: {error}"]
    return [str(more), *(f"left out: {name}: {reason}" for name, reason in more.unusable.items())]


def export(project: Project, options: argparse.Namespace) -> None:
    """Write the benchmark split and print what was written."""
    train = options.train or (project.out.path(TRAIN_FILE) if project.out.exists(TRAIN_FILE) else None)
    if train and "://" in train:
        raise ValueError(f"the training file must be on this machine, got {train}: copy it, and name it with --train")
    with _imported(project) as database:
        report = write_export(
            database,
            project.sav_root,
            Path(options.to),
            train=Path(train) if train else None,
            rewrite_train=options.rewrite_train,
            now=database.now(),
        )
    _say(str(report))


def backup(project: Project, options: argparse.Namespace) -> None:
    """Copy the database as it is at this moment, also while the app runs: by VACUUM INTO, or pg_dump."""
    to = Path(options.to)
    if to.exists():
        raise ValueError(f"{to} is there already: name a new file")
    with _imported(project) as database:
        if database.is_sqlite:
            with sqlite3.connect(str(database.url.database)) as connection:
                connection.execute("VACUUM INTO ?", [str(to)])
        else:
            dump = shutil.which("pg_dump")
            if dump is None:
                raise ValueError("a backup of PostgreSQL is made by pg_dump, which is not on PATH: install its client")
            url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
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
    """Check the hash chain of the audit log and, with `--to`, write the log as JSON lines."""
    with _imported(project) as database, database.read() as connection:
        count = audit.verify(connection)
        if options.to:
            with Path(options.to).open("w") as file:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in audit.rows(connection))
    _say(f"{count} rows, each as it was written")


def invite(project: Project, options: argparse.Namespace) -> None:
    """Make an invite for one person and print its path."""
    if options.role not in tuple(Role):
        raise ValueError(f"--role must be one of {', '.join(Role)}, got {options.role!r}")
    with _imported(project) as database:
        secret, role = load_secret(project.data), Role(options.role)
        token, _ = database.write(
            lambda connection: accounts.make_invite(connection, secret, role=role, by=None, now=database.now())
        )
    _say(f"at the app's address, once, within 7 days: /invite/{token}")


@contextmanager
def _opened(project: Project) -> Iterator[Database]:
    database = project.open()
    try:
        yield database
    finally:
        database.close()


@contextmanager
def _imported(project: Project) -> Iterator[Database]:
    with _opened(project) as database:
        if not is_imported(database):
            raise ValueError(f"nothing was imported into {project.url} yet: `python -m validation_ui import OUT` first")
        yield database


def _import(project: Project, database: Database, options: argparse.Namespace) -> None:
    settings, workers = Settings().changed(options.set), options.workers or os.cpu_count() or 1
    report = read_run(project.out, project.sav_root, project.data, database, settings, workers=workers)
    _say(str(report))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _run_server(project: Project, database: Database, listen: ListenOptions) -> None:
    """Serve until interrupted; log the address and, as long as there is no admin, an invite for the first one."""
    sock = _bind(listen.host, listen.port)
    scheme = "https" if listen.tls_cert else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    url = (listen.public_url or f"{scheme}://{host}:{sock.getsockname()[1]}").rstrip("/")
    serving = Serving(load_secret(project.data), tls=listen.is_https, public_url=url, hosts=(listen.host,))
    config = uvicorn.Config(
        create_app(database, project.data, project.sav_root, serving),
        log_level="warning",
        server_header=False,
        proxy_headers=listen.public_url is not None,  # else anyone could say where they come from
        ssl_certfile=listen.tls_cert,
        ssl_keyfile=listen.tls_key,
        timeout_graceful_shutdown=5,
    )
    sock.listen()  # whoever follows the address now waits for the answer
    logger.info("the validation app is at %s (Ctrl-C stops it)", url)
    token = database.write(lambda connection: accounts.first_invite(connection, serving.secret, database.now()))
    if token:
        logger.info("make the first account, an admin's, once, within 7 days: %s/invite/%s", url, token)
    with suppress(KeyboardInterrupt):  # how uvicorn ends after Ctrl-C
        uvicorn.Server(config).run(sockets=[sock])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ValueError(f"cannot listen on {host}:{port}: {error}; choose another with --port") from error
    return sock
