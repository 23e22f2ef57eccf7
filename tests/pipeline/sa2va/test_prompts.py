from random import Random

import pytest

from pipeline.sa2va.text import ANSWERS_OFFICIAL, inference_question, is_description, training_answer, training_question

DESCRIPTION = "The object is a small red ball. It rolls to the left until it is hidden by the box."
ONE_SENTENCE = "The object is a small red ball that rolls to the left over the grass until it is hidden by the box."
PHRASE = "The red ball on the left."


@pytest.mark.parametrize("text", [DESCRIPTION, ONE_SENTENCE])
def test_a_description_stays_whole_sentences(text: str) -> None:
    asked = {training_question(text, rng=Random(seed)) for seed in range(40)}
    assert len(asked) == 3
    for one in asked:
        before, after = one.split(text)
        assert before.endswith(". ")
        assert not after or after.startswith(" ")


@pytest.mark.parametrize("text", [PHRASE, "the red ball on the left"])
def test_a_phrase_becomes_part_of_the_sentence(text: str) -> None:
    asked = {training_question(text, rng=Random(seed)) for seed in range(40)}
    assert len(asked) == 3
    assert all(" the red ball on the left" in one for one in asked)
    assert not any("left. " in one or "left.?" in one for one in asked)


def test_names_keep_their_capital() -> None:
    assert inference_question("Theo", official=False) == "Please segment Theo in this video."


@pytest.mark.parametrize(
    ("text", "whole"),
    [(DESCRIPTION, True), (ONE_SENTENCE, True), (PHRASE, False), ("a dog", False), (" ".join(["word"] * 30), False)],
)
def test_what_a_description_is(text: str, whole: bool) -> None:
    assert is_description(text) is whole


@pytest.mark.parametrize("text", [DESCRIPTION, ONE_SENTENCE, PHRASE, "which ball is red?"])
def test_inference_asks_what_training_asked(text: str) -> None:
    asked = {training_question(text, rng=Random(seed)) for seed in range(40)}
    assert inference_question(text, official=False) in asked


def test_the_same_seed_asks_the_same() -> None:
    for templates in ((), ("a {text}", "b {text}", "b {text}")):
        asked = [training_question(DESCRIPTION, rng=Random(7), templates=templates) for _ in range(3)]
        assert len(set(asked)) == 1


def test_official_questions_are_put_around_any_text_as_often_as_they_are_listed() -> None:
    listed = ("a {text}?", "b {text}", "b {text}")
    asked = [training_question(DESCRIPTION, rng=Random(seed), templates=listed) for seed in range(300)]
    assert set(asked) == {f"a {DESCRIPTION}?", f"b {DESCRIPTION}"}
    assert 150 < asked.count(f"b {DESCRIPTION}") < 250


def test_official_evaluation() -> None:
    assert inference_question("the red ball", official=True) == "Please segment the red ball."
    assert inference_question("which one?", official=True) == " which one? Please respond with a segmentation mask."


def test_answers_have_one_seg() -> None:
    drawn = {training_answer(Random(seed), official=True) for seed in range(60)}
    assert drawn == set(ANSWERS_OFFICIAL)
    assert all(one.count("[SEG]") == 1 for one in drawn)
    assert {training_answer(Random(seed), official=False) for seed in range(20)} == {"It is [SEG]."}


@pytest.mark.parametrize("official", [False, True])
def test_an_empty_text_is_refused(official: bool) -> None:
    with pytest.raises(ValueError, match="must have words"):
        training_question("  ", rng=Random(0), templates=("a {text}",) if official else ())
    with pytest.raises(ValueError, match="must have words"):
        inference_question("", official=official)
