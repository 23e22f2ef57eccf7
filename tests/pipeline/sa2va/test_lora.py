"""What of a model is trained, kept and put back."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn

from pipeline.sa2va.config import InferConfig, official_infer
from pipeline.sa2va.infer.segment import Segmenter
from pipeline.sa2va.lora import UNTRAINED, load_trainable_state, parameters, parts, prepare, summary, trainable_state
from tests.pipeline.sa2va.models import config, tiny_batch, tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES, tiny_pixels, weight_of


@pytest.mark.parametrize("family", FAMILIES)
def test_lora_is_on_every_linear_layer_of_the_language_model_and_nowhere_else(family: str) -> None:
    model = tiny_model(config(family))
    plain = type(model.mllm)(model.mllm.config)
    inside = {id(module) for module in model.family.language_model(plain).modules()}
    linear = {name for name, m in plain.named_modules() if isinstance(m, nn.Linear) and id(m) in inside}
    assert len(linear) == 2 * 7  # layers; q, k, v, o, gate, up, down
    assert {name for name, module in model.mllm.named_modules() if isinstance(module, LoraLayer)} == linear


@pytest.mark.parametrize(
    ("family", "rows", "tied"),
    [
        *(("qwen3_vl", rows, tied) for rows in ("new_rows", "full") for tied in (True, False)),
        ("qwen2_5_vl", "new_rows", False),
        ("internvl", "new_rows", False),
    ],
)
def test_what_is_trained_beside_lora(family: str, rows: str, tied: bool) -> None:
    model = tiny_model(config(family, tied=tied, train_embeddings=rows))
    trained = {name for name, p in model.named_parameters() if p.requires_grad and "lora_" not in name}
    heads = {name for name, _ in model.text_hidden_fcs.named_parameters(prefix="text_hidden_fcs")}
    decoder = "grounding_encoder.sam2_model.sam_mask_decoder."
    heads |= {
        decoder + name for name, _ in model.sam2.sam_mask_decoder.named_parameters() if not name.startswith(UNTRAINED)
    }
    if family == "internvl":
        heads |= {f"mllm.{n}" for n, p in model.mllm.named_parameters() if n.startswith("model.multi_modal_projector.")}
    end = "token_adapter.trainable_tokens_delta.default" if rows == "new_rows" else "weight"
    heads.add(f"mllm.model.language_model.embed_tokens.{end}")
    if rows == "full" or not tied:
        heads.add(f"mllm.lm_head.{end}")
    assert trained == heads
    if rows == "new_rows":
        delta = model.get_parameter(f"mllm.model.language_model.embed_tokens.{end}")
        assert delta.shape == (5, 64)


def test_full_training_unties_the_matrices() -> None:
    model = tiny_model(config(tied=True, train_embeddings="full"))
    embeddings, lm_head = (
        weight_of(find(model.mllm)) for find in (model.family.input_embeddings, model.family.lm_head)
    )
    assert torch.equal(embeddings, lm_head)
    assert embeddings.data_ptr() != lm_head.data_ptr()
    assert not model.mllm.config.tie_word_embeddings


def test_new_rows_are_those_of_the_new_tokens() -> None:
    """A changed row changes what [SEG] means as input and as output, in a tied model; no other token."""
    model = tiny_model(config(tied=True, lora_dropout=0.0))
    ids = torch.arange(model.seg_id - 3, model.seg_id + 5)
    embeddings, lm_head = model.family.input_embeddings(model.mllm), model.family.lm_head(model.mllm)
    hidden = torch.randn(1, 64)
    before = embeddings(ids), lm_head(hidden)[0, ids]
    with torch.no_grad():
        model.get_parameter("mllm.model.language_model.embed_tokens.token_adapter.trainable_tokens_delta.default").add_(
            1.0
        )
    after = embeddings(ids), lm_head(hidden)[0, ids]
    assert torch.equal(before[0][:3], after[0][:3])
    assert torch.equal(before[1][:3], after[1][:3])
    assert (before[0][3:] != after[0][3:]).all()
    assert (before[1][3:] != after[1][3:]).all()


def test_a_step_changes_the_trained_parameters_and_no_other() -> None:
    model = tiny_model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(0)
    model(tiny_batch(model)).total.backward()
    torch.optim.AdamW(parameters(model), lr=1e-2, weight_decay=0.05).step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    tied = {"mllm.lm_head.token_adapter.trainable_tokens_delta.default"}  # the embedding's, under a second name
    assert changed == trained | tied


@pytest.mark.parametrize("rows", ["new_rows", "full"])
def test_trained_parameters_are_float32_frozen_ones_stay(rows: str) -> None:
    model = tiny_model(config("internvl", train_embeddings=rows), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in parameters(model)} == {torch.float32}
    frozen = {p.dtype for p in model.mllm.parameters() if not p.requires_grad}
    assert frozen == {torch.bfloat16}
    assert model.family.input_embeddings(model.mllm)(torch.tensor([1])).dtype == torch.bfloat16


def test_the_trained_state_comes_back() -> None:
    """What another model of the same base needs to be the same; in the same objects, which an optimiser holds."""
    model, other = tiny_model(config(lora_dropout=0.0)), tiny_model(config(lora_dropout=0.0))
    with torch.no_grad():
        for parameter in parameters(model):
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    state, objects = trainable_state(model), [id(parameter) for parameter in parameters(other)]
    batch = tiny_batch(model)
    with torch.no_grad():
        torch.manual_seed(0)
        expected = model(batch)
        load_trainable_state(other, state)
        torch.manual_seed(0)
        found = other(batch)
    assert torch.equal(expected.total, found.total)
    assert [id(parameter) for parameter in parameters(other)] == objects
    parameters(model)[0].data.fill_(7)
    assert not any((value == 7).all() for value in state.values() if value.numel() > 1)


def test_a_state_of_another_model_is_told_whole() -> None:
    model = tiny_model()
    before, state = trainable_state(model), trainable_state(tiny_model(config(lora_rank=2)))
    del state["text_hidden_fcs.0.bias"]
    with pytest.raises(
        ValueError, match=r"missing: text_hidden_fcs.0.bias; unexpected: stray; of another shape: .*q_proj"
    ):
        load_trainable_state(model, state | {"stray": torch.zeros(1)})
    assert all(torch.equal(value, before[name]) for name, value in trainable_state(model).items())


def test_a_model_is_prepared_once() -> None:
    model = tiny_model()
    with pytest.raises(ValueError, match="only once"):
        prepare(model, model.config)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_are_all_parameters_once(family: str) -> None:
    model = tiny_model(config(family))
    found = [id(parameter) for part in parts(model) for parameter in part.parameters]
    assert len(found) == len(set(found))
    assert set(found) == {id(parameter) for parameter in model.parameters()}
    count = {part.name: part.count() for part in parts(model)}
    assert count["SAM 2's own mask decoder"] == count["mask decoder"]
    table = summary(model)
    trained = sum(parameter.numel() for parameter in parameters(model))
    assert table.splitlines()[-1].split() == [
        "all",
        f"{sum(count.values()) / 1e6:,.2f}",
        f"{trained / 1e6:,.2f}",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_models_run_lora_under_autocast_only(family: str) -> None:
    """Adapters are float32 and do not cast what they are given: in training, drawing, evaluation and inference."""
    model = tiny_model(config(family), dtype=torch.bfloat16)
    model.original_decoder = copy.deepcopy(model.sam2.sam_mask_decoder)
    seen: set[tuple[str, bool]] = set()
    for layer in model.mllm.modules():
        if isinstance(layer, LoraLayer):
            layer.register_forward_pre_hook(
                lambda _, given: seen.add((str(given[0].dtype), torch.is_autocast_enabled("cpu")))
            )
    batch = tiny_batch(model)
    for training in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            loss = model.train(training)(batch).total
        loss.backward()
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 36, 64, 3), np.uint8))
    for settings in (InferConfig(), official_infer(InferConfig())):
        Segmenter(model, replace(settings, pixels=tiny_pixels(), max_new_tokens=2)).segment(frames, ["red"])
    assert seen == {("torch.bfloat16", True)}
