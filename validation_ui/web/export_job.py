"""Makes files for download in processes of their own, so that the server goes on answering.

Of exports the last one is kept: `data/exports/` has `split.zip` and `split.json`, which tells what it is. One export
runs at a time. The judgements as CSV are made for one download.
"""

import json
import logging
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
from sqlalchemy import Connection, select

from manifests.outputs import TRAIN_FILE
from validation_ui.database import Database
from validation_ui.exporting import export
from validation_ui.exporting.archive import pack
from validation_ui.exporting.judgements import judgements_table, pseudonyms
from validation_ui.exporting.judgements_csv import as_lines
from validation_ui.problem import Problem
from validation_ui.schema import meta

logger = logging.getLogger("refsav")
_NICENESS = 10  # people who judge come first


@dataclass(frozen=True)
class Order:
    """What is to be exported.

    Attributes:
        database: the URL of the database, with its password.
        sav_root: the folder of the source videos.
        folder: the folder for `split.zip` and `split.json`.
        train: the training file to keep apart from; None = there is none.
        rewrite_train: also write it without the videos of the split.
        final: whether the judgements are fixed from now on.
        actor: who exports, for the log.
        started_at: the time of the server's clock.
    """

    database: str
    sav_root: Path
    folder: Path
    train: Path | None
    rewrite_train: bool
    final: bool
    actor: str
    started_at: float


@dataclass(frozen=True)
class Result:
    """How an export ended: `error` is a sentence if there is no file."""

    started_at: float
    ended_at: float
    final: bool
    error: str | None
    report: str
    bytes: int


class Exports:
    """Starts exports, one at a time, and tells how the last one ended.

    Args:
        database: the project's database.
        data: the project's data folder.
        sav_root: the folder of the source videos.
    """

    def __init__(self, database: Database, data: Path, sav_root: Path) -> None:
        self._database, self._data, self._sav_root = database, data, sav_root
        self.folder = data / "exports"
        self._lock = threading.Lock()
        self._running: tuple[BaseProcess, Order] | None = None

    @property
    def file(self) -> Path:
        """The archive of the last export that ended well."""
        return self.folder / "split.zip"

    def running_since(self) -> float | None:
        """Return when the export began that is being made now, or None."""
        with self._lock:
            return self._since()

    def last(self) -> Result | None:
        """Return how the last export ended; None if there was none."""
        try:
            return Result(**json.loads((self.folder / "split.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def start(self, *, final: bool, rewrite_train: bool, actor: str) -> None:
        """Begin an export in a process of its own.

        Raises:
            Problem: 409 one is being made already.
        """
        with self._lock:
            if self._since() is not None:
                raise Problem(409, "busy", "An export is being made already. Wait until it is ready.")
            order = Order(
                database=self._database.url.render_as_string(hide_password=False),
                sav_root=self._sav_root,
                folder=self.folder,
                train=self._train(),
                rewrite_train=rewrite_train,
                final=final,
                actor=actor,
                started_at=self._database.now(),
            )
            self._running = _begin(make, order), order

    def wait(self, timeout_s: float) -> None:
        """Wait until no export is being made, at most some time."""
        running = self._running
        if running is not None:
            running[0].join(timeout_s)

    def judgements_csv(self) -> Path:
        """Write all judgements into a new CSV file, wait until it is there, and return its path; the caller removes it.

        Raises:
            Problem: 503 it could not be made.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, name = tempfile.mkstemp(suffix=".csv", dir=self.folder)
        os.close(descriptor)
        process = _begin(write_judgements, self._database.url.render_as_string(hide_password=False), Path(name))
        process.join()
        if process.exitcode == 0:
            return Path(name)
        Path(name).unlink(missing_ok=True)
        raise Problem(503, "not_made", "The table could not be made: memory or disk of the server may be full.")

    def _since(self) -> float | None:
        if self._running is None:
            return None
        process, order = self._running
        if process.is_alive():
            return order.started_at
        self._running = None
        last = self.last()
        if process.exitcode != 0 and (last is None or last.started_at != order.started_at):
            why = "The process that made it ended at once; the memory or the disk of the server may be full."
            _keep(order, Result(order.started_at, self._database.now(), order.final, why, "", 0))
        return None

    def _train(self) -> Path | None:
        """Find the training file of the run: where the run was when it was imported, or beside the data folder."""
        with self._database.read() as connection:
            out = _run_folder(connection)
        places = [*([Path(out)] if out and "://" not in out else []), self._data.parent]
        return next((place / TRAIN_FILE for place in places if (place / TRAIN_FILE).is_file()), None)


def _begin(work: Callable[..., None], *order: object) -> BaseProcess:
    """Start a process for `work`; it ends with the server at the latest."""
    # spawn, not fork: a child must not get a copy of the database's writer thread; the order goes by a pipe, as the
    # list of processes would show a password
    process = multiprocessing.get_context("spawn").Process(target=work, args=order, daemon=True)
    process.start()
    return process


def write_judgements(database_url: str, path: Path) -> None:
    """Write all judgements as CSV; runs in a process of its own."""
    os.nice(_NICENESS)
    database = Database(database_url)
    with database.read() as connection:
        table = judgements_table(connection, pseudonyms(connection))
    database.close()
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(as_lines(table))


def _run_folder(connection: Connection) -> str | None:
    run = connection.execute(select(meta.c.value).where(meta.c.key == "run")).scalar()
    out = run.get("out") if isinstance(run, dict) else None
    return out.removeprefix("file://") if isinstance(out, str) else None


def make(order: Order) -> None:
    """Make one export; runs in a process of its own, and leaves `split.json` however it ends."""
    os.nice(_NICENESS)
    cv2.setNumThreads(1)
    database = Database(order.database)
    build, archive = order.folder / "building" / "split", order.folder / "split.new"
    try:
        shutil.rmtree(build.parent, ignore_errors=True)  # of an export that was killed
        order.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (order.folder / "split.zip").unlink(missing_ok=True)  # two large files may not fit
        report = export(
            database,
            order.sav_root,
            build,
            train=order.train,
            rewrite_train=order.rewrite_train,
            now=database.now(),
            final=order.final,
            actor=order.actor,
        )
        pack(build, archive)
        archive.chmod(0o600)
        size = archive.stat().st_size
        archive.replace(order.folder / "split.zip")
        told = str(report).replace(f"{report.out}: ", "", 1)
        _keep(order, Result(order.started_at, database.now(), order.final, None, told, size))
    except (ValueError, OSError) as error:
        _keep(order, Result(order.started_at, database.now(), order.final, str(error), "", 0))
    finally:
        shutil.rmtree(build.parent, ignore_errors=True)
        archive.unlink(missing_ok=True)
        database.close()


def _keep(order: Order, result: Result) -> None:
    order.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = order.folder / "split.json.new"
    new.write_text(json.dumps(asdict(result), ensure_ascii=False), encoding="utf-8")
    new.replace(order.folder / "split.json")


def as_json(exports: Exports) -> dict[str, Any]:
    """Return what the page shows of the exports: {"running_since"|null, "last": null | {…}, "has_file"}."""
    running, last = exports.running_since(), exports.last()
    return {
        "running_since": running,
        "last": asdict(last) if last and running is None else None,
        "has_file": running is None and exports.file.is_file(),
    }
