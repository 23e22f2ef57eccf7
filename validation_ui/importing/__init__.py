"""Import of an annotation run: candidates are drawn, their videos become pictures, all of it goes into the database."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
from sqlalchemy import Connection, insert, select, update
from tqdm import tqdm

from manifests.io import Folder
from validation_ui import audit
from validation_ui.importing import fingerprint, gold_items, sample
from validation_ui.importing.candidates import Clip, Run, read_run
from validation_ui.importing.rows import ImportReport, Plan, insert_videos, report
from validation_ui.importing.source_video import Decoded, decode
from validation_ui.schema import meta, video
from validation_ui.settings import Settings
from validation_ui.store import Store

__all__ = ["ImportReport", "import_run"]

_TOGETHER = 50  # train videos, a row each, in one transaction: people who judge meanwhile hardly notice


def import_run(
    out: Folder, sav_root: Path, data: Path, store: Store, settings: Settings, *, workers: int
) -> ImportReport:
    """Bring a run into a project; what is there already is left alone, so a broken-off import goes on.

    Args:
        out: the annotation run.
        sav_root: folder on this machine that holds `sav_train/`.
        data: the project's folder; pictures go to `data/frames`.
        store: the project's database, at its newest schema.
        settings: what is drawn follows from them; those of a finished import stay as they are.
        workers: processes that decode videos.

    Raises:
        ValueError: the database holds another run or a part of it by other settings, or the run has nothing to judge.
    """
    if not sav_root.is_dir():
        raise ValueError(f"SAV_ROOT must be a folder of this machine, as videos are served from it, got {sav_root}")
    run = read_run(out)
    if done := store.write(lambda connection: _begin(connection, run, settings)):
        return done
    plan = _plan(run, settings)
    with store.read() as connection:
        there = set(connection.execute(select(video.c.id)).scalars())
    clips = [clip for clip in run.clips.values() if clip.id not in there]
    clips.sort(key=lambda clip: not plan.needs_pictures(clip.id))  # people can begin as soon as the first are there
    faults: dict[str, str] = {}
    waiting: list[Decoded] = []
    for decoded in _decode_all(clips, plan, sav_root, data / "frames", workers):
        if decoded.fault is not None:
            faults[decoded.clip.id] = decoded.fault
            continue
        waiting.append(decoded)
        if plan.needs_pictures(decoded.clip.id) or len(waiting) == _TOGETHER:
            _write(store, plan, waiting)
    _write(store, plan, waiting)
    return store.write(lambda connection: _finish(connection, out, sav_root, run, plan, faults, store.now()))


def _begin(connection: Connection, run: Run, settings: Settings) -> ImportReport | None:
    """Claim the database for this run; the report if it was imported before."""
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
        told = ", ".join(f"{key} is {old}, got {new}" for key, (old, new) in changed.items() if old != new)
        raise ValueError(f"an import that was broken off must go on with the same settings: {told}")
    return None


def _plan(run: Run, settings: Settings) -> Plan:
    benchmark, train = sample.split(run.candidates, settings)
    chosen = set(benchmark)
    return Plan(
        benchmark=frozenset(chosen),
        drawn=sample.draw([c for c in run.candidates if c.video_id in chosen], settings),
        gold=gold_items.choose(run.candidates, train, settings),
    )


def _decode_all(clips: list[Clip], plan: Plan, sav_root: Path, folder: Path, workers: int) -> Iterator[Decoded]:
    if not clips:
        return
    # spawn: the database's writer thread must not be copied into a child
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(clips)), context, initializer=cv2.setNumThreads, initargs=(1,))

    def submit(clip: Clip) -> Future[Decoded]:
        frames = folder if plan.needs_pictures(clip.id) else None
        sample_fps = fingerprint.DENSE_FPS if clip.id in plan.benchmark else fingerprint.SPARSE_FPS
        return pool.submit(decode, clip, sav_root, frames, sample_fps)

    try:
        futures = map(submit, clips)
        for future in tqdm(as_completed(futures), total=len(clips), desc="import", unit="video", disable=None):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _write(store: Store, plan: Plan, waiting: list[Decoded]) -> None:
    now = store.now()

    def work(connection: Connection) -> None:
        insert_videos(connection, plan, waiting, now)
        if any(decoded.unusable for decoded in waiting):  # kept, as an import that goes on does not read them again
            begun = _begun(connection)
            for decoded in waiting:
                begun["unusable"] |= decoded.unusable
            connection.execute(update(meta).where(meta.c.key == "import").values(value=begun))

    store.write(work)
    waiting.clear()


def _begun(connection: Connection) -> dict[str, Any]:
    value: dict[str, Any] = connection.execute(select(meta.c.value).where(meta.c.key == "import")).scalar_one()
    return value


def _finish(
    connection: Connection, out: Folder, sav_root: Path, run: Run, plan: Plan, faults: dict[str, str], now: float
) -> ImportReport:
    result = report(connection, run, plan, _begun(connection)["unusable"] | faults)
    about = {
        "out": out.url,
        "sav_root": str(sav_root.resolve()),
        "fingerprint": run.fingerprint,
        "writers": run.writers,
    }
    connection.execute(insert(meta).values(key="run", value=about | {"report": asdict(result)}))
    counts = {key: value for key, value in asdict(result).items() if isinstance(value, int)}
    audit.append(connection, at=now, actor="cli", action="import", subject="run", body=about | counts)
    return result
