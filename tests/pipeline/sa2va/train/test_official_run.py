"""What `--official` of the training command comes to: its settings, and the beginning of such a run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.sa2va.config import OptimConfig, PixelsConfig, TrainConfig
from pipeline.sa2va.train.run import prepared, train
from pipeline.sa2va.train.step import DistContext, lr_factor
from pipeline.sa2va.train.training_data import read_data
from pipeline.train_on_refsav import _config, parser
from tests.pipeline.sa2va.models import base
from tests.pipeline.sa2va.tiny import TINY_SAM2
from tests.pipeline.sa2va.train.conftest import Settings

QUESTIONS = ("Show me the {text}, will you?", "Is a {text} in here?")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    common = tmp_path / "Sa2VA/projects/sa2va/datasets/common.py"
    common.parent.mkdir(parents=True)
    asked = [question.replace("{text}", "{class_name}") for question in QUESTIONS]
    common.write_text(f"SEG_QUESTIONS = {asked!r}")
    return tmp_path / "Sa2VA"


def settings(source: str, base: Path, out: Path, *options: str) -> TrainConfig:
    config, _ = _config(parser().parse_args(["--source", source, "--base", str(base), "--out", str(out), *options]))
    return config


def wide(tmp_path: Path, width: int) -> Path:
    (tmp_path / "wide").mkdir()
    config = {"model_type": "internvl", "text_config": {"hidden_size": width}}
    (tmp_path / "wide/config.json").write_text(json.dumps(config))
    return tmp_path / "wide"


def test_the_command_takes_every_choice_of_the_release(drawn: Settings, clone: Path, tmp_path: Path) -> None:
    source = str(drawn(tmp_path).source)
    ours = settings(source, base(), tmp_path)
    assert (ours.official, ours.data.official_questions, ours.optim.batch) == (False, (), 256)
    config = settings(source, base(), tmp_path, "--official", "--official-code", str(clone))
    assert config.official
    assert config.data.official_questions == QUESTIONS
    assert config.data.official_prompts
    assert (config.data.frames, config.data.max_objects, config.data.repeats) == (5, 5, 4)
    assert (config.data.frame_choice, config.data.with_replacement) == ("random", True)
    assert config.data.pixels == PixelsConfig(official=True)
    assert (config.model.train_embeddings, config.model.gradient_checkpointing) == ("full", True)
    assert (config.optim.batch, config.optim.micro_batch) == (128, 1), "a Qwen3-VL's, which the base is"
    assert settings(source, base(), tmp_path, "--official", "--batch", "8").optim.batch == 8


@pytest.mark.parametrize(("width", "rank", "alpha"), [(3584, 256, 512), (1536, 128, 256)])
def test_the_command_knows_the_width_of_the_base(
    drawn: Settings, tmp_path: Path, width: int, rank: int, alpha: int
) -> None:
    config = settings(str(drawn(tmp_path).source), wide(tmp_path, width), tmp_path, "--official")
    assert (config.model.lora_rank, config.model.lora_alpha) == (rank, alpha)
    assert config.optim.batch == 256


def test_an_official_run_begins_with_the_releases_rate_questions_and_items(
    drawn: Settings, clone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    given = drawn(tmp_path / "out")
    source = tmp_path / "Ref-SAV.json"
    entries = json.loads(Path(str(given.source)).read_text())
    manual, entry = next(iter(entries.items()))
    entry["objects"]["0"]["short_caps"] = ["a short one"]
    source.write_text(json.dumps(entries))
    config = settings(str(source), base(), tmp_path / "out", "--official", "--official-code", str(clone))
    config = replace(
        config,
        sav_root=given.sav_root,
        store=given.store,
        model=replace(config.model, sam2=TINY_SAM2, lora_rank=4, lora_alpha=8),
        optim=OptimConfig(lr=1e-3, batch=4, micro_batch=2),
        official_code="",
        loader_workers=0,
        stop_after=1,
    )
    videos, clips = read_data(config)
    texts = [one.text for video in videos for one in video.expressions]
    assert "a short one" not in texts
    assert "a short one" in [e.text for v in read_data(replace(config, official=False))[0] for e in v.expressions]
    assert prepared(config, torch.device("cpu")).official
    train(config, videos, clips, DistContext())
    [line] = map(json.loads, (tmp_path / "out/curve.jsonl").read_text().splitlines())
    steps = 5 * 4 // 4
    assert line["lr"] == pytest.approx(1e-3 * lr_factor(0, steps, config.optim, micro_batches=2))
    assert line["lr"] != pytest.approx(1e-3 * lr_factor(0, steps, config.optim))
    first = caplog.text.split("the first conversation")[1].split("estimated")[0]
    asked = first.count(", will you?") + first.count("Is a the ")
    assert asked == 5, first
    assert "Please segment" not in first
