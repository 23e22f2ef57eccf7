import io
import os
import pickle
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.io import Folder

TABLE = pa.table({"object_id": ["a", "b", "c"], "area": [1, 2, 3]})


@pytest.fixture(params=["path", "file://", "memory://"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    """The same folder by path and by URL; nothing is in it yet."""
    match request.param:
        case "path":
            return Folder(str(tmp_path / "out"))
        case "file://":
            return Folder(f"file://{tmp_path}/out")
        case _:
            return Folder(f"memory://refsav_{uuid.uuid4().hex}/out")


def test_what_is_written_is_read_again(folder: Folder) -> None:
    assert not folder.exists("a/b.bin")
    folder.write_bytes("a/b.bin", b"first")
    folder.write_bytes("a/b.bin", b"second")
    assert folder.exists("a/b.bin")
    assert folder.exists("a")
    assert folder.read_bytes("a/b.bin") == b"second"


def test_a_file_that_is_not_there_is_not_found(folder: Folder) -> None:
    with pytest.raises(FileNotFoundError):
        folder.read_bytes("nowhere.json")
    if not folder.is_local:
        with pytest.raises(FileNotFoundError):
            folder.media("nowhere.mp4")


def test_media_is_a_path_here_and_bytes_elsewhere(folder: Folder) -> None:
    folder.write_bytes("v.mp4", b"moov")
    media = folder.media("v.mp4")
    assert isinstance(media, Path) == folder.is_local
    assert (media.read_bytes() if isinstance(media, Path) else media.read()) == b"moov"


def test_names_are_sorted_relative_and_of_one_kind(folder: Folder) -> None:
    assert folder.names("annotations", ".parquet") == []
    for name in ("annotations/b.parquet", "annotations/a.parquet", "annotations/c.txt", "annotations/deep/d.parquet"):
        folder.write_bytes(name, b"")
    assert folder.names("annotations", ".parquet") == ["annotations/a.parquet", "annotations/b.parquet"]
    folder.write_bytes("annotations/0.parquet", b"")
    assert folder.names("annotations", ".parquet")[0] == "annotations/0.parquet", "a listing is never an old one"


def test_delete_removes_one_file(folder: Folder) -> None:
    folder.write_bytes("a/x", b"1")
    folder.write_bytes("a/y", b"2")
    folder.delete("a/x")
    assert (folder.exists("a/x"), folder.exists("a/y")) == (False, True)


def test_json_is_readable(folder: Folder) -> None:
    folder.write_json("run.json", {"name": "Größe 猫", "where": Path("/data")})
    assert folder.read_bytes("run.json").decode() == '{\n "name": "Größe 猫",\n "where": "/data"\n}\n'


def test_a_pickled_folder_opens_its_own_connection(folder: Folder) -> None:
    folder.write_bytes("a", b"here")
    copy = pickle.loads(pickle.dumps(folder))
    assert copy == folder
    assert "_resolved" not in copy.__dict__
    assert copy.read_bytes("a") == b"here"


def test_tables_have_a_row_group_each(folder: Folder) -> None:
    folder.write_tables("m.parquet", iter([TABLE, TABLE.slice(1), TABLE.slice(2)]), TABLE.schema)
    with pq.ParquetFile(folder.path("m.parquet"), filesystem=folder.arrow_fs) as file:
        assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [3, 2, 1]
    assert folder.read_table("m.parquet")["area"].to_pylist() == [1, 2, 3, 2, 3, 3]
    assert folder.read_table("m.parquet", ["area"]).column_names == ["area"]


def test_a_table_without_rows_keeps_its_columns(folder: Folder) -> None:
    folder.write_table("m.parquet", TABLE.slice(0, 0))
    assert folder.read_table("m.parquet").schema == TABLE.schema
    folder.write_tables("n.parquet", [], TABLE.schema)
    assert folder.read_table("n.parquet").schema == TABLE.schema


def test_all_tables_of_a_folder_are_one(folder: Folder) -> None:
    assert folder.read_tables("annotations", TABLE.schema).equals(TABLE.schema.empty_table())
    folder.write_table("annotations/2.parquet", TABLE.slice(2))
    folder.write_table("annotations/1.parquet", TABLE.slice(0, 2).select(["area", "object_id"]))
    assert folder.read_tables("annotations", TABLE.schema).to_pydict() == TABLE.to_pydict()
    assert folder.read_tables("annotations", TABLE.schema, ["area"]).to_pydict() == {"area": [1, 2, 3]}


class DiskFullError(Exception):
    pass


def breaks_off() -> Iterator[pa.Table]:
    yield TABLE
    raise DiskFullError


def test_a_write_that_breaks_off_leaves_the_old_file_and_no_trace(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    folder.write_table("a/m.parquet", TABLE)
    old = folder.read_bytes("a/m.parquet")
    with pytest.raises(DiskFullError):
        folder.write_tables("a/m.parquet", breaks_off(), TABLE.schema)
    with pytest.raises(DiskFullError):
        folder.write_tables("a/new.parquet", breaks_off(), TABLE.schema)
    assert folder.read_bytes("a/m.parquet") == old
    assert not folder.exists("a/new.parquet")
    assert [path.rpartition("/")[2] for path in folder.fs.find(folder.path())] == ["m.parquet"]
    assert not list(scratch.iterdir())


def test_a_reader_sees_nothing_of_an_unfinished_write(folder: Folder) -> None:
    folder.write_table("a/m.parquet", TABLE)
    seen = []

    def looked_at() -> Iterator[pa.Table]:
        for _ in range(3):
            yield TABLE
            seen.append((folder.read_table("a/m.parquet").num_rows, folder.names("a", "")))

    folder.write_tables("a/m.parquet", looked_at(), TABLE.schema)
    assert seen == [(3, ["a/m.parquet"])] * 3
    assert folder.read_table("a/m.parquet").num_rows == 9


def test_a_store_that_cannot_be_asked_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients have errors of their own, such as that there are no credentials; commands stop for an OSError."""
    folder = Folder(f"memory://refsav_{uuid.uuid4().hex}")

    def no_credentials(*_: Any, **__: Any) -> None:
        raise LookupError("Unable to locate credentials")

    monkeypatch.setattr(folder.fs, "exists", no_credentials)
    with pytest.raises(OSError, match=r"run\.json cannot be looked at: LookupError: Unable to locate credentials"):
        folder.exists("run.json")


def test_a_remote_file_is_published_by_one_put(monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that fails leaves the old object: nothing else was touched."""
    folder = Folder(f"memory://refsav_{uuid.uuid4().hex}")
    folder.write_bytes("a", b"old")

    def no_network(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(folder.fs, "put_file", no_network)
    with pytest.raises(ConnectionError):
        folder.write_bytes("a", b"new")
    assert folder.read_bytes("a") == b"old"


def test_a_local_file_may_be_read_by_all_as_the_umask_says(tmp_path: Path) -> None:
    """Temporary files of the standard library are closed to the group: on a shared disk the others need them."""
    (tmp_path / "plain").write_bytes(b"")
    Folder(str(tmp_path)).write_bytes("ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_home_folder_and_a_relative_one_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    Folder("~/out").write_bytes("a", b"1")
    assert Folder("out").read_bytes("a") == b"1"
    assert Folder("out/").path("a") == f"{tmp_path}/out/a"
    assert Folder("out").path() == f"{tmp_path}/out"


def test_remote_media_can_be_searched_in() -> None:
    folder = Folder(f"memory://refsav_{uuid.uuid4().hex}")
    folder.write_bytes("v.mp4", b"0123456789")
    media = folder.media("v.mp4")
    assert isinstance(media, io.BytesIO)
    media.seek(-2, io.SEEK_END)
    assert media.read() == b"89"


def test_a_path_that_no_table_could_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be UTF-8, got .*caf\\xe9"):
        Folder(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")).path()
