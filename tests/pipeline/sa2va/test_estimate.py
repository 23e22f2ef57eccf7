"""The estimate against what a tiny model keeps and computes."""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pipeline.sa2va.config import OptimConfig, TrainConfig
from pipeline.sa2va.estimate import Estimate, KeptMemory, decoder_cost, estimate, language_bytes
from pipeline.sa2va.example import Batch
from pipeline.sa2va.grounding import Features, decode_masks
from pipeline.sa2va.lora import parameters
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.models import config, tiny_batch, tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES


def estimated(model: Sa2va, batch: Batch, micro_batch: int = 2) -> Estimate:
    optim = OptimConfig(micro_batch=micro_batch)
    return estimate(model, batch, TrainConfig(source="", sav_root="", out="", model=model.config, optim=optim))


def language(model: Sa2va, batch: Batch) -> tuple[int, int]:
    return language_bytes(model, batch, TrainConfig(source="", sav_root="", out="", model=model.config))


def kept_bytes(model: Sa2va, batch: Batch) -> int:
    kept = KeptMemory(model.parameters())
    with saved_tensors_hooks(kept.add, lambda tensor: tensor):
        model.family.hidden_BLh(model.mllm, batch.input_ids_BL, batch.attention_BL, batch.mllm)
    return kept.nbytes


@pytest.mark.parametrize("family", FAMILIES)
def test_what_the_language_model_keeps(family: str) -> None:
    """Every large piece is in the formula: to a twentieth, but for InternVL's projector, a tenth here."""
    model = tiny_model(config(family)).train()
    batch = tiny_batch(model, (5, 5), frames=4)
    assert 0.9 < language(model, batch)[0] / kept_bytes(model, batch) < 1.05


@pytest.mark.parametrize("dropout", [0.05, 0.0])
def test_what_the_language_model_keeps_in_bfloat16(dropout: float) -> None:
    model = tiny_model(config(lora_dropout=dropout), dtype=torch.bfloat16).train()
    batch = tiny_batch(model, (5, 5), frames=4)
    with torch.autocast("cpu", torch.bfloat16):
        kept = kept_bytes(model, batch)
    assert 0.9 < language(model, batch)[0] / kept < 1.05


def test_checkpointing_keeps_the_layers_inputs_and_one_layer() -> None:
    plain, saving = tiny_model(), tiny_model(config(gradient_checkpointing=True))
    batch = tiny_batch(plain, (5, 5))
    tokens = batch.input_ids_BL.numel()
    everything, nothing = language(plain, batch)
    inputs, a_layer = language(saving, batch)
    assert inputs == 2 * 64 * 4 * tokens  # two layers; 64 numbers each
    assert (a_layer, nothing) == (everything / 2, 0)
    moments = estimated(saving, batch).moments
    again = moments["when a layer is computed again"]["activations of the language model"]
    assert again == inputs + a_layer
    assert moments["at the end of the forward pass"]["activations of the language model"] == inputs
    assert "when a layer is computed again" not in estimated(plain, batch).moments


def test_the_moment_that_needs_most_depends_on_what_is_trained(shared: Sa2va) -> None:
    """Logits of every position make it the language model's loss."""
    batch = tiny_batch(shared)
    ours = estimated(shared, batch)
    assert ours.total_bytes == sum(ours.memory.values()) == max(sum(of.values()) for of in ours.moments.values())
    assert ours.peak == "at the end of the forward pass"
    logits = ours.moments["when logits get gradients"]["logits and token rows"]
    shared.official = True
    official = estimated(shared, batch).moments["when logits get gradients"]["logits and token rows"]
    shared.official = False
    vocabulary = shared.mllm.config.get_text_config().vocab_size
    learned = int((batch.labels_BL[:, 1:] != -100).sum())
    assert official - logits == 3 * 4 * vocabulary * (batch.labels_BL.numel() - learned)


