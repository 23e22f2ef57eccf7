"""The adapter on a real local Ray: what is fatal stops the run, keeps what is done, and can be resumed."""

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.row_results import FatalError
from manifests.schema import ManifestRow, Row
from pipeline import build_manifest
from pipeline.run import ray_adapter, ray_connect, resume
from pipeline.run.progress_bar import RunProgress
from stages.base import Result, Stage
from tests.rows import make_row
from tests.running import annotations

VIDEOS = 8


class Toy(Stage):
    """Says who it is; the engine is gone while `gone` exists; the worker dies once if `deadly` exists."""

    name = "toy"
    reads = ("object_id",)
    writes = ("expression",)

    def __init__(self, switches: Path) -> None:
        self.switches = switches

    def process(self, rows: Sequence[Row]) -> list[Result]:
        deadly = self.switches / "deadly"
        if rows[0].video_id == "v5":
            if (self.switches / "always").exists():
                os.kill(os.getpid(), signal.SIGKILL)
            if deadly.exists():
                deadly.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if (self.switches / "gone").exists():
                raise FatalError("engine gone")
        return [{"expression": row.object_id} for row in rows]


class Second(Toy):
    name = "second"
    pool = "other"
    writes = ("verdict",)

    def process(self, rows: Sequence[Row]) -> list[Result]:
        assert all(row.expression == row.object_id for row in rows)
        return [{"verdict": "consistent"} for _ in rows]


@pytest.fixture(scope="module")
def workers() -> Iterator[int]:
    yield ray_connect.connect(None, 2)
    ray_connect.disconnect()


def manifest(out: Folder) -> list[str]:
    videos = [[make_row(f"v{video}/manual/{n}") for n in range(3)] for video in range(VIDEOS)]
    out.write_bytes("run.json", b"{}")
    build_manifest.write((to_table(rows, ManifestRow) for rows in videos), out, rows_per_unit=3)
    return [row.object_id for rows in videos for row in rows]


def go(out: Folder, stages: Sequence[Stage], workers: int) -> None:
    job = ray_adapter.Job(out, stages, resume.done_ids(out), resume.take_back_failed(out), max_attempts=3)
    ray_adapter.run(job, ray_adapter.Pools(workers, in_flight=4, rows_per_unit=3), RunProgress(3 * VIDEOS))


def test_a_fatal_error_stops_the_run_and_the_next_one_goes_on(tmp_path: Path, workers: int) -> None:
    out = Folder(str(tmp_path / "out"))
    ids = manifest(out)
    (tmp_path / "gone").touch()
    with pytest.raises(FatalError, match="engine gone"):
        go(out, [Toy(tmp_path)], workers)
    done = resume.done_ids(out).to_pylist()
    assert len(done) < len(ids)
    assert not any(object_id.startswith("v5/") for object_id in done)

    (tmp_path / "gone").unlink()
    go(out, [Toy(tmp_path)], workers)
    assert annotations(tmp_path / "out")["object_id"].to_pylist() == sorted(ids)


def test_a_killed_worker_is_replaced_and_loses_nothing(tmp_path: Path, workers: int) -> None:
    out = Folder(str(tmp_path / "out"))
    ids = manifest(out)
    (tmp_path / "deadly").touch()
    go(out, [Toy(tmp_path)], workers)
    assert not (tmp_path / "deadly").exists(), "no worker was killed"
    assert annotations(tmp_path / "out")["object_id"].to_pylist() == sorted(ids)


def test_stages_of_different_pools_run_one_after_the_other(tmp_path: Path, workers: int) -> None:
    out = Folder(str(tmp_path / "out"))
    manifest(out)
    go(out, [Toy(tmp_path), Second(tmp_path)], workers)
    rows = annotations(tmp_path / "out").to_pylist()
    assert {row["verdict"] for row in rows} == {"consistent"}
    assert {row["status"] for row in rows} == {"kept"}


@pytest.mark.parametrize("group_rows", [1, 7, 1_024])
def test_read_tasks_are_the_undone_rows_of_each_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int
) -> None:
    """However the rows lie in row groups: earlier versions wrote one for each unit."""
    monkeypatch.setattr("pipeline.run.units.GROUP_ROWS", group_rows)
    out = Folder(str(tmp_path / "out"))
    ids = manifest(out)
    done = {*ids[:3], ids[4], ids[-1]}
    job = ray_adapter.Job(out, [], pa.array(done, pa.string()), {ids[5]: 2}, max_attempts=3)
    units = [
        pa.concat_tables(task()).select(["object_id", "attempts"]).to_pylist()
        for task in ray_adapter._Manifest(job, 6).get_read_tasks(1)
    ]
    assert [row["object_id"] for unit in units for row in unit] == [one for one in ids if one not in done]
    assert {row["object_id"]: row["attempts"] for unit in units for row in unit if row["attempts"]} == {ids[5]: 2}
    of_video = [{row["object_id"].partition("/")[0] for row in unit} for unit in units]
    if group_rows == 1_024:
        assert of_video == [{"v1"}, {"v2", "v3"}, {"v4", "v5"}, {"v6", "v7"}]
    assert sum(map(len, of_video)) == len(set.union(*of_video)), "a video is in one unit"


@pytest.mark.parametrize("waits", [False, True], ids=["computing", "waiting for an engine"])
def test_a_unit_of_the_manifest_stays_whole(tmp_path: Path, workers: int, waits: bool) -> None:
    """One file a unit, also where its rows went on one by one."""
    out = Folder(str(tmp_path / "out"))
    manifest(out)
    go(out, [Toy(tmp_path), *([Second(tmp_path)] if waits else [])], workers)
    units = [
        out.read_table(name, ["video_id"])["video_id"].to_pylist() for name in out.names("annotations", ".parquet")
    ]
    assert sorted(units) == [[f"v{video}"] * 3 for video in range(VIDEOS)]


def test_a_video_whose_process_dies_each_time_costs_its_own_rows(tmp_path: Path, workers: int) -> None:
    out = Folder(str(tmp_path / "out"))
    ids = manifest(out)
    (tmp_path / "always").touch()
    go(out, [Toy(tmp_path), Second(tmp_path)], workers)
    rows = annotations(tmp_path / "out").to_pylist()
    assert [row["object_id"] for row in rows] == sorted(ids)
    assert {row["video_id"] for row in rows if row["status"] == "failed"} == {"v5"}
    assert "the process that works on v5 dies each time" in next(row["detail"] for row in rows if row["detail"])


def test_map_parallel_keeps_the_order(workers: int) -> None:
    assert list(ray_adapter.map_parallel(abs, range(-20, 0), chunk=3)) == list(range(20, 0, -1))


def test_map_parallel_stays_only_a_little_ahead(workers: int, tmp_path: Path) -> None:
    def touch(n: int) -> int:
        (tmp_path / str(n)).touch()
        return n

    results = ray_adapter.map_parallel(touch, range(1000), chunk=1)
    assert isinstance(results, Generator)
    assert next(results) == 0
    assert len(list(tmp_path.iterdir())) < 100
    results.close()


def test_a_fatal_error_comes_out_of_map_parallel_as_itself(workers: int) -> None:
    def read(n: int) -> int:
        if n == 5:
            raise FatalError("sav_000005.mp4 is there but cannot be read")
        return n

    results = ray_adapter.map_parallel(read, range(8), chunk=2)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(FatalError) as raised:
        next(results)
    assert type(raised.value) is FatalError
    assert str(raised.value) == "sav_000005.mp4 is there but cannot be read"
