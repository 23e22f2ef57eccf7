import json
import re
import shutil
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
    with pytest.raises(ValueError, match=r"with other settings: optim\.lr was 4e-05, is 0\.1; seed was 0, is 3\. Give"):
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


def test_where_the_data_lies_is_no_setting(model: Sa2va, tmp_path: Path) -> None:
    """What they come to is compared by `DataIdentity`, which can be accepted."""
    config = replace(CONFIG, out=str(tmp_path))
    written = state.save(config, 1, model, *after_steps(model, 1), DATA)
    moved = replace(config, source=("other", "run"), sav_root="/moved", split="later", on_bad="skip")
    state.check_settings(moved, written)


def test_the_base_and_sam_2_are_compared_by_what_is_in_them(model: Sa2va, tmp_path: Path) -> None:
    base, sam2 = tmp_path / "base", tmp_path / "sam2.pt"
    base.mkdir()
    (base / "config.json").write_text("{}")
    sam2.write_bytes(b"weights")

    def config(base: Path, sam2: Path) -> TrainConfig:
        model = replace(CONFIG.model, base=str(base), sam2=replace(CONFIG.model.sam2, checkpoint=str(sam2)))
        return replace(CONFIG, out=str(tmp_path / "out"), model=model)

    written = state.save(config(base, sam2), 1, model, *after_steps(model, 1), DATA)
    copied = shutil.copytree(base, tmp_path / "copied"), Path(shutil.copy(sam2, tmp_path / "copied.pt"))
    (copied[0] / "README.md").write_text("not read")
    state.check_settings(config(*copied), written)
    (copied[0] / "config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"settings: the files of model\.base are others than those of .*base' were"):
        state.check_settings(config(*copied), written)
    sam2.write_bytes(b"other!!")
    with pytest.raises(ValueError, match=r"settings: the files of model\.sam2\.checkpoint are others"):
        state.check_settings(config(base, sam2), written)
    settings = json.loads((written / "settings.json").read_text())
    (written / "settings.json").write_text(json.dumps({k: v for k, v in settings.items() if k != "content"}))
    state.check_settings(config(base, sam2), written)
    with pytest.raises(ValueError, match=r"model\.base was '.*base', is '.*copied'"):
        state.check_settings(config(copied[0], sam2), written)


@pytest.mark.parametrize("content", ["[]", '{"seed": 0, "mod', "3", "null", '{"content": 3}'])
def test_settings_of_another_shape_are_one_sentence(model: Sa2va, tmp_path: Path, content: str) -> None:
    config = replace(CONFIG, out=str(tmp_path))
    written = state.save(config, 1, model, *after_steps(model, 1), DATA)
    (written / "settings.json").write_text(content)
    with pytest.raises(ValueError, match=r"settings\.json cannot be read: .* to go on from the checkpoint before it"):
        state.check_settings(config, written)


@pytest.mark.parametrize("content", [[], {}, {"adam": {}, "schedule": {}}, {"adam": {"param_groups": 3, "state": {}}}])
def test_an_optimiser_of_another_shape_is_one_sentence(model: Sa2va, tmp_path: Path, content: object) -> None:
    adam, schedule = after_steps(model, 1)
    written = state.save(replace(CONFIG, out=str(tmp_path)), 1, model, adam, schedule, DATA)
    torch.save(content, written / "optimiser.pt")
    with pytest.raises(ValueError, match=r"optimiser\.pt must hold .* Remove .* to go on from the checkpoint"):
        state.load(written, model, adam, schedule)
    torch.save([], written / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt must hold a dict, got list\. Remove"):
        state.load(written, model, adam, schedule)
