"""How a request is written in each dialect, and what the user's own fields do to it."""

import dataclasses
import json
from typing import Any

import pytest

from pipeline.engines.dialect import Dialect, RequestFields, body, next_dialect, parse_fields
from tests.pipeline.engines.test_reply_store import REQUEST


def test_the_plain_form() -> None:
    written = body(REQUEST)
    assert [message["role"] for message in written["messages"]] == ["system", "user"]
    assert [part["type"] for part in written["messages"][1]["content"]] == ["image_url", "image_url", "text"]
    assert written["response_format"]["json_schema"] == {
        "name": "caption_crop",
        "schema": REQUEST.schema,
        "strict": True,
    }
    assert {name: written[name] for name in ("temperature", "top_p", "seed", "max_tokens")} == {
        "temperature": 0.3,
        "top_p": 0.9,
        "seed": 7,
        "max_tokens": 64,
    }
    assert (written["stream"], written["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("kind", ["json_object", "text"])
def test_where_no_schema_is_taken_it_stands_in_the_prompt(kind: Any) -> None:
    written = body(REQUEST, Dialect(format=kind))
    assert json.dumps(REQUEST.schema) in written["messages"][1]["content"][-1]["text"]
    assert written.get("response_format") == ({"type": "json_object"} if kind == "json_object" else None)


def test_a_text_alone_is_sent_as_a_string() -> None:
    written = body(dataclasses.replace(REQUEST, images=()))
    assert written["messages"][1]["content"] == REQUEST.user


def test_what_is_not_accepted_is_left_out() -> None:
    written = body(
        REQUEST, Dialect(length_field="max_completion_tokens", left_out=("seed", "stream", "stream_options", "system"))
    )
    assert written["max_completion_tokens"] == 64
    assert not {"max_tokens", "seed", "stream", "stream_options"} & written.keys()
    (message,) = written["messages"]
    assert message["content"][-1]["text"] == "You see.\n\nWhat?"


def test_the_users_fields_have_the_last_word() -> None:
    fields = parse_fields(
        ['chat_template_kwargs={"enable_thinking": false}', "temperature=0", "-seed", "user=me", "stream=false"]
    )
    written = body(REQUEST, Dialect(), fields)
    assert written["chat_template_kwargs"] == {"enable_thinking": False}
    assert (written["temperature"], written["user"], written["stream"]) == (0, "me", False)
    assert not {"seed", "stream_options"} & written.keys()
    assert fields.deciding == {"chat_template_kwargs": {"enable_thinking": False}, "seed": None, "temperature": 0}
    longer = body(REQUEST, Dialect(), parse_fields(["max_completion_tokens=4096"]))
    assert longer["max_completion_tokens"] == 4096
    assert "max_tokens" not in longer


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["seed"], "must be name=value, or -name"),
        (["=1"], "must be name=value"),
        (["-"], "must be name=value"),
        (["a b=1"], "must be name=value"),
        (["model=x"], "cannot set 'model'"),
        (["messages=[]"], "cannot set 'messages'"),
        (["-model"], "cannot set 'model'"),
        (["stream=False"], "--request stream must have a value in JSON"),
        (["top_k=NaN"], "--request top_k must have a value in JSON"),
        (["chat_template_kwargs={enable_thinking: false}"], "must have a value in JSON"),
        (["seed=1", "-seed"], "sets and leaves out seed"),
    ],
)
def test_wrong_fields_are_told(given: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_fields(given)


def test_no_fields_are_no_fields() -> None:
    assert parse_fields([]) == RequestFields()
    assert RequestFields().deciding == {}


# dialect, words, the named field -> what is tried next
NEXT: list[tuple[Dialect, str, str | None, Dialect | None]] = [
    (Dialect(), "Unsupported parameter: 'max_tokens'", None, Dialect(length_field="max_completion_tokens")),
    (Dialect(), "not supported with this model", "max_tokens", Dialect(length_field="max_completion_tokens")),
    (Dialect(), "'response_format.type' must be 'text'", None, Dialect(format="json_object")),
    (Dialect(format="json_object"), "response_format", None, Dialect(format="text")),
    (Dialect(), "grammar could not be compiled", None, Dialect(format="json_object")),
    (Dialect(), "body.seed: Extra inputs are not permitted", None, Dialect(left_out=("seed",))),
    (Dialect(), "Unknown name 'stream_options'", None, Dialect(left_out=("stream_options",))),
    (Dialect(), "only one of temperature and top_p", None, Dialect(left_out=("top_p",))),
    (
        Dialect(left_out=("top_p",)),
        "only one of temperature and top_p",
        None,
        Dialect(left_out=("top_p", "temperature")),
    ),
    (Dialect(), "Conversation roles must alternate user/assistant", None, Dialect(left_out=("system",))),
    (Dialect(), "Developer instruction is not enabled for gemma", None, Dialect(left_out=("system",))),
    (Dialect(), "Unsupported value: 'system'", "messages[0].role", Dialect(left_out=("system",))),
    (Dialect(), "invalid request", None, Dialect(format="json_object")),
]


@pytest.mark.parametrize(("dialect", "words", "param", "following"), NEXT)
def test_a_named_field_gets_its_next_form(
    dialect: Dialect, words: str, param: str | None, following: Dialect | None
) -> None:
    assert next_dialect(dialect, words, param) == following


@pytest.mark.parametrize("words", ["invalid request", "max_tokens", "seed", "response_format", ""])
def test_the_forms_come_to_an_end(words: str) -> None:
    dialect: Dialect | None = Dialect()
    seen = []
    while dialect:
        assert dialect not in seen
        seen.append(dialect)
        dialect = next_dialect(dialect, words)
    assert len(seen) <= 6
    assert dataclasses.replace(seen[-1]).format == "text"
