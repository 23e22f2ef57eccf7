"""Raised quotas draw more candidates from the imported run."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, update

from manifests.io import Folder
from tests.running import ROOT, eventually
from tests.validation_ui.conftest import SETTINGS
from tests.validation_ui.judged import accept
from tests.validation_ui.rows import SMALL, fill
from validation_ui.changing import change
from validation_ui.database import Database
from validation_ui.importing import import_run, sample
from validation_ui.importing.candidates import Clip, read_run
from validation_ui.importing.decoding import decode_all
from validation_ui.importing.more import QUOTAS, More, draw_more, is_raised, note_fault, outstanding
from validation_ui.importing.rows import Plan
from validation_ui.project import Project
from validation_ui.schema import item, masklet, meta, slot, video
from validation_ui.statistics.quota_notes import quota_notes
from validation_ui.trouble import TroubleError
from validation_ui.web.draw_job import DrawJob

FEW = replace(SETTINGS, videos=2, long=2, short=0, per_video=1, pass_frac=1.0)
MORE = replace(FEW, videos=4, long=9, short=4, per_video=3)


def objects(store: Database) -> dict[str, int]:
    """Object id -> priority, of the real items."""
    with store.read() as connection:
        wanted = select(masklet.c.object_id, item.c.priority).join_from(item, masklet).where(item.c.gold == "")
        return dict(connection.execute(wanted).all())


def to_be_drawn(store: Database) -> str | None:
    with store.read() as connection:
        return outstanding(connection)


def test_raised_quotas_draw_what_an_import_with_them_would_have_drawn(
    demo_run: Path, demo_root: Path, tmp_path: Path
) -> None:
    out = Folder(str(demo_run))
    few = Project(out, tmp_path / "few").open()
    import_run(out, demo_root, tmp_path / "few", few, FEW, workers=2)
    before, run = objects(few), read_run(out)

    def draw() -> More:
        return draw_more(out, demo_root, tmp_path / "few", few, workers=2)

    assert draw() == More()  # nothing was raised
    raised = {name: getattr(MORE, name) for name in QUOTAS}
    assert few.write(lambda c: change(c, raised, actor="cli", now=0.0)).raised
    assert not is_raised(MORE, FEW)
    cut_off = draw_more(out, demo_root, tmp_path / "few", few, workers=2, stopped=lambda: True)
    assert "the others follow when the app starts again" in str(cut_off)
    assert to_be_drawn(few) == ""
    assert objects(few) == before
    with few.read() as connection:
        gold = set(connection.execute(select(item.c.video_id).where(item.c.gold != "")).scalars())
        assert any("cannot be filled" in note for note in quota_notes(connection))
    with ThreadPoolExecutor(2) as pool:  # e.g. two admins raised quotas at once: together they draw everything once
        both = [one.result() for one in [pool.submit(draw), pool.submit(draw)]]
    more = More(*(sum(getattr(one, name) for one in both) for name in ("items", "videos", "short")))
    assert to_be_drawn(few) is None
    with few.read() as connection:
        real = select(item.c.masklet_id).where(item.c.gold == "", item.c.kind == "long")
        twice = connection.execute(real.group_by(item.c.masklet_id).having(func.count() > 1)).all()
    assert twice == []
    after, videos_of_more = objects(few), set(sample.split(run.candidates, MORE)[0])
    drawn = sample.draw([one for one in run.candidates if one.video_id in videos_of_more], MORE)
    expected = {one.candidate.object_id for one in drawn}
    assert {name for name in expected if name.split("/")[0] not in gold} <= set(after)
    assert more.items == len(after) - len(before) > 0
    assert more.videos > 0
    assert more.short > 0
    assert {name: after[name] for name in before} == before  # these keep their places, the new ones come behind
    assert min(after[name] for name in after if name not in before) > max(before.values())
    with few.read() as connection:
        shown = select(video).where(video.c.id.in_(select(item.c.video_id).where(item.c.gold == "")))
        videos = connection.execute(shown).all()
        waiting = select(func.count(slot.c.item_id.distinct())).where(slot.c.kind == "sighted", slot.c.state == "open")
        assert connection.execute(waiting).scalar_one() == len(after)
    assert {row.split for row in videos} == {"benchmark"}
    for row in videos:
        assert (tmp_path / "few" / "frames" / json.loads(json.dumps(row.chunks))[0]["key"]).is_file()
    assert draw() == More()  # all was drawn
    assert "no more candidates" in str(More())
    few.write(
        lambda c: c.execute(update(meta).where(meta.c.key == "import").values(value={"fingerprint": "x"})).rowcount
    )
    with pytest.raises(ValueError, match="has changed since"):
        draw()
    few.close()


def test_what_is_to_be_drawn_is_known_until_a_draw_for_these_quotas_is_complete(store: Database) -> None:
    def set_(**values: int) -> None:
        store.write(lambda c: change(c, values, actor="cli", now=0.0))

    store.write(SMALL.save)
    set_(long=900)
    assert to_be_drawn(store) is None  # a lower one needs nothing
    set_(long=901)
    assert to_be_drawn(store) == ""
    store.write(lambda c: note_fault(c, "the disk is full"))
    assert to_be_drawn(store) == "the disk is full"
    set_(long=800)  # below the first one: what was raised in between was never drawn, and one draw settles it
    assert to_be_drawn(store) == ""
    store.write(lambda c: note_fault(c, "x"))
    set_(seed=0)
    assert to_be_drawn(store) == "x"


def test_draws_are_made_one_by_one_and_a_failed_one_ends_no_other() -> None:
    begun, go_on = queue.Queue[int](), queue.Queue[bool]()
    at_once = []

    def draw(stopped: Callable[[], bool]) -> None:
        at_once.append(1)
        assert len(at_once) == 1
        begun.put(1)
        fails = go_on.get()
        at_once.clear()
        if fails:
            raise RuntimeError
        ended.append(stopped())

    ended: list[bool] = []
    draws = DrawJob(draw)
    draws.start()
    begun.get()
    draws.start()  # of the quotas that were raised meanwhile
    draws.start()
    go_on.put(True)
    begun.get()
    assert draws.is_running
    stopper = threading.Thread(target=draws.stop)
    stopper.start()
    while not draws.is_stopped:
        time.sleep(0.001)
    go_on.put(False)
    stopper.join()
    assert ended == [True]
    draws.start()
    assert not draws.is_running
    assert begun.empty()


class Deadly(Clip):
    """Ends the process that reads it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_a_process_that_was_killed_is_told_in_a_sentence(tmp_path: Path) -> None:
    clip = Deadly("v0", "v0.mp4", {}, 90, 160, 24.0, 48)
    with pytest.raises(TroubleError, match="ended from outside, maybe for lack of memory"):
        list(decode_all([clip], Plan(frozenset(), [], ()), tmp_path, tmp_path, 1))


WORKER = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from validation_ui.importing.decoding import _begin
pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_begin)
print(pool.submit(os.getpid).result(), flush=True)
time.sleep(1000)
"""


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_that_decode_end_when_the_app_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", WORKER], cwd=ROOT, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout
        worker = int(app.stdout.readline())
        assert runs(worker)
        app.kill()
        eventually(lambda: not runs(worker))


def test_a_lowered_quota_is_explained(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{tmp_path}/v.sqlite3")
    store.create()
    ids = store.write(lambda c: fill(c, videos=2, objects=2))

    def work(connection: Connection) -> None:
        for name in ("v0_o0", "v0_o1", "v1_o0"):
            accept(connection, ids[name], ids["ann"], ids["ben"])

    store.write(work)
    store.write(replace(SMALL, videos=2, long=2, short=0, per_video=1).save)
    with store.read() as connection:
        long, per_video = quota_notes(connection)
    assert long.startswith("long=2 is below the 3 that were accepted: they stay accepted, nothing new of this sort")
    assert per_video.startswith("per_video=1 is below the accepted objects of 1 videos")
    assert per_video.endswith("the export is refused until it is raised again")
    store.close()
