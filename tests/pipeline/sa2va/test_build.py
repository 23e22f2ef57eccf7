"""A model from its parts, and plain weights out of a trained one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.write import save_sa2va
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.lora import merged, parameters, prepare
from tests.pipeline.sa2va.models import base, config, tiny_batch, tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES, TINY_SAM2


def test_all_that_is_new_comes_from_the_seed() -> None:
    torch.manual_seed(1)
    random = torch.get_rng_state()
    first, again, other = build(config()), build(config()), build(config(), seed=1)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    drawn = {name for name, value in first.named_parameters() if value.numel() > 1 and value.std() > 0}
    same = {name for name in drawn if torch.equal(first.get_parameter(name), other.get_parameter(name))}
    assert same == {name for name in drawn if name.startswith("mllm.")}  # [SEG] takes a row that was there unused


def test_the_original_decoder_is_sam2s_and_stays() -> None:
    model = build(config())
    prepare(model, model.config)
    original = model.original_decoder
    assert original is not None
    pairs = list(zip(original.parameters(), model.sam2.sam_mask_decoder.parameters(), strict=True))
    assert all(torch.equal(a, b) and a is not b and not a.requires_grad for a, b in pairs)


def test_the_decoder_starts_from_sam2s_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(5)
    saved = build_sam2(TINY_SAM2).state_dict()
    torch.save({"model": saved}, tmp_path / "sam2.pt")
    model = build(replace(config(), sam2=replace(TINY_SAM2, checkpoint=str(tmp_path / "sam2.pt"))))
    assert all(torch.equal(value, saved[name]) for name, value in model.sam2.state_dict().items())


@pytest.mark.parametrize(
    ("family", "rows", "tied"),
    [
        *((family, "new_rows", False) for family in FAMILIES),
        ("qwen3_vl", "new_rows", True),
        ("qwen3_vl", "full", True),
        ("internvl", "full", False),
    ],
)
def test_merged_weights_are_a_plain_model_that_thinks_the_same(family: str, rows: str, tied: bool) -> None:
    model = tiny_model(config(family, tied=tied, train_embeddings=rows)).eval()
    with torch.no_grad():
        for parameter in parameters(model):
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = merged(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    plain = AutoModelForImageTextToText.from_config(model.mllm.config).eval()
    assert state.keys() == plain.state_dict().keys()
    plain.load_state_dict(state)
    batch = tiny_batch(model)
    inputs = batch.input_ids_BL, batch.attention_BL, batch.mllm
    with torch.no_grad():
        expected, found = model.family.hidden_BLh(model.mllm, *inputs), model.family.hidden_BLh(plain, *inputs)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
        logits = model.family.lm_head(model.mllm)(expected)
        torch.testing.assert_close(plain.lm_head(expected), logits, atol=1e-5, rtol=1e-4)
        untrained = model.family.hidden_BLh(build(model.config).mllm, *inputs)
    assert (untrained - expected)[batch.attention_BL].abs().max() > 0.01


def test_merged_weights_of_a_bfloat16_model_are_rounded_once() -> None:
    model = tiny_model(dtype=torch.bfloat16)
    layer = model.mllm.get_submodule("model.language_model.layers.0.mlp.up_proj")
    names = ("base_layer.weight", "lora_B.default.weight", "lora_A.default.weight")
    weight, up, down = (layer.get_parameter(name) for name in names)
    exact = weight.float() + 2 * up @ down  # alpha / rank
    found = merged(model)["model.language_model.layers.0.mlp.up_proj.weight"]
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.to(torch.bfloat16))


def test_a_model_that_has_no_adapters_is_merged_already() -> None:
    model = build(config())
    state = merged(model)
    assert all(state[name] is not None and torch.equal(state[name], v) for name, v in model.mllm.state_dict().items())


def test_a_sa2va_checkpoint_is_trained_on(tmp_path: Path) -> None:
    model = tiny_model().eval()
    save_sa2va(model, tmp_path / "saved")
    settings = ModelConfig(base=str(tmp_path / "saved"), lora_rank=2, lora_alpha=4)
    again = build(settings)
    assert again.config == settings
    prepare(again, settings)
    batch = tiny_batch(model)
    with torch.no_grad():
        torch.manual_seed(0)
        expected = model(batch)
        torch.manual_seed(0)
        found = again.eval()(batch)
    # stored in bfloat16
    torch.testing.assert_close(found.mask, expected.mask, rtol=0.05, atol=0)
    torch.testing.assert_close(found.llm, expected.llm, rtol=0.05, atol=0)


def test_a_base_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"config.json"):
        build(replace(config(), base=str(tmp_path)))
    assert base().is_dir()
