import json
import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.clips import Clips
from pipeline.data.videos import Video
from pipeline.export.frames import StoreConfig, store_video
from stages.video import frames as reading
from stages.video.frames import read_frames, walk
from tests.pipeline.data.tiny import AUTO, MANUAL, make_video
from tests.stages.tiny_sav import ENTRIES, FRAMES, HEIGHT_PX, WIDTH_PX


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return make_video(tmp_path_factory.mktemp("sav"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, video: Video) -> Path:
    folder = tmp_path_factory.mktemp("store")
    assert store_video(video, folder, StoreConfig()) == ("made", "")
    return folder


def every_frame(video: Video) -> list[np.ndarray]:
    return [cv2.cvtColor(frame.bgr(), cv2.COLOR_BGR2RGB) for frame in walk(video.video_path, "x")]


@pytest.mark.parametrize("rotation_deg", [0, 90, 180, 270])
def test_chosen_frames_are_upright_and_equal_to_those_of_a_whole_decode(tmp_path: Path, rotation_deg: int) -> None:
    video = make_video(tmp_path, rotation_deg=rotation_deg)
    expected = every_frame(video)
    assert len(expected) == FRAMES
    for wanted in ({0}, {FRAMES - 1}, {4, 8, 31}, {1, 2, 3, 30}, set(range(FRAMES))):
        found = read_frames(video.video_path, wanted)
        assert found.keys() == wanted
        assert all(np.array_equal(found[index], expected[index]) for index in wanted)


def test_the_sparse_way_is_taken_and_decodes_less(video: Video, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: Path, wanted: set[int]) -> dict[int, np.ndarray]:
        raise AssertionError("decoded every frame")

    monkeypatch.setattr(reading, "_read_plainly", refuse)
    assert read_frames(video.video_path, {0, 16}).keys() == {0, 16}


def test_a_video_that_ends_too_soon_or_is_none_is_named(video: Video, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"must have a frame 100, got {FRAMES} frames") as raised:
        read_frames(video.video_path, {3, 100})
    assert str(video.video_path) in str(raised.value)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.video_path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cut\.mp4"):
        read_frames(cut, {0})


@pytest.mark.parametrize("from_store", [False, True])
def test_masks_are_those_of_the_chosen_frames_and_columns(video: Video, store: Path, from_store: bool) -> None:
    clips = Clips(store if from_store else None)
    manual = {each.column: each for each in video.expressions if each.masklet_type == "manual"}
    auto = next(each for each in video.expressions if each.masklet_type == "auto")
    asked = [manual[1], auto, manual[0], manual[1]]
    frames = [7, 0, 3, 3]
    _, full = clips.read(video, frames, asked)
    drawn = [MANUAL[1], AUTO[0], MANUAL[0], MANUAL[1]]
    assert full.shape == (4, 4, HEIGHT_PX, WIDTH_PX)
    assert np.array_equal(full, [[masklet(t) for t in frames] for masklet in drawn])
    _, small = clips.read(video, frames, asked, mask_px=30)
    rows, columns = np.arange(30) * HEIGHT_PX // 30, np.arange(30) * WIDTH_PX // 30
    assert np.array_equal(small, full[:, :, rows][..., columns])
    assert clips.annotated_count(video) == ENTRIES
    assert clips.annotated_count(replace(video, frame_count=None)) == ENTRIES


def test_the_store_s_frames_are_those_of_the_video(video: Video, store: Path) -> None:
    frames = [0, 8, 5]
    direct, stored = Clips().read(video, frames, []), Clips(store).read(video, frames, [])
    assert direct[1].shape[:2] == stored[1].shape[:2] == (0, 3)
    expected = every_frame(video)
    for frame, mine, kept in zip(frames, direct[0], stored[0], strict=True):
        assert np.array_equal(mine, expected[4 * frame])
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(mine, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert np.array_equal(kept, np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB)))
        luma, kept_luma = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(int) for image in (mine, kept))
        assert np.abs(luma - kept_luma).mean() < 3


def test_clips_go_to_other_processes(video: Video, store: Path) -> None:
    for clips in (Clips(), Clips(store)):
        there = pickle.loads(pickle.dumps(clips))
        assert np.array_equal(
            there.read(video, [2], video.expressions, 16)[1],
            clips.read(video, [2], video.expressions, 16)[1],
        )


def test_what_does_not_fit_is_named(video: Video, store: Path, tmp_path: Path) -> None:
    beyond = replace(video.expressions[0], column=9)
    with pytest.raises(ValueError, match=r"sav_000007: .*masklet\[0\]\[9\]"):
        Clips().read(video, [0], [beyond], 16)
    with pytest.raises(ValueError, match="sav_000007: .* has 3 masklets"):
        Clips(store).read(video, [0], [beyond], 16)
    with pytest.raises(ValueError, match="sav_000009: must be in the frame store"):
        Clips(store).read(replace(video, video_id="sav_000009"), [0], video.expressions, 16)
    content = json.loads(video.expressions[0].anno_path.read_bytes())
    content["masklet"][0][1]["size"] = [HEIGHT_PX, WIDTH_PX - 1]
    other = tmp_path / "x_manual.json"
    other.write_text(json.dumps(content))
    moved = [replace(each, anno_path=other) for each in video.expressions[:2]]
    with pytest.raises(ValueError, match="sav_000007: all masks must be of one size"):
        Clips().read(video, [0], moved, 16)
    content["masklet"][0][0]["counts"] = "~"
    other.write_text(json.dumps(content))
    for mask_px in (16, None):
        with pytest.raises(ValueError, match="sav_000007: mask.* run-length"):
            Clips().read(video, [0], moved[:1], mask_px)
