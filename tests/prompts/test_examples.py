"""Every prompt with a worked example: the request tells what it must, the good answer is usable, bad ones are not."""

import json
import re
from typing import Any

import pydantic
import pytest

import prompts
from manifests.expression import marker_leak
from tests.prompts.examples import EXAMPLES, UNUSABLE, Example


def test_every_prompt_has_an_example_and_two_bad_answers() -> None:
    assert {example.prompt for example in EXAMPLES} == set(prompts.NAMES)
    for name in prompts.NAMES:
        assert sum(bad == name for bad, _, _ in UNUSABLE) >= 2, name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.prompt)
def test_the_request_tells_what_it_must(example: Example) -> None:
    messages = prompts.load(example.prompt).render(**prompts.values_of(example.row))
    for words in example.sent:
        assert words in messages.user
        assert words not in messages.system
    assert not re.search(r"\$[a-z_{]", f"{messages.system}{messages.user}")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.prompt)
def test_the_good_answer_parses_and_reads_as_asked(example: Example) -> None:
    reply = prompts.load(example.prompt).reply.model_validate_json(example.answer)
    assert reply.model_dump() == example.reply
    given = getattr(reply, example.text_field)
    text = given if isinstance(given, str) else ". ".join(given)
    least, most = example.words
    assert least <= len(text.split()) <= most
    assert marker_leak(text) is None
    assert text.endswith(".") == (isinstance(given, str) and most > 3), "a sentence, and no phrase, ends in a full stop"
    for word in example.kept_out:
        assert word not in text


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.text_field == "expression"], ids=lambda e: e.prompt)
def test_an_expression_has_its_three_parts_in_order(example: Example) -> None:
    text = example.reply["expression"]
    parts = [text.index(start) for start in ("The object is ", " It is ", " Throughout the video, ")]
    assert parts == sorted(parts)
    assert parts[0] == 0


def test_a_repair_changes_the_contradicted_claims_and_little_else() -> None:
    (example,) = (e for e in EXAMPLES if e.prompt == "repair_expression")
    before, after = str(example.row.expression), str(example.reply["expression"])
    for found in example.row.contradictions:
        assert found.claim in before
        assert found.claim not in after
    kept = set(before.split()) & set(after.split())
    assert len(kept) > 0.85 * len(set(before.split()))


@pytest.mark.parametrize(("name", "answer", "message"), UNUSABLE)
def test_unusable_answers_do_not_parse_and_say_why(name: str, answer: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=re.escape(message)):
        prompts.load(name).reply.model_validate_json(json.dumps(answer))


@pytest.mark.parametrize("text", ["A brown dog.", "", "{", '{"caption": "A brown', "null", "[]"])
def test_what_is_no_json_object_does_not_parse(text: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        prompts.load("caption_crop").reply.model_validate_json(text)
