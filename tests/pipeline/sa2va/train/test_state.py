import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.sa2va.config import ModelConfig, OptimConfig, TrainConfig
from pipeline.sa2va.lora import parameters
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.train import state
from pipeline.sa2va.train.state import DataIdentity
from pipeline.sa2va.train.step import optimiser
from tests.pipeline.sa2va.models import tiny_batch, tiny_model

DATA = DataIdentity({"sav_1": ("sav_1/manual/0",)}, "0", frozenset({"sav_1"}))
CONFIG = TrainConfig(source="run", sav_root="sav", out="", model=ModelConfig(base="mllm"))


@pytest.fixture(scope="module")
def model() -> Sa2va:
    return tiny_model()


def after_steps(model: Sa2va, steps: int) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    adam, schedule = optimiser(parameters(model), 10, OptimConfig())
    for _ in range(steps):
        model(tiny_batch(model)).total.backward()
        adam.step()
        schedule.step()
        adam.zero_grad()
    return adam, schedule


def test_everything_comes_back(model: Sa2va, tmp_path: Path) -> None:
    config = replace(CONFIG, out=str(tmp_path))
    adam, schedule = after_steps(model, 2)
    written = state.save(config, 2, model, adam, schedule, DATA)
    kept = [parameter.detach().clone() for parameter in parameters(model)]
    moments, lr = adam.state_dict()["state"], schedule.get_last_lr()
    after_steps(model, 1)
    other_adam, other_schedule = optimiser(parameters(model), 10, OptimConfig())
    assert state.latest(tmp_path) == written
    assert state.load(written, model, other_adam, other_schedule) == 2
    assert all(torch.equal(*pair) for pair in zip(kept, parameters(model), strict=True))
    assert other_schedule.get_last_lr() == lr
    again = other_adam.state_dict()["state"]
    assert again.keys() == moments.keys()
    assert all(torch.equal(again[key][name], moments[key][name]) for key in again for name in again[key])


def test_old_ones_are_removed_and_half_written_ones_are_none(model: Sa2va, tmp_path: Path) -> None:
    config = replace(CONFIG, out=str(tmp_path), keep_checkpoints=2)
    adam, schedule = after_steps(model, 1)
    (tmp_path / "checkpoints" / ".step_00000009").mkdir(parents=True)
    assert state.latest(tmp_path) is None
    for step in (1, 2, 10, 10):
        state.save(config, step, model, adam, schedule, DATA)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step_*"))
    assert kept == ["step_00000002", "step_00000010"]
    last = state.latest(tmp_path)
    assert last is not None
    assert state.step_of(last) == 10


def test_other_settings_are_named(model: Sa2va, tmp_path: Path) -> None:
    config = replace(CONFIG, out=str(tmp_path))
    written = state.save(config, 1, model, *after_steps(model, 1), DATA)
    state.check_settings(replace(config, loader_workers=7, store="elsewhere", log_every=3), written)
    with pytest.raises(
        ValueError, match=r"with other settings: optim was \{'lr': 4e-05.*is \{'lr': 0.1.*; seed was 0, is 3"
    ):
        state.check_settings(replace(config, seed=3, optim=OptimConfig(lr=0.1)), written)


@pytest.mark.parametrize("name", ["model.pt", "optimiser.pt"])
def test_what_is_wrong_with_a_checkpoint(model: Sa2va, tmp_path: Path, name: str) -> None:
    adam, schedule = after_steps(model, 1)
    written = state.save(replace(CONFIG, out=str(tmp_path)), 1, model, adam, schedule, DATA)
    whole = (written / name).read_bytes()
    (written / name).write_bytes(whole[: len(whole) // 2])
    told = rf"{re.escape(str(written / name))} cannot be read: .*Remove {re.escape(str(written))} to go on"
    with pytest.raises(ValueError, match=told):
        state.load(written, model, adam, schedule)
    (written / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        state.load(written, model, adam, schedule)


def test_a_checkpoint_of_another_model(model: Sa2va, tmp_path: Path) -> None:
    adam, schedule = after_steps(model, 1)
    written = state.save(replace(CONFIG, out=str(tmp_path)), 1, model, adam, schedule, DATA)
    weights = torch.load(written / "model.pt")
    gone = next(iter(weights))
    torch.save({name: tensor for name, tensor in weights.items() if name != gone}, written / "model.pt")
    with pytest.raises(ValueError, match=re.escape(gone)):
        state.load(written, model, adam, schedule)
    assert json.loads((written / "settings.json").read_text())["model"]["base"] == "mllm"
