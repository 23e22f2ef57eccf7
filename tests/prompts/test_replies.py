"""The JSON schema of a reply that an engine gets: only what constrained decoding can enforce at no cost."""

import json
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

import prompts
from prompts.replies import REPLIES, Caption, Consistency, Expression
from tests.prompts.examples import EXAMPLES, UNUSABLE, Example

CLASSES = sorted(set(REPLIES.values()), key=lambda reply: reply.__name__)


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for child in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(child)


ALLOWED = {"type", "properties", "required", "additionalProperties", "items", "enum", "title", "description"}


@pytest.mark.parametrize("reply", CLASSES)
def test_the_schema_is_closed_and_describes_every_field(reply: type[pydantic.BaseModel]) -> None:
    schema = reply.model_json_schema()
    assert list(schema["properties"]) == list(reply.model_fields)
    for node in nodes(schema):
        assert set(node) <= ALLOWED or node is schema["properties"], "a strict schema takes nothing else"
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
    assert all(field["description"] for field in schema["properties"].values())


@pytest.mark.parametrize("reply", CLASSES)
def test_the_schema_has_nothing_that_slows_or_breaks_constrained_decoding(reply: type[pydantic.BaseModel]) -> None:
    """See the head of prompts/replies.py; a `$ref` is resolved by some endpoints only."""
    for node in nodes(reply.model_json_schema()):
        assert not {"maxLength", "pattern", "format", "$ref"} & set(node)


def test_a_verdict_is_written_after_its_evidence_and_before_what_follows_from_it() -> None:
    assert list(Consistency.model_fields) == ["conflict", "verdict", "object_description"]


def test_texts_are_stripped_and_may_have_any_characters() -> None:
    text = 'A sign that says "ÀÇÉ – 50 % off", {not} a \\ face'
    assert Caption(caption=f"  {text}\n").caption == text
    assert Caption.model_validate_json(json.dumps({"caption": text})).caption == text


def test_an_expression_may_be_long_but_not_endless() -> None:
    start = "The object is "
    assert len(Expression(expression=start + "x" * (1000 - len(start)), ambiguous_with=[]).expression) == 1000
    with pytest.raises(pydantic.ValidationError, match="at most 1000 characters, has 1001"):
        Expression(expression=start + "x" * (1001 - len(start)), ambiguous_with=[])


def test_an_inconsistent_verdict_needs_no_description() -> None:
    reply = Consistency(conflict='A says "dog", B says "bag"', verdict="inconsistent", object_description="")
    assert reply.object_description == ""


def accepts(name: str, text: str) -> bool:
    """Whether an engine that enforces the schema of prompt `name` could write `text`, and then ends.

    With the library of vLLM, one token a byte, and no white space but that of json.dumps.
    """
    xgrammar = pytest.importorskip("xgrammar")
    tokens = xgrammar.TokenizerInfo([bytes([byte]) for byte in range(256)] + [b"<end>"], stop_token_ids=[256])
    schema = json.dumps(prompts.load(name).reply.model_json_schema())
    grammar = xgrammar.GrammarCompiler(tokens).compile_json_schema(schema, any_whitespace=False)
    matcher = xgrammar.GrammarMatcher(grammar, terminate_without_stop_token=True)
    return bool(matcher.accept_string(text) and matcher.is_terminated())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.prompt)
def test_the_engines_grammar_takes_the_good_answer_in_its_order_and_no_other(example: Example) -> None:
    assert accepts(example.prompt, example.answer)
    assert not accepts(example.prompt, example.answer[:-1])
    assert not accepts(example.prompt, json.dumps({"mood": "glad"} | example.reply))
    if len(example.reply) > 1:
        assert not accepts(example.prompt, json.dumps(dict(reversed(example.reply.items()))))


FORMS = [(name, answer) for name, answer, message in UNUSABLE if message in ("Extra inputs", "Field required")]


@pytest.mark.parametrize(("name", "answer"), FORMS)
def test_the_engines_grammar_does_not_let_a_wrong_form_be_written(name: str, answer: dict[str, Any]) -> None:
    assert not accepts(name, json.dumps(answer))
