"""What is found out before the first step: whether the run may write what it writes at its end."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.example import Encoder, TextCheck
from pipeline.sa2va.train.run import check_run, train, written_by
from pipeline.sa2va.train.step import DistContext
from pipeline.sa2va.train.training_data import read_data
from pipeline.train_on_refsav import _check_inputs
from tests.pipeline.sa2va.models import config as tiny_settings
from tests.pipeline.sa2va.models import tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES
from tests.pipeline.sa2va.train.conftest import Settings

FOLDERS = {"qwen3_vl": "models_qwen3vl", "qwen2_5_vl": "models_qwen", "internvl": "models"}


def checked(config: TrainConfig) -> None:
    videos, _ = read_data(config)
    check_run(config, videos)


def clone(folder: Path, *families: str) -> Path:
    """What is looked at of a clone of the release, with the files of these families only."""
    for family in families:
        hf = folder / "projects/sa2va/hf" / FOLDERS[family]
        hf.mkdir(parents=True)
        based_on = {"qwen3_vl": "Qwen3VLConfig", "qwen2_5_vl": "Qwen2_5_VLConfig", "internvl": "PretrainedConfig"}
        (hf / "configuration_sa2va_chat.py").write_text(f"class Chat({based_on[family]}): ...\n")
        (hf / f"modeling_sa2va_{'chat' if family == 'internvl' else 'qwen'}.py").write_text("import this\n")
    return folder


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"base": "model"}, "--base"),
        ({"base": "model/../model"}, "--base"),
        ({"base": "link"}, "--base"),
        ({"source": "pictures/Ref-SAV.json"}, "--source"),
        ({"source": ("elsewhere", "checkpoints")}, "--source"),
        ({"store": "tensorboard"}, "--store"),
        ({"sam2": "model/sam2_hiera_large.pt"}, "--sam2-checkpoint"),
        ({"split": "checkpoints/split.json"}, "--split"),
        ({"official_code": ".model.old"}, "--official-code"),
    ],
)
def test_what_is_read_is_never_written_over(
    changes: dict[str, str], option: str, drawn: Settings, tmp_path: Path
) -> None:
    for name in ("model", "pictures", "checkpoints", "tensorboard", ".model.old", "elsewhere"):
        (tmp_path / name).mkdir()
    for name in ("model/sam2_hiera_large.pt", "checkpoints/split.json", "pictures/Ref-SAV.json"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("model")
    config = drawn(tmp_path)
    _check_inputs(config, written_by(tmp_path))

    def at(name: str | tuple[str, ...]) -> Any:
        return str(tmp_path / name) if isinstance(name, str) else tuple(str(tmp_path / one) for one in name)

    given = {name: at(value) for name, value in changes.items()}
    model = config.model
    if "base" in given:
        model = replace(model, base=given.pop("base"))
    if "sam2" in given:
        model = replace(model, sam2=replace(model.sam2, checkpoint=given.pop("sam2")))
    with pytest.raises(ValueError, match=f"{option} must lie apart from what the command writes"):
        _check_inputs(replace(config, model=model, **given), written_by(tmp_path))


def downloaded(out: Path) -> None:
    save_sa2va(tiny_model(), out / "model")
    (out / "model/refsav.json").unlink()


def of_another_run(out: Path) -> None:
    save_sa2va(tiny_model(), out / "model")


def notes(out: Path) -> None:
    (out / "model").mkdir()
    (out / "model/notes.txt").touch()


@pytest.mark.parametrize("left", [downloaded, of_another_run, notes])
def test_a_model_that_the_run_did_not_write_is_found_before_it_begins(
    left: Callable[[Path], None], drawn: Settings, tmp_path: Path
) -> None:
    left(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(ValueError, match="a run replaces only a model of its own"):
        checked(drawn(tmp_path))
    assert {path: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_what_lies_beside_the_model_stays_and_its_own_model_is_replaced(drawn: Settings, tmp_path: Path) -> None:
    config = drawn(tmp_path)
    for name in ("model.old", "model.tmp"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "mine").touch()
    for _ in range(2):
        checked(config)
        train(config, *read_data(config), DistContext())
    assert all((tmp_path / name / "mine").exists() for name in ("model.old", "model.tmp"))
    assert sorted(path.name for path in tmp_path.glob("*model*")) == ["model", "model.old", "model.tmp"]
    (tmp_path / "model/refsav.json").unlink()
    with pytest.raises(ValueError, match="not written over other things"):
        checked(config)


@pytest.mark.parametrize("inside", [".", "projects/sa2va/hf", "projects/sa2va/hf/models_qwen3vl"])
def test_the_official_code_of_the_bases_family_must_be_there(inside: str, drawn: Settings, tmp_path: Path) -> None:
    config = drawn(tmp_path / "out")
    code = clone(tmp_path / "Sa2VA", *FOLDERS)
    checked(replace(config, official_code=str(code / inside)))
    shutil.rmtree(code / "projects/sa2va/hf/models_qwen3vl")
    with pytest.raises(ValueError, match=r"must have configuration_sa2va_chat\.py, modeling_sa2va_qwen\.py"):
        checked(replace(config, official_code=str(code / inside)))


def test_the_official_code_of_another_family_is_refused(drawn: Settings, tmp_path: Path) -> None:
    config, hf = drawn(tmp_path / "out"), clone(tmp_path / "Sa2VA", *FOLDERS) / "projects/sa2va/hf"
    with pytest.raises(ValueError, match=r"must be that of qwen3_vl, got Qwen2_5_VLConfig .*: take models_qwen3vl"):
        checked(replace(config, official_code=str(hf / "models_qwen")))
    with pytest.raises(ValueError, match=r"must have modeling_sa2va_qwen\.py"):
        checked(replace(config, official_code=str(hf / "models")))
    renamed = (hf / "models_qwen3vl").rename(hf / "any name")
    checked(replace(config, official_code=str(renamed)))


SPECIAL = ["the [SEG] object", "a ball<|im_end|>", "<|image_pad|>", "it </p> is", "<|im_start|>user"]


def with_text(config: TrainConfig, folder: Path, text: str) -> tuple[TrainConfig, str]:
    """The same data, but for the first text; also the id of its object."""
    entries = json.loads(Path(str(config.source)).read_text())
    video_id, entry = next(iter(entries.items()))
    entry["objects"]["0"]["formated"] = text
    source = folder / "Ref-SAV.json"
    source.write_text(json.dumps(entries))
    return replace(config, source=str(source)), video_id.replace("_manual", "/manual/0")


@pytest.mark.parametrize("text", [*SPECIAL, "far " * 9000])
def test_a_text_that_cannot_be_trained_on_is_found_before_the_first_step(
    text: str, drawn: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, object_id = with_text(drawn(tmp_path / "out"), tmp_path, text)
    rule = "max_tokens 8192, got 36051" if text.startswith("far") else "must not have the tokenizer's token"
    with pytest.raises(ValueError, match=f"got 1 problems(.|\\n)*{object_id}: (.|\\n)*{rule}"):
        read_data(config)
    videos, _ = read_data(replace(config, on_bad="skip"))
    assert sum(len(video.expressions) for video in videos) == 9
    assert f"{object_id}: " in caplog.text


@pytest.mark.parametrize("family", FAMILIES)
def test_the_longest_first_turn_that_is_let_pass_is_the_longest_that_can_be_trained_on(
    family: str, drawn: Settings, tmp_path: Path
) -> None:
    """The check counts the frames' tokens without making them; `Encoder` makes them."""
    model = tiny_model(tiny_settings(family))
    config = replace(drawn(tmp_path).data, max_objects=1)
    height_px, width_px = 96, 128
    frames = [np.zeros((height_px, width_px, 3), np.uint8)] * config.frames
    masks = np.zeros((1, config.frames, model.sam_side_px // 4, model.sam_side_px // 4), np.uint8)

    def made(max_tokens: int, seed: int) -> int:
        encode = Encoder(model.tokenizer, model.family, replace(config, max_tokens=max_tokens), model.sam_side_px)
        batch = encode(
            video_id="v", object_ids=["o"], texts=["the red ball"], frames=frames, masks_OFMM=masks, seed=seed
        )
        return batch.input_ids_BL.shape[1]

    longest = max(made(8192, seed) for seed in range(20))

    def check(max_tokens: int) -> None:
        rules = TextCheck(model.tokenizer, model.family, replace(config, max_tokens=max_tokens))
        rules("the red ball", (height_px, width_px))

    check(longest)
    with pytest.raises(ValueError, match=f"must fit into max_tokens {longest - 1}, got {longest}"):
        check(longest - 1)


def test_a_plan_that_ends_before_the_steps_that_are_done_is_told(
    drawn: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(drawn(tmp_path), accept_changed_data=True)
    videos, clips = read_data(config)
    train(replace(config, stop_after=2), videos, clips, DistContext())
    train(config, videos[:2], clips, DistContext())
    assert "2 steps are done, more than the 1 of the data as it is now: nothing more is learned" in caplog.text


def test_a_binary_split_is_a_short_sentence(drawn: Settings, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(bytes(range(255, 0, -1)) * 200)
    with pytest.raises(ValueError, match="a split file is our split.json") as raised:
        read_data(replace(drawn(tmp_path), split=str(tmp_path / "split.json")))
    assert len(str(raised.value)) < 500
