"""Greedy answers to all questions about a video together, and what the model thinks at their [SEG].

The questions share their beginning: all of the frames and the first words. It goes through vision encoder and language
model once, and every question goes on from there. A [SEG]'s hidden state is taken on the way, when [SEG] is the input;
the release generates each answer by itself and does the same.

Shapes: N questions, P tokens that they share, L tokens of the longest rest, h = width of the language model.


What is asked about a video, as tokens.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.families import States, core
from pipeline.sa2va.model import Sa2va, device_of, inference
from pipeline.sa2va.text import end_id, inference_question, prompt_ids

# what the chat template of the released inference adds, and its training does not have
_OFFICIAL_SYSTEM = {"qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"}


@dataclass(frozen=True, slots=True)
class Generation:
    """What the model says.

    Attributes:
        text: without the token that ends it.
        seg_h: last hidden state (`Sa2va.seg_states`) where the first [SEG] is the input; None if it says none.
    """

    text: str
    seg_h: Tensor | None


def generate(
    model: Sa2va, prompts: Sequence[Sequence[int]], mllm_inputs: dict[str, Tensor], *, max_new_tokens: int, batch: int
) -> list[Generation]:
    """An answer to each prompt.

    Args:
        model: see Sa2va.
        prompts: token ids; all begin with the same frames.
        mllm_inputs: those frames, once: `FramePixels.tensors`.
        max_new_tokens: an answer is cut off after so many.
        batch: answers at a time.

    Raises:
        ValueError: prompts about different frames.
    """
    if not prompts:
        return []
    shared = _shared(prompts)
    if any(model.family.context_token_id in prompt[shared:] for prompt in prompts):
        raise ValueError("prompts that are answered together must begin with the same frames")
    with inference(model):
        device = device_of(model)
        begun = _begin(model, torch.tensor([prompts[0][:shared]], device=device), mllm_inputs)
        given: list[Generation] = []
        for first in range(0, len(prompts), batch):
            rests = [torch.tensor(prompt[shared:], device=device) for prompt in prompts[first : first + batch]]
            given += _finish(model, begun, rests, max_new_tokens)
    return given


@dataclass(frozen=True, slots=True)
class _Begun:
    """The shared part, done.

    Attributes:
        cache: keys and values, transformers' Cache, of one row.
        tokens: P.
        offset: what M-RoPE adds to the position of all tokens after the frames; None where positions are counted.
    """

    cache: Any
    tokens: int
    offset: int | None


def _begin(model: Sa2va, ids_1P: Tensor, mllm_inputs: dict[str, Tensor]) -> _Begun:
    on_device = {name: value.to(ids_1P.device) for name, value in mllm_inputs.items()}
    arguments = model.family.arguments(model.mllm, ids_1P, torch.ones_like(ids_1P, dtype=torch.bool), on_device)
    inner: Any = core(model.mllm)
    cache = inner(**arguments, use_cache=True).past_key_values
    offset = getattr(inner, "rope_deltas", None)
    if offset is None:
        return _Begun(cache, ids_1P.shape[1], None)
    inner.rope_deltas = None  # of this video alone, and an inference tensor: nothing may find it later
    return _Begun(cache, ids_1P.shape[1], int(offset.flatten()[0]))


def _finish(model: Sa2va, begun: _Begun, rests: Sequence[Tensor], max_new_tokens: int) -> list[Generation]:
    stop = _stop_ids(model)
    said: list[list[int]] = [[] for _ in rests]
    seg_h: list[Tensor | None] = [None] * len(rests)
    ended = [False] * len(rests)
    steps = _steps(model, begun, rests)
    token_N = next(steps)[0]
    for _ in range(max_new_tokens):
        tokens = token_N.tolist()
        ended = [done or token in stop for done, token in zip(ended, tokens, strict=True)]
        if all(ended):
            break
        token_N, hidden_Nh = next(steps)
        for n, token in enumerate(tokens):
            if not ended[n]:
                said[n].append(token)
                if token == model.seg_id and seg_h[n] is None:
                    seg_h[n] = hidden_Nh[n]
    texts = [str(model.tokenizer.decode(ids)).strip() for ids in said]
    return [Generation(text, hidden) for text, hidden in zip(texts, seg_h, strict=True)]


def _steps(model: Sa2va, begun: _Begun, rests: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Most probable next tokens (N), and `Sa2va.seg_states` (N, h) of the tokens before: first, the prompts' last."""
    rows, device = len(rests), rests[0].device
    cache = copy.deepcopy(begun.cache)
    cache.batch_repeat_interleave(rows)
    longest = max(map(len, rests))
    ids_NL = torch.zeros(rows, longest, dtype=torch.int64, device=device)
    attention_NK = torch.ones(rows, begun.tokens + longest, dtype=torch.int64, device=device)
    for n, rest in enumerate(rests):  # padding goes between the shared part and the rest, so that all rows end together
        ids_NL[n, longest - len(rest) :] = rest
        attention_NK[n, begun.tokens : begun.tokens + longest - len(rest)] = 0
    language_model, lm_head = model.family.language_model(model.mllm), model.family.lm_head(model.mllm)
    while True:
        position_NL = (attention_NK.cumsum(-1) - 1)[:, -ids_NL.shape[1] :]
        if begun.offset is not None:
            position_NL = (position_NL + begun.offset).expand(3, -1, -1)  # time, height and width of a text are one
        with model.family.before_norm(model.mllm) as before:
            after_NLh = language_model(
                input_ids=ids_NL,
                attention_mask=attention_NK,
                position_ids=position_NL,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
        last = States(after_NLh[:, -1:], before[-1][:, -1:])
        token_N = lm_head(last.after_norm_BLh[:, 0]).argmax(-1)
        yield token_N, model.seg_states(last)[:, 0]
        ids_NL = token_N[:, None]
        attention_NK = torch.cat([attention_NK, attention_NK.new_ones(rows, 1)], dim=1)


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; each keeps one of its own at least."""
    most = min(map(len, prompts)) - 1
    return next((i for i in range(most) if len({prompt[i] for prompt in prompts}) > 1), most)


def _stop_ids(model: Sa2va) -> set[int]:
    """Tokens that end an answer: of the chat, of the tokenizer, and of the model's generation settings."""
    tokenizer, settings = model.tokenizer, getattr(model.mllm, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return {end_id(tokenizer), *ids} - {None}


def encode_prompts(model: Sa2va, texts: Sequence[str], tokens_F: Sequence[int], config: InferConfig) -> list[list[int]]:
    """Token ids of the question about each text, frames first, up to where the answer begins.

    Args:
        model: its tokenizer and family.
        texts: expressions.
        tokens_F: how many tokens each frame has.
        config: `official_prompts` says which questions; on the official path there is also no line break between the
            frames of a Qwen, and Qwen2.5-VL gets a system turn, both unlike in any training.

    Raises:
        ValueError: a text that is empty or has a special token in it.
    """
    tokenizer, family = model.tokenizer, model.family
    official = config.path == "official"
    visual = family.visual_text(tokens_F, "" if official and family.name.startswith("qwen") else "\n")
    system = _OFFICIAL_SYSTEM.get(family.name, "") if official else ""
    before = tokenizer.encode(system, add_special_tokens=False)
    questions = [inference_question(text, official=config.official_prompts) for text in texts]
    return [[*before, *prompt_ids(tokenizer, visual, question).tolist()] for question in questions]
