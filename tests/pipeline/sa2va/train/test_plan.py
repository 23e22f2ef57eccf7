import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.sa2va.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from pipeline.sa2va.train.step import DistContext, plan
from pipeline.sa2va.train.training_data import read_data
from tests.pipeline.sa2va.models import config as tiny_settings

CONFIG = TrainConfig(source="", sav_root="", out="", model=ModelConfig(base=""))


@pytest.mark.parametrize(("videos", "workers", "steps"), [(103, 1, 9), (103, 3, 9), (7, 2, 1)])
def test_every_video_comes_up_once_an_epoch(videos: int, workers: int, steps: int) -> None:
    config = replace(CONFIG, optim=OptimConfig(batch=12, micro_batch=2, epochs=2))
    lengths = [100 + 7 * n % 31 for n in range(videos)]
    plans = [plan(config, lengths, DistContext(rank, workers)) for rank in range(workers)]
    assert [len(each) for each in plans] == [2 * steps] * workers
    seen = Counter(key for each in plans for step in each for micro in step for key in micro)
    assert seen == {(epoch, index): 1 for epoch in range(2) for index in range(videos)}
    assert all(len({len(each[step]) for each in plans}) == 1 for step in range(2 * steps)), "as many micro-batches each"
    assert all(len(micro) <= 2 for each in plans for step in each for micro in step)
    assert plans[0][0] != plans[0][steps]


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("videos", [37_311, 1_000])
def test_another_number_of_workers_goes_on_with_the_videos_that_are_left(videos: int, official: bool) -> None:
    """Ref-SAV's 37,311 videos, stopped in the middle and again; with other micro-batches too."""
    config = replace(CONFIG, official=official, optim=OptimConfig(batch=256))
    lengths = np.random.default_rng(0).integers(50, 2000, videos).tolist()

    def of_steps(workers: int, micro_batch: int) -> list[list[tuple[int, int]]]:
        optim = replace(config.optim, micro_batch=micro_batch)
        plans = [plan(replace(config, optim=optim), lengths, DistContext(rank, workers)) for rank in range(workers)]
        return [sorted(key for each in plans for micro in each[step] for key in micro) for step in range(len(plans[0]))]

    whole = of_steps(1, 2)
    assert all(of_steps(*other) == whole for other in ((2, 2), (8, 2), (16, 1), (16, 4)))
    stops = (len(whole) // 2, len(whole) * 3 // 4)
    legs = [of_steps(16, 2)[: stops[0]], of_steps(8, 1)[stops[0] : stops[1]], of_steps(1, 4)[stops[1] :]]
    seen = Counter(index for leg in legs for step in leg for _, index in step)
    twice = 256 * len(whole) - videos if official else 0  # the release fills the last step up
    assert len(seen) == videos, "0 missed"
    assert seen.total() == videos + twice, "0 doubled"


def test_more_workers_than_videos_of_a_batch() -> None:
    config = replace(CONFIG, optim=OptimConfig(batch=2, micro_batch=2))
    with pytest.raises(ValueError, match="got 2 videos and 3 workers: take fewer workers or a larger batch"):
        plan(config, [1] * 50, DistContext(0, 3))
    config = replace(CONFIG, optim=OptimConfig(batch=4, micro_batch=1))
    plans = [plan(config, [1] * 5, DistContext(rank, 4)) for rank in range(4)]
    assert [[len(micro) for step in each for micro in step] for each in plans] == [[1, 1], [1, 1], [1, 0], [0, 0]]


def test_the_released_sampler_repeats_its_order() -> None:
    config = replace(CONFIG, official=True, data=DataConfig(repeats=4), optim=OptimConfig(batch=4, micro_batch=2))
    keys = [index for step in plan(config, [9] * 400, DistContext()) for micro in step for _, index in micro]
    passes = [[index % 100 for index in keys[start : start + 100]] for start in range(0, 400, 100)]
    assert sorted(passes[0]) == list(range(100))
    assert passes[1:] == passes[:1] * 3, "every pass in the same order: the defect"


def test_the_benchmarks_videos_are_left_out(demo_annotations: Path, demo_root: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    config = replace(CONFIG, source=str(demo_annotations), sav_root=str(demo_root), model=tiny_settings())
    everything, _ = read_data(config)
    split.write_text(json.dumps({"held_out": [everything[1].video_id], "videos": []}))
    videos, _ = read_data(replace(config, split=str(split)))
    assert [video.video_id for video in videos] == [v.video_id for v in everything if v != everything[1]]
    split.write_text(json.dumps({"held_out": [video.video_id for video in everything], "videos": []}))
    with pytest.raises(ValueError, match="all held out"):
        read_data(replace(config, split=str(split)))


def test_an_epoch_without_a_video_is_passed_over_and_a_run_without_one_refused() -> None:
    """A small set with `repeats = 0.1` comes up in some epochs only."""
    config = replace(CONFIG, optim=OptimConfig(batch=2, epochs=3))
    planned = plan(config, [5, 5], DistContext(), lambda epoch: [1] if epoch == 1 else [])
    assert planned == [[[(1, 1)]]]
    with pytest.raises(ValueError, match="a run must have a video in an epoch, got none in 3"):
        plan(config, [5, 5], DistContext(), lambda _: [])
