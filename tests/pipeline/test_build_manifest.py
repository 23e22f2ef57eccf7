import io
import logging
import os
import shutil
import weakref
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.row_results import FatalError
from manifests.schema import ManifestRow
from pipeline.build_manifest import VideoTask, build, write
from pipeline.run.units import unit_ends
from stages.sav_root import list_videos
from stages.select_objects import SelectConfig
from stages.video_files import VideoFiles
from tests.stages.tiny_sav import annotation, box, write_json, write_mp4

LOCAL = fsspec.filesystem("file")


def videos(shard: str, *numbers: int) -> list[VideoFiles]:
    return [VideoFiles(f"sav_{number:06d}", shard, ("manual", "auto")) for number in numbers]


def whole(fs: fsspec.AbstractFileSystem, sav_root: str, shards: Sequence[str]) -> pa.Table:
    return pa.concat_tables(build(fs, sav_root, shards, SelectConfig()))


@pytest.fixture
def sav_root(tmp_path: Path) -> Path:
    """Two shards; of the second video of the first shard only the automatic file is there."""
    for files in videos("sav_000", 3, 2, 1) + videos("sav_001", 9):
        write_json(tmp_path, "manual", annotation([box(10, 10, 40, 40), box(70, 20, 30, 30)]), files)
        write_mp4(tmp_path, files)
    (second,) = videos("sav_000", 2)
    shutil.move(tmp_path / second.anno_path("manual"), tmp_path / second.anno_path("auto"))
    (tmp_path / second.video_path).unlink()
    return tmp_path


def test_a_video_is_listed_if_any_of_its_files_is_there(sav_root: Path) -> None:
    (sav_root / "sav_train/sav_000/README.txt").write_text("not a video")
    assert list_videos(LOCAL, str(sav_root), "sav_000") == [
        VideoFiles("sav_000001", "sav_000"),
        VideoFiles("sav_000002", "sav_000", ("manual", "auto")),
        VideoFiles("sav_000003", "sav_000"),
    ]


def test_a_video_is_in_one_shard(sav_root: Path) -> None:
    shutil.copytree(sav_root / "sav_train/sav_000", sav_root / "sav_train/sav_002")
    with pytest.raises(ValueError, match="video sav_000001 must be in one shard, got sav_000 and sav_002"):
        build(LOCAL, str(sav_root), ["sav_002", "sav_000"], SelectConfig())


