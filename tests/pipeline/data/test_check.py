import json
import logging
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.data.check import check_videos
from pipeline.data.clips import Clips
from pipeline.data.videos import FileDigests, Video, read_videos
from pipeline.export.frames import StoreConfig, store_video
from tests.pipeline.data.tiny import MANUAL, files_of, make_video
from tests.stages.tiny_sav import FRAMES, annotation, box, write_json, write_mp4


@pytest.fixture
def videos(tmp_path: Path) -> list[Video]:
    return [make_video(tmp_path, f"sav_00000{n}") for n in (1, 2, 3)]


def test_a_whole_run_passes(demo_annotations: Path) -> None:
    videos = read_videos(demo_annotations, None)
    assert check_videos(videos, Clips(), workers=1, on_bad="stop") == videos


def test_frame_counts_that_nobody_said_are_filled_in(videos: list[Video]) -> None:
    unknown = [replace(video, frame_count=None) for video in videos]
    assert check_videos(unknown, Clips(), workers=1, on_bad="stop") == videos


def test_many_videos_are_looked_at_by_several_processes(videos: list[Video]) -> None:
    many = videos * 22
    with pytest.raises(ValueError, match="got 22 problems") as raised:
        check_videos(
            [replace(each, frame_count=9) if each is videos[1] else each for each in many],
            Clips(),
            workers=2,
            on_bad="stop",
        )
    assert "and 2 more" in str(raised.value)
    assert check_videos(many, Clips(), workers=2, on_bad="stop") == many


def test_every_problem_is_told_and_only_what_has_one_is_left_out(
    videos: list[Video], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = videos
    first.video_path.unlink()
    second.expressions[3].anno_path.unlink()  # auto
    bad = annotation([*MANUAL, box(0, 0, 0, 0), MANUAL[0], MANUAL[0]])
    bad["masklet"][2][4]["counts"] = "~"
    bad["masklet"][3][5]["size"] = [60, 320]
    write_json(tmp_path, "manual", bad, files_of("sav_000003"))
    kept = third.expressions[0]
    third = replace(
        third,
        expressions=(
            kept,
            replace(third.expressions[1], text=" "),
            *(replace(kept, object_id=f"sav_000003/manual/{n}", column=n) for n in (3, 4, 5, 6)),
        ),
    )
    told = [
        "sav_000001: its video must be there",
        "sav_000002/auto/0: its masks must be there",
        "sav_000003/manual/1: its text must have words",
        "sav_000003/manual/3: its masklet must be visible",
        "sav_000003/manual/4: ",
        "sav_000003/manual/5: ",
        "sav_000003/manual/6: ",
    ]
    with pytest.raises(ValueError, match="got 7 problems") as raised:
        check_videos([first, second, third], Clips(), workers=1, on_bad="stop")
    lines = str(raised.value).splitlines()[1:]
    assert [line.strip().startswith(text) for line, text in zip(lines, told, strict=True)] == [True] * 7
    for line, text in zip(lines[4:], ("masklet[2][4]", "masklet[3][5]", "a masklet 6, got 6"), strict=True):
        assert text in line
    with caplog.at_level(logging.WARNING):
        good = check_videos([first, second, third], Clips(), workers=1, on_bad="skip")
    assert good == [replace(second, expressions=second.expressions[:3]), replace(third, expressions=(kept,))]
    assert all(text in caplog.text for text in told)
    assert "left out 10 of 14 expressions and 1 of 3 videos" in caplog.text


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 4])
def test_a_video_of_another_length_is_refused(videos: list[Video], tmp_path: Path, frames: int) -> None:
    write_mp4(tmp_path, files_of("sav_000002"), frames=frames)
    with pytest.raises(ValueError, match=f"sav_000002: the video must have the {FRAMES} frames.*got {frames}"):
        check_videos(videos, Clips(), workers=1, on_bad="stop")


def test_masks_for_another_number_of_frames_are_refused(videos: list[Video], tmp_path: Path) -> None:
    write_json(tmp_path, "manual", annotation(MANUAL, entries=8), files_of("sav_000002"))
    with pytest.raises(ValueError, match="sav_000002/manual/0: .*masklet has 8 entries, must be ceil.* = 9"):
        check_videos(videos[1:2], Clips(), workers=1, on_bad="stop")


