"""Answer all questions about a video together, greedily, and keep the hidden states at their [SEG].

The questions share their beginning: all of the frames and the first words. It goes through vision encoder and language
model once, and every question goes on from there. A [SEG]'s hidden state is taken on the way, when [SEG] is the input;
the release generates every answer by itself and does the same.

Shapes: N questions, P tokens that they share, L tokens of the longest rest, h = width of the language model.
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

# the chat template of the released inference adds it; the released training has none
_OFFICIAL_SYSTEM = {"qwen2_5_vl": "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"}


@dataclass(frozen=True, slots=True)
class Generation:
    """Holds one generated answer.

    Attributes:
        text: the answer without the token that ends it.
        seg_h: last hidden state (`Sa2va.seg_states`) where the first [SEG] is the input; None if there is no [SEG].
    """

    text: str
    seg_h: Tensor | None


def encode_prompts(model: Sa2va, texts: Sequence[str], tokens_F: Sequence[int], config: InferConfig) -> list[list[int]]:
    """Encode the question about every text, frames first, up to where the answer begins.

    Args:
        model: gives tokenizer and family.
        texts: expressions.
        tokens_F: number of tokens of every frame.
        config: `official_prompts` says which questions; on the official path there is also no line break between the
            frames of a Qwen, and Qwen2.5-VL gets a system turn, both unlike in any training.

    Raises:
        ValueError: a text is empty or has a special token in it.
    """
    tokenizer, family = model.tokenizer, model.family
    official = config.path == "official"
    visual = family.visual_text(tokens_F, "" if official and family.name.startswith("qwen") else "\n")
    system = _OFFICIAL_SYSTEM.get(family.name, "") if official else ""
    before = tokenizer.encode(system, add_special_tokens=False)
    questions = [inference_question(text, official=config.official_prompts) for text in texts]
    return [[*before, *prompt_ids(tokenizer, visual, question).tolist()] for question in questions]


def generate(
    model: Sa2va, prompts: Sequence[Sequence[int]], mllm_inputs: dict[str, Tensor], *, max_new_tokens: int, batch: int
) -> list[Generation]:
    """Generate an answer to every prompt.

    Args:
        model: in any mode; it is put into eval mode meanwhile.
        prompts: token ids; all begin with the same frames.
        mllm_inputs: those frames, once: `FramePixels.tensors`.
        max_new_tokens: an answer is cut off after so many.
        batch: number of answers that are generated at a time.

    Raises:
        ValueError: the prompts are about different frames.
    """
    if not prompts:
        return []
    shared = _shared(prompts)
    if any(model.family.context_token_id in prompt[shared:] for prompt in prompts):
        raise ValueError("prompts that are answered together must begin with the same frames")
    with inference(model):
        device = device_of(model)
        prefix = _prefill(model, torch.tensor([prompts[0][:shared]], device=device), mllm_inputs)
        generations: list[Generation] = []
        for first in range(0, len(prompts), batch):
            rests = [torch.tensor(prompt[shared:], device=device) for prompt in prompts[first : first + batch]]
            generations += _finish(model, prefix, rests, max_new_tokens)
    return generations


@dataclass(frozen=True, slots=True)
class _Prefix:
    """Holds what the language model computed of the tokens that all prompts share.

    Attributes:
        cache: keys and values, transformers' Cache, of one row.
        tokens: P.
        offset: number that M-RoPE adds to the position of all tokens after the frames; None for a model without it.
    """

    cache: Any
    tokens: int
    offset: int | None


def _prefill(model: Sa2va, ids_1P: Tensor, mllm_inputs: dict[str, Tensor]) -> _Prefix:
    on_device = {name: value.to(ids_1P.device) for name, value in mllm_inputs.items()}
    arguments = model.family.arguments(model.mllm, ids_1P, torch.ones_like(ids_1P, dtype=torch.bool), on_device)
    inner: Any = core(model.mllm)
    cache = inner(**arguments, use_cache=True).past_key_values
    offset = getattr(inner, "rope_deltas", None)
    if offset is None:
        return _Prefix(cache, ids_1P.shape[1], None)
    inner.rope_deltas = None  # it is of this video, and an inference tensor: later calls must not find it
    return _Prefix(cache, ids_1P.shape[1], int(offset.flatten()[0]))


def _finish(model: Sa2va, prefix: _Prefix, rests: Sequence[Tensor], max_new_tokens: int) -> list[Generation]:
    stop = _stop_ids(model)
    said: list[list[int]] = [[] for _ in rests]
    seg_h: list[Tensor | None] = [None] * len(rests)
    ended = [False] * len(rests)
    steps = _steps(model, prefix, rests)
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


def _steps(model: Sa2va, prefix: _Prefix, rests: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Iterate over the most probable next tokens (N) and the `Sa2va.seg_states` (N, h) of the tokens before them.

    The first tokens before them are the prompts' last ones.
    """
    rows, device = len(rests), rests[0].device
    cache = copy.deepcopy(prefix.cache)
    cache.batch_repeat_interleave(rows)
    longest = max(map(len, rests))
    ids_NL = torch.zeros(rows, longest, dtype=torch.int64, device=device)
    attention_NK = torch.ones(rows, prefix.tokens + longest, dtype=torch.int64, device=device)
    for n, rest in enumerate(rests):  # padding goes between the shared part and the rest, so that all rows end together
        ids_NL[n, longest - len(rest) :] = rest
        attention_NK[n, prefix.tokens : prefix.tokens + longest - len(rest)] = 0
    language_model, lm_head = model.family.language_model(model.mllm), model.family.lm_head(model.mllm)
    while True:
        position_NL = (attention_NK.cumsum(-1) - 1)[:, -ids_NL.shape[1] :]
        if prefix.offset is not None:
            position_NL = (position_NL + prefix.offset).expand(3, -1, -1)  # time, height and width of a text are one
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
    """Count the tokens that all prompts begin with; every prompt keeps one of its own at least."""
    most = min(map(len, prompts)) - 1
    return next((i for i in range(most) if len({prompt[i] for prompt in prompts}) > 1), most)


def _stop_ids(model: Sa2va) -> set[int]:
    """Return the tokens that end an answer: the chat's, the tokenizer's, and those of the generation settings."""
    tokenizer, settings = model.tokenizer, getattr(model.mllm, "generation_config", None)
    named = getattr(settings, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return {end_id(tokenizer), *ids} - {None}