def test_what_is_left_out_is_told_in_one_line(sav_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    shard = sav_root / "sav_train/sav_000"
    for name in ("._sav_000001.mp4", ".DS_Store", "sav_000001 (1).mp4", "sav_000003_manual (2).json"):
        (shard / name).write_bytes(b"")
    with caplog.at_level(logging.INFO):
        build(LOCAL, str(sav_root), ["sav_000", "sav_001"], SelectConfig())
    (line,) = caplog.messages
    assert line.startswith("left out 4 files that are no video's: ")
    assert all(name in line for name in ("._sav_000001.mp4", ".DS_Store", "sav_000001 (1).mp4", "_manual (2).json"))
    caplog.clear()
    build(LOCAL, str(sav_root), ["sav_001"], SelectConfig())
    assert not caplog.messages


def test_a_video_whose_name_is_no_text_costs_its_own_row(sav_root: Path) -> None:
    """Names that were given in Latin-1 cannot be written to a table; the other videos are not affected."""
    shard = sav_root / "sav_train/sav_000"
    for end in (".mp4", "_manual.json"):
        os.rename(shard / f"sav_000003{end}", os.fsencode(shard) + b"/caf\xe9" + end.encode())
    rows = whole(LOCAL, str(sav_root), ["sav_000"]).to_pylist()
    assert {row["video_id"] for row in rows} == {"sav_000001", "sav_000002", r"caf\xe9"}
    (named,) = (row for row in rows if row["video_id"] == r"caf\xe9")
    assert (named["status"], named["reason"]) == ("rejected", "video_missing")
    assert "UTF-8" in named["detail"]
    assert "rename" in named["detail"]


def test_rows_come_by_shard_and_video_whatever_maps(sav_root: Path) -> None:
    mapped: list[VideoTask] = []

    def in_chunks(
        function: Callable[[VideoTask], pa.Table], items: Sequence[VideoTask]
    ) -> Iterable[pa.Table]:  # a stand-in for the Ray one
        mapped.extend(items)
        return [function(item) for item in items]

    tables = list(build(LOCAL, str(sav_root), ["sav_001", "sav_000", "sav_001"], SelectConfig(), in_chunks))
    assert [set(table["video_id"].to_pylist()) for table in tables] == [
        {"sav_000001"},
        {"sav_000002"},
        {"sav_000003"},
        {"sav_000009"},
    ]
    table = pa.concat_tables(tables)
    assert table.schema.equals(arrow_schema(ManifestRow), check_metadata=True)
    assert len(mapped) == 4
    assert table["object_id"].to_pylist() == [
        "sav_000001/manual/0",
        "sav_000001/manual/1",
        "sav_000002/manual/file",
        "sav_000002/auto/0",
        "sav_000002/auto/1",
        "sav_000003/manual/0",
        "sav_000003/manual/1",
        "sav_000009/manual/0",
        "sav_000009/manual/1",
    ]
    assert table["reason"].to_pylist() == [None] * 2 + ["json_missing"] + ["video_missing"] * 2 + [None] * 4
    assert table.equals(whole(LOCAL, str(sav_root), ["sav_000", "sav_001"]))


def test_files_are_read_from_any_fsspec_filesystem(sav_root: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(sav_root / "sav_train"), "/refsav_test/sav_train", recursive=True)
    try:
        table = whole(memory, "/refsav_test", ["sav_000"])
    finally:
        memory.rm("/refsav_test", recursive=True)
    local = whole(LOCAL, str(sav_root), ["sav_000"])
    words = ["detail"]  # in their own words, file systems say that a file is not there
    assert table.drop_columns(words).equals(local.drop_columns(words))


@pytest.mark.parametrize(
    ("rows_per_unit", "ends"), [(1, [2, 5, 7, 9]), (2, [2, 5, 7, 9]), (3, [5, 9]), (6, [7, 9]), (99, [9])]
)
def test_a_unit_is_of_whole_videos(rows_per_unit: int, ends: list[int]) -> None:
    assert unit_ends(["a", "a", "b", "b", "b", "c", "c", "d", "d"], rows_per_unit) == ends
    assert unit_ends([], rows_per_unit) == []


@pytest.mark.parametrize(
    ("rows_per_unit", "group_rows", "groups"),
    [(1, 1, [2, 3, 2, 2]), (1, 4, [5, 4]), (1, 1024, [9]), (3, 1, [5, 4]), (3, 6, [9]), (6, 1, [7, 2])],
)
def test_a_row_group_is_of_whole_units_and_there_are_few(
    sav_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rows_per_unit: int,
    group_rows: int,
    groups: list[int],
) -> None:
    """Parquet's writer holds about 40 kB for each row group, and every reader of the file parses the list of them."""
    monkeypatch.setattr("pipeline.run.units.GROUP_ROWS", group_rows)
    out = tmp_path / "out"
    write(build(LOCAL, str(sav_root), ["sav_000", "sav_001"], SelectConfig()), Folder(str(out)), rows_per_unit)
    assert [path.name for path in out.iterdir()] == ["manifest.parquet"]
    with pq.ParquetFile(out / "manifest.parquet") as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == groups
        assert file.read().equals(whole(LOCAL, str(sav_root), ["sav_000", "sav_001"]))


@pytest.mark.parametrize("url", ["{tmp}/out", "memory://refsav_manifest"])
def test_a_manifest_that_breaks_off_leaves_the_old_file(sav_root: Path, tmp_path: Path, url: str) -> None:
    out = Folder(url.format(tmp=tmp_path))
    good = list(build(LOCAL, str(sav_root), ["sav_001"], SelectConfig()))
    write(good, out, 1)
    before = out.read_bytes("manifest.parquet")

    def network_gone() -> Iterable[pa.Table]:
        yield from good * 3
        raise FatalError("network gone")

    with pytest.raises(FatalError, match="network gone"):
        write(network_gone(), out, 1)
    assert out.read_bytes("manifest.parquet") == before


def test_a_manifest_is_written_as_it_is_made(sav_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.run.units.GROUP_ROWS", 4)
    (table,) = build(LOCAL, str(sav_root), ["sav_001"], SelectConfig())
    held: weakref.WeakValueDictionary[int, pa.Table] = weakref.WeakValueDictionary()

    def many() -> Iterable[pa.Table]:
        for number in range(30):
            assert len(held) <= 3, "tables that were written are still held"
            held[number] = made = table.slice(0)
            yield made

    write(many(), Folder(str(tmp_path / "out")), rows_per_unit=4)
    assert pq.read_metadata(tmp_path / "out" / "manifest.parquet").num_rows == 30 * table.num_rows


class FlakyFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A file system that loses its connection while one file is read."""

    def __init__(self, lost: str, on_open: bool) -> None:
        super().__init__(skip_instance_cache=True)
        self.lost, self.on_open = lost, on_open

    def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
        if not path.endswith(self.lost):
            return super().open(path, *args, **kwargs)
        if self.on_open:
            raise TimeoutError("connection lost")
        return LostFile()


class LostFile(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise OSError("connection lost")


@pytest.mark.parametrize("on_open", [True, False])
@pytest.mark.parametrize("lost", ["sav_000003.mp4", "sav_000003_manual.json"])
def test_a_lost_connection_stops_the_build_and_marks_no_file_as_missing(
    sav_root: Path, lost: str, on_open: bool
) -> None:
    tables = iter(build(FlakyFileSystem(lost, on_open), str(sav_root), ["sav_000"], SelectConfig()))
    assert [next(tables).num_rows for _ in range(2)] == [2, 3]
    with pytest.raises(FatalError, match=f"sav_train/sav_000/{lost} .*connection lost"):
        next(tables)


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, IsADirectoryError])
def test_a_file_that_may_not_be_read_costs_its_own_rows(sav_root: Path, error: type[OSError]) -> None:
    class Closed(LocalFileSystem):  # type: ignore[misc]
        def open(self, path: str, *args: Any, **kwargs: Any) -> Any:
            if path.endswith(("sav_000001.mp4", "sav_000003_manual.json")):
                raise error(path)
            return super().open(path, *args, **kwargs)

    table = whole(Closed(skip_instance_cache=True), str(sav_root), ["sav_000"])
    assert table["reason"].to_pylist() == ["video_missing"] * 2 + ["json_missing"] + ["video_missing"] * 2 + [
        "json_missing"
    ]