def test_broken_files_are_named(videos: list[Video]) -> None:
    videos[0].video_path.write_bytes(b"no video")
    videos[1].expressions[0].anno_path.write_text(json.dumps({"masklet": 3}))
    with pytest.raises(ValueError, match="got 4 problems") as raised:
        check_videos(videos, Clips(), workers=1, on_bad="stop")
    assert "sav_000001: " in str(raised.value)
    assert "sav_000002/manual/2: " in str(raised.value)


def test_nothing_left_is_an_error(videos: list[Video]) -> None:
    for video in videos:
        video.video_path.unlink()
    with pytest.raises(ValueError, match="something to train on"):
        check_videos(videos, Clips(), workers=1, on_bad="skip")


def test_a_store_is_checked_in_place_of_the_files(videos: list[Video], tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    assert store_video(videos[0], store, StoreConfig())[0] == "made"
    write_json(tmp_path, "manual", annotation([*MANUAL[:2], box(0, 0, 0, 0)]), files_of("sav_000002"))
    assert store_video(videos[1], store, StoreConfig())[0] == "made"
    with pytest.raises(ValueError, match="got 2 problems") as raised:
        check_videos(videos, Clips(store), workers=1, on_bad="stop")
    assert "sav_000002/manual/2: its masklet must be visible" in str(raised.value)
    assert "sav_000003: must be in the frame store" in str(raised.value)
    for path in (videos[0].video_path, *(each.anno_path for each in videos[0].expressions)):
        path.unlink(missing_ok=True)
    assert check_videos(videos[:1], Clips(store), workers=1, on_bad="stop") == videos[:1]
    make_video(tmp_path, "sav_000001", rotation_deg=180)
    with pytest.raises(ValueError, match="sav_000001: .*mp4 changed since"):
        check_videos(videos[:1], Clips(store), workers=1, on_bad="stop")


def test_other_files_under_the_same_names_have_other_digests(videos: list[Video], tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    video = videos[0]

    def digests(*clips: Clips) -> list[FileDigests]:
        files = [check_videos([video], one, workers=1, on_bad="stop")[0].files for one in clips]
        return [digest for digest in files if digest is not None]

    store_video(video, store, StoreConfig())
    as_files, stored = digests(Clips(), Clips(store))
    assert as_files.is_like(stored)
    assert digests(Clips(), Clips(store)) == [as_files, stored]
    for change in (
        lambda: write_json(tmp_path, "manual", annotation([*MANUAL[:2], box(9, 9, 9, 9)]), files_of("sav_000001")),
        lambda: write_json(tmp_path, "auto", annotation([box(9, 9, 9, 9)]), files_of("sav_000001")),
        lambda: make_video(tmp_path, "sav_000001", rotation_deg=180),
    ):
        change()
        (store / "sav_000001.arrow").unlink()
        store_video(video, store, StoreConfig())
        now, now_stored = digests(Clips(), Clips(store))
        assert not any(one.is_like(other) for one in (now, now_stored) for other in (as_files, stored))
        as_files, stored = now, now_stored
    os.utime(video.video_path)
    (store / "sav_000001.arrow").unlink()
    store_video(video, store, StoreConfig())
    assert digests(Clips(store))[0].is_like(stored), "the same bytes at another time, as the store knows"


def test_the_size_that_texts_are_checked_with_is_that_of_the_frames_that_are_read(
    videos: list[Video], tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    store_video(videos[0], store, StoreConfig(short_px=48))
    for clips in (Clips(), Clips(store)):
        seen: list[tuple[str, tuple[int, int]]] = []
        rule = partial(_note, seen)
        check_videos(videos[:1], clips, workers=1, on_bad="stop", check_text=rule)
        size = clips.reader(videos[0]).images([0])[0].shape[:2]
        assert seen == [(one.text, size) for one in videos[0].expressions]


def _note(seen: list[tuple[str, tuple[int, int]]], text: str, size: tuple[int, int]) -> None:
    seen.append((text, size))
