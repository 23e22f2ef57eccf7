import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.videos import excluded_videos, overlap, read_videos
from tests.pipeline.data.tiny import as_refsav, make_video, write_refsav


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sav")
    for video_id in ("sav_000007", "sav_000008"):
        make_video(folder, video_id)
    return folder


@pytest.fixture
def entries(root: Path) -> dict[str, Any]:
    return as_refsav([make_video(root, name) for name in ("sav_000007", "sav_000008")], root)


def test_a_run_and_its_training_file_are_the_same_videos(demo_annotations: Path) -> None:
    of_run = read_videos(demo_annotations, None)
    of_file = read_videos(demo_annotations / "Ref-SAV.json", None)
    assert [(v.video_id, v.video_path, v.expressions) for v in of_run] == [
        (v.video_id, v.video_path, v.expressions) for v in of_file
    ]
    assert [video.video_id for video in of_run] == sorted({video.video_id for video in of_run})
    both_kinds = next(video for video in of_run if video.video_id == "demo_000001")
    assert list(dict.fromkeys(each.object_id for each in both_kinds.expressions)) == [
        "demo_000001/manual/0",
        "demo_000001/manual/1",
        "demo_000001/manual/2",
        "demo_000001/auto/0",
    ]
    assert {path.exists() for video in of_run for path in (video.video_path, video.expressions[0].anno_path)} == {True}
    assert of_run[0].frame_count == 240


@pytest.mark.parametrize("form", ["as it is", "official"])
def test_paths_are_found_as_the_official_loader_finds_them(
    root: Path, tmp_path: Path, entries: dict[str, Any], form: str
) -> None:
    if form == "official":
        for entry in entries.values():
            entry["video_path"], entry["anno_path"] = (f"sav_000/{entry[key]}" for key in ("video_path", "anno_path"))
    videos = read_videos(write_refsav(tmp_path / "x.json", entries), root)
    assert [video.video_path.relative_to(root) for video in videos] == [
        Path("sav_train/sav_000/sav_000007.mp4"),
        Path("sav_train/sav_000/sav_000008.mp4"),
    ]


def test_the_official_repair_of_paths_holds_where_sa2va_i_s_does_not(tmp_path: Path) -> None:
    """The part before `sav_train` is dropped only if it is also the part after; it need not be the first."""
    video = make_video(tmp_path / "deep")
    entries = as_refsav([video], tmp_path / "deep")
    for entry in entries.values():
        for key in ("video_path", "anno_path"):
            entry[key] = f"deep/sav_000/{entry[key]}"
    videos = read_videos(write_refsav(tmp_path / "x.json", entries), tmp_path)
    assert videos[0].video_path == video.video_path


@pytest.mark.parametrize("source", ["run", "Ref-SAV.json"])
def test_files_laid_out_as_sa2va_says_are_found_too(
    demo_root: Path, demo_annotations: Path, tmp_path: Path, source: str
) -> None:
    """The run was made where they lie as SA-V's archives unpack."""
    folder = tmp_path / "demo/sav_train/demo"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(demo_root / "sav_train/demo")
    videos = read_videos(demo_annotations / ("" if source == "run" else source), tmp_path)
    assert {video.video_path.parent for video in videos} == {folder}
    assert {each.anno_path.parent for video in videos for each in video.expressions} == {folder}


def test_a_training_file_may_begin_with_a_mark(root: Path, tmp_path: Path, entries: dict[str, Any]) -> None:
    file = write_refsav(tmp_path / "x.json", entries)
    plain = read_videos(file, root)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert read_videos(file, root) == plain
    file.write_bytes(json.dumps(entries).encode("utf-16"))
    with pytest.raises(ValueError, match=r"x\.json: .*UTF-16 text: save it as UTF-8"):
        read_videos(file, root)


def test_short_captions_are_expressions_of_the_same_object(root: Path, tmp_path: Path, entries: dict[str, Any]) -> None:
    entries["sav_000007_manual"]["objects"]["1"]["short_caps"] = ["a box", "the small box"]
    video = read_videos(write_refsav(tmp_path / "x.json", entries), root)[0]
    texts = [each.text for each in video.expressions if each.object_id == "sav_000007/manual/1"]
    assert texts == ["text 1 of manual", "a box", "the small box"]


def test_the_release_reads_no_short_captions_and_takes_each_mask_file_for_itself(
    root: Path, tmp_path: Path, entries: dict[str, Any]
) -> None:
    entries["sav_000007_manual"]["objects"]["1"] = {"short_caps": ["a box"]}
    entries["sav_000007_manual"]["objects"]["0"]["short_caps"] = ["a thing"]
    file = write_refsav(tmp_path / "x.json", entries)
    auto, manual = (each for each in read_videos(file, root, official=True) if each.video_id == "sav_000007")
    assert [each.text for each in auto.expressions] == ["text 0 of auto"]
    assert [each.text for each in manual.expressions] == ["text 0 of manual", "text 2 of manual"]
    assert [each.masklet_type for each in (*manual.expressions, *auto.expressions)] == ["manual", "manual", "auto"]


