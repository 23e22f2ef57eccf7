"""A mixture of data sets: each has its share of an epoch and a curve; other workers do not change a step's videos."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.sa2va.config import OptimConfig, SourceConfig, TrainConfig
from pipeline.sa2va.dataset import RefSavDataset
from pipeline.sa2va.train.held_out import hold_out
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext, plan
from pipeline.sa2va.train.training_data import check_shares, read_data, repeats_of
from pipeline.train_on_refsav import _config, parser
from tests.pipeline.sa2va.train.conftest import Settings

Mixed = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def mixed(drawn: Settings, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    """Settings of a mixture of the drawn videos: three in `large`, two in `small`."""
    whole = Path(drawn(Path()).sources[0])
    entries = list(json.loads(whole.read_text()).items())
    folder = tmp_path_factory.mktemp("mixture")
    for name, some in (("large", entries[:3]), ("small", entries[3:])):
        (folder / name).mkdir()
        (folder / name / "Ref-SAV.json").write_text(json.dumps(dict(some)))

    def settings(out: Path, large: dict[str, Any], small: dict[str, Any], epochs: int = 2) -> TrainConfig:
        sources = (
            SourceConfig(path=str(folder / "large/Ref-SAV.json"), **large),
            SourceConfig(path=str(folder / "small/Ref-SAV.json"), **small),
        )
        optim = OptimConfig(lr=5e-3, batch=2, micro_batch=1, epochs=epochs)
        return replace(drawn(out), source=(), mixture=sources, optim=optim)

    return settings


def dataset(config: TrainConfig) -> RefSavDataset:
    videos, clips = read_data(config)
    return RefSavDataset(videos, clips, config.data, lambda **_: None, config.seed, repeats=repeats_of(config, videos))  # type: ignore[arg-type]


def counts(config: TrainConfig, epochs: range) -> Counter[str]:
    """How often each video comes up in some epochs."""
    videos, _ = read_data(config)
    made = dataset(config)
    drawn = [index for epoch in epochs for index in made.of_epoch(epoch)]
    return Counter(videos[index % len(videos)].video_id for index in drawn)


def test_a_video_of_every_data_set_is_left_to_train_on(mixed: Mixed, tmp_path: Path) -> None:
    """Of five videos three are held out: drawn freely, with some seeds all of the large set or both of the small."""
    config = replace(mixed(tmp_path, {}, {}), eval_frac=0.6)
    videos, _ = read_data(config)
    chosen = set()
    for seed in range(20):
        left, held = hold_out(videos, replace(config, seed=seed))
        assert {video.source for video in left} == {"large", "small"}
        assert (len(left), len(held)) == (2, 3)
        assert hold_out(videos[::-1], replace(config, seed=seed))[1] == held[::-1]
        chosen.add(tuple(video.video_id for video in held))
    assert len(chosen) > 3
    alone = [video for video in videos if video.video_id != "coloured_004"]  # one of the small set
    for seed in range(20):
        assert {one.source for one in hold_out(alone, replace(config, seed=seed, eval_frac=0.5))[1]} == {"large"}
    with pytest.raises(ValueError, match=r"eval_frac must leave videos of every data set to train on, got 0\.8 of 5"):
        hold_out(videos, replace(config, eval_frac=0.8))
    with pytest.raises(
        ValueError, match="every data set of a mixture must have a video to train on, got none of small"
    ):
        hold_out([video for video in videos if video.source == "large"], config)


def test_videos_come_up_as_often_as_their_source_says(mixed: Mixed, tmp_path: Path) -> None:
    config = mixed(tmp_path, {"repeats": 2.5}, {"repeats": 0.25})
    first = counts(config, range(1))
    assert [first[f"coloured_{n:03d}"] for n in range(3)].count(2) >= 1
    assert sum(first.values()) == 7, "2.5 times three, a quarter of two"
    of_eight = counts(config, range(8))
    assert [of_eight[f"coloured_{n:03d}"] for n in range(5)] == [20, 20, 20, 2, 2]
    for epoch in range(8):
        assert max(counts(config, range(epoch, epoch + 1)).values()) <= 3
    assert dataset(config).of_epoch(3) == dataset(config).of_epoch(3)


def test_a_data_set_that_never_comes_up_is_named(mixed: Mixed, tmp_path: Path) -> None:
    videos, _ = read_data(mixed(tmp_path, {}, {}))
    check_shares(mixed(tmp_path, {}, {"repeats": 0.25}), videos)
    with pytest.raises(ValueError, match=r"got 2 videos of small 0\.2 times an epoch in 2 epochs"):
        check_shares(mixed(tmp_path, {}, {"repeats": 0.2}), videos)
    with pytest.raises(ValueError, match="got 3 videos of large"):
        check_shares(mixed(tmp_path, {"weight": 1e-9}, {"weight": 1.0}), videos)


def test_a_set_without_negatives_stands_beside_one_with_them(
    mixed: Mixed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = mixed(tmp_path, {}, {})
    config = replace(config, data=replace(config.data, negatives_frac=0.3))
    with pytest.raises(ValueError, match=r"--negatives 0\.3 needs texts without a target, got none"):
        read_data(config)
    file = Path(config.sources[0]).with_name("negatives.json")
    negative = {"text": "the tall giraffe", "kind": "no_target", "unseen_twin_possible": False}
    file.write_text(json.dumps({f"coloured_{n:03d}": [negative] for n in range(5)}))
    caplog.clear()
    try:
        videos, _ = read_data(config)
    finally:
        file.unlink()
    assert [video.absent for video in videos] == [("the tall giraffe",)] * 3 + [()] * 2
    assert f"small has no texts without a target: no negatives.json beside {config.sources[1]}" in caplog.messages


def test_weights_are_shares_of_an_epoch(mixed: Mixed, tmp_path: Path) -> None:
    config = mixed(tmp_path, {"weight": 1.0}, {"weight": 3.0})
    of_four = counts(config, range(4))
    assert sum(of_four.values()) == 20
    assert [of_four[f"coloured_{n:03d}"] for n in range(3, 5)] in ([7, 8], [8, 7]), "three quarters of 20"


def test_a_steps_videos_are_the_same_for_any_number_of_workers(mixed: Mixed, tmp_path: Path) -> None:
    config = mixed(tmp_path, {"repeats": 1.5}, {"repeats": 3}, epochs=3)
    made = dataset(config)
    steps = []
    for workers in (1, 2):
        plans = [plan(config, made.lengths(), DistContext(rank, workers), made.of_epoch) for rank in range(workers)]
        steps.append([sorted(at for one in plans for micro in one[n] for at in micro) for n in range(len(plans[0]))])
    assert steps[0] == steps[1]
    assert Counter(at for step in steps[0] for at in step) == Counter(
        (epoch, index) for epoch in range(3) for index in made.of_epoch(epoch)
    )


def test_a_mixture_is_trained_on_with_a_curve_for_every_source(
    mixed: Mixed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = mixed(tmp_path, {"repeats": 1.0}, {"repeats": 2.0})
    caplog.set_level("INFO")
    train(config, *read_data(config), DistContext())
    assert "large: 3 videos, 6 texts, 1.00 times an epoch: 3 videos" in caplog.text
    assert "small: 2 videos, 4 texts, 2.00 times an epoch: 4 videos" in caplog.text
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    seen: set[str] = set()
    for line in lines:
        losses = {name.removeprefix("loss/"): value for name, value in line.items() if name.startswith("loss/")}
        seen |= losses.keys()
        assert losses.keys() <= {"large", "small"}
        if len(losses) == 1:
            assert [line["loss"]] == pytest.approx(list(losses.values()), rel=1e-5)
        else:  # two videos a step, one of each
            assert line["loss"] == pytest.approx(sum(losses.values()) / 2, rel=1e-5)
    assert seen == {"large", "small"}


def test_other_shares_are_another_run(mixed: Mixed, tmp_path: Path) -> None:
    config = replace(mixed(tmp_path, {}, {"repeats": 2.0}), stop_after=1)
    train(config, *read_data(config), DistContext())
    changed = mixed(tmp_path, {}, {"repeats": 3.0})
    with pytest.raises(ValueError, match=r"the mixture was .*'small', 2\.0.* is .*'small', 3\.0"):
        train(changed, *read_data(changed), DistContext())
    assert train(mixed(tmp_path, {}, {"repeats": 2.0}), *read_data(config), DistContext())


def test_a_mixture_in_a_file(mixed: Mixed, tmp_path: Path) -> None:
    paths = mixed(tmp_path, {}, {}).sources
    file = tmp_path / "run.toml"
    file.write_text(
        f'[model]\nbase = "x"\n[[mixture]]\npath = "{paths[0]}"\nrepeats = 0.5\n'
        f'[[mixture]]\npath = "{paths[1]}"\nname = "few"\n'
    )
    config, _ = _config(parser().parse_args(["--config", str(file)]))
    assert [(one.path, one.name, one.repeats) for one in config.mixture] == [
        (paths[0], "large", 0.5),
        (paths[1], "few", 1.0),
    ]
    assert config.out == str(Path(paths[0]).parent / "training")


def test_one_id_for_two_files_is_refused(mixed: Mixed, drawn: Settings, tmp_path: Path) -> None:
    config = mixed(tmp_path, {}, {})
    again = replace(config.mixture[0], name="again", sav_root=str(tmp_path / "elsewhere"))
    with pytest.raises(
        ValueError, match=r"a video id belongs to one file, .* in large and .* in again for coloured_000"
    ):
        read_data(replace(config, mixture=(*config.mixture, again)))
