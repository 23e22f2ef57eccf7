"""Answers of all questions together against the plain way: everything again for every token of every answer."""

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor

from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.families import States
from pipeline.sa2va.infer.generate import encode_prompts, generate
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.infer.clip import drawn_clip, teach, tiny_sa2va
from tests.pipeline.sa2va.models import tiny_model
from tests.pipeline.sa2va.tiny import FAMILIES, tiny_pixels, weight_of

TEXTS = ("the red ball", "the large blue ball that moves to the left", "A", "Which one is yellow?")
TOKENS = 6
Asked = tuple[list[list[int]], dict[str, Tensor]]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Sa2va:
    made = tiny_sa2va(request.param)
    with torch.no_grad():  # it must not say that there is another frame: the plain way would look for it
        weight_of(made.family.lm_head(made.mllm))[made.family.context_token_id] = 0
    return made


@pytest.fixture(scope="module")
def asked(model: Sa2va) -> Asked:
    return questions(model)


def questions(model: Sa2va) -> Asked:
    frames_THW3, _ = drawn_clip(3)
    pixels = model.family.pixels(list(frames_THW3), tiny_pixels())
    return encode_prompts(model, TEXTS, pixels.tokens_F, InferConfig()), pixels.tensors


@torch.no_grad()
def plainly(model: Sa2va, prompt: list[int], mllm_inputs: dict[str, Tensor]) -> tuple[list[int], Tensor]:
    """(what is said, states for masks at the answer's tokens as inputs), a whole forward a token."""
    ids = list(prompt)
    for _ in range(TOKENS + 1):
        states = states_of(model, ids, mllm_inputs)
        ids.append(int(model.family.lm_head(model.mllm)(states.after_norm_BLh[0, -1]).argmax()))
    return ids[len(prompt) : -1], model.seg_states(states)[0, len(prompt) :]


def states_of(model: Sa2va, ids: list[int], mllm_inputs: dict[str, Tensor]) -> States:
    ids_1L = torch.tensor([ids])
    return model.family.states(model.mllm, ids_1L, torch.ones_like(ids_1L, dtype=torch.bool), mllm_inputs)


def test_answers_together_are_the_answers_alone(model: Sa2va, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of three and one, prompts of four lengths, cut off at six tokens."""
    prompts, mllm_inputs = asked
    alone = [plainly(model, prompt, mllm_inputs) for prompt in prompts]
    monkeypatch.setattr(model, "seg_id", alone[0][0][-1])  # the very last token of the first answer stands for [SEG]
    together = generate(model, prompts, mllm_inputs, max_new_tokens=TOKENS, batch=3)
    with_seg = 0
    for answer, (ids, hidden_Ah) in zip(together, alone, strict=True):
        assert answer.text == str(model.tokenizer.decode(ids)).strip()
        assert (answer.seg_h is None) == (model.seg_id not in ids)
        if answer.seg_h is not None:
            with_seg += 1
            torch.testing.assert_close(answer.seg_h, hidden_Ah[ids.index(model.seg_id)], atol=5e-6, rtol=0)
    assert with_seg


def test_says_what_it_was_taught_and_stops(model: Sa2va, asked: Asked) -> None:
    prompts, mllm_inputs = asked
    kept = weight_of(model.family.lm_head(model.mllm)).clone()
    said = model.tokenizer.encode("It is [SEG].<|im_end|>", add_special_tokens=False)
    teach(model, prompts[0], mllm_inputs, said)
    (answer,) = generate(model, prompts[:1], mllm_inputs, max_new_tokens=64, batch=8)
    assert answer.text == "It is [SEG]."
    right_Lh = model.seg_states(states_of(model, prompts[0] + said, mllm_inputs))[0]
    assert answer.seg_h is not None
    at = len(prompts[0]) + said.index(model.seg_id)
    torch.testing.assert_close(answer.seg_h, right_Lh[at].detach(), atol=5e-6, rtol=0)
    assert (answer.seg_h - right_Lh[at - 1]).abs().max() > 0.1  # not the state that [SEG] was predicted from
    with torch.no_grad():
        weight_of(model.family.lm_head(model.mllm)).copy_(kept)


@torch.no_grad()
def test_the_state_is_the_one_that_the_model_makes_masks_from(
    model: Sa2va, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answers in both conventions, and the state that one forward over everything gives."""
    prompts, mllm_inputs = asked
    said = [plainly(model, prompt, mllm_inputs)[0][0] for prompt in prompts]
    monkeypatch.setattr(model, "seg_id", said[0])  # what the first answer begins with stands for [SEG]
    monkeypatch.setattr(model, "seg_before_norm", False)
    after = generate(model, prompts, mllm_inputs, max_new_tokens=2, batch=3)
    monkeypatch.setattr(model, "seg_before_norm", True)
    before = generate(model, prompts, mllm_inputs, max_new_tokens=2, batch=3)
    assert [answer.text for answer in before] == [answer.text for answer in after]
    asked_first = [n for n, token in enumerate(said) if token == said[0]]
    for n in asked_first:
        whole = states_of(model, [*prompts[n], said[n]], mllm_inputs)
        one, other = before[n].seg_h, after[n].seg_h
        assert one is not None
        assert other is not None
        torch.testing.assert_close(other, whole.after_norm_BLh[0, -1], atol=5e-6, rtol=0)
        torch.testing.assert_close(one, whole.before_norm_BLh[0, -1], atol=5e-6, rtol=0)
        assert (one - other).abs().max() > 0.1


def test_the_frames_are_looked_at_once(model: Sa2va, asked: Asked) -> None:
    seen: list[int] = []
    hook = model.family.vision(model.mllm).register_forward_hook(lambda *_: seen.append(1))
    generate(model, *asked, max_new_tokens=2, batch=1)
    hook.remove()
    assert len(seen) == 1


def test_prompts_about_different_frames_are_refused(model: Sa2va, asked: Asked) -> None:
    prompts, mllm_inputs = asked
    with pytest.raises(ValueError, match="same frames"):
        generate(model, [prompts[0], prompts[0][5:]], mllm_inputs, max_new_tokens=2, batch=2)


def test_training_goes_on_afterwards(model: Sa2va, asked: Asked) -> None:
    """Modes are as before, and nothing that inference left behind gets into a gradient."""
    prompts, mllm_inputs = asked
    model.train()
    generate(model, prompts, mllm_inputs, max_new_tokens=2, batch=4)
    assert model.text_hidden_fcs.training
    assert not model.sam2.training
    states_of(model, prompts[0], mllm_inputs).after_norm_BLh.sum().backward()
    assert model.family.input_embeddings(model.mllm).weight.grad is not None
    model.zero_grad()
    model.eval()


def test_adapters_take_part() -> None:
    """In the middle of training, the model that answers is the one with LoRA and new token rows."""
    model = tiny_model().eval()
    prompts, mllm_inputs = questions(model)
    (model.seg_id, *_), hidden_Ah = plainly(model, prompts[1], mllm_inputs)  # its first word stands for [SEG]
    with_adapters = generate(model, prompts, mllm_inputs, max_new_tokens=1, batch=4)[1].seg_h
    assert with_adapters is not None
    torch.testing.assert_close(with_adapters, hidden_Ah[0], atol=5e-6, rtol=0)
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.enable_adapters(False)
    without = generate(model, prompts, mllm_inputs, max_new_tokens=1, batch=4)[1].seg_h
    assert without is None or (without - with_adapters).abs().max() > 0.01
