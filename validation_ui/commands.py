"""The sub-commands of `python -m validation_ui`: every function carries out one of them."""

import argparse
import errno
import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import uvicorn
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from manifests.outputs import TRAIN_FILE
from validation_ui import audit, backups, changing
from validation_ui.database import Database
from validation_ui.exporting import export as write_export
from validation_ui.importing import import_run as read_run
from validation_ui.importing.more import draw_more, note_fault, outstanding
from validation_ui.people import accounts
from validation_ui.problem import Problem
from validation_ui.project import Project, is_imported
from validation_ui.schema import Role
from validation_ui.serving import ListenOptions, Serving, load_secret
from validation_ui.settings import Settings
from validation_ui.statistics.quota_notes import unfilled
from validation_ui.trouble import TroubleError, explain
from validation_ui.web.app import create_app
from validation_ui.web.connections import allow_many_files, server_options
from validation_ui.web.draw_job import DrawJob

logger = logging.getLogger("refsav")


def serve(project: Project, options: argparse.Namespace) -> None:
    """Import the annotation run if that was not done yet, then serve the app until interrupted."""
    names = ("host", "port", "tls_cert", "tls_key", "public_url", "plain_http")
    listen = ListenOptions(**{name: getattr(options, name) for name in names})
    with _bound(listen) as sock, _opened(project) as database:  # a taken port is told before a long import
        if is_imported(database):
            _check_set(database, options)
        else:
            _import(project, database, options)
        _run_server(project, database, listen, sock)


def import_run(project: Project, options: argparse.Namespace) -> None:
    """Import the annotation run; an import that was interrupted goes on where it stopped."""
    with _opened(project) as database:
        if is_imported(database):
            _check_set(database, options)
        _import(project, database, options)


def change(project: Project, options: argparse.Namespace) -> None:
    """Change settings of an imported project, also while people judge, and print all of them."""
    with _imported(project) as database:

        def work(connection: Connection) -> changing.Changed:
            old = Settings.load(connection)
            given = {name: getattr(old.changed([pair]), name) for pair in options.set for name in [pair.split("=")[0]]}
            return changing.change(connection, given, actor="cli", now=database.now())

        try:
            changed = database.write(work)
        except Problem as problem:
            raise ValueError(problem.message) from problem
        _say(json.dumps(changed.settings.as_dict(), indent=1))
        for note in [*changed.notes, *(_draw_more(project, database) if _is_to_be_drawn(database) else [])]:
            logger.warning("%s", note)


def _is_to_be_drawn(database: Database) -> bool:
    with database.read() as connection:
        return outstanding(connection) is not None


def _draw_more(project: Project, database: Database, stopped: Callable[[], bool] = lambda: False) -> list[str]:
    """Draw what raised quotas need; return what came of it, as sentences without their full stops."""
    workers = os.cpu_count() or 1
    try:
        more = draw_more(project.out, project.sav_root, project.data, database, workers=workers, stopped=stopped)
    except (ValueError, OSError, SQLAlchemyError, TroubleError) as error:
        found = explain(error, project.shown)
        fault = found.sentence if found else str(error)
        with suppress(OSError, SQLAlchemyError):  # a database that takes nothing does not hide why
            database.write(partial(note_fault, fault=fault))
        if not isinstance(error, ValueError):
            raise
        told = [f"no new candidates were drawn: {fault}"]
    else:
        if more.is_cut_off:
            return [str(more)]
        told = [str(more), *(f"left out: {name}: {reason}" for name, reason in more.unusable.items())]
    with database.read() as connection:
        return [*told, *unfilled(connection)]


def _log_drawn(project: Project, database: Database, stopped: Callable[[], bool]) -> None:
    """Draw beside the app what raised quotas need."""
    try:
        for line in _draw_more(project, database, stopped):
            logger.info("%s", line)
    except (OSError, SQLAlchemyError, TroubleError) as error:
        found = explain(error, project.shown)
        if found is None:
            raise
        logger.error("no new candidates were drawn: %s", found.sentence)


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
            no_target=options.no_target,
            now=database.now(),
        )
    _say(str(report))


def backup(project: Project, options: argparse.Namespace) -> None:
    """Copy the database as it is at this moment, also while the app runs."""
    to = Path(options.to)
    with _imported(project) as database:
        backups.make(database, to)
    _say(f"{to}: {to.stat().st_size} bytes")


