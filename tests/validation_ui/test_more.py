"""Raised quotas draw more candidates from the imported run."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select, update

from manifests.io import Folder
from tests.validation_ui.conftest import SETTINGS
from tests.validation_ui.judged import accept
from tests.validation_ui.rows import SMALL, fill
from validation_ui.database import Database
from validation_ui.importing import import_run, sample
from validation_ui.importing.candidates import read_run
from validation_ui.importing.more import More, draw_more, is_raised
from validation_ui.project import Project
from validation_ui.schema import item, masklet, meta, slot, video
from validation_ui.statistics.quota_notes import quota_notes

FEW = replace(SETTINGS, videos=2, long=2, short=0, per_video=1, pass_frac=1.0)
MORE = replace(FEW, videos=4, long=9, short=4, per_video=3)


def objects(store: Database) -> dict[str, int]:
    """Object id -> priority, of the real items."""
    with store.read() as connection:
        wanted = select(masklet.c.object_id, item.c.priority).join_from(item, masklet).where(item.c.gold == "")
        return dict(connection.execute(wanted).all())


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
    few.write(MORE.save)
    assert is_raised(FEW, MORE)
    assert not is_raised(MORE, FEW)
    with few.read() as connection:
        gold = set(connection.execute(select(item.c.video_id).where(item.c.gold != "")).scalars())
        assert any("cannot be filled" in note for note in quota_notes(connection))
    with ThreadPoolExecutor(2) as pool:  # e.g. two admins raised quotas at once: together they draw everything once
        both = [one.result() for one in [pool.submit(draw), pool.submit(draw)]]
    more = More(*(sum(getattr(one, name) for one in both) for name in ("items", "videos", "short")))
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
