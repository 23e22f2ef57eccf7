"""The checkpoints that stand in for real ones: what their noise is made of, without an engine."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from manifests.expression import marker_leak
from tests import tiny_models
from tests.tiny_models import BEGINNING, CLOSERS, OPEN, WORDS, make_internvl, make_qwen

FAMILIES = pytest.mark.parametrize("make", [make_qwen, make_internvl])


@FAMILIES
def test_the_same_seed_gives_the_same_small_checkpoint(make: Callable[..., Path], tmp_path: Path) -> None:
    one, same, other = (make(tmp_path / name, seed) for name, seed in (("one", 1), ("same", 1), ("other", 2)))
    weights = [(folder / "model.safetensors").read_bytes() for folder in (one, same, other)]
    assert weights[0] == weights[1] != weights[2]
    assert sum(file.stat().st_size for file in one.iterdir()) < 5e6


@FAMILIES
def test_words_and_ends_are_drawn_alike_and_nothing_else_is(make: Callable[..., Path], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make(tmp_path))
    model = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    texts = [str(tokenizer.decode([number])) for number in range(len(tokenizer))]
    drawn = torch.tensor([text in CLOSERS or text.removeprefix(" ") in WORDS and text[0] == " " for text in texts])
    ends = torch.tensor([text in CLOSERS for text in texts])
    assert drawn.sum() == len(WORDS) + len(CLOSERS)

    context = tokenizer("What can the teacher say of a horse in a boat?" * 9, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(input_ids=context).logits[0]
    in_string = logits.masked_fill(torch.tensor(["\n" in text and text[0] == ":" for text in texts]), -torch.inf)
    for temperature in (0.3, 1.0):
        p = (in_string / temperature).softmax(-1)
        assert p[:, ~drawn].sum(-1).max() < 0.01
        assert 1 / 80 < p[:, ends].sum(-1).mean() < 1 / 40, "60 words in the mean, whatever the temperature"


@FAMILIES
def test_a_string_that_is_opened_begins_as_expressions_do(make: Callable[..., Path], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make(tmp_path))
    model = AutoModelForImageTextToText.from_pretrained(tmp_path).eval()
    texts = [str(tokenizer.decode([number])) for number in range(len(tokenizer))]
    context = tokenizer("Say:", return_tensors="pt").input_ids[0].tolist()
    with torch.no_grad():
        p = (model(input_ids=torch.tensor([[*context, texts.index(OPEN)]])).logits[0, -1]).softmax(-1)
    assert p[texts.index(BEGINNING)] > 0.99


def test_no_word_speaks_of_how_an_object_was_shown() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert marker_leak(" ".join(WORDS)) is None
    assert tiny_models.BEGINNING == "The object is"