def test_what_the_decoder_keeps(shared: Sa2va) -> None:
    """On tensors without content attention keeps its scores, which kernels do not: 5 % at full size, a quarter here."""
    width, side, pairs = 32, 8, 6
    kept = KeptMemory(shared.parameters())

    def maps(channels: int, times: int) -> torch.Tensor:
        return torch.randn(1, channels, times * side, times * side, requires_grad=True)

    frames = Features(maps(width, 1), maps(width // 8, 4), maps(width // 4, 2))
    language = torch.randn(pairs, width, requires_grad=True)
    with saved_tensors_hooks(kept.add, lambda tensor: tensor):
        frame_P = torch.zeros(pairs, dtype=torch.int64)
        decode_masks(shared.sam2, shared.sam2.sam_mask_decoder, frames, frame_P, language)
    assert 1 < decoder_cost(shared.sam2)[0] * pairs / kept.nbytes < 1.25


@pytest.fixture(scope="module")
def shared() -> Sa2va:
    return tiny_model()


@pytest.mark.parametrize(("family", "checkpointing"), [*((family, False) for family in FAMILIES), ("qwen3_vl", True)])
def test_arithmetic_is_what_the_counter_counts(family: str, checkpointing: bool) -> None:
    """Each to a tenth: attention's backward pass is counted as on a GPU, which computes the scores twice."""
    model = tiny_model(config(family, gradient_checkpointing=checkpointing)).train()
    batch = tiny_batch(model, (3, 2), frames=3)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.family.hidden_BLh(model.mllm, batch.input_ids_BL, batch.attention_BL, batch.mllm).sum().backward()
    mllm = counter.get_total_flops()
    torch.manual_seed(0)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(batch).total.backward()
    found = estimated(model, batch).flops
    assert 0.9 < (found["language model"] + found["vision encoder"]) / mllm < 1.1
    assert 0.9 < sum(found.values()) / counter.get_total_flops() < 1.1


def test_a_micro_batch_is_like_the_videos_seen(shared: Sa2va) -> None:
    batch = tiny_batch(shared, (2, 2))
    two, six = estimated(shared, batch, 2), estimated(shared, batch, 6)
    assert six.counts == {name: 3 * count for name, count in two.counts.items()}
    assert two.counts == {
        "videos": 2,
        "tokens": batch.input_ids_BL.numel(),
        "learned tokens": 24,
        "frames": 4,
        "masks": 8,
    }
    of_two, of_six = (found.moments["at the end of the forward pass"] for found in (two, six))
    for name in ("weights", "gradients", "optimiser states"):
        assert of_six[name] == of_two[name]
    assert of_six["activations of SAM 2"] == 3 * of_two["activations of SAM 2"]
    assert six.flops["mask decoder"] == pytest.approx(3 * two.flops["mask decoder"])


def test_states_are_counted(shared: Sa2va) -> None:
    memory = estimated(shared, tiny_batch(shared)).memory
    trained = sum(parameter.numel() for parameter in parameters(shared))
    assert memory["gradients"] == 4 * trained
    assert memory["optimiser states"] == 8 * trained
    optimiser = torch.optim.AdamW(parameters(shared))
    for parameter in parameters(shared):
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    states = [v for state in optimiser.state.values() for v in state.values() if v.dim()]
    assert sum(value.nbytes for value in states) == memory["optimiser states"]


def test_official_logits_are_of_every_position(shared: Sa2va) -> None:
    batch = tiny_batch(shared)
    ours = estimated(shared, batch).flops["logits"]
    shared.official = True
    official = estimated(shared, batch).flops["logits"]
    shared.official = False
    learned = int((batch.labels_BL[:, 1:] != -100).sum())
    assert official / ours == pytest.approx(batch.labels_BL.numel() / learned)


def test_the_table_says_what_it_is(shared: Sa2va) -> None:
    found = replace(
        estimated(shared, tiny_batch(shared)),
        moments={"at the end": {"weights": 3 * 2**30, "gradients": 2**29}, "before": {"weights": 2**31}},
        flops={"language model": 4e12, "logits": 1e12},
    )
    lines = str(found).splitlines()
    assert lines[0].startswith("estimated for a micro-batch: 2 videos, ")
    assert [line[34:].split() for line in lines[1:3]] == [["3.00", "GiB"], ["0.50", "GiB"]]
    assert lines[3][34:].strip() == "3.50 GiB, most at the end"
    assert lines[-1].endswith(" 2.500 TFLOP a video")


def test_a_tiny_model_has_a_table_without_zeros(shared: Sa2va) -> None:
    found = estimated(shared, tiny_batch(shared))
    _, *lines = str(found).splitlines()
    shown = {line[:34].strip(): line[34:].split() for line in lines}
    assert len(shown) == len(found.memory) + len(found.flops) + 2
    assert all(float(value) > 0 for value, *_ in shown.values())
    value, unit = shown["weights"]
    assert unit == "MiB"
    assert float(value) == pytest.approx(found.memory["weights"] / 2**20, abs=0.005)
    value, *units = shown["arithmetic"]
    assert units == ["GFLOP", "a", "video"]
    assert float(value) == pytest.approx(sum(found.flops.values()) / 2 / 1e9, abs=0.0005)
