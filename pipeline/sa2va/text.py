"""Questions and answers about expressions, and the tokens of a conversation: which of them are learned.

An expression is a description of one or more sentences (Ref-SAV's, 84 words in the mean) or a phrase ("the red ball").
The release puts both into templates that were made for phrases, and asks differently at inference; ours keep the
grammar of both and are the same at training and inference. The release's templates are read from the user's clone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NoReturn

import torch
from torch import Tensor
from transformers import (
    PreTrainedTokenizerBase,
)

LONG_WORDS = 20  # a text that ends with a full stop and has more words than this is a description
ANSWERS_OFFICIAL = (
    "It is [SEG].",
    "Sure, [SEG].",
    "Sure, it is [SEG].",
    "Sure, the segmentation result is [SEG].",
    "[SEG].",
)
_ANSWER = ANSWERS_OFFICIAL[0]  # ours is always the same: nothing is learned from guessing which of five is wanted
ANSWER_ABSENT = "It is not in this video."  # to a text that fits nothing: without [SEG] there is no mask
# inference asks the first of a kind
_DESCRIPTION = (
    "Please segment the object that fits this description. {text}",
    "Here is a description of one object in the video. {text} Please answer with its mask.",
    "One object is described as follows. {text} Which object is it? Please answer with its mask.",
)
_PHRASE = (
    "Please segment {text} in this video.",
    "Where is {text} in this video? Please answer with a mask.",
    "Which object in this video is {text}? Please answer with a mask.",
)
_QUESTION = "{text} Please answer with a mask."
_ARTICLE = re.compile(r"(?:A|An|The|One|Its|Their)\b")
IGNORED = -100  # label of a token that is not learned
SPECIAL_TOKENS = ("[SEG]", "<p>", "</p>", "<vp>", "</vp>")  # in the order of their ids
SEG = "[SEG]"


def training_question(text: str, *, rng: Random, templates: Sequence[str] = ()) -> str:
    """Return the question that is asked about an expression in training.

    Args:
        text: the expression.
        rng: draws the template; it is asked once, whatever the text.
        templates: the release's, which it puts around any text (`official_code.read_questions`); none: ours are used.

    Raises:
        ValueError: the text is empty.
    """
    if templates:
        return rng.choice(templates).format(text=_filled(text))
    return _ours(text, rng.random())


def training_questions(text: str, templates: Sequence[str] = ()) -> list[str]:
    """Return all questions that `training_question` may draw.

    Raises:
        ValueError: the text is empty.
    """
    if templates:
        return [template.format(text=_filled(text)) for template in dict.fromkeys(templates)]
    return list(dict.fromkeys(_ours(text, n / len(_PHRASE)) for n in range(len(_PHRASE))))


def inference_question(text: str, *, official: bool) -> str:
    """Return the question that is asked at inference: our first template of its kind, or the release's only one.

    Raises:
        ValueError: the text is empty.
    """
    if not official:
        return _ours(text, 0.0)
    filled = _filled(text)
    return f" {filled} Please respond with a segmentation mask." if "?" in filled else f"Please segment {filled}."


def training_answer(rng: Random, official: bool) -> str:
    """Return the answer that is learned in training; the hidden state of its one [SEG] becomes the mask."""
    return rng.choice(ANSWERS_OFFICIAL) if official else _ANSWER


def is_description(text: str) -> bool:
    """Return whether a text has several sentences, or is a long one that ends with a full stop."""
    filled = _filled(text)
    several = re.search(r"[.!] +[A-Z]", filled) is not None
    return several or (filled.endswith(".") and len(filled.split()) > LONG_WORDS)


def _ours(text: str, chance: float) -> str:
    """Put a text into one of our templates of its kind; `chance` in [0, 1) says which."""
    filled = _filled(text)
    if filled.endswith("?"):
        return _QUESTION.format(text=filled)
    if is_description(filled):
        sentences = filled if filled[-1] in ".!" else f"{filled}."
        return _DESCRIPTION[int(chance * len(_DESCRIPTION))].format(text=sentences)
    phrase = filled.rstrip(".!")
    if _ARTICLE.match(phrase):
        phrase = phrase[0].lower() + phrase[1:]
    return _PHRASE[int(chance * len(_PHRASE))].format(text=phrase)


def _filled(text: str) -> str:
    filled = text.strip()
    if not filled:
        raise ValueError(f"an expression must have words, got {text!r}")
    return filled


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """Holds one question and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Holds turns as tokens.

    Attributes:
        input_ids_L: int64.
        labels_L: int64, the tokens of the answers and those that end them, else IGNORED.
        turns: number of turns that are there; the last of them may be cut (official).
    """

    input_ids_L: Tensor
    labels_L: Tensor
    turns: int


@dataclass(frozen=True, slots=True)
class _Format:
    """Has the texts of a chat format around question and answer, without a system turn."""

    before: str
    between: str
    end: str  # ends an answer and is learned with it
    after: str = "\n"


_CHATML = _Format("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>")


_PHI3 = _Format("<|user|>\n", "<|end|>\n<|assistant|>\n", "<|end|>")


_NEEDED = {_CHATML: ("<|im_start|>", "<|im_end|>"), _PHI3: ("<|user|>", "<|assistant|>", "<|end|>")}


def conversation(
    tokenizer: PreTrainedTokenizerBase,
    visual: str,
    turns: Sequence[ChatTurn],
    *,
    max_tokens: int,
    whole_turns: bool = True,
) -> Conversation:
    """Encode turns one after the other, with the frames before the first question.

    Args:
        tokenizer: the MLLM's, with [SEG].
        visual: text that stands for the frames (`Family.visual_text`); empty for text alone.
        turns: at least one.
        max_tokens: upper limit of the length.
        whole_turns: leave out a turn that does not fit, and all after it; False cuts in its middle (official).

    Raises:
        ValueError: there are no turns, a text has a special token in it, or the first turn does not fit.
    """
    if not turns:
        raise ValueError("a conversation must have at least one turn, got none")
    chat = chat_format(tokenizer)
    ids, labels, count = _beginning(tokenizer), [IGNORED] * len(_beginning(tokenizer)), 0
    for number, turn in enumerate(turns):
        asked = _encoded(tokenizer, _asked(tokenizer, chat, "" if number else visual, turn.question))
        answered = _encoded(tokenizer, turn.answer + chat.end)
        after = _encoded(tokenizer, chat.after)
        if whole_turns and len(ids) + len(asked) + len(answered) + len(after) > max_tokens:
            break
        ids += asked + answered + after
        labels += [IGNORED] * len(asked) + answered + [IGNORED] * len(after)
        count += 1
        if len(ids) > max_tokens:
            break
    if not count:
        _refuse_length(len(ids) + len(asked) + len(answered) + len(after), max_tokens)
    return Conversation(torch.tensor(ids[:max_tokens]), torch.tensor(labels[:max_tokens]), count)


def check_first_turn(
    tokenizer: PreTrainedTokenizerBase, visual: str, turn: ChatTurn, *, more_tokens: int, max_tokens: int
) -> None:
    """Check that `conversation` can begin with a turn, without the time that the tokens of all frames take.

    Args:
        tokenizer: the MLLM's, with [SEG].
        visual: text of frames of one token.
        turn: the first one.
        more_tokens: tokens that the frames have beyond those of `visual`.
        max_tokens: upper limit of the length.

    Raises:
        ValueError: the question has a special token in it, or the turn does not fit.
    """
    chat = chat_format(tokenizer)
    texts = (_asked(tokenizer, chat, visual, turn.question), turn.answer + chat.end, chat.after)
    tokens = len(_beginning(tokenizer)) + more_tokens + sum(len(_encoded(tokenizer, text)) for text in texts)
    if tokens > max_tokens:
        _refuse_length(tokens, max_tokens)


def _refuse_length(tokens: int, max_tokens: int) -> NoReturn:
    raise ValueError(
        f"the frames and the first turn must fit into max_tokens {max_tokens}, got {tokens}: allow more tokens, or "
        "fewer frames or pixels"
    )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, visual: str, question: str) -> Tensor:
    """Return the tokens (L,) of one question up to where its answer begins, equal to those of training.

    Raises:
        ValueError: the question has a special token in it.
    """
    asked = _asked(tokenizer, chat_format(tokenizer), visual, question)
    return torch.tensor(_beginning(tokenizer) + _encoded(tokenizer, asked))


def end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the token that ends an answer: generation stops there."""
    return int(_encoded(tokenizer, chat_format(tokenizer).end)[0])


