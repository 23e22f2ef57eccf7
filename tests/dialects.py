"""What real OpenAI-compatible servers want and send, as behaviours of tests/misbehaving.py: one for each dialect."""

import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from tests.misbehaving import Do, Server, completion, good, good_text, schema_of

Refusal = Callable[[dict[str, Any]], str | None]  # of a body: the server's words, or None if it takes it


def has_pictures(body: dict[str, Any]) -> bool:
    parts = body["messages"][-1]["content"]
    return isinstance(parts, list) and any(part["type"] == "image_url" for part in parts)


def refusing(why: Refusal, status: int = 400, shape: Callable[[str], Any] | None = None, then: Do | None = None) -> Do:
    """Refuse what `why` names with an error in the given shape, and answer the rest."""

    async def do(server: Server, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if told := why(body):
            error = (
                shape(told) if shape else {"error": {"message": told, "type": "invalid_request_error", "param": None}}
            )
            return web.json_response(error, status=status)
        return await (then or good())(server, request, body)

    return do


def field(name: str, words: str | None = None) -> Refusal:
    """A field that the server does not know."""
    return lambda body: (words or f"Unsupported parameter: '{name}'") if name in body else None


def formats(*known: str) -> Refusal:
    """Takes only these formats of a response."""

    def why(body: dict[str, Any]) -> str | None:
        kind = (body.get("response_format") or {"type": "text"})["type"]
        return None if kind in known else f"response_format.type {kind} is not supported, only {' and '.join(known)}"

    return why


def strict(body: dict[str, Any]) -> str | None:
    """OpenAI's rules for a strict schema."""
    schema = body["response_format"]["json_schema"]["schema"]
    if missing := [name for name in schema["properties"] if name not in schema.get("required", ())]:
        return f"every property must stand in required; {missing[0]} does not"
    if schema.get("additionalProperties") is not False:
        return "additionalProperties must be false"
    return None


def told(change: Callable[[dict[str, Any], str], dict[str, Any]]) -> Do:
    """A good reply whose completion is changed: `change(completion, text)`."""

    async def do(server: Server, _: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        asked = schema_of(body)
        text = good_text(*asked) if asked else "Yes."
        return web.json_response(change(completion(server, body, text), text))

    return do


def said(write: Callable[[str], Any]) -> Do:
    """A good reply whose content is written in another form."""

    def change(whole: dict[str, Any], text: str) -> dict[str, Any]:
        whole["choices"][0]["message"]["content"] = write(text)
        return whole

    return told(change)


def streaming(write: Callable[[str], list[dict[str, Any]]] = lambda text: [{"content": text}]) -> Do:
    """A good reply as a stream of events, as real engines send it."""

    async def do(server: Server, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not body.get("stream"):
            return await good()(server, request, body)
        asked = schema_of(body)
        text = good_text(*asked) if asked else "Yes."
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        events: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": piece}]} for piece in write(text)]
        events.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            events.append({"choices": [], "usage": completion(server, body, text)["usage"]})
        for event in events:
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    return do