def restore(project: Project, options: argparse.Namespace) -> None:
    """Put a backup in the place of the database and say what it has; the present database is kept."""
    restored = backups.restore(project, Path(options.backup))
    last = restored.judged_at
    until = (
        f"the last judgement is of {time.strftime('%Y-%m-%d %H:%M', time.localtime(last))}" if last else "no judgement"
    )
    _say(f"restored: {restored.people} people, {until}, {restored.log_rows} rows of the log, each as it was written")
    _say("everybody must sign in again, by the password of that time; open invites were revoked")
    if restored.kept:
        _say(f"the database that was there is kept as {restored.kept}")
    if restored.missing_chunks:
        logger.warning(
            "%d files of pictures are not in %s: copy this folder from where the backup was made",
            restored.missing_chunks,
            project.data / "frames",
        )


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


def reset(project: Project, options: argparse.Namespace) -> None:
    """End the password of one person, e.g. of the only admin, and print a path by which they choose a new one."""
    with _imported(project) as database:

        def work(connection: Connection) -> str:
            found = accounts.find(connection, options.name)
            if found is None:
                raise ValueError(f"nobody has the name {options.name!r}")
            return accounts.reset_password(connection, found.id, by=None, now=database.now())[0]

        token = database.write(work)
    _say(f"at the app's address, once, within 24 hours: /reset/{token}")


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
            raise ValueError(
                f"nothing was imported into {project.shown} yet: `python -m validation_ui import OUT` first"
            )
        yield database


def _check_set(database: Database, options: argparse.Namespace) -> None:
    """Refuse settings that an imported project has otherwise, as they cannot change what was drawn.

    Raises:
        ValueError: the message names them; nothing was done.
    """
    with database.read() as connection:
        old = Settings.load(connection).as_dict()
    new = Settings().changed(options.set).as_dict()
    given = {pair.partition("=")[0] for pair in options.set}
    if other := [f"{name} is {old[name]}, not {new[name]}" for name in old if name in given and old[name] != new[name]]:
        raise ValueError(
            f"this project has its settings already, and --set did nothing: {', '.join(other)}; change them with "
            "`python -m validation_ui set`, all but the seed, and leave --set out here"
        )


def _import(project: Project, database: Database, options: argparse.Namespace) -> None:
    settings, workers = Settings().changed(options.set), options.workers or os.cpu_count() or 1
    report = read_run(project.out, project.sav_root, project.data, database, settings, workers=workers)
    _say(str(report))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _run_server(project: Project, database: Database, listen: ListenOptions, sock: socket.socket) -> None:
    """Serve until interrupted; log the address and, as long as there is no admin, an invite for the first one."""
    scheme = "https" if listen.tls_cert else "http"
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    url = listen.public_url or f"{scheme}://{host}:{sock.getsockname()[1]}"
    serving = Serving(load_secret(project.data), tls=listen.is_https, public_url=url, hosts=(listen.host,))
    draws = DrawJob(partial(_log_drawn, project, database))
    config = uvicorn.Config(
        create_app(database, project.data, project.sav_root, serving, draws),
        **server_options(),
        proxy_headers=listen.public_url is not None,  # else anyone could say where they come from
        ssl_certfile=listen.tls_cert,
        ssl_keyfile=listen.tls_key,
        timeout_graceful_shutdown=5,
    )
    allow_many_files()
    with _refused(listen):
        sock.listen()  # whoever follows the address now waits for the answer
    logger.info("the validation app is at %s (Ctrl-C stops it)", url)
    token = database.write(lambda connection: accounts.first_invite(connection, serving.secret, database.now()))
    if token:
        logger.info("make the first account, an admin's, once, within 7 days: %s/invite/%s", url, token)
    if _is_to_be_drawn(database):  # a draw was cut off
        draws.start()
    try:
        with suppress(KeyboardInterrupt):  # how uvicorn ends after Ctrl-C
            uvicorn.Server(config).run(sockets=[sock])
    finally:
        draws.stop()


@contextmanager
def _bound(listen: ListenOptions) -> Iterator[socket.socket]:
    """Give a socket that is bound to the host and the port, and close it at the end."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _refused(listen):
            sock.bind((listen.host, listen.port))
        yield sock


@contextmanager
def _refused(listen: ListenOptions) -> Iterator[None]:
    """Say what is wrong with the host or the port if the system does not allow to listen there."""
    try:
        yield
    except (OSError, UnicodeError) as error:  # UnicodeError: of a host name that is none
        taken = isinstance(error, OSError) and error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = "choose another with --port" if taken else "choose an address or name of this machine with --host"
        raise ValueError(f"cannot listen on {listen.host}:{listen.port}: {error}; {advice}") from error
