"""Layouts that people have of SA-V, and what is told where nothing is at its place."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest

from manifests.io import Folder
from manifests.row_results import FatalError
from stages.sav_root import find_root, list_videos
from stages.shard import left_out, names_in, shard_names
from stages.video_files import VideoFiles

LOCAL = fsspec.filesystem("file")
AS_UNPACKED, AS_SA2VA, FLAT = "sav_train/{0}", "{0}/sav_train/{0}", "{0}"


def make(root: Path, layout: str, *shards: str) -> Path:
    """A SAV_ROOT with two videos a shard."""
    for shard in shards:
        folder = root / layout.format(shard)
        folder.mkdir(parents=True)
        for number in (1, 2):
            for end in (".mp4", "_manual.json"):
                (folder / f"{shard}{number}{end}").touch()
    return root


def paths(root: Path | str, shards: Sequence[str]) -> tuple[str, list[str]]:
    """The SAV_ROOT that is taken, and the videos below it."""
    sav = Folder(str(root))
    found = find_root(sav.fs, sav.path(), shards)
    return found, [files.video_path for shard in shards for files in list_videos(sav.fs, found, shard)]


@pytest.mark.parametrize("layout", [AS_UNPACKED, AS_SA2VA, FLAT])
def test_every_layout_is_read_where_it_is(tmp_path: Path, layout: str) -> None:
    shards = ["sav_000", "sav_001"]
    root, videos = paths(make(tmp_path / "sam_v_full", layout, *shards), shards)
    assert root == str(tmp_path / "sam_v_full")
    assert videos == [f"{layout.format(shard)}/{shard}{number}.mp4" for shard in shards for number in (1, 2)]
    assert all((Path(root) / video).is_file() for video in videos)


def test_shards_may_lie_in_different_layouts(tmp_path: Path) -> None:
    make(make(tmp_path, AS_UNPACKED, "sav_000"), AS_SA2VA, "sav_001")
    assert paths(tmp_path, ["sav_000", "sav_001"])[1][::2] == [
        "sav_train/sav_000/sav_0001.mp4",
        "sav_001/sav_train/sav_001/sav_0011.mp4",
    ]


@pytest.mark.parametrize(
    ("layout", "given"),
    [
        (AS_UNPACKED, "."),
        (AS_UNPACKED, "sav/sav_train"),
        (AS_UNPACKED, "sav/sav_train/sav_000"),
        (AS_SA2VA, "."),
        (AS_SA2VA, "sav/sav_000"),
        (AS_SA2VA, "sav/sav_000/sav_train"),
        (AS_SA2VA, "sav/sav_000/sav_train/sav_000"),
        (FLAT, "."),
        (FLAT, "sav/sav_000"),
    ],
)
@pytest.mark.parametrize("shards", [["sav_000"], ["sav_000", "sav_001"]])
def test_a_level_too_high_or_too_deep_is_put_right(
    tmp_path: Path, layout: str, given: str, shards: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "sav", layout, "sav_000", "sav_001")
    root, videos = paths(tmp_path / given, shards)
    assert root == str(tmp_path / "sav")
    assert len(videos) == 2 * len(shards)
    if given == ".":
        assert f"taking SAV_ROOT={root}" in caplog.text


def test_nothing_is_taken_where_two_would_fit(tmp_path: Path) -> None:
    for copy in ("old", "new"):
        make(tmp_path / copy, AS_UNPACKED, "sav_000")
    with pytest.raises(ValueError, match=f"give SAV_ROOT={tmp_path}/new or SAV_ROOT={tmp_path}/old"):
        paths(tmp_path, ["sav_000"])


def test_videos_and_annotation_files_in_different_folders_are_named(tmp_path: Path) -> None:
    for folder, name in (("videos", "sav_000001.mp4"), ("annotations", "sav_000001_manual.json")):
        (tmp_path / folder / "sav_000").mkdir(parents=True)
        (tmp_path / folder / "sav_000" / name).touch()
    with pytest.raises(ValueError, match=f"lie in {tmp_path}/videos/sav_000 and its .* in {tmp_path}/annotations/sav_"):
        paths(tmp_path, ["sav_000"])


@pytest.mark.parametrize(
    ("given", "shard", "told"),
    [
        ("sav", "sav_0", "give SHARD=sav_000$"),
        ("sav", "sav_1", "give SHARD=sav_001$"),
        ("sav", "SAV_001", "give SHARD=sav_001$"),
        ("sav", "001", "there is sav_000, sav_001: give SHARD=sav_001$"),
        ("sav", "sav_000 sav_001", "give SHARD=sav_000,sav_001$"),
        ("sav", "sav_000;sav_001", "give SHARD=sav_000,sav_001$"),
        ("sav", "sav_00*", "give SHARD=sav_000,sav_001$"),
        ("sav", "sav_00[1-9] sav_000", "give SHARD=sav_000,sav_001$"),
        ("sav", "sav_000 sav_9*", "give SHARD=sav_000$"),
        (".", "sav_1", "give SHARD=sav_001 SAV_ROOT={0}/sav$"),
        ("sva", "sav_001", "give SAV_ROOT={0}/sav$"),
        ("void", "sav_001", "give SAV_ROOT={0}/sav$"),
        ("void", "sav_007", r"it has nothing; it must have sav_train/sav_007/ with \.mp4 and _manual\.json files"),
        ("nowhere/at/all", "sav_007", "must be a folder, and there is none of this name"),
        ("sav/sav_train/sav_000/sav_0001.mp4", "sav_007", "must be a folder, and there is none"),
        ("packed", "sav_003", r"unpack sav_003\.tar there"),
        ("packed", "sav_004", r"unpack sav_train/sav_004\.tar\.gz there"),
    ],
)
def test_the_sav_root_or_the_shard_that_would_fit_is_named(tmp_path: Path, given: str, shard: str, told: str) -> None:
    make(tmp_path / "sav", AS_UNPACKED, "sav_000", "sav_001")
    (tmp_path / "void").mkdir()
    (tmp_path / "packed/sav_train").mkdir(parents=True)
    (tmp_path / "packed/sav_003.tar").touch()
    (tmp_path / "packed/sav_train/sav_004.tar.gz").touch()
    with pytest.raises(ValueError, match=told.format(tmp_path)) as raised:
        paths(tmp_path / given, [shard])
    assert str(raised.value).startswith(f"no SA-V videos of the shard '{shard}' below SAV_ROOT {tmp_path}")


def test_a_remote_sav_root_is_found_too() -> None:
    sav = Folder("memory://refsav_roots")
    sav.write_bytes("sav/sav_train/sav_000/a.mp4", b"x")
    try:
        root = find_root(sav.fs, sav.path(), ["sav_000"])
        moved = sav.at(root)
        assert moved.url == "memory://refsav_roots/sav" or moved.url == "memory:///refsav_roots/sav"
        assert [files.video_path for files in list_videos(moved.fs, moved.path(), "sav_000")] == [
            "sav_train/sav_000/a.mp4"
        ]
    finally:
        sav.fs.rm(sav.path(), recursive=True)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("sav_000", ["sav_000"]),
        ("sav_000/", ["sav_000"]),
        ("sav_000/.", ["sav_000"]),
        ("sav_001/../sav_000", ["sav_000"]),
        (" ./sav_000/ , sav_001,,sav_000 ", ["sav_000", "sav_001"]),
    ],
)
def test_names_of_shards_are_put_right(given: str, names: list[str]) -> None:
    assert shard_names(given) == names


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (" ,/", "at least one shard"),
        ("sav_\udce9", r"UTF-8, got 'sav_\\xe9'"),
        ("sav_train/sav_000", "give SHARD=sav_000,"),
        ("/data/sav/sav_7/", "SHARD=sav_7,"),
    ],
)
def test_a_path_is_no_shard(given: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        shard_names(given)


def test_copies_and_hidden_files_are_no_videos(tmp_path: Path) -> None:
    folder = make(tmp_path, AS_UNPACKED, "s") / "sav_train/s"
    stray = ["._s1.mp4", ".DS_Store", "notes.txt", "s1 (1).mp4", "s1 - Copy.mp4", "s1 copy 2.mp4", "Copy of s1.mp4"]
    stray += ["s1(1).mp4", "s1 2.mp4", "s1 - Kopie.mp4", "s1 (copie).mp4", "s1_copy.mp4", "s1~.mp4"]
    stray += ["s1_manual (1).json", "s1.MP4", ".mp4", "s1.mp4.part"]
    for name in stray:
        (folder / name).touch()
    for name in ("take (2).mp4", "take (2)_manual.json"):  # called so on purpose: it has masks of its own
        (folder / name).touch()
    videos = list_videos(LOCAL, str(tmp_path), "s")
    assert videos == [VideoFiles(video_id, "s") for video_id in ("s1", "s2", "take (2)")]
    assert left_out(LOCAL, str(tmp_path), videos) == sorted(f"sav_train/s/{name}" for name in stray)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(type(LOCAL)):  # type: ignore[misc]
        error: Exception = PermissionError(13, "denied")

        def ls(self, path: str, **_: object) -> list[str]:
            raise self.error

    closed = Closed(skip_instance_cache=True)
    with pytest.raises(ValueError, match=f"{tmp_path} must be a folder that can be listed.*permissions"):
        names_in(closed, str(tmp_path))
    closed.error = RuntimeError("endpoint gone")  # as clients of remote stores raise it
    with pytest.raises(FatalError, match="RuntimeError: endpoint gone; see to the disk or network"):
        names_in(closed, str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.X_OK)  # root may enter any folder
    with pytest.raises(ValueError, match="entered.*its files may not be opened"):
        names_in(LOCAL, str(tmp_path))
    shutil.rmtree(tmp_path)
    assert names_in(closed, str(tmp_path)) == []
