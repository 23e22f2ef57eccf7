"""The preflight against a real server in each dialect: what it settles, and what it says where nothing works."""

import asyncio
from collections.abc import Iterator

import pytest

from manifests.row_results import FatalError
from pipeline.engines.chat import ChatClient, Endpoint
from pipeline.engines.dialect import Dialect
from pipeline.engines.preflight import Settled, settle
from tests import dialects
from tests.dialects import field, formats, has_pictures, refusing
from tests.misbehaving import Do, Rule, Server, good, raw, reply, serve, status
from tests.pipeline.writers.asking import quick

__all__ = ["quick"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def settled(server: Server, do: Do, model: str = "vlm") -> Settled:
    server.rules = [Rule(do=do)]
    server.forget()

    async def asking() -> Settled:
        client = ChatClient(Endpoint(url=server.url, api_key="sk-secret", patience_s=1, timeout_s=60))
        try:
            return await settle(client, server.url, model, images=True, text=True)
        finally:
            await client.close()

    return asyncio.run(asking())


def foreign(words: str) -> dict[str, object]:
    """FastAPI's own error."""
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", words.split("'")[1]], "msg": "Extra inputs"}]}


# the server -> (dialect, requests that it takes to find it)
SETTLES: dict[str, tuple[Do, Dialect, int]] = {
    "OpenAI": (good(), Dialect(), 2),
    "a stream": (dialects.streaming(), Dialect(), 2),
    "strict schemas": (refusing(dialects.strict), Dialect(), 2),
    "another name of the length": (
        refusing(field("max_tokens", "max_tokens is not known to this model; it takes max_completion_tokens")),
        Dialect(length_field="max_completion_tokens"),
        3,
    ),
    "JSON without a schema": (refusing(formats("text", "json_object")), Dialect(format="json_object"), 3),
    "text alone": (refusing(formats("text")), Dialect(format="text"), 4),
    "no seed": (refusing(field("seed")), Dialect(left_out=("seed",)), 3),
    "no top_p beside a temperature": (
        refusing(field("top_p", "temperature and top_p cannot both be specified")),
        Dialect(left_out=("top_p",)),
        3,
    ),
    "only its own temperature": (
        refusing(field("temperature", "temperature does not support 0.3, only the default (1)")),
        Dialect(left_out=("temperature",)),
        3,
    ),
    "no options of a stream": (refusing(field("stream_options")), Dialect(left_out=("stream_options",)), 3),
    "no stream": (refusing(field("stream", "streaming is off")), Dialect(left_out=("stream", "stream_options")), 3),
    "no system message": (
        refusing(lambda body: "System role not supported" if body["messages"][0]["role"] == "system" else None),
        Dialect(left_out=("system",)),
        3,
    ),
    "no list of parts for a text": (
        refusing(
            lambda body: (
                "messages.1.content must be a string"
                if isinstance(body["messages"][-1]["content"], list) and not has_pictures(body)
                else None
            )
        ),
        Dialect(),
        2,
    ),
    "a 422 of another shape": (refusing(field("seed"), 422, foreign), Dialect(left_out=("seed",)), 3),
    "a 500 that names the field": (refusing(formats("text", "json_object"), 500), Dialect(format="json_object"), 3),
    "two at once": (
        refusing(lambda body: field("seed")(body) or formats("text", "json_object")(body)),
        Dialect(format="json_object", left_out=("seed",)),
        4,
    ),
    "a refusal that names nothing": (
        refusing(lambda body: "invalid request" if "response_format" in body else None),
        Dialect(format="text"),
        4,
    ),
    "one that takes a schema and forgets it": (
        refusing(lambda _: None, then=dialects.told(lambda whole, _: whole)),
        Dialect(),
        2,
    ),
    "replies in a fence": (dialects.said(lambda text: f"```json\n{text}\n```"), Dialect(), 2),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("do", "dialect", "requests"), SETTLES.values(), ids=SETTLES)
def test_the_dialect_is_found(server: Server, do: Do, dialect: Dialect, requests: int) -> None:
    assert settled(server, do).dialect == dialect
    assert len([asked for asked in server.preflights if not asked.sent_again]) == requests
    assert [asked.pictures for asked in server.preflights][-1] == 0, "pictures first, then text alone"
    assert not server.requests, "nothing that counts"


@pytest.mark.usefixtures("quick")
def test_a_server_that_does_not_keep_to_a_schema_is_shown_it(server: Server) -> None:
    async def do(server: Server, request: object, body: dict[str, object]) -> object:
        kept = body.get("response_format") != None and body["response_format"]["type"] == "json_object"  # type: ignore[index]  # noqa: E711
        return await (good() if kept else reply("It is a grey square."))(server, request, body)  # type: ignore[arg-type]

    assert settled(server, do).dialect == Dialect(format="json_object")  # type: ignore[arg-type]


# the server -> what the message says
WRONG: dict[str, tuple[Do, str]] = {
    "no pictures": (
        refusing(lambda body: "this model takes no images" if has_pictures(body) else None),
        r"this model takes no images; --vlm-model .* must name a model that is served with its vision part",
    ),
    "no pictures, behind a 200": (
        refusing(lambda body: "no vision part" if has_pictures(body) else None, 200),
        "no vision part; --vlm-model",
    ),
    "no such model": (status(404, "model 'vlm' not found"), "model 'vlm' not found; is 'vlm' the name"),
    "a page": (
        raw(b"<!doctype html><html><title>Chat</title></html>", "text/html"),
        r"web page: Chat; does the address end in /v1\?",
    ),
    "a wrong key": (
        status(401, "Incorrect API key provided: sk-secret"),
        r"Incorrect API key provided: \*\*\*; is OPENAI_API_KEY",
    ),
    "a wrong key behind a 400": (status(400, "API key not valid"), "API key not valid; is OPENAI_API_KEY"),
    "no such model behind a 400": (status(400, "invalid model name"), "invalid model name; is 'vlm' the name"),
    "an account": (status(403, "Your account was flagged"), "was flagged; may this OPENAI_API_KEY"),
    "no pictures, behind a 500": (
        refusing(lambda body: "no image input" if has_pictures(body) else None, 500),
        "no image input; --vlm-model",
    ),
    "no credit": (status(402, "Insufficient credits"), "Insufficient credits; is there credit left"),
    "too large": (status(413, "Request Entity Too Large"), "Too Large; the server or a proxy before it"),
    "nothing works": (status(400, "bad request"), "bad request; --request name=value"),
    "every form is refused": (
        refusing(lambda body: "response_format" if "response_format" in body else "no text either"),
        "response_format / HTTP 400: no text either",
    ),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("do", "words"), WRONG.values(), ids=WRONG)
def test_what_does_not_work_is_said_in_the_servers_words(server: Server, do: Do, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        settled(server, do)
    assert "sk-secret" not in str(error.value)
    assert len([asked for asked in server.preflights if not asked.sent_again]) < 12, "each form once"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "do", [status(503, "overloaded"), raw(b'{"error": {"message": "overloaded", "code": 502}}')], ids=["503", "200"]
)
def test_a_server_that_is_down_is_no_dialect(server: Server, do: Do) -> None:
    with pytest.raises(FatalError, match="does not answer: .*overloaded"):
        settled(server, do)
