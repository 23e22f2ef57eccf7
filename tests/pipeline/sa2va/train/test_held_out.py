"""Evaluation along the way: on videos that are not learned from, with the scorer's figures; training stays as it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manifests.outputs import PREDICTIONS
from pipeline import evaluate_refsav
from pipeline.evaluation.split import read_split
from pipeline.sa2va.checkpoint.sidecar import read_trained_on
from pipeline.sa2va.config import OptimConfig, TrainConfig
from pipeline.sa2va.train import held_out
from pipeline.sa2va.train import run as training
from pipeline.sa2va.train.held_out import hold_out
from pipeline.sa2va.train.run import train
from pipeline.sa2va.train.step import DistContext
from pipeline.sa2va.train.training_data import read_data
from pipeline.train_on_refsav import main
from tests.pipeline.evaluation import unjudged
from tests.pipeline.sa2va.train.conftest import Settings

HELD = 2  # of the five videos


def run(config: TrainConfig) -> None:
    train(config, *read_data(config), DistContext())


def lines(out: Path, name: str) -> list[dict[str, float]]:
    written = [json.loads(line) for line in (out / name).read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("/s")} for line in written]


@pytest.fixture(scope="module")
def evaluating(drawn: Settings) -> Callable[[Path], TrainConfig]:
    """Settings of steps on three videos, evaluated on two others; after 24 the model makes masks."""
    optim = OptimConfig(lr=2e-2, batch=3, micro_batch=3, epochs=24)
    return lambda out: replace(drawn(out), optim=optim, eval_frac=0.4, eval_every=8, checkpoint_every=1)


@pytest.fixture(scope="module")
def whole(evaluating: Callable[[Path], TrainConfig], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(evaluating(out))
    return out


def score(split: Path, model: Path, out: Path) -> dict[str, float]:
    """J, F and J&F as the scorer finds them with the exported model."""
    asked = [str(split), "--model", f"m={model}", "--out", str(out), "--groups", "long", "--frames", "2"]
    assert evaluate_refsav.main([*asked, "--device", "cpu"]) == 0
    assert (out / "m" / PREDICTIONS).exists()
    means = json.loads((out / "m/ref_sav_valid.json").read_text())["long"]
    return {"J": means["J"], "F": means["F"], "J&F": means["JF"]}


def test_held_out_videos_are_not_learned_from_and_scored_as_the_scorer_does(
    whole: Path, evaluating: Callable[[Path], TrainConfig], tmp_path: Path
) -> None:
    config = evaluating(whole)
    ids = {f"coloured_{n:03d}" for n in range(5)}
    held = ids - read_trained_on(whole / "model")
    assert len(held) == HELD
    evaluated = lines(whole, "evaluation.jsonl")
    assert [line["step"] for line in evaluated] == [0, 8, 16, 24]
    assert len({line["loss"] for line in evaluated}) == 4
    assert evaluated[-1]["J"] > 1, "or any figure would equal the scorer's"
    unjudged.main(Path(config.sources[0]).parent, tmp_path / "split", sorted(held))
    assert {name: evaluated[-1][name] for name in ("J", "F", "J&F")} == pytest.approx(
        score(tmp_path / "split", whole / "model", tmp_path / "scores"), abs=0.5
    )


def test_evaluation_does_not_change_training(
    whole: Path, evaluating: Callable[[Path], TrainConfig], tmp_path: Path
) -> None:
    run(replace(evaluating(tmp_path), eval_every=0, eval_every_s=0.0))
    assert [line["step"] for line in lines(tmp_path, "evaluation.jsonl")] == [0, 24], (
        "before the first and after the last"
    )
    assert lines(tmp_path, "curve.jsonl") == lines(whole, "curve.jsonl")
    weights = [(out / "model/model.safetensors").read_bytes() for out in (tmp_path, whole)]
    assert weights[0] == weights[1]


def test_a_run_that_goes_on_evaluates_what_it_missed(
    whole: Path, evaluating: Callable[[Path], TrainConfig], tmp_path: Path
) -> None:
    told = iter([*[False] * 7, True])
    config = evaluating(tmp_path)
    train(config, *read_data(config), DistContext(stop=lambda: next(told)))  # ends at once, without an evaluation
    assert [line["step"] for line in lines(tmp_path, "evaluation.jsonl")] == [0]
    with (tmp_path / "evaluation.jsonl").open("a") as file:
        file.write('{"step": 16, "loss": 1.0, "J&F": 99.0}\n{"step": 24, "lo')  # of steps whose checkpoint was lost
    run(config)
    assert lines(tmp_path, "evaluation.jsonl") == lines(whole, "evaluation.jsonl")
    assert lines(tmp_path, "curve.jsonl") == lines(whole, "curve.jsonl")


def test_the_best_checkpoint_stays_and_can_be_exported(
    evaluating: Callable[[Path], TrainConfig],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = iter([90.0, 10.0, 50.0, 50.0, 20.0, 20.0, 20.0])  # the one before the first step has no checkpoint
    monkeypatch.setattr(training, "evaluate", lambda *_: {"J&F": next(figures)})
    run(replace(evaluating(tmp_path), keep_checkpoints=1, eval_every=1, optim=OptimConfig(batch=3, epochs=6)))
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_00000002", "step_00000006"]

    assert main(["export", str(tmp_path), "last"]) == 0
    assert f"model    {tmp_path / 'model_6'}" in capsys.readouterr().out
    assert main(["export", str(tmp_path), "best", "--to", str(tmp_path / "best")]) == 0
    models = [tmp_path / name for name in ("model", "model_6", "best")]
    weights = [(model / "model.safetensors").read_bytes() for model in models]
    assert weights[0] == weights[1]
    assert weights[0] != weights[2]
    assert read_trained_on(models[0]) == read_trained_on(models[2])


def test_a_step_without_a_checkpoint_is_named(whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "there").mkdir()
    for asked, rule in (
        ([str(whole), "25"], "must have a checkpoint of step 25, got checkpoints of "),
        ([str(whole), "first"], "STEP must be a number, last or best, got 'first'"),
        ([str(tmp_path), "best"], "has no evaluation"),
        ([str(tmp_path), "last"], "got checkpoints of none"),
        ([str(whole), "last", "--to", str(tmp_path / "there")], "--to must name a new folder"),
        ([str(whole), "last", "--to", str(whole / "curve.jsonl/m")], "--to must be a folder, got"),
        ([str(whole), "last", "--to", str(whole / "checkpoints/m")], "--to must lie apart from what"),
    ):
        caplog.clear()
        assert main(["export", *asked]) == 2
        assert rule in caplog.text


def test_a_split_is_evaluated_on_and_left_out(evaluating: Callable[[Path], TrainConfig], tmp_path: Path) -> None:
    split = tmp_path / "split"
    config = replace(evaluating(tmp_path / "out"), eval_frac=0.0, eval_split=str(split))
    unjudged.main(Path(config.sources[0]).parent, split, ["coloured_001", "coloured_004"])
    run(config)
    assert read_trained_on(tmp_path / "out/model") == {f"coloured_{n:03d}" for n in (0, 2, 3)}
    [before, *_, after] = lines(tmp_path / "out", "evaluation.jsonl")
    assert (before["step"], after["step"], before["J"], after["J"] > 1) == (0, 24, 0.0, True)
    assert {name: after[name] for name in ("J", "F", "J&F")} == pytest.approx(
        score(split, tmp_path / "out/model", tmp_path / "scores"), abs=0.5
    ), "the exported weights are rounded to bfloat16"


def test_workers_share_the_videos_and_have_the_same_figures(
    evaluating: Callable[[Path], TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = evaluating(tmp_path)
    videos, clips = read_data(config)
    model = training.prepared(config, torch.device("cpu"))
    on = held_out.evaluated(
        config, hold_out(videos, config)[1], clips, lambda some: training.dataset_of(config, some, clips, model)
    )
    assert on
    alone = held_out.evaluate(model, on, DistContext())
    shares: list[list[object]] = []

    def gather(everyone: list[object], mine: list[object]) -> None:
        shares.append(mine)
        everyone[:] = shares

    monkeypatch.setattr(held_out, "all_gather_object", gather)
    of_two = [held_out.evaluate(model, on, DistContext(rank, 2)) for rank in range(2)]
    assert [len(share) for share in shares] == [1, 1]
    assert of_two[1] == alone


def test_what_is_held_out_depends_on_ids_and_seed_alone(drawn: Settings, tmp_path: Path) -> None:
    videos, _ = read_data(drawn(tmp_path))
    config = replace(drawn(tmp_path), eval_frac=0.4)
    left, held = hold_out(videos, config)
    assert (len(left), len(held)) == (3, HELD)
    assert hold_out(videos[::-1], config) == (left[::-1], held[::-1])
    assert {tuple(one.video_id for one in hold_out(videos, replace(config, seed=n))[1]) for n in range(9)} != {
        tuple(one.video_id for one in held)
    }
    assert hold_out(videos, replace(config, eval_frac=0.01))[1], "one at least"
    assert hold_out(videos, replace(config, eval_frac=0.0)) == (videos, [])
    for few, share in ((videos, 0.95), (videos[:1], 0.1)):
        with pytest.raises(ValueError, match=r"eval_frac must leave videos to train on, got 0\.\d+ of"):
            hold_out(few, replace(config, eval_frac=share))


def test_a_run_that_is_ended_in_its_last_step_is_evaluated_when_it_goes_on(
    evaluating: Callable[[Path], TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "evaluate", lambda *_: {"J&F": 1.0})
    told = iter([False, True])
    config = replace(evaluating(tmp_path), optim=OptimConfig(batch=3, epochs=2), eval_every=0, eval_every_s=0.0)
    train(config, *read_data(config), DistContext(stop=lambda: next(told)))
    assert [line["step"] for line in lines(tmp_path, "evaluation.jsonl")] == [0]
    for _ in range(2):
        run(config)
        assert [line["step"] for line in lines(tmp_path, "evaluation.jsonl")] == [0, 2], "once"


def test_evaluation_that_says_less_than_it_seems_is_told(
    drawn: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "split.json").write_text('{"videos": ["a", "b"], "held_out": []}')
    config = replace(drawn(tmp_path), split=str(tmp_path), eval_split=str(tmp_path))
    held_out.warn_of_seen(replace(config, split=""), [], frozenset({"c"}))
    assert not caplog.messages
    held_out.warn_of_seen(config, [], frozenset({"a", "c"}))
    learned, chosen = caplog.messages
    assert "evaluated on 1 videos that the base model has learned from (a)" in learned
    assert "2 videos of --eval-split are in --split too (a, b)" in chosen


def test_a_split_is_evaluated_on_where_a_text_means_an_object(drawn: Settings, tmp_path: Path) -> None:
    """Expressions that fit nothing have no J&F: a video of these alone may be the only one that is drawn."""
    config = replace(drawn(tmp_path), eval_split=str(tmp_path / "split"))
    unjudged.main(Path(config.sources[0]).parent, tmp_path / "split", ["coloured_001", "coloured_004"])
    file = tmp_path / "split/meta_expressions_valid.json"
    content = json.loads(file.read_text())
    for video_id, other in (("coloured_001", ["coloured_004"]), ("coloured_004", [])):
        for expression in content["videos"][video_id]["expressions"].values():
            expression |= {"no_target": True, "anno_id": []}
        file.write_text(json.dumps(content))
        assert [video.video_id for video in held_out.with_targets(read_split(tmp_path / "split"))] == other
    with pytest.raises(ValueError, match="--eval-split must have an expression that means an object"):
        held_out.check_eval_split(config)
