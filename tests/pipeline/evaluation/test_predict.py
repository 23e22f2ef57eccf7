"""Predictions are made video by video, and a second start goes on where the first one ended."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.evaluation.predict import predict, read_predictions
from pipeline.evaluation.score import score
from pipeline.evaluation.split import Split, read_split
from stages.video.images import Image
from tests.pipeline.evaluation.drawn import edit, write_split


class Redness:
    """Segments what is red, whatever the text; stops for good after `videos` videos."""

    def __init__(self, videos: int = 99) -> None:
        self.videos = videos
        self.asked: list[list[str]] = []

    def __call__(self, frames: Sequence[Image], texts: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        if len(self.asked) == self.videos:
            raise KeyboardInterrupt
        self.asked.append(list(texts))
        masks_THW = np.stack([frame[..., 0] > 127 for frame in frames])
        return [("It is [SEG].", masks_THW) for _ in texts]


@pytest.fixture
def split(split_folder: Path) -> Split:
    return read_split(split_folder)


def test_predictions_of_what_is_red_score_high_on_red_objects(split: Split, tmp_path: Path) -> None:
    results = predict(split, Redness(), tmp_path, {"model": "red"})
    rows = score("red", split, read_predictions(results, split), 1).rows
    assert min(row.j for row in rows if row.exp_id.isdigit() and int(row.exp_id) % 2) > 80  # the red objects
    assert max(row.j for row in rows if row.exp_id.isdigit() and not int(row.exp_id) % 2) < 30
    assert [entry["index"] for video in json.loads(results.read_text()).values() for entry in video.values()] == list(
        range(10)
    )


def test_a_second_start_does_only_what_is_left(split: Split, tmp_path: Path) -> None:
    stopped, going_on, fresh = Redness(2), Redness(), Redness()
    with pytest.raises(KeyboardInterrupt):
        predict(split, stopped, tmp_path / "a", {"model": "red"})
    assert not (tmp_path / "a/results.json").exists()
    results = predict(split, going_on, tmp_path / "a", {"model": "red"})
    assert [len(each.asked) for each in (stopped, going_on)] == [2, 2]
    assert results.read_bytes() == predict(split, fresh, tmp_path / "b", {"model": "red"}).read_bytes()


def test_predictions_of_two_models_do_not_mix(split: Split, tmp_path: Path) -> None:
    predict(split, Redness(), tmp_path, {"model": "red", "frames": (1, 2)})
    predict(split, Redness(0), tmp_path, {"model": "red", "frames": (1, 2)})  # all there: nothing is asked
    with pytest.raises(ValueError, match="model was 'red', is 'blue'"):
        predict(split, Redness(), tmp_path, {"model": "blue", "frames": (1, 2)})
    other = read_split(write_split(tmp_path / "other", videos=2, jpegs=True))
    with pytest.raises(ValueError, match="split_sha256 was"):
        predict(other, Redness(), tmp_path, {"model": "red", "frames": (1, 2)})


def test_predictions_from_other_frames_are_not_taken_over(tmp_path: Path) -> None:
    split = read_split(write_split(tmp_path / "split", videos=3, jpegs=True))
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(split, Redness(2), out, {"model": "red"})  # v0 and v1
    jpegs = sorted((split.folder / "videos").glob("*/00004.jpg"))
    before = [path.read_bytes() for path in jpegs]
    for path in jpegs[1:]:
        noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
        cv2.imwrite(str(path), noise)
    with pytest.raises(ValueError, match=r"made from other frames than those in .*videos for 1 videos: v1\. Remove"):
        predict(split, Redness(), out, {"model": "red"})
    (out / "videos/v1.json").unlink()
    predict(split, Redness(), out, {"model": "red"})  # v2 had not been predicted from others
    for path, content in zip(jpegs, before, strict=True):
        path.write_bytes(content)  # as a copy of the split: its times do not count
    with pytest.raises(ValueError, match="for 2 videos: v1, v2"):
        predict(split, Redness(0), out, {"model": "red"})


def test_predictions_of_a_run_that_noted_no_sums_are_taken_over(split: Split, tmp_path: Path) -> None:
    predict(split, Redness(), tmp_path, {"model": "red"})
    edit(tmp_path / "run.json", lambda content: content.pop("frames_sha256"))
    predict(split, Redness(0), tmp_path, {"model": "red"})
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json must say what the predictions were made with"):
        predict(split, Redness(0), tmp_path, {"model": "red"})
