"""The client of every engine: asks through OpenAI's chat API, with a bound on open requests, and retries.

Until a reply begins, the `openai` package retries: connection errors, 408, 409, 429 and 5xx, with growing pauses and
jitter, or as Retry-After says. This module decides what that package cannot know: whether a reply that began has
stalled, and whether the engine is gone, so that the run stops instead of losing a row with every request.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import httpx2
import openai

from manifests.row_results import FatalError, RowError
from manifests.schema import Reason
from pipeline.engines.address import is_loopback, proxy_of, public
from pipeline.engines.dialect import Dialect, Request, RequestFields, body
from pipeline.engines.liveness import NOT_FOR_US, EngineWatch, cancel_and_wait, concerns_one_request, unless_gone
from pipeline.engines.reading import ChatReply, ends_itself, is_whole, read_reply
from pipeline.engines.server_errors import ServerError, codes_of, connection_fix, fix_of, is_filtered, is_page, words_of

T = TypeVar("T")

_TIMEOUT = openai.Timeout(None, connect=10.0)  # for connecting alone: silence is judged in this module
_SPARE_CONNECTIONS = 8  # for requests that test whether the engine is alive
_PAUSES_S, _LONGEST_PAUSE_S = (0.5, 1.0, 2.0, 4.0), 8.0  # between retries, as in the openai package
_RESENDS = 2  # of a request whose reply broke off, stalled, or was an error with status 200
_FILTERING = (400, 403, 422, 451)  # if the error speaks of a content filter, the content was refused
_LIST_S, _LIST_RETRIES = 5.0, 5  # for the list of models: time limit, retries
_NO_LIST = (403, 404, 405, 501)  # no list of models; 403: a key may be valid for chat completions only
_LIMITED = 3  # times patience_s: by then a limit per minute is over
_AFTER_END_S = 1.0  # for a connection to close after its reply has ended
_MOST_BYTES = 2**24  # of a reply: 50,000 tokens as events
_DETAIL_CHARACTERS = 500
_DONE = re.compile(rb"(?:^|\n)data: ?\[DONE\]\s*$")  # the last event of a stream


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine is reached, in which dialect it is asked, and how long the client waits for it.

    Attributes:
        url: base URL, ends in /v1.
        api_key: sent with every request, never shown.
        in_flight: most requests that one client has open at a time.
        patience_s: how long the client retries after errors; an engine that is being replaced needs minutes.
        timeout_s: longest wait for the first byte of a reply, counted from the last reply to any other request; and
            longest time from the first byte of a reply to its end.
        silence_s: a reply that began has stalled when no byte came for so long.
        dialects: by model, as the preflight found them.
        fields: fields that the user sets or leaves out in every request.
    """

    url: str
    api_key: str = field(default="none", repr=False)
    in_flight: int = 8
    patience_s: float = 40.0
    timeout_s: float = 600.0
    silence_s: float = 60.0
    dialects: Mapping[str, Dialect] = field(default_factory=dict)
    fields: RequestFields = field(default_factory=RequestFields)


class StalledError(Exception):
    """A reply began and did not come to its end."""


