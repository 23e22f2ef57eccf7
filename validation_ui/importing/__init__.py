"""Imports an annotation run: draws the candidates, decodes their videos into images, writes all into the database."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from manifests.io import Folder
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.importing import mixed_in, sample
from validation_ui.importing.candidates import Run, read_run
from validation_ui.importing.decoding import decode_all
from validation_ui.importing.rows import ImportReport, Plan, insert_videos, report
from validation_ui.importing.source_video import Decoded
from validation_ui.schema import meta, video
from validation_ui.settings import Settings

__all__ = ["ImportReport", "import_run"]

_TOGETHER = 50  # rows of train videos in one transaction: few enough not to hold up people who judge meanwhile


def import_run(
    out: Folder, sav_root: Path, data: Path, database: Database, settings: Settings, *, workers: int
) -> ImportReport:
    """Import a run into a project; videos that are in the database already are skipped, so a stopped import goes on.

    Args:
        out: the folder of the annotation run.
        sav_root: folder on this machine that holds `sav_train/`.
        data: the project's data folder; images go to `data/frames`.
        database: the project's database, with the newest schema.
        settings: decide what is drawn; after a finished import they are ignored.
        workers: number of processes that decode videos.

    Raises:
        ValueError: the database has another run or was begun with other settings, or the run has nothing to judge.
    """
    if not sav_root.is_dir():
        raise ValueError(f"SAV_ROOT must be a folder of this machine, as videos are served from it, got {sav_root}")
    run = read_run(out)
    plan = _plan(out, run, settings)  # before anything is written: what it cannot read is told first
    if done := database.write(lambda connection: _begin(connection, run, settings)):
        return done
    with database.read() as connection:
        there = set(connection.execute(select(video.c.id)).scalars())
    clips = [clip for clip in run.clips.values() if clip.id not in there]
    clips.sort(key=lambda clip: not plan.needs_images(clip.id))  # people can begin as soon as the first are there
    faults: dict[str, str] = {}
    waiting: list[Decoded] = []
    for decoded in decode_all(clips, plan, sav_root, data / "frames", workers):
        if decoded.fault is not None:
            faults[decoded.clip.id] = decoded.fault
            continue
        waiting.append(decoded)
        if plan.needs_images(decoded.clip.id) or len(waiting) == _TOGETHER:
            _write(database, plan, waiting)
    _write(database, plan, waiting)
    return database.write(lambda connection: _finish(connection, out, sav_root, run, plan, faults, database.now()))


def _begin(connection: Connection, run: Run, settings: Settings) -> ImportReport | None:
    """Mark the database as that of this run; return the report if the run was imported completely before."""
    known = dict(connection.execute(select(meta.c.key, meta.c.value)).all())
    if "import" not in known:
        begun = {"fingerprint": run.fingerprint, "unusable": {}}
        connection.execute(insert(meta).values(key="import", value=begun))
        settings.save(connection)
        return None
    if known["import"]["fingerprint"] != run.fingerprint:
        raise ValueError(
            "a project has one annotation run, and this database has another or an earlier state of it: name another "
            "database, or the run that was imported"
        )
    if "run" in known:
        return ImportReport(**known["run"]["report"])
    if (saved := Settings.load(connection)) != settings:
        changed = {key: (value, asdict(settings)[key]) for key, value in asdict(saved).items()}
        differences = ", ".join(f"{key} is {old}, got {new}" for key, (old, new) in changed.items() if old != new)
        raise ValueError(f"an import that was broken off must go on with the same settings: {differences}")
    return None


def _plan(out: Folder, run: Run, settings: Settings) -> Plan:
    benchmark, train = sample.split(run.candidates, settings)
    chosen = set(benchmark)
    drawn = sample.draw([c for c in run.candidates if c.video_id in chosen], settings)
    return Plan(
        benchmark=frozenset(chosen),
        drawn=drawn,
        gold=sample.choose_gold(run.candidates, train, settings),
        mixed_in=mixed_in.choose(out, run, drawn, settings),
    )


def _write(database: Database, plan: Plan, waiting: list[Decoded]) -> None:
    now = database.now()

    def work(connection: Connection) -> None:
        insert_videos(connection, plan, waiting, now)
        if any(decoded.unusable for decoded in waiting):  # stored, as a resumed import does not read these videos again
            begun = _begun(connection)
            for decoded in waiting:
                begun["unusable"] |= decoded.unusable
            connection.execute(update(meta).where(meta.c.key == "import").values(value=begun))

    database.write(work)
    waiting.clear()


def _begun(connection: Connection) -> dict[str, Any]:
    value: dict[str, Any] = connection.execute(select(meta.c.value).where(meta.c.key == "import")).scalar_one()
    return value


def _finish(
    connection: Connection, out: Folder, sav_root: Path, run: Run, plan: Plan, faults: dict[str, str], now: float
) -> ImportReport:
    result = report(connection, run, plan, _begun(connection)["unusable"] | faults)
    about = {
        "out": out.path() if out.is_local else out.url,  # whole, as commands are given from other folders, too
        "sav_root": str(sav_root.resolve()),
        "fingerprint": run.fingerprint,
        "writers": run.writers,
    }
    connection.execute(insert(meta).values(key="run", value=about | {"report": asdict(result)}))
    counts = {key: value for key, value in asdict(result).items() if isinstance(value, int)}
    audit.append(connection, at=now, actor="cli", action="import", subject="run", body=about | counts)
    return result
