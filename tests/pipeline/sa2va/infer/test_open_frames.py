"""Frames of files and folders: which ones, in which order, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.sa2va.infer.open_frames import FolderFrames, VideoFrames, open_frames
from stages.video.frames import walk
from tests.pipeline.sa2va.infer.clip import drawn_clip


@pytest.fixture(scope="module")
def video(demo_root: Path) -> Path:
    return demo_root / "sav_train" / "demo" / "demo_000002.mp4"


def test_a_video_gives_every_fourth_frame_in_any_order(video: Path) -> None:
    right = [frame.bgr()[..., ::-1] for frame in walk(video, "") if frame.index % 4 == 0]
    frames = VideoFrames(video)
    assert len(frames) == len(right)
    assert frames.names[:3] == ["0", "4", "8"]
    assert frames.times_s == pytest.approx([t / 6 for t in range(len(right))])
    for index in (0, 7, 3, 3, len(right) - 1):
        assert np.array_equal(frames[index], right[index])


def test_another_stride(video: Path) -> None:
    assert np.array_equal(VideoFrames(video, 8)[2], VideoFrames(video)[4])
    assert len(VideoFrames(video, 1000)) == 1
    with pytest.raises(ValueError, match="at least 1, got 0"):
        VideoFrames(video, 0)


def test_a_folder_gives_all_its_pictures_by_name(tmp_path: Path) -> None:
    frames_THW3, _ = drawn_clip(3)
    for name, frame_HW3 in zip(("00010.png", "00002.png", "00001.png"), frames_THW3, strict=True):
        cv2.imwrite(str(tmp_path / name), frame_HW3[..., ::-1])
    (tmp_path / "notes.txt").write_text("no frame")
    frames = open_frames(tmp_path)
    assert isinstance(frames, FolderFrames)
    assert frames.names == ["00001.png", "00002.png", "00010.png"]
    for t, frame_HW3 in enumerate(frames):
        assert np.array_equal(frame_HW3, frames_THW3[2 - t])


def test_what_cannot_be_read_is_refused(tmp_path: Path, video: Path) -> None:
    with pytest.raises(ValueError, match="there is none"):
        open_frames(tmp_path / "missing.mp4")
    with pytest.raises(ValueError, match="has none"):
        open_frames(tmp_path)
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    for stride in (None, 4):
        with pytest.raises(ValueError, match=r"text\.mp4"):
            open_frames(text, stride)
    with pytest.raises(ValueError, match="decoding broke off .* get the file again"):
        open_frames(video.with_name("demo_000007.mp4"))
    (tmp_path / "0.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"0\.jpg cannot be read"):
        open_frames(tmp_path)[0]
    with pytest.raises(ValueError, match="--stride is for video files"):
        open_frames(tmp_path, 2)