class ChatClient:
    """Sends requests to one endpoint; belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        base, _, query = endpoint.url.partition("?")
        self._client = openai.AsyncOpenAI(
            base_url=base,
            api_key=endpoint.api_key,
            default_query=dict(parse_qsl(query)),
            http_client=_http_client(endpoint.url, endpoint.in_flight),
            timeout=_TIMEOUT,
            max_retries=_tries(endpoint.patience_s),
        )
        self._slots = asyncio.Semaphore(endpoint.in_flight)
        self._watch = EngineWatch(self._client, endpoint.url, self.describe)

    async def ask(self, request: Request) -> ChatReply:
        """Send a request and return the engine's reply; whether the reply can be used is not judged here.

        Raises:
            RowError: with ENGINE_ERROR: the engine is alive and replies to other requests, but not to this one.
            FatalError: the engine is gone, does not know the model, or refuses the key.
        """
        async with self._slots, self._watch.watching() as gone:
            started_s = time.monotonic()
            try:
                answer: ChatReply = await unless_gone(gone, self._through_limits(request))
            except (openai.APIError, ServerError, StalledError, TimeoutError) as error:
                status = error.status_code if isinstance(error, openai.APIStatusError) else None
                words = self.describe(error)
                if (status in _FILTERING or isinstance(error, ServerError)) and is_filtered(
                    f"{words} {codes_of(error)}"
                ):
                    return ChatReply(text="", finish_reason="content_filter", refusal=words)
                message = f"{words} after {time.monotonic() - started_s:.0f} s"
                if status in NOT_FOR_US:
                    fix = fix_of(status, self._endpoint.url, model=request.model)
                    message = f"{public(self._endpoint.url)} does not serve {request.model!r} to us: {message}"
                    raise FatalError(f"{message}; {fix}" if fix else message) from error
                answers = status is not None or isinstance(error, ServerError)
                if concerns_one_request(status) or await self._watch.is_alive(request.model, answers_errors=answers):
                    raise RowError(Reason.ENGINE_ERROR, f"{request.schema_name}: {message}") from error
                message = f"{request.model} at {public(self._endpoint.url)} does not answer: {message}"
                raise FatalError(message) from error
            self._watch.answered_s[request.model] = time.monotonic()
            return replace(answer, seconds_s=time.monotonic() - started_s)

    async def _through_limits(self, request: Request) -> ChatReply:
        """Send a request; if a rate limit refuses it, wait while other requests to the model succeed, and longer."""
        since_s = time.monotonic()
        while True:
            try:
                return await self.send(request, self._dialect(request))
            except openai.RateLimitError as error:
                answered_s = max(since_s, self._watch.last_answer_s(request.model))
                ends_s = answered_s + _LIMITED * self._endpoint.patience_s
                if error.code == "insufficient_quota" or time.monotonic() > ends_s:
                    raise
                await asyncio.sleep(min(_LONGEST_PAUSE_S, self._endpoint.patience_s))

    async def send(self, request: Request, dialect: Dialect, retries: int | None = None) -> ChatReply:
        """Send a request in a given dialect; retry if that may help: no connection, a busy engine, a broken reply.

        Args:
            request: what is asked.
            dialect: how the server wants it written.
            retries: how often the `openai` package may retry; None = so often that its pauses fill `patience_s`.

        Raises:
            openai.APIError: the request was refused, or there is no connection.
            ServerError: the response has no completion in it.
            StalledError: the reply did not come to its end.
            TimeoutError: no reply began in time.
        """
        resent = 0
        for pause_s in (*_PAUSES_S[:_RESENDS], None):
            try:
                payload, again = await self._receive(request, dialect, retries)
                resent += again
                answer = read_reply(payload, tuple(request.schema.get("properties", ())))
                if not is_whole(payload) and answer.finish_reason == "no reason":
                    raise StalledError("the answer was cut off")
                return replace(answer, resent=resent)
            except (ServerError, StalledError) as error:
                passes = isinstance(error, StalledError) or error.passes
                if pause_s is None or not passes:
                    raise
                resent += 1
                await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    def describe(self, error: BaseException) -> str:
        """Describe an error, in the server's own words where it has any; the API key is never in it."""
        if isinstance(error, openai.APIStatusError):
            content = self._hidden(error.response.text)
            message = f"HTTP {error.status_code}{' with a web page' if is_page(content) else ''}: {words_of(content)}"
            if error.response.history:  # a client follows as a GET and without the key
                message += f" (redirected to {public(str(error.response.url))}: give the address that answers itself)"
        elif isinstance(error, openai.APIConnectionError):
            # The package hides the cause behind 'Connection error.'.
            message = f"no connection ({error.__cause__ or error})"
            message += connection_fix(message)
            if proxy := proxy_of(self._endpoint.url):
                message += f" by the proxy {proxy} that the environment names; NO_PROXY takes hosts that need none"
        elif isinstance(error, TimeoutError):
            message = "no answer"
        else:
            message = str(error) or type(error).__name__
        return self._hidden(message)[:_DETAIL_CHARACTERS]

    def _hidden(self, text: str) -> str:
        key = self._endpoint.api_key
        return text.replace(key, "***") if len(key) > len("none") else text

    def _dialect(self, request: Request) -> Dialect:
        return self._endpoint.dialects.get(request.model, Dialect())

    async def _receive(self, request: Request, dialect: Dialect, retries: int | None) -> tuple[bytes, int]:
        """Return the body of the response, and how often the `openai` package sent the request again."""
        # `extra_body` is sent as it is; other arguments are checked against openai's types, a quarter of the time.
        client = self._client if retries is None else self._client.with_options(max_retries=retries)
        create = client.chat.completions.with_streaming_response.create
        sent = body(request, dialect, self._endpoint.fields)
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(create(model=request.model, messages=(), extra_body=sent))
            response = await self._patiently(opening, request.model)
            pieces = response.iter_bytes()
            try:
                received = bytearray(await self._patiently(_beginning(pieces), request.model))
                try:
                    await self._rest(pieces, received)
                except (httpx2.HTTPError, StalledError):
                    if not ends_itself(bytes(received)):  # else all is there, only the connection did not end
                        raise
                return bytes(received), response.retries_taken
            except httpx2.HTTPError as error:
                raise StalledError(f"the answer was cut off ({error or type(error).__name__})") from error

    async def _patiently(self, waiting: Coroutine[Any, Any, T], model: str) -> T:
        """Wait for what comes before a reply begins, until the model has replied to no request for `timeout_s`.

        Raises:
            TimeoutError: it took longer.
        """
        task = asyncio.ensure_future(waiting)
        since_s = time.monotonic()
        try:
            while not task.done():
                answered_s = max(since_s, self._watch.last_answer_s(model))
                left_s = answered_s + self._endpoint.timeout_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                await asyncio.wait({task}, timeout=left_s)
            return task.result()
        finally:
            await cancel_and_wait(task)

    async def _rest(self, pieces: AsyncIterator[bytes], received: bytearray) -> None:
        """Append to `received`, the first bytes of a reply, those that follow.

        Raises:
            StalledError: no byte came for too long, or the reply did not end in time.
        """
        clock = asyncio.get_running_loop().time
        end_s = clock() + self._endpoint.timeout_s
        try:
            async with asyncio.timeout(None) as limit:
                limit.reschedule(clock() + (_AFTER_END_S if _DONE.search(received) else self._endpoint.silence_s))
                async for piece in pieces:
                    received += piece
                    self._watch.heard_s = time.monotonic()
                    if len(received) > _MOST_BYTES:
                        raise ServerError(f"more than {_MOST_BYTES:,} bytes", "answers without an end")
                    wait_s = (
                        _AFTER_END_S if _DONE.search(received, max(0, len(received) - 32)) else self._endpoint.silence_s
                    )
                    limit.reschedule(min(end_s, clock() + wait_s))
        except TimeoutError as error:
            why = "took too long" if clock() >= end_s else f"stalled: no byte for {self._endpoint.silence_s:g} s"
            raise StalledError(f"the answer {why}") from error

    async def models(self) -> list[str] | None:
        """Return the names of the models that the endpoint serves; None if it has no such list.

        Raises:
            ValueError: the endpoint refuses the key, or the address is that of a web page.
            FatalError: the endpoint does not answer.
        """
        url = self._endpoint.url
        at = f"the engine at {public(url)} cannot be asked for its models"
        try:
            client = self._client.with_options(max_retries=_LIST_RETRIES, timeout=_LIST_S)
            data = (await client.models.with_raw_response.list()).http_response.content
        except openai.APIStatusError as error:
            if error.status_code in _NO_LIST and not is_page(error.response.content):
                return None
            if error.status_code < 500 and error.status_code not in (408, 409, 429):
                fix = fix_of(error.status_code, url, page=is_page(error.response.content))
                raise ValueError(f"{at}: {self.describe(error)}{f'; {fix}' if fix else ''}") from error
            raise FatalError(f"{at}: {self.describe(error)}") from error
        except openai.APIError as error:
            raise FatalError(f"{at}: {self.describe(error)}") from error
        try:
            return _names(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if is_page(data):
                raise ValueError(
                    f"{at}: it answers with a web page ({words_of(data)}); {fix_of(None, url, page=True)}"
                ) from error
            return None

    async def close(self) -> None:
        """Close the connections to the server."""
        await self._client.close()


def _tries(patience_s: float) -> int:
    """Return the number of retries whose pauses fill `patience_s`."""
    return len(_PAUSES_S) + max(0, math.ceil((patience_s - sum(_PAUSES_S)) / _LONGEST_PAUSE_S))


def _names(listed: Any) -> list[str]:
    """Read the names from a list of models, in any of the shapes that servers use."""
    models: Any = listed if isinstance(listed, list) else dict(listed).get("data", dict(listed).get("models"))
    names = [model if isinstance(model, str) else dict(model).get("id") or dict(model)["name"] for model in models]
    return [str(name) for name in names]


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    """Read the first bytes of a reply; comments and blank lines, sent while it waits, do not begin it."""
    received = b""
    async for piece in pieces:
        received += piece
        if any(line and not line.startswith(b":") for line in map(bytes.strip, received.splitlines())):
            break
    return received


def _http_client(url: str, connections: int) -> openai.DefaultAsyncHttpxClient:
    """Make an HTTP client that keeps `connections` open, and that reaches this machine without a proxy.

    Raises:
        ValueError: a proxy or certificate that the environment names cannot be used.
    """
    most = connections + _SPARE_CONNECTIONS
    limits = replace(openai.DEFAULT_CONNECTION_LIMITS, max_connections=most, max_keepalive_connections=most)
    try:
        return openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(url), limits=limits, timeout=_TIMEOUT)
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as error:
        raise ValueError(
            "what the environment says of connections cannot be used: correct or unset HTTP_PROXY, HTTPS_PROXY, "
            f"ALL_PROXY, SSL_CERT_FILE ({error})"
        ) from error
