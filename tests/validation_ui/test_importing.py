import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from manifests.io import Folder
from tests.validation_ui.conftest import SETTINGS
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.importing import ImportReport, import_run
from validation_ui.importing.candidates import read_run
from validation_ui.project import Project, is_imported
from validation_ui.schema import item, masklet, meta, slot, text_version, video
from validation_ui.settings import PARTS, Settings


@pytest.fixture
def run_folder(demo_run: Path) -> Folder:
    return Folder(str(demo_run))


def open_store(folder: Path) -> Database:
    store = Database(f"sqlite:///{folder}/validation.sqlite3", now=lambda: 1000.0)
    store.create()
    return store


@pytest.fixture
def imported(demo_project: Project) -> Iterator[tuple[Database, Path, ImportReport]]:
    store = demo_project.open()
    done = import_run(demo_project.out, demo_project.sav_root, demo_project.data, store, SETTINGS, workers=2)
    yield store, demo_project.data, done
    store.close()


def test_every_kept_expression_of_the_demo_can_be_used(run_folder: Folder) -> None:
    run = read_run(run_folder)
    assert run.unusable == {}
    assert len(run.candidates) == sum(run.writers.values()) >= 20
    expressions = {
        row["object_id"]: row["expression"]
        for name in run_folder.names("annotations", ".parquet")
        for row in run_folder.read_table(name, ["object_id", "expression"]).to_pylist()
    }
    for candidate in run.candidates:
        assert tuple(candidate.parts) == PARTS["long"]
        assert " ".join(candidate.parts.values()) == expressions[candidate.object_id]
        assert candidate.parts["video"].startswith("Throughout the video")