def test_several_sources_are_read_together(root: Path, tmp_path: Path, entries: dict[str, Any]) -> None:
    halves = [{key: entry} for key, entry in entries.items()]
    files = [write_refsav(tmp_path / f"{n}.json", half) for n, half in enumerate(halves)]
    assert read_videos(files, root) == read_videos(write_refsav(tmp_path / "x.json", entries), root)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("video_path", "../x.mp4", "below SAV_ROOT"),
        ("video_path", "/x.mp4", "below SAV_ROOT"),
        ("anno_path", "sav_train/sav_000/x.json", "manual.json or …_auto.json"),
        ("objects", [], "with video_path, anno_path and objects"),
        ("objects", {"one": {"formated": "x"}}, "'one' must be keyed by a position"),
        ("objects", {"1": {}}, "described by texts"),
        ("objects", {"1": {"formated": 3}}, "described by texts"),
        ("objects", {"1": {"formated": "x", "short_caps": "y"}}, "short_caps must be a list"),
    ],
)
def test_an_entry_that_cannot_be_understood_is_named(
    root: Path, tmp_path: Path, entries: dict[str, Any], key: str, value: object, message: str
) -> None:
    entries["sav_000008_auto"][key] = value
    with pytest.raises(ValueError, match=message) as raised:
        read_videos(write_refsav(tmp_path / "x.json", entries), root)
    assert "sav_000008_auto" in str(raised.value)


def test_one_video_id_is_one_file(root: Path, tmp_path: Path, entries: dict[str, Any]) -> None:
    entries["sav_000007_auto"]["video_path"] = "sav_train/sav_001/sav_000007.mp4"
    with pytest.raises(ValueError, match="for sav_000007"):
        read_videos(write_refsav(tmp_path / "x.json", entries), root)


def test_videos_of_a_split_are_left_out_and_counted(
    root: Path, tmp_path: Path, entries: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    source = write_refsav(tmp_path / "x.json", entries)
    (tmp_path / "split").mkdir()
    (tmp_path / "split/split.json").write_text(json.dumps({"held_out": ["sav_000008", "sav_1"], "videos": ["sav_1"]}))
    out = excluded_videos(tmp_path / "split")
    assert out == {"sav_000008", "sav_1"}
    assert overlap(read_videos(source, root), out) == ["sav_000008"]
    with caplog.at_level(logging.INFO):
        kept = read_videos(source, root, exclude=out)
    assert [video.video_id for video in kept] == ["sav_000007"]
    assert overlap(kept, out) == []
    assert "1 of 2 videos are held out" in caplog.text
    with pytest.raises(ValueError, match="all held out"):
        read_videos(source, root, exclude=frozenset({"sav_000007", "sav_000008"}))


def test_the_official_split_names_its_videos(tmp_path: Path) -> None:
    file = tmp_path / "meta_expressions_valid.json"
    file.write_text(json.dumps({"videos": {"sav_5": {"expressions": {}}}}))
    assert excluded_videos(tmp_path) == excluded_videos(file) == {"sav_5"}


@pytest.mark.parametrize("content", ["", "[]", '{"videos": 3}', '{"held_out": [1], "videos": []}'])
def test_what_is_no_split_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "split.json"
    with pytest.raises(ValueError, match="neither"):
        excluded_videos(tmp_path)
    file.write_text(content)
    with pytest.raises(ValueError, match="split file"):
        excluded_videos(tmp_path)


@pytest.mark.parametrize("content", [bytes(range(256)) * 200, b"[" * 90_000, b"\x89PNG\r\n\x1a\n" + bytes(90_000)])
def test_a_file_of_another_kind_is_refused_in_a_short_sentence(tmp_path: Path, content: bytes) -> None:
    for name in ("split.json", "run.json", "Ref-SAV.json"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "other").mkdir()
    for refused in (
        lambda: excluded_videos(tmp_path / "split.json"),
        lambda: excluded_videos(tmp_path),
        lambda: read_videos(tmp_path / "Ref-SAV.json", None),  # asks run.json for the SAV_ROOT
        lambda: read_videos(tmp_path / "Ref-SAV.json", tmp_path),
    ):
        with pytest.raises(ValueError, match=r"split|run|Ref-SAV") as error:
            refused()
        assert len(str(error.value)) < 700


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without annotations/"):
        read_videos(tmp_path, tmp_path)
    with pytest.raises(ValueError, match=r"Ref-SAV\.json"):
        read_videos(tmp_path / "none.json", tmp_path)
    with pytest.raises(ValueError, match=r"none\.json where nothing is"):
        read_videos(tmp_path / "none.json", None)
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(ValueError, match="--sav-root"):
        read_videos(tmp_path / "empty.json", None)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(ValueError, match="without annotations/"):
        read_videos(tmp_path, tmp_path)
    with pytest.raises(ValueError, match="something to train on"):
        read_videos(tmp_path / "empty.json", tmp_path)


def test_a_source_that_is_named_twice_is_read_once(root: Path, tmp_path: Path, entries: dict[str, Any]) -> None:
    file = write_refsav(tmp_path / "Ref-SAV.json", entries)
    (tmp_path / "link.json").symlink_to(file)
    (tmp_path / "in").mkdir()
    once = read_videos(file, root)
    assert read_videos([file, file, tmp_path / "link.json", tmp_path / "in" / ".." / file.name], root) == once
