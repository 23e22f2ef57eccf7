"""Whole runs with a tiny random model on the demo shard: it learns, it goes on, it says what is wrong."""

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.metrics import boundary_accuracy, region_similarity
from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.read import load_sa2va
from pipeline.sa2va.checkpoint.trained_on import read_trained_on
from pipeline.sa2va.config import InferConfig, OptimConfig, TrainConfig, official_train
from pipeline.sa2va.data.clips import Clips
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train.loop import Place
from pipeline.sa2va.train.plan import read_data
from pipeline.sa2va.train.run import train
from tests.pipeline.sa2va.tiny import tiny_pixels
from tests.pipeline.sa2va.train.conftest import Settings


def run(config: TrainConfig) -> Path:
    return train(config, *read_data(config), Place())


def curve(out: Path) -> list[dict[str, float]]:
    """What was told of each step, but for how fast it was."""
    lines = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("/s")} for line in lines]


def weights(out: Path) -> bytes:
    return (out / "model" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run from beginning to end."""
    out = tmp_path_factory.mktemp("whole")
    assert run(settings(out)) == out / "model"
    return out


def j_and_f(model: Sa2va, config: TrainConfig) -> float:
    """Mean over the objects that were trained on, as a user gets them: two key frames and the expression go in."""
    segmenter = Segmenter(model, InferConfig(frames=2, pixels=tiny_pixels()))
    videos, _ = read_data(config)
    clips, scores = Clips(), []  # as users have it: in full size
    for video in videos:
        count = clips.annotated_count(video)
        clip = clips.read(video, [count // 4, 3 * count // 4], video.expressions)
        found = segmenter.segment(clip.frames, [each.text for each in video.expressions])
        for said, true_FHW in zip(found, clip.masks_OFMM.astype(bool), strict=True):
            for pair in zip(said.masks_THW, true_FHW, strict=True):
                scores.append((region_similarity(*pair) + boundary_accuracy(*pair)) / 2)
    return float(np.mean(scores))


def test_it_learns(settings: Settings, tmp_path: Path) -> None:
    config = replace(settings(tmp_path), optim=OptimConfig(lr=5e-3, batch=7, micro_batch=7, epochs=150), log_every=10)
    untrained = j_and_f(build(config.model), config)
    model = load_sa2va(run(config), device="cpu", dtype=torch.float32)
    told = curve(tmp_path)
    late = {part: np.mean([line[part] for line in told[-5:]]) for part in ("llm", "mask", "dice")}
    assert late["llm"] < 0.01 < 1 < told[0]["llm"], "it says what it is to say"
    assert late["mask"] < 0.5 * told[0]["mask"]
    assert late["dice"] < 0.85 * told[0]["dice"]
    trained = j_and_f(model, config)
    assert trained > untrained + 0.1, (untrained, trained)


def test_a_stopped_run_goes_on_as_if_it_had_not(whole: Path, settings: Settings, tmp_path: Path) -> None:
    config = settings(tmp_path)
    run(replace(config, stop_after=4))
    assert not (tmp_path / "model").exists()
    run(config)
    assert curve(tmp_path) == curve(whole)
    assert len(curve(whole)) == 8
    assert weights(tmp_path) == weights(whole)


def test_processes_that_read_change_nothing(whole: Path, settings: Settings, tmp_path: Path) -> None:
    run(replace(settings(tmp_path), loader_workers=2))
    assert curve(tmp_path) == curve(whole)


def test_another_seed_is_another_run(whole: Path, settings: Settings, tmp_path: Path) -> None:
    run(replace(settings(tmp_path), seed=1, stop_after=1))
    assert curve(tmp_path)[0]["loss"] != curve(whole)[0]["loss"]


def test_what_a_run_leaves(whole: Path, settings: Settings) -> None:
    videos, _ = read_data(settings(whole))
    assert read_trained_on(whole / "model") == {video.video_id for video in videos}
    model = load_sa2va(whole / "model", device="cpu", dtype=torch.bfloat16)
    assert model.original_decoder is not None
    assert [path.name for path in sorted((whole / "checkpoints").iterdir())] == ["step_00000006", "step_00000008"]


def test_masks_are_drawn_along_the_way(settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(replace(settings(tmp_path), pictures_every=1, stop_after=2))
    drawn = sorted((tmp_path / "pictures").iterdir())
    assert [path.name for path in drawn] == ["step_00000001.jpg", "step_00000002.jpg"]
    assert cv2.imread(str(drawn[0])).shape == (4 * 192, 2 * 192, 3), "four videos, one object each, two frames"
    told = caplog.text
    assert "7 videos, 8 steps, 0 done before" in told
    assert re.search(r"the first conversation, \d+ tokens, \d+ of pictures:\n<\|im_start\|>user", told)
    assert "estimated for a micro-batch: " in told


def test_pictures_do_not_change_the_run(whole: Path, settings: Settings, tmp_path: Path) -> None:
    run(replace(settings(tmp_path), pictures_every=1, stop_after=3))
    assert curve(tmp_path) == curve(whole)[:3]


def test_a_loss_that_is_no_number_names_its_videos(settings: Settings, tmp_path: Path) -> None:
    wild = OptimConfig(lr=1e30, batch=4, micro_batch=2, epochs=2, warmup_frac=0, clip_norm=1e30)
    with pytest.raises(ValueError, match=r"the loss must be a number, got llm .* for the videos demo_\d+, demo_\d+"):
        run(replace(settings(tmp_path), optim=wild))


def test_a_run_with_other_settings_is_not_gone_on_with(whole: Path, settings: Settings) -> None:
    with pytest.raises(ValueError, match="seed was 0, is 5"):
        run(replace(settings(whole), seed=5))


def test_the_release_can_be_trained_as_it_is(settings: Settings, tmp_path: Path) -> None:
    config = official_train(replace(settings(tmp_path), stop_after=1, optim=OptimConfig(batch=2, micro_batch=2)))
    run(config)
    assert len(curve(tmp_path)) == 1
