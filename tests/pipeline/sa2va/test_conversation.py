from collections.abc import Callable

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from pipeline.sa2va.text import IGNORED, ChatTurn, conversation, end_id, prompt_ids, refuse_special_tokens
from tests.pipeline.sa2va.tiny import tiny_tokenizer

VISUAL = "<|vision_start|><|image_pad|><|image_pad|><|vision_end|>"
TURNS = [ChatTurn("Where is the red thing?", "It is [SEG]."), ChatTurn("Where is the blue one?", "Sure, [SEG].")]
# As released: no system turn, the frames first, a line break after every turn.
TEXT = (
    f"<|im_start|>user\n{VISUAL}\nWhere is the red thing?<|im_end|>\n<|im_start|>assistant\nIt is [SEG].<|im_end|>\n"
    "<|im_start|>user\nWhere is the blue one?<|im_end|>\n<|im_start|>assistant\nSure, [SEG].<|im_end|>\n"
)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return tiny_tokenizer("qwen3_vl", with_seg=True)


def test_text_and_what_is_learned(tokenizer: PreTrainedTokenizerFast) -> None:
    made = conversation(tokenizer, VISUAL, TURNS, max_tokens=8192)
    assert made.turns == 2
    assert tokenizer.decode(made.input_ids_L) == TEXT
    learned = made.labels_L != IGNORED
    assert made.labels_L[learned].tolist() == made.input_ids_L[learned].tolist()
    assert tokenizer.decode(made.input_ids_L[learned]) == "It is [SEG].<|im_end|>Sure, [SEG].<|im_end|>"
    assert (made.input_ids_L == tokenizer.get_vocab()["[SEG]"]).sum() == 2


def test_generation_begins_where_the_answer_does(tokenizer: PreTrainedTokenizerFast) -> None:
    trained = conversation(tokenizer, VISUAL, TURNS, max_tokens=8192)
    asked = prompt_ids(tokenizer, VISUAL, TURNS[0].question)
    assert trained.input_ids_L[: len(asked)].tolist() == asked.tolist()
    assert trained.labels_L[: len(asked)].eq(IGNORED).all()
    assert trained.labels_L[len(asked)] != IGNORED
    assert end_id(tokenizer) == tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_a_turn_is_there_whole_or_not_at_all(tokenizer: PreTrainedTokenizerFast) -> None:
    one = conversation(tokenizer, VISUAL, TURNS[:1], max_tokens=8192)
    both = len(conversation(tokenizer, VISUAL, TURNS, max_tokens=8192).input_ids_L)
    for limit in (len(one.input_ids_L), both - 1):
        made = conversation(tokenizer, VISUAL, TURNS, max_tokens=limit)
        assert made.turns == 1
        assert made.input_ids_L.tolist() == one.input_ids_L.tolist()
        assert made.labels_L.tolist() == one.labels_L.tolist()
    assert conversation(tokenizer, VISUAL, TURNS, max_tokens=both).turns == 2


def test_a_later_turn_that_would_fit_does_not_take_the_place_of_one_that_does_not(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    turns = [TURNS[0], ChatTurn("Where is " + "the red thing " * 50, "It is [SEG]."), TURNS[1]]
    assert conversation(tokenizer, VISUAL, turns, max_tokens=100).turns == 1


def test_official_cuts_from_the_right(tokenizer: PreTrainedTokenizerFast) -> None:
    whole = conversation(tokenizer, VISUAL, TURNS, max_tokens=8192)
    cut = conversation(tokenizer, VISUAL, TURNS, max_tokens=len(whole.input_ids_L) - 5, whole_turns=False)
    assert cut.input_ids_L.tolist() == whole.input_ids_L[:-5].tolist()
    assert cut.labels_L.tolist() == whole.labels_L[:-5].tolist()
    assert cut.turns == 2


def test_a_first_turn_that_does_not_fit_is_an_error(tokenizer: PreTrainedTokenizerFast) -> None:
    needed = len(conversation(tokenizer, VISUAL, TURNS[:1], max_tokens=8192).input_ids_L)
    with pytest.raises(ValueError, match=f"max_tokens 9, got {needed}: allow more tokens, or fewer frames"):
        conversation(tokenizer, VISUAL, TURNS, max_tokens=9)


def test_no_turns_is_an_error(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ValueError, match="at least one turn"):
        conversation(tokenizer, VISUAL, [], max_tokens=8192)


@pytest.mark.parametrize("token", ["[SEG]", "<|im_end|>", "<|image_pad|>", "</p>"])
def test_a_text_cannot_bring_special_tokens(tokenizer: PreTrainedTokenizerFast, token: str) -> None:
    asks: list[Callable[[str], object]] = [
        lambda text: refuse_special_tokens(tokenizer, text),
        lambda text: prompt_ids(tokenizer, "", text),
        lambda text: conversation(tokenizer, "", [ChatTurn(text, "[SEG]")], max_tokens=8192),
    ]
    for ask in asks:
        with pytest.raises(ValueError, match="must not have the tokenizer's token"):
            ask(f"the red {token} thing")


def _bytes(tokens: list[str], first: str | None = None) -> PreTrainedTokenizerFast:
    """Bytes and these tokens; `first` is set before every text by the tokenizer itself."""
    inner = Tokenizer(BPE({letter: n for n, letter in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    inner.pre_tokenizer, inner.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    inner.add_special_tokens(tokens)
    if first is not None:
        inner.post_processor = TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, inner.token_to_id(first))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=first)


def test_phi3() -> None:
    tokenizer = _bytes(["<|user|>", "<|assistant|>", "<|end|>", "[SEG]"])
    made = conversation(tokenizer, "", TURNS[:1], max_tokens=8192)
    text = "<|user|>\nWhere is the red thing?<|end|>\n<|assistant|>\nIt is [SEG].<|end|>\n"
    assert tokenizer.decode(made.input_ids_L) == text
    assert tokenizer.decode(made.input_ids_L[made.labels_L != IGNORED]) == "It is [SEG].<|end|>"


def test_a_tokenizer_s_own_first_token_comes_once_and_is_not_learned() -> None:
    tokenizer = _bytes(["<|im_start|>", "<|im_end|>", "[SEG]", "<s>"], first="<s>")
    made = conversation(tokenizer, "", TURNS, max_tokens=8192)
    first = tokenizer.get_vocab()["<s>"]
    assert (made.input_ids_L == first).nonzero().tolist() == [[0]]
    assert made.labels_L[0] == IGNORED
    assert len(made.labels_L) == len(made.input_ids_L)
    assert prompt_ids(tokenizer, "", "Where?")[0] == first


def test_an_unknown_chat_format_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"known chat format: <\|im_start\|>, <\|im_end\|> or <\|user\|>"):
        conversation(_bytes(["[INST]", "[SEG]"]), "", TURNS, max_tokens=8192)