def chat_format(tokenizer: PreTrainedTokenizerBase) -> _Format:
    """Return the chat format whose tokens the tokenizer has: ChatML (Qwen, InternLM2) or Phi-3's.

    Raises:
        ValueError: it has the tokens of neither.
    """
    known = tokenizer.get_added_vocab()
    for form, tokens in _NEEDED.items():
        if all(token in known for token in tokens):
            return form
    raise ValueError(
        "the tokenizer must have the tokens of a known chat format: "
        + " or ".join(", ".join(tokens) for tokens in _NEEDED.values())
    )


def refuse_special_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    """Refuse a text that would be read as more than words: a second [SEG], a frame, the end of the turn.

    Raises:
        ValueError: the text has such a token; the message names it.
    """
    for token in tokenizer.get_added_vocab():
        if token in text:
            raise ValueError(f"a text must not have the tokenizer's token {token} in it, got {text!r}")


def _asked(tokenizer: PreTrainedTokenizerBase, form: _Format, visual: str, question: str) -> str:
    refuse_special_tokens(tokenizer, question)
    return form.before + (f"{visual}\n" if visual else "") + question + form.between


def _encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _beginning(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token that the tokenizer itself puts before everything (InternLM2, Phi-3), if it does."""
    first = tokenizer.bos_token_id
    return [] if first is None or tokenizer.encode("a")[0] != first else [int(first)]
