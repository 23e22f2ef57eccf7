"""Whole runs with a tiny random model on the demo shard: it learns, it goes on, it says what is wrong."""

import json
import re
import resource
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from manifests.row_results import FatalError
from pipeline.sa2va.checkpoint.read import load_sa2va
from pipeline.sa2va.checkpoint.sidecar import read_trained_on
from pipeline.sa2va.config import OptimConfig, TrainConfig, official_train
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext
from pipeline.sa2va.train.training_data import read_data
from tests.pipeline.sa2va.train.conftest import Settings


def run(config: TrainConfig, place: DistContext | None = None) -> Path | None:
    return train(config, *read_data(config), place or DistContext())


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


def test_a_stopped_run_goes_on_as_if_it_had_not(whole: Path, settings: Settings, tmp_path: Path) -> None:
    config = settings(tmp_path)
    run(replace(config, stop_after=4))
    assert not (tmp_path / "model").exists()
    run(config)
    assert curve(tmp_path) == curve(whole)
    assert len(curve(whole)) == 8
    assert weights(tmp_path) == weights(whole)


def test_a_run_with_texts_that_fit_nothing_goes_on_as_if_it_had_not_stopped(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of all texts; the same ones are drawn after the stop, and another share is another run."""
    caplog.set_level("INFO")
    short, whole = settings(tmp_path / "stopped"), settings(tmp_path / "whole")
    data, optim = replace(short.data, negatives_frac=0.5), replace(short.optim, epochs=1)
    short, whole = (replace(config, data=data, optim=optim) for config in (short, whole))
    run(whole)
    assert "% of the texts are without a target, asked for 50.0 %" in caplog.text
    run(replace(short, stop_after=1))
    with pytest.raises(ValueError, match=r"data.negatives_frac was 0.5, is 0.1"):
        run(replace(short, data=replace(data, negatives_frac=0.1)))
    run(short)
    assert curve(short_out := Path(short.out)) == curve(Path(whole.out))
    assert weights(short_out) == weights(Path(whole.out))


def test_a_run_that_is_asked_to_stop_ends_after_its_step_with_a_checkpoint(
    whole: Path, settings: Settings, tmp_path: Path
) -> None:
    told = iter([False, False, True])
    assert run(replace(settings(tmp_path), checkpoint_every=0), DistContext(stop=lambda: next(told))) is None
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000003"]
    assert not (tmp_path / "model").exists()
    with (tmp_path / "curve.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # what a kill in the middle of a line leaves
    assert run(replace(settings(tmp_path), checkpoint_every=0)) == tmp_path / "model"
    assert curve(tmp_path) == curve(whole)
    assert weights(tmp_path) == weights(whole)


def test_checkpoints_are_written_by_time(settings: Settings, tmp_path: Path) -> None:
    run(replace(settings(tmp_path), checkpoint_every=0, checkpoint_every_s=1e-6, keep_checkpoints=9, stop_after=2))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_micro_batches_may_change_when_a_run_goes_on(whole: Path, settings: Settings, tmp_path: Path) -> None:
    """The videos of a step stay the same, so its loss is that of the whole run but for how the points are drawn."""
    config = settings(tmp_path)
    run(replace(config, stop_after=4))
    run(replace(config, optim=replace(config.optim, micro_batch=4)))
    assert [line["step"] for line in curve(tmp_path)] == [line["step"] for line in curve(whole)]
    for here, there in zip(curve(tmp_path), curve(whole), strict=True):
        assert here["loss"] == pytest.approx(there["loss"], rel=0.2)


def test_other_data_is_refused_or_accepted_and_all_of_it_is_remembered(settings: Settings, tmp_path: Path) -> None:
    config = replace(settings(tmp_path), optim=OptimConfig(lr=5e-3, batch=4, micro_batch=4, epochs=2))
    videos, clips = read_data(config)
    train(replace(config, stop_after=1), videos[1:], clips, DistContext())
    renamed = [replace(videos[1], expressions=(replace(videos[1].expressions[0], text="other words"),)), *videos[2:]]
    for other, told in (
        (videos, rf"has learned from other data: 1 videos are new \({videos[0].video_id}\)\. Put the data back"),
        (videos[2:], rf"1 videos are gone \({videos[1].video_id}\)"),
        (renamed, "have other expressions|texts or positions of the same expressions are other ones"),
    ):
        with pytest.raises(ValueError, match=told):
            train(config, other, clips, DistContext())
    accepted = replace(config, accept_changed_data=True)
    model = train(accepted, videos[2:], clips, DistContext())
    assert model is not None
    assert read_trained_on(model) == {video.video_id for video in videos[1:]}, "also what is gone since"


def test_a_disk_that_is_full_keeps_the_checkpoint_before(settings: Settings, tmp_path: Path) -> None:
    run(replace(settings(tmp_path), stop_after=1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(FatalError, match=r"the checkpoint of step 2 cannot be written to .* GiB are free"):
            run(replace(settings(tmp_path), stop_after=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000001"]


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
    assert [path.name for path in drawn] == [f"step_0000000{step}.jpg" for step in range(3)], "before the first, too"
    assert np.asarray(cv2.imread(str(drawn[0]))).shape == (4 * 192, 2 * 192, 3), (
        "four videos, one object each, two frames"
    )
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
