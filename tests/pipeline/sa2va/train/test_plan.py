import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.sa2va.config import DataConfig, ModelConfig, OptimConfig, TrainConfig
from pipeline.sa2va.train.loop import Place
from pipeline.sa2va.train.plan import plan, read_data

CONFIG = TrainConfig(source="", sav_root="", out="", model=ModelConfig(base=""))


@pytest.mark.parametrize(("videos", "workers", "steps"), [(103, 1, 9), (103, 3, 9), (7, 2, 1)])
def test_every_video_comes_up_once_an_epoch(videos: int, workers: int, steps: int) -> None:
    config = replace(CONFIG, optim=OptimConfig(batch=12, micro_batch=2, epochs=2))
    lengths = [100 + 7 * n % 31 for n in range(videos)]
    plans = [plan(config, lengths, Place(rank, workers)) for rank in range(workers)]
    assert [len(each) for each in plans] == [2 * steps] * workers
    seen = Counter(key for each in plans for step in each for micro in step for key in micro)
    assert seen == {(epoch, index): 1 for epoch in range(2) for index in range(videos)}
    assert all(len({len(each[step]) for each in plans}) == 1 for step in range(2 * steps)), "as many micro-batches each"
    assert all(len(micro) <= 2 for each in plans for step in each for micro in step)
    assert plans[0][0] != plans[0][steps]


def test_a_batch_that_cannot_be_shared_out() -> None:
    config = replace(CONFIG, optim=OptimConfig(batch=16, micro_batch=2))
    with pytest.raises(ValueError, match="micro_batch x workers = 2 x 3 = 6, got 16: take 18"):
        plan(config, [1] * 50, Place(0, 3))


def test_the_released_sampler_is_given_its_group_and_the_repeats() -> None:
    config = replace(CONFIG, official=True, data=DataConfig(repeats=4), optim=OptimConfig(batch=4, micro_batch=2))
    lengths = list(range(1, 101)) * 4
    keys = [index for step in plan(config, lengths, Place()) for micro in step for _, index in micro]
    passes = [[index % 100 for index in keys[start : start + 100]] for start in range(0, 400, 100)]
    assert sorted(passes[0]) == list(range(100))
    assert passes[1:] == passes[:1] * 3, "every pass in the same order: the defect"
    assert passes[0][:25] == sorted(passes[0][:25], reverse=True), "groups of 100 / (4 x 4) = 6 batches, by length"


def test_the_benchmarks_videos_are_left_out(demo_annotations: Path, demo_root: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    config = replace(CONFIG, source=str(demo_annotations), sav_root=str(demo_root))
    everything, _ = read_data(config)
    split.write_text(json.dumps({"held_out": [everything[1].video_id], "videos": []}))
    videos, _ = read_data(replace(config, split=str(split)))
    assert [video.video_id for video in videos] == [v.video_id for v in everything if v != everything[1]]
    split.write_text(json.dumps({"held_out": [video.video_id for video in everything], "videos": []}))
    with pytest.raises(ValueError, match="all held out"):
        read_data(replace(config, split=str(split)))