def test_videos_items_and_slots_fit_together(imported: tuple[Database, Path, ImportReport], run_folder: Folder) -> None:
    store, data, report = imported
    run = read_run(run_folder)
    with store.read() as connection:
        videos = {row.id: row for row in connection.execute(select(video))}
        items = connection.execute(select(item, masklet.c.object_id).join_from(item, masklet)).all()
        slots = Counter(connection.execute(select(slot.c.item_id)).scalars())
        texts = {row.id: row for row in connection.execute(select(text_version))}
    assert set(videos) == set(run.clips)
    assert (report.benchmark_videos, report.train_videos) == (6, 1)
    assert report.items == len([row for row in items if not row.gold])
    assert report.gold == len([row for row in items if row.gold]) >= 2
    assert {videos[row.video_id].split for row in items if row.gold} == {"train"}
    assert {videos[row.video_id].split for row in items if not row.gold} == {"benchmark"}
    assert len({row.media_id for row in videos.values()} | {row.public_id for row in items}) == len(videos) + len(items)
    by_id = {c.object_id: c for c in run.candidates}
    for row in items:
        assert slots[row.id] == (0 if row.gold else 1 + row.overlap)
        assert row.suggested_short
        assert (row.suggested_short == by_id[row.object_id].short) == (row.gold != "swapped")
        text = texts[row.text_id]
        assert text.item_id == row.id
        assert (
            text.sha256
            == hashlib.sha256(json.dumps(text.parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
        )
        assert (text.parts == by_id[row.object_id].parts) == (row.gold != "swapped")
        assert row.strata == by_id[row.object_id].strata
        assert row.object_id.split("/")[0] == row.video_id
    for row in videos.values():
        for chunk in row.chunks:
            assert (data / "frames" / chunk["key"]).is_file()
            assert (data / "frames" / chunk["rest"]).is_file()
        assert bool(row.chunks) == bool([each for each in items if each.video_id == row.id])


def test_what_could_not_be_used_is_told(imported: tuple[Database, Path, ImportReport]) -> None:
    store, _, report = imported
    assert list(report.unusable) == ["sav_train/demo/demo_000008_manual.json"]
    with store.read() as connection:
        assert audit.verify(connection) == 1
        (row,) = list(audit.rows(connection))
        told = connection.execute(select(meta.c.value).where(meta.c.key == "run")).scalar_one()
    assert json.loads(row["body"])["items"] == report.items
    assert Path(told["out"]).is_absolute(), "other commands are given elsewhere"
    assert told["writers"] == {"measured": len(read_run(Folder(told["out"])).candidates)}
    assert is_imported(store)


def test_the_same_run_again_does_nothing(
    imported: tuple[Database, Path, ImportReport], run_folder: Folder, demo_root: Path
) -> None:
    store, data, report = imported
    before = {file: file.stat().st_mtime_ns for file in (data / "frames").iterdir()}
    again = import_run(run_folder, demo_root, data, store, replace(SETTINGS, overlap_frac=0.5), workers=2)
    assert again == report
    assert {file: file.stat().st_mtime_ns for file in (data / "frames").iterdir()} == before
    with store.read() as connection:
        assert audit.verify(connection) == 1
        assert Settings.load(connection) == SETTINGS


def test_another_run_is_refused(
    imported: tuple[Database, Path, ImportReport], run_folder: Folder, demo_root: Path, tmp_path: Path
) -> None:
    store, data, _ = imported
    shutil.copytree(run_folder.path("annotations"), tmp_path / "annotations")
    out = Folder(str(tmp_path))
    for name in out.names("annotations", ".parquet"):
        table = out.read_table(name)
        if "kept" in table["status"].to_pylist():
            out.delete(name)
            break
    with pytest.raises(ValueError, match="a project has one annotation run"):
        import_run(out, demo_root, data, store, SETTINGS, workers=2)


def test_a_broken_off_import_goes_on(run_folder: Folder, demo_root: Path, tmp_path: Path) -> None:
    """Without SAV_ROOT's other videos the first import ends early; what it brought in stays as it is."""
    half = tmp_path / "sav"
    shutil.copytree(demo_root, half)
    for number in (1, 2, 4, 5, 6):
        (half / "sav_train" / "demo" / f"demo_00000{number}.mp4").unlink()
    store = open_store(tmp_path)
    first = import_run(run_folder, half, tmp_path, store, SETTINGS, workers=2)
    gone = {f"demo_00000{number}" for number in (1, 2, 4, 5, 6)}
    assert gone <= set(first.unusable)
    assert {name.split("/")[0] for name in first.unusable if "/manual/" in name or "/auto/" in name} <= gone
    assert first.benchmark_videos + first.train_videos == 2
    with store.read() as connection:
        kept = connection.execute(select(item.c.public_id).order_by(item.c.id)).scalars().all()
        assert connection.execute(select(func.count()).select_from(video)).scalar_one() == 2
    store.write(lambda connection: connection.execute(meta.delete().where(meta.c.key == "run")))  # as if killed there
    with pytest.raises(ValueError, match="go on with the same settings: seed is 0, got 4"):
        import_run(run_folder, demo_root, tmp_path, store, replace(SETTINGS, seed=4), workers=2)
    whole = import_run(run_folder, demo_root, tmp_path, store, SETTINGS, workers=2)
    assert list(whole.unusable) == ["sav_train/demo/demo_000008_manual.json"], "also what the first one found"
    with store.read() as connection:
        now = connection.execute(select(item.c.public_id).order_by(item.c.id)).scalars().all()
        priorities = connection.execute(select(item.c.priority).where(item.c.gold == "")).scalars().all()
    assert list(now[: len(kept)]) == list(kept), "what was there is left alone"
    assert len(now) == whole.items + whole.gold > len(kept)
    assert sorted(priorities) == list(range(whole.items))
    store.close()


def test_a_remote_sav_root_is_refused(run_folder: Folder, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(ValueError, match="must be a folder of this machine"):
        import_run(run_folder, Path("s3://bucket/sav"), tmp_path, store, SETTINGS, workers=1)
    assert not is_imported(store)
    store.close()
