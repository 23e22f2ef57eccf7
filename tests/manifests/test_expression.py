"""The rules of an expression are said once: prompts state what is checked, and nothing states a rule by itself."""

from pathlib import Path

import pytest

import prompts
from manifests import expression
from manifests.schema import Reason
from prompts.replies import Expression

WRITES_EXPRESSIONS = [name for name, reply in prompts.replies.REPLIES.items() if reply is Expression]


@pytest.mark.parametrize("name", WRITES_EXPRESSIONS)
def test_prompts_state_the_rules(name: str) -> None:
    text = prompts.load(name).text
    assert "60 to 110 words" in text
    assert "no word about a line, contour, border, highlight, mask, crop, image, picture or frame." in text
    assert all(f'"{opening}"' in text for opening in ("The object is", "It is", "Throughout the video,"))


def test_no_file_of_a_prompt_states_a_rule_by_itself() -> None:
    for path in Path(prompts.__file__).parent.glob("*.txt"):
        assert not [value for value in expression.PROMPT_VALUES.values() if f'"{value}"' in path.read_text()], path
        assert not {"60", "110"} & set(path.read_text().split()), path


def test_a_changed_rule_changes_the_prompts_that_state_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(expression.PROMPT_VALUES, "max_words", "90")
    for name in prompts.NAMES:
        changed = prompts.load.__wrapped__(name)
        assert (changed.id != prompts.load(name).id) == (name in WRITES_EXPRESSIONS)
        assert ("60 to 90 words" in changed.text) == (name in WRITES_EXPRESSIONS)


@pytest.mark.parametrize("word", expression.PROMPT_VALUES["marker_words"].replace(" or ", ", ").split(", "))
def test_every_word_that_prompts_forbid_is_found(word: str) -> None:
    assert expression.marker_leak(f"The object is a dog in the {'yellow line' if word == 'line' else word}.")


def test_why_an_expression_is_rejected() -> None:
    assert expression.why_rejected("The object is a dog.", []) is None
    leak = expression.why_rejected("The object is a dog in this image.", ["v/manual/1"])
    assert leak == (Reason.MARKER_LEAK, "'image' in: The object is a dog in this image.")
    ambiguous = expression.why_rejected("The object is a dog.", ["v/manual/1", "v/manual/2"])
    assert ambiguous == (Reason.AMBIGUOUS, "fits v/manual/1, v/manual/2 as well")
