"""A real HTTP server that speaks OpenAI's chat API and misbehaves as told: `with serve(Rule(do=reset())) as server`.

Without rules every answer is good, at once, and made from the schema that the request asks for. As a process of its
own (`python -m tests.misbehaving --port 8000`) it is an engine that costs nothing; `GET /counts` tells what it was
asked.
"""

import argparse
import asyncio
import base64
import json
import math
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

MODELS = ("vlm", "llm")
PREFLIGHT = "This is a test of the connection."
EXPRESSION = (
    "The object is a dog with a short coat, a narrow collar around its neck and a long tail, and it looks well fed. "
    "It is in a garden beside a low wooden bench, with a hedge and some flower pots behind it and a path of flat "
    "stones nearby, in soft daylight under a tree. "
    "Throughout the video, it sniffs at the ground for a while, lifts its head as if it had heard something, and then "
    "goes on sniffing with its tail wagging."
)
SHORT_TEXTS = ("the dog beside the bench", "the dog that sniffs at the ground")
TEXTS = {
    "caption": "A dog with a short coat that wears a collar.",
    "conflict": "",
    "object_description": "The object is a dog with a short coat that wears a collar.",
    "describe_scene": "It is in a garden beside a low wooden bench.",
    "describe_video": "It sniffs at the ground, lifts its head, and goes on sniffing.",
    "expression": EXPRESSION,
    "evidence": "1 fits best.",
}


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    prompt: str  # name of its JSON schema; empty if it asks for none
    model: str
    temperature: float | None
    seed: int | None
    pictures: int
    pictures_first: bool  # all of them before the text of their message
    text: str  # system and user
    sent_again: int  # as the client tells in its header
    at_s: float


