"""Errors as servers word them, and what is made of them."""

import json
from typing import Any

import pytest

from pipeline.engines.server_errors import fix_of, is_filtered, is_page, status_of, words_of

TOLD: dict[str, tuple[Any, str]] = {
    "OpenAI": ({"error": {"message": "too long", "type": "x", "param": "messages", "code": "y"}}, "too long"),
    "a text": ({"error": "too long"}, "too long"),
    "vLLM of old": ({"object": "error", "message": "too long", "code": 400}, "too long"),
    "FastAPI": ({"detail": "too long"}, "too long"),
    "FastAPI's validation": (
        {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]},
        "body.seed: Extra inputs are not permitted",
    ),
    "a list": ({"errors": [{"message": "too long"}, {"message": "too wide"}]}, "too long; too wide"),
    "RFC 9457": (
        {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": "too long"},
        "too long; Bad Request",
    ),
    "a router": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": '{"x": 1}', "provider_name": "p"}}},
        'Provider returned error; {"x": 1}',
    ),
    "Google": ([{"error": {"code": 400, "message": "too long", "status": "INVALID_ARGUMENT"}}], "too long"),
}


@pytest.mark.parametrize(("error", "words"), TOLD.values(), ids=TOLD)
def test_the_servers_own_words_are_found(error: Any, words: str) -> None:
    assert words_of(json.dumps(error).encode()) == words


def test_pages_and_plain_texts() -> None:
    page = b"\n<!DOCTYPE html><html><head><title>502 Bad Gateway</title><style>x</style><body><h1>Sorry</h1></body>"
    assert is_page(page)
    assert words_of(page) == "502 Bad Gateway Sorry"
    assert not is_page(b'{"error": "<html>"}')
    assert words_of(b"upstream  request\ntimeout") == "upstream request timeout"
    assert len(words_of(b"x" * 10_000)) == 500


@pytest.mark.parametrize(
    ("words", "filtered"),
    [
        ("The response was filtered due to the prompt triggering Azure OpenAI's content management policy", True),
        ("Content_Filter triggered", True),
        ("data_inspection_failed: Input data may contain inappropriate content", True),
        ("Your input was flagged by the moderation system", True),
        ("Output blocked: ResponsibleAIPolicyViolation", True),
        ("Your account has been flagged for potential abuse", False),
        ("max_tokens is too large", False),
        ("this model does not take images", False),
    ],
)
def test_a_filter_is_told_from_a_fault(words: str, filtered: bool) -> None:
    assert is_filtered(words) is filtered


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("API key not valid. Please pass a valid API key.", 401),
        ("Invalid model name passed in model=m", 404),
        ("m is not a valid model ID", 404),
        ("The model `m` does not exist.", 404),
        ("response_format is not supported by this model", None),
        ("max_tokens is not known to this model", None),
    ],
)
def test_what_a_400_is_worth(words: str, status: int | None) -> None:
    assert status_of(words) == status


def test_the_likely_fix() -> None:
    assert fix_of(404, "http://host:8000") == "does the address end in /v1?"
    assert "'m' the name" in fix_of(404, "http://host:8000/v1", model="m")
    assert fix_of(None, "http://host/v1", page=True) == "does the address end in /v1?"
    assert fix_of(418, "http://host/v1") == ""
