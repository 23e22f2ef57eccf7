import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.arrow import arrow_schema
from manifests.schema import ManifestRow
from pipeline.build_manifest import build, list_videos, write
from stages.check_video import VideoFiles
from stages.select_objects import SelectConfig
from tests.stages.tiny_sav import annotation, box, write_json, write_mp4

LOCAL = fsspec.filesystem("file")


def videos(shard: str, *numbers: int) -> list[VideoFiles]:
    return [VideoFiles(f"sav_{number:06d}", shard, ("manual", "auto")) for number in numbers]


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


@pytest.mark.parametrize("shard", ["sav_009", "sav_000/sav_000001.mp4", "empty"])
def test_a_shard_that_is_not_there_says_which_are(sav_root: Path, shard: str) -> None:
    (sav_root / "sav_train/empty").mkdir()
    with pytest.raises(ValueError, match=f"sav_train/{shard}; .* has empty, sav_000, sav_001"):
        list_videos(LOCAL, str(sav_root), shard)


def test_rows_come_by_shard_and_video_whatever_maps(sav_root: Path) -> None:
    mapped = []

    def in_chunks(
        function: Callable[[VideoFiles], pa.Table], items: Sequence[VideoFiles]
    ) -> Iterable[pa.Table]:  # a stand-in for the Ray one
        mapped.extend(items)
        return [function(item) for item in items]

    table = build(LOCAL, str(sav_root), ["sav_001", "sav_000", "sav_001"], SelectConfig(), in_chunks)
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
    assert table.equals(build(LOCAL, str(sav_root), ["sav_000", "sav_001"], SelectConfig()))


def test_files_are_read_from_any_fsspec_filesystem(sav_root: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.put(str(sav_root / "sav_train"), "/refsav_test/sav_train", recursive=True)
    try:
        table = build(memory, "/refsav_test", ["sav_000"], SelectConfig())
    finally:
        memory.rm("/refsav_test", recursive=True)
    local = build(LOCAL, str(sav_root), ["sav_000"], SelectConfig())
    words = ["detail"]  # in their own words, file systems say that a file is not there
    assert table.drop_columns(words).equals(local.drop_columns(words))


@pytest.mark.parametrize(
    ("rows_per_unit", "groups"), [(1, [2, 3, 2, 2]), (2, [2, 3, 2, 2]), (3, [5, 4]), (6, [7, 2]), (99, [9])]
)
def test_a_row_group_is_a_unit_of_whole_videos(
    sav_root: Path, tmp_path: Path, rows_per_unit: int, groups: list[int]
) -> None:
    table = build(LOCAL, str(sav_root), ["sav_000", "sav_001"], SelectConfig())
    path = tmp_path / "manifest.parquet"
    write(table, LOCAL, str(path), rows_per_unit)
    assert [path.name for path in tmp_path.glob("manifest*")] == ["manifest.parquet"]
    with pq.ParquetFile(path) as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == groups
        assert file.read().equals(table)


def test_a_write_that_breaks_off_leaves_the_old_file(sav_root: Path, tmp_path: Path) -> None:
    table = build(LOCAL, str(sav_root), ["sav_001"], SelectConfig())
    path = tmp_path / "manifest.parquet"
    write(table, LOCAL, str(path), 1)
    before = path.read_bytes()

    class FullDisk(type(LOCAL)):  # type: ignore[misc]
        def open(self, name: str, *args: Any, **kwargs: Any) -> Any:
            file = super().open(name, *args, **kwargs)
            file.write(b"half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write(table, FullDisk(skip_instance_cache=True), str(path), 1)
    assert path.read_bytes() == before