Do = Callable[["Server", web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is done with which requests: those of `prompt` that tell `telling`, from the `first` on, `times` of them."""

    do: Do
    prompt: str | None = None
    telling: str = ""  # in the text, or in the bytes of a picture
    first: int = 1
    times: int | None = None

    def fits(self, asked: Asked, pictures: str) -> bool:
        told = self.telling in asked.text or self.telling in pictures
        return told and self.prompt in (None, asked.prompt)


class Server:
    """The server, in a thread of its own. Attributes may be read, and `rules` set, at any time."""

    def __init__(self, *rules: Rule, models: tuple[str, ...] = MODELS, port: int = 0, host: str = "127.0.0.1") -> None:
        self.rules, self.models, self.port, self.host = list(rules), models, port, host
        self.requests: list[Asked] = []
        self.preflights: list[Asked] = []  # tests of the connection, which are no part of what is counted
        self.answers: Counter[str] = Counter()  # good ones by prompt
        self.in_flight = self.max_in_flight = self.tokens_in = self.tokens_out = self.models_asked = 0
        self.bodies: deque[dict[str, Any]] = deque(maxlen=200)  # of the last requests, as they came
        self._seen: Counter[int] = Counter()
        self._awake = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="misbehaving", daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def start(self) -> None:
        self._thread.start()
        self._awake.set()
        self.come_back()

    def stop(self) -> None:
        self.go()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def go(self) -> None:
        """Every connection is cut and the port is closed, as after kill -9."""
        self._do(self._close())

    def come_back(self) -> None:
        """Listen on the same port again."""
        self._do(self._open())

    def hang(self) -> None:
        """Accept, and answer nothing, as after SIGSTOP."""
        self._loop.call_soon_threadsafe(self._awake.clear)

    def wake(self) -> None:
        """Answer again, what waited too."""
        self._loop.call_soon_threadsafe(self._awake.set)

    def forget(self) -> None:
        """Count anew."""
        self.requests, self.preflights, self.answers, self._seen = [], [], Counter(), Counter()
        self.bodies.clear()
        self.max_in_flight = self.tokens_in = self.tokens_out = self.models_asked = 0

    def counts(self) -> dict[str, Any]:
        return {
            "requests": len(self.requests),
            "answers": self.answers.total(),
            "by_prompt": Counter(asked.prompt for asked in self.requests),
            "max_in_flight": self.max_in_flight,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            **next((rule.do.counts() for rule in self.rules if isinstance(rule.do, Slots)), {}),
        }

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    async def _open(self) -> None:
        app = web.Application(client_max_size=2**28)
        app.router.add_post("/v1/chat/completions", self._completion)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/counts", self._counts)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _close(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        self._runner = None

    async def _completion(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        asked, pictures = self._read(request, body)
        (self.preflights if is_preflight(body) else self.requests).append(asked)
        self.bodies.append(body)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await self._awake.wait()
            return await self._chosen(asked, pictures)(self, request, body)
        finally:
            self.in_flight -= 1

    def _chosen(self, asked: Asked, pictures: str) -> Do:
        for at, rule in enumerate(self.rules):
            if rule.fits(asked, pictures):
                self._seen[at] += 1
                if rule.first <= self._seen[at] and (rule.times is None or self._seen[at] < rule.first + rule.times):
                    return rule.do
        return good()

    async def _models(self, _: web.Request) -> web.Response:
        self.models_asked += 1
        await self._awake.wait()
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(self.counts())

    def _read(self, request: web.Request, body: dict[str, Any]) -> tuple[Asked, str]:
        texts: list[str] = []
        kinds: list[str] = []
        pictures: list[str] = []
        for message in body["messages"]:
            told = message["content"]
            parts: list[dict[str, Any]] = [{"type": "text", "text": told}] if isinstance(told, str) else told
            for part in parts:
                if part["type"] == "text":
                    texts.append(part["text"])
                else:
                    pictures.append(part["image_url"]["url"])
                if message["role"] == "user":
                    kinds.append(part["type"])
        asked = Asked(
            prompt=((body.get("response_format") or {}).get("json_schema") or {}).get("name", ""),
            model=body["model"],
            temperature=body.get("temperature"),
            seed=body.get("seed"),
            pictures=len(pictures),
            pictures_first=kinds == sorted(kinds),  # "image_url" < "text"
            text="\n".join(texts),
            sent_again=int(request.headers.get("x-stainless-retry-count", 0)),
            at_s=time.monotonic(),
        )
        read = any(rule.telling for rule in self.rules)  # decoding costs, a null endpoint has no use for it
        seen = "".join(base64.b64decode(url.split(",", 1)[1]).decode("latin-1") for url in pictures) if read else ""
        return asked, seen


def is_preflight(body: dict[str, Any]) -> bool:
    """Whether a request is one of those that come before a run."""
    return PREFLIGHT in json.dumps(body["messages"])


def schema_of(body: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Name and JSON schema of the reply that a request asks for, wherever it says so; None if it asks for words."""
    if asked := (body.get("response_format") or {}).get("json_schema"):
        return asked["name"], asked["schema"]
    said = body["messages"][-1]["content"]
    text = said if isinstance(said, str) else "".join(part["text"] for part in said if part["type"] == "text")
    if "JSON schema:" not in text:
        return None
    schema = json.loads(text.partition("JSON schema:\n")[2])
    return {"Expression": "compose_expression", "Scene": "describe_scene", "Video": "describe_video"}.get(
        schema["title"], schema["title"]
    ), schema


def completion(
    server: Server, body: dict[str, Any], text: str | None, finish_reason: str = "stop", refusal: str | None = None
) -> dict[str, Any]:
    """What the API answers, with tokens that are counted as words, and a hundred a picture."""
    pictures = sum(part["type"] == "image_url" for part in body["messages"][-1]["content"] if isinstance(part, dict))
    tokens_in = 100 * pictures + len(json.dumps(body["messages"][0]).split())
    tokens_out = len((text or "").split())
    if not is_preflight(body):
        server.tokens_in += tokens_in
        server.tokens_out += tokens_out
    message = {"role": "assistant", "content": text, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
            "prompt_tokens_details": {"cached_tokens": tokens_in // 2},
        },
    }


def good_text(prompt: str, schema: dict[str, Any]) -> str:
    """A good reply to `prompt`, as JSON that fits `schema`."""
    return json.dumps({name: _value(prompt, name, each) for name, each in schema["properties"].items()})


def _value(prompt: str, name: str, schema: dict[str, Any]) -> Any:
    if schema.get("type") == "array":
        return list(SHORT_TEXTS) if name == "texts" else []
    if "enum" in schema:
        return "consistent" if "consistent" in schema["enum"] else schema["enum"][0]
    return TEXTS[name] if name in TEXTS else TEXTS[prompt]


def good(after_s: float = 0.0, **changed: Any) -> Do:
    """A good reply with some fields `changed`."""

    async def do(server: Server, _: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if after_s:
            await asyncio.sleep(after_s)
        asked = schema_of(body)
        if asked is None:
            return web.json_response(completion(server, body, "Yes.", "length"))
        if not is_preflight(body):
            server.answers[asked[0]] += 1
        text = json.dumps(json.loads(good_text(*asked)) | changed)
        return web.json_response(completion(server, body, text))

    return do


class Slots:
    """An engine with so many places: each request takes one for a time that is drawn, others wait in their order.

    Nobody computes: what is measured with it is how full the one who asks keeps it. The times are drawn by the number
    of the request, so that two runs have the same ones.
    """

    def __init__(self, slots: int, mean_s: float, sigma: float = 0.6, stuck_s: float = 0.0, seed: int = 0) -> None:
        self._free = asyncio.Semaphore(slots)
        self._draws = service_times_s(mean_s, sigma, seed)
        self._stuck_s = stuck_s
        self.served: list[tuple[float, float]] = []  # when each request had a place, from and to
        self.stuck: tuple[float, float] | None = None

    async def __call__(self, server: "Server", request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if is_preflight(body):
            return await good()(server, request, body)
        async with self._free:
            began_s = time.monotonic()
            stuck = bool(self._stuck_s) and self.stuck is None and len(self.served) >= STUCK_AFTER
            if stuck:
                self.stuck = (began_s, began_s + self._stuck_s)
            await asyncio.sleep(self._stuck_s if stuck else next(self._draws))
            answer = await good()(server, request, body)
            self.served.append((began_s, time.monotonic()))
        return answer

    def counts(self) -> dict[str, Any]:
        return {"served": self.served, "stuck": self.stuck}


STUCK_AFTER = 8  # requests that are answered before one gets stuck


def service_times_s(mean_s: float, sigma: float, seed: int = 0) -> Iterator[float]:
    """Lognormal times of this mean, without end; sigma is that of their logarithm."""
    draw = random.Random(seed)
    while True:
        yield draw.lognormvariate(math.log(mean_s) - sigma * sigma / 2, sigma)


def reply(text: str | None, finish_reason: str = "stop", refusal: str | None = None) -> Do:
    """A whole completion that holds just this text."""

    async def do(server: Server, _: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(completion(server, body, text, finish_reason, refusal))

    return do


def raw(data: bytes, content_type: str = "application/json") -> Do:
    """200 with these bytes."""

    async def do(*_: Any) -> web.StreamResponse:
        return web.Response(body=data, content_type=content_type)

    return do


def status(code: int, told: str = "on purpose", retry_after_s: float | None = None) -> Do:
    """An error of the API."""

    async def do(*_: Any) -> web.StreamResponse:
        headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
        return web.json_response({"error": {"message": told, "code": code}}, status=code, headers=headers)

    return do


def reset() -> Do:
    """The connection is cut before a word is said."""

    async def do(_: Server, request: web.Request, __: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return do


def half_a_body() -> Do:
    """More is promised than is sent before the connection is closed."""

    async def do(server: Server, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        data = json.dumps(completion(server, body, "half")).encode()
        response = web.StreamResponse(headers={"Content-Length": str(len(data)), "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        assert request.transport is not None
        request.transport.close()
        return response

    return do


def never() -> Do:
    """This request is not answered; others are."""

    async def do(*_: Any) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return do


@contextmanager
def serve(*rules: Rule, models: tuple[str, ...] = MODELS, port: int = 0, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server for the time of the block."""
    server = Server(*rules, models=models, port=port, host=host)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _main() -> None:
    parser = argparse.ArgumentParser(description="An engine that answers at once and costs nothing.")
    parser.add_argument("--port", type=int, default=0, help="0 = any that is free; its URL is the first line of stdout")
    parser.add_argument("--host", default="127.0.0.1", help="where it listens")
    parser.add_argument("--models", default=",".join(MODELS), help="names that it serves, with commas between")
    parser.add_argument("--after-s", type=float, default=0.0, help="seconds until each answer")
    parser.add_argument("--slots", type=int, default=0, help="requests that are worked on at a time; 0 = all")
    parser.add_argument("--mean-s", type=float, default=3.0, help="with --slots: mean time of a request, lognormal")
    parser.add_argument("--sigma", type=float, default=0.6, help="with --slots: sigma of the times' logarithm")
    parser.add_argument("--stuck-s", type=float, default=0.0, help="with --slots: one request takes so long")
    told = parser.parse_args()
    slots = Slots(told.slots, told.mean_s, told.sigma, told.stuck_s) if told.slots else None
    rule, models = Rule(do=slots or good(told.after_s)), tuple(told.models.split(","))
    with serve(rule, models=models, port=told.port, host=told.host) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    _main()
