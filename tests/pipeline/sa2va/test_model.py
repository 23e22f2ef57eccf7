"""A training step's forward, ours and official."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from pipeline.sa2va.build import build
from pipeline.sa2va.example import Batch
from pipeline.sa2va.lora import parameters
from pipeline.sa2va.losses import StepLosses
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.models import config, tiny_batch, tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES, weight_of


@pytest.fixture(scope="module")
def shared() -> Sa2va:
    """Without dropout; a test that changes anything of it must undo that."""
    return tiny_model(config(lora_dropout=0.0))


@pytest.fixture
def model(shared: Sa2va) -> Iterator[Sa2va]:
    shared.train()
    yield shared
    shared.official, shared.seg_before_norm = False, shared.family.released_before_norm
    shared.zero_grad()


def losses(model: Sa2va, batch: Batch, seed: int = 0) -> StepLosses:
    torch.manual_seed(seed)
    step: StepLosses = model(batch)
    return step


def gradients(model: Sa2va, batch: Batch) -> dict[str, torch.Tensor]:
    losses(model, batch).total.backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_every_trained_parameter_gets_a_gradient_and_no_other(family: str) -> None:
    model = tiny_model(config(family)).train()
    batch = tiny_batch(model)
    step = losses(model, batch)
    step.total.backward()
    with_gradient = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient.keys() == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    unmoved = [name for name, gradient in with_gradient.items() if not gradient.any()]
    # keys' biases cancel in a softmax; a hypernetwork waits for its mask to be chosen
    assert all("k_proj.bias" in name or "hypernetworks" in name for name in unmoved)
    assert [logits.shape for logits in step.logits_B] == [(2, 2, 32, 32), (1, 2, 32, 32)]
    assert not any(logits.requires_grad for logits in step.logits_B)


@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_are_looked_at_without_a_graph(family: str) -> None:
    """A frozen encoder keeps nothing for a backward pass that never comes; transformers' checkpointing asks for one."""
    model = tiny_model(config(family, gradient_checkpointing=True)).train()
    graphs: dict[str, list[bool]] = {"vision": [], "sam2": []}

    def watch(name: str) -> Callable[..., None]:
        def see(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            graphs[name].append(output.requires_grad)

        return see

    encoders = {"vision": model.family.vision(model.mllm), "sam2": model.sam2.image_encoder}
    for name, encoder in encoders.items():
        for module in encoder.modules():
            if isinstance(module, nn.Linear):
                module.register_forward_hook(watch(name))
    losses(model, tiny_batch(model))
    assert all(len(seen) > 10 and not any(seen) for seen in graphs.values())


def test_what_looks_at_pictures_stays_in_eval_mode(model: Sa2va) -> None:
    assert model.training
    assert model.family.language_model(model.mllm).training
    assert not any(module.training for module in model.sam2.modules())
    assert not any(module.training for module in model.family.vision(model.mllm).modules())


def test_a_language_token_comes_from_the_state_at_its_seg(model: Sa2va) -> None:
    """The position whose input is [SEG], not the one that predicts it."""
    batch = tiny_batch(model)
    hidden_BLh = torch.randn(*batch.input_ids_BL.shape, 64)
    found = model.seg_embeddings(hidden_BLh, batch.input_ids_BL)
    assert [len(each) for each in found] == [2, 1]
    places = [(ids == model.seg_id).nonzero()[:, 0] for ids in batch.input_ids_BL]
    for own_nD, row_Lh, place_n in zip(found, hidden_BLh, places, strict=True):
        torch.testing.assert_close(own_nD, model.text_hidden_fcs(row_Lh[place_n]))


def test_masks_are_made_from_the_state_that_is_asked_for(model: Sa2va) -> None:
    """Before or after the final norm, and the answer's loss from the one after it in both cases."""
    batch = tiny_batch(model)
    states = model.family.states(model.mllm, batch.input_ids_BL, batch.attention_BL, batch.mllm)
    model.seg_before_norm = False
    after = losses(model, batch)
    model.seg_before_norm = True
    before = losses(model, batch)
    assert torch.equal(before.llm, after.llm)
    assert not torch.allclose(before.logits_B[0], after.logits_B[0], rtol=0.01)
    assert model.seg_states(states) is states.before_norm_BLh
    weight = weight_of(model.family.language_model(model.mllm).get_submodule("norm"))
    scale = weight.detach().clone()
    weight.data.mul_(3)  # moves only what comes after it
    moved = losses(model, batch)
    model.seg_before_norm = False
    moved_after = losses(model, batch)
    weight.data.copy_(scale)
    assert torch.equal(moved.logits_B[0], before.logits_B[0])
    assert moved.llm != before.llm
    assert not torch.allclose(moved_after.logits_B[0], after.logits_B[0], rtol=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_model_learns_from_the_state_that_released_checkpoints_use(family: str) -> None:
    assert build(config(family)).seg_before_norm is (family == "qwen3_vl")


def test_videos_of_a_batch_do_not_see_each_other(model: Sa2va) -> None:
    both, one = tiny_batch(model, (2, 1)), tiny_batch(model, (2,))
    together, alone = losses(model, both), losses(model, one)
    torch.testing.assert_close(together.logits_B[0], alone.logits_B[0], atol=1e-5, rtol=1e-4)


def test_with_five_objects_ours_is_the_official_step(model: Sa2va) -> None:
    """The same losses and gradients of the same random draws: what ours leaves out changes nothing."""
    batch = tiny_batch(model, (5, 5), frames=1)
    ours, ours_gradients = losses(model, batch), gradients(model, batch)
    model.official = True
    official, official_gradients = losses(model, batch), gradients(model, batch)
    for name in ("llm", "mask", "dice"):
        torch.testing.assert_close(getattr(ours, name), getattr(official, name), rtol=1e-5, atol=1e-7)
    assert ours_gradients.keys() == official_gradients.keys()
    for name, gradient in ours_gradients.items():
        torch.testing.assert_close(gradient, official_gradients[name], rtol=1e-3, atol=1e-6)


def test_the_official_step_decodes_objects_again(model: Sa2va) -> None:
    batch = tiny_batch(model, (2,))
    ours = losses(model, batch)
    model.official = True
    official = losses(model, batch)
    torch.testing.assert_close(ours.logits_B[0], official.logits_B[0], atol=1e-5, rtol=1e-4)
    assert ours.mask != official.mask
    cut = replace(batch, masks_B=(batch.masks_B[0][:1],))
    assert losses(model, cut).logits_B[0].shape == (1, 2, 32, 32)


def test_a_mask_without_its_seg_is_an_error(model: Sa2va) -> None:
    batch = tiny_batch(model, (2,))
    with pytest.raises(ValueError, match=r"2 \[SEG\] and 1 masks of video sav_000000"):
        model(replace(batch, masks_B=(batch.masks_B[0][:1],)))


@pytest.mark.parametrize("official", [False, True])
def test_without_masks_and_answers_all_is_zero_and_has_a_gradient(model: Sa2va, official: bool) -> None:
    model.official = official
    seen: list[int] = []
    hook = model.sam2.image_encoder.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    step = losses(model, tiny_batch(model, (0,)))
    hook.remove()
    step.total.backward()
    assert [part.item() for part in (step.llm, step.mask, step.dice)] == [0, 0, 0]
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in parameters(model))
    assert seen == ([1] if official else [])


def test_checkpointing_computes_twice_and_changes_no_gradient() -> None:
    plain = tiny_model(config(lora_dropout=0.0)).train()
    saving = tiny_model(config(lora_dropout=0.0, gradient_checkpointing=True)).train()
    batch = tiny_batch(plain)
    calls: list[int] = []
    first = saving.family.language_model(saving.mllm).get_submodule("layers.0.self_attn")
    first.register_forward_hook(lambda *_: calls.append(1))
    expected, found = gradients(plain, batch), gradients(saving, batch)
    assert len(calls) == 2  # forward, and again in the backward pass
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient)


def test_bfloat16_trains_float32_parameters() -> None:
    """As on a GPU: frozen weights in bfloat16, the forward pass under autocast."""
    plain, small = tiny_model(config(lora_dropout=0.0)), tiny_model(config(lora_dropout=0.0), dtype=torch.bfloat16)
    batch = tiny_batch(plain)
    expected = losses(plain, batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = losses(small, batch)
    found.total.backward()
    assert {None if each.grad is None else each.grad.dtype for each in parameters(small)} == {torch.float32}
    for name in ("llm", "mask", "dice"):
        assert getattr(found, name).dtype == torch.float32
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=0.05, atol=0.01)


def test_workers_of_a_group_never_wait_for_a_gradient(model: Sa2va, tmp_path: Path) -> None:
    """DistributedDataParallel refuses a second step where one of the first left a parameter without its gradient."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        wrapped = DistributedDataParallel(model)
        for objects in ((2, 1), (0,), (1,)):
            wrapped(tiny_batch(model, objects)).total.backward()
    finally:
        distributed.destroy_process_group()
