"""Wrong and damaged checkpoints: each says what is wrong, where, and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.read import ORIGINAL_FILE, is_sa2va, load_sa2va
from pipeline.sa2va.checkpoint.write import save_sa2va
from tests.pipeline.sa2va.checkpoint.conftest import Saved, Trained
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm

WEIGHTS = "model.safetensors"
IOU = names.DECODER + "iou_token.weight"


def change_json(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def change_weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def be_a_pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 8000000000\n")


def forget_seg(folder: Path) -> None:
    for path in (*folder.glob("tokenizer*.json"), folder / "added_tokens.json"):
        path.write_text(path.read_text().replace("[SEG]", "[SAG]"))


def lose_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def with_config(**fields: object) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / "config.json", **fields)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no config": ("qwen3_vl", lambda folder: (folder / "config.json").unlink(), "has no config.json"),
    "cut config": ("qwen3_vl", lambda folder: cut(folder / "config.json"), "must be JSON.*again"),
    "no object": ("qwen3_vl", lambda folder: (folder / "config.json").write_text("[]"), "object, got list"),
    "no model_type": ("qwen3_vl", with_config(model_type=None), "model_type 'sa2va_chat', got None"),
    "other vision": (
        "qwen3_vl",
        with_config(vision_config={"model_type": "clip"}),
        "got vision_config.model_type 'clip'",
    ),
    "template": ("qwen3_vl", with_config(template="phi3_chat"), "got 'phi3_chat'"),
    "InternLM2": (
        "internvl",
        with_config(llm_config={"architectures": ["InternLM2ForCausalLM"]}),
        r"\['Qwen2ForCausalLM', 'Qwen3ForCausalLM'\], got 'InternLM2ForCausalLM'",
    ),
    "shuffle": ("internvl", with_config(ps_version="v1"), "ps_version must be 'v2', got 'v1'"),
    "no [SEG]": (
        "qwen3_vl",
        forget_seg,
        r"has the token \[SEG\].*take the tokenizer",
    ),
    "vision is a list": ("qwen3_vl", with_config(vision_config=[1]), "is not that of a supported Sa2VA"),
    "text is a list": ("qwen3_vl", with_config(text_config=[1]), "describes no model that can be built"),
    "tokenizer of another shape": (
        "qwen3_vl",
        lambda folder: (folder / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": 3}}'),
        "the tokenizer of .* cannot be read",
    ),
    "no tokenizer": ("qwen3_vl", lose_tokenizer, "the tokenizer of .* cannot be read"),
    "cut weights": (
        "qwen3_vl",
        lambda folder: cut(folder / WEIGHTS),
        r"model\.safetensors \([\d,]+ bytes\) is damaged or cut.*again",
    ),
    "pointer": ("qwen3_vl", lambda folder: be_a_pointer(folder / WEIGHTS), "git lfs pull"),
    "no weights": ("qwen3_vl", lambda folder: (folder / WEIGHTS).unlink(), r"model\.safetensors are missing"),
    "pickled weights": (
        "qwen3_vl",
        lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"),
        "only safetensors are read",
    ),
    "cut original decoder": (
        "qwen3_vl",
        lambda folder: cut(folder / ORIGINAL_FILE),
        f"{ORIGINAL_FILE}.*damaged or cut",
    ),
    "wrong original decoder": (
        "qwen3_vl",
        lambda folder: save_file({"x": torch.zeros(1)}, folder / ORIGINAL_FILE),
        "(?s)must hold the mask decoder.*iou_token",
    ),
    "settings": (
        "qwen3_vl",
        lambda folder: change_json(folder / "refsav.json", pixels={"min": 3}),
        r"refsav\.json.*TypeError",
    ),
    "image processor": (
        "qwen3_vl",
        lambda folder: (folder / "preprocessor_config.json").write_text("{}"),
        "preprocessor_config.json'? cannot",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_told(damage: str, saved: Saved, tmp_path: Path) -> None:
    family, harm, message = DAMAGES[damage]
    folder = shutil.copytree(saved(family), tmp_path / "model")
    harm(folder)
    with pytest.raises(ValueError, match=message) as told:
        load_sa2va(folder)
    assert str(folder) in str(told.value)


def test_every_wrong_weight_is_named_at_once(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("internvl"), tmp_path / "model")
    qkv = "vision_model.encoder.layers.0.attn.qkv.weight"

    def harm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        weights[qkv] = weights[qkv][:-3].clone()
        weights |= {f"vision_model.extra.{index:02d}": torch.zeros(1) for index in range(25)}
        del (
            weights["language_model.lm_head.weight"],
            weights["vision_model.encoder.layers.1.attn.qkv.weight"],
            weights[IOU],
        )
        return weights

    change_weights(folder, harm)
    with pytest.raises(ValueError, match="3 missing") as told:
        load_sa2va(folder)
    text = str(told.value)
    missing = f"3 missing: {IOU}, language_model.lm_head.weight, vision_model.encoder.layers.1.attn.qkv.weight;"
    assert missing in text
    assert "25 unexpected: vision_model.extra.00, " in text
    assert "vision_model.extra.19 …;" in text
    assert f"1 of another shape: {qkv} (93, 32), not (96, 32)." in text


def test_weights_of_another_family_are_recognised(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("qwen3_vl"), tmp_path / "model")
    shutil.copy(saved("internvl") / WEIGHTS, folder)
    with pytest.raises(ValueError, match="like those of a Sa2VA with internvl inside"):
        load_sa2va(folder)


def test_another_sam_2_than_the_one_inside_is_recognised(saved: Saved, tmp_path: Path) -> None:
    """Without refsav.json the release's Hiera-L is meant."""
    folder = shutil.copytree(saved("qwen3_vl"), tmp_path / "model")
    (folder / "refsav.json").unlink()
    with pytest.raises(ValueError, match=r"of another shape: .*SAM 2 another one than Sam2Config or refsav\.json says"):
        load_sa2va(folder)
    assert load_sa2va(folder, sam2=TINY_SAM2).sam_side_px == 128


def test_a_file_of_several_that_is_gone_is_named(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_sa2va(trained("qwen3_vl"), folder, max_shard_bytes=1_000_000)
    second = next(folder.glob("model-00002-of-*.safetensors"))
    whole = second.read_bytes()
    second.unlink()
    with pytest.raises(ValueError, match=rf"{second.name} are missing: download"):
        load_sa2va(folder)
    second.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"{second.name} .* is damaged or cut"):
        load_sa2va(folder)
    save_file({"x": torch.zeros(1)}, second)
    with pytest.raises(ValueError, match=r"promises \d+ weights that its files lack"):
        load_sa2va(folder)
    second.write_bytes(whole)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(ValueError, match=r"but no model\.safetensors\.index\.json"):
        load_sa2va(folder)


def test_a_plain_mllm_is_no_sa2va(saved: Saved, tmp_path: Path) -> None:
    base = make_tiny_mllm(tmp_path / "base")
    assert not is_sa2va(base)
    assert not is_sa2va(tmp_path)
    assert is_sa2va(saved("qwen3_vl"))
    with pytest.raises(ValueError, match="got 'qwen3_vl'; a plain MLLM is what training starts from"):
        load_sa2va(base)
