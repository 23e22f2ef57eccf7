"""One client for every engine: OpenAI's chat API, bounded requests in flight, sent again when the engine stumbles.

What is tried again before a reply begins, and with which pauses, is the `openai` package's: connection errors, 408,
409, 429 and 5xx, with growing pauses and jitter, or as Retry-After says. What that cannot know is decided here: whether
a reply that began has stalled, and whether the engine is gone, so that the run stops instead of losing a row with each
request.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import httpx2
import openai

from manifests.schema import Reason
from pipeline.engines.address import is_loopback, proxy_of, public
from pipeline.engines.dialect import Dialect, Request, RequestFields, body
from pipeline.engines.reading import ChatReply, ends_itself, is_whole, read_reply
from pipeline.engines.server_errors import ServerError, codes_of, connection_fix, fix_of, is_filtered, is_page, words_of
from stages.base import FatalError, RowError

T = TypeVar("T")

_TIMEOUT = openai.Timeout(None, connect=10.0)  # who asks knows better what silence means
_SPARE_CONNECTIONS = 8  # for the questions whether the engine lives
_QUIET_S = 10.0  # without an answer for so long, the engine is asked whether it lives
_PROBE_S, _PROBES, _PROBE_PAUSE_S = 5.0, 5, 3.0  # at worst 10 + 5 x 5 + 5 x 3 s: gone is known within a minute
_PAUSES_S, _LONGEST_PAUSE_S = (0.5, 1.0, 2.0, 4.0), 8.0  # of the openai package: these, then the longest each time
_RESENDS = 2  # of an answer that was broken, stalled, or an error behind status 200
_ALIVE_S = 10.0  # for a word of an answer
_FILTERING = (400, 403, 422, 451)  # with the words of a filter: what was asked is refused
_NO_LIST = (403, 404, 405, 501)  # 403: a key may be good for answers alone
_NOT_FOR_US = (401, 402, 403, 404, 405, 407)  # of every request alike: key, credit, model, address
_LIMITED = 3  # times patience_s: a limit of requests a minute is over by then
_AFTER_END_S = 1.0  # for a connection to end after its answer has
_MOST_BYTES = 2**24  # of an answer: 50,000 tokens as events
_DETAIL_CHARACTERS = 500
_DONE = re.compile(rb"(?:^|\n)data: ?\[DONE\]\s*$")  # the last event of a stream


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine is reached, how it is spoken to, and how patient one is with it.

    Attributes:
        url: ends in /v1.
        api_key: sent with every request, never shown.
        in_flight: requests that one client has open at a time.
        patience_s: how long errors are answered by sending again; an engine that is being replaced needs minutes.
        timeout_s: a request that has no byte of its answer waits as long as others are answered, and then so long; an
            answer may take so long from its first byte on.
        silence_s: an answer that began and then says nothing for so long has stalled.
        dialects: by model, as the preflight settled them.
        fields: what the user sets or leaves out in every request.
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
    """An answer began and did not come to its end."""


class ChatClient:
    """Asks one endpoint. Belongs to one event loop."""

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
        self._open = 0
        self._answered_s: dict[str, float] = {}  # by model: when it last answered anything
        self._heard_s = -math.inf  # when a piece of any answer came
        self._watch: asyncio.Task[str] | None = None

    async def ask(self, request: Request) -> ChatReply:
        """The engine's answer, whatever it is worth.

        Raises:
            RowError: ENGINE_ERROR, the engine lives and answers others, but not this.
            FatalError: it is gone, does not know the model, or does not let us in.
        """
        async with self._slots, self._watched() as gone:
            started_s = time.monotonic()
            try:
                answer: ChatReply = await _unless(gone, self._through_limits(request))
            except (openai.APIError, ServerError, StalledError, TimeoutError) as error:
                status = error.status_code if isinstance(error, openai.APIStatusError) else None
                words = self.told(error)
                if (status in _FILTERING or isinstance(error, ServerError)) and is_filtered(
                    f"{words} {codes_of(error)}"
                ):
                    return ChatReply(text="", finish_reason="content_filter", refusal=words)
                told = f"{words} after {time.monotonic() - started_s:.0f} s"
                if status in _NOT_FOR_US:
                    fix = fix_of(status, self._endpoint.url, model=request.model)
                    told = f"{public(self._endpoint.url)} does not serve {request.model!r} to us: {told}"
                    raise FatalError(f"{told}; {fix}" if fix else told) from error
                answers = status is not None or isinstance(error, ServerError)
                if _of_this_request(status) or await self._lives(request.model, answers_errors=answers):
                    raise RowError(Reason.ENGINE_ERROR, f"{request.schema_name}: {told}") from error
                told = f"{request.model} at {public(self._endpoint.url)} does not answer: {told}"
                raise FatalError(told) from error
            self._answered_s[request.model] = time.monotonic()
            return replace(answer, seconds_s=time.monotonic() - started_s)

    async def _through_limits(self, request: Request) -> ChatReply:
        """Send; what a limit of requests keeps out waits as long as others of the model get in, and then a while."""
        since_s = time.monotonic()
        while True:
            try:
                return await self.send(request, self._dialect(request))
            except openai.RateLimitError as error:
                answered_s = max(since_s, self._answered_s.get(request.model, -math.inf))
                ends_s = answered_s + _LIMITED * self._endpoint.patience_s
                if error.code == "insufficient_quota" or time.monotonic() > ends_s:
                    raise
                await asyncio.sleep(min(_LONGEST_PAUSE_S, self._endpoint.patience_s))

    async def send(self, request: Request, dialect: Dialect, retries: int | None = None) -> ChatReply:
        """Send in a given dialect, again only if that may help: no connection, a busy engine, a broken answer.

        Args:
            request: what is asked.
            dialect: how the server wants it.
            retries: of what has no answer or an error of the server, instead of those that fill `patience_s`.

        Raises:
            openai.APIError: it was refused, or there is no connection.
            ServerError: there is an answer, but no completion in it.
            StalledError: the answer did not come to its end.
            TimeoutError: nothing was answered in time.
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

    def told(self, error: BaseException) -> str:
        """What an error says, in the server's own words where it has any; never the key."""
        if isinstance(error, openai.APIStatusError):
            content = self._hidden(error.response.text)
            told = f"HTTP {error.status_code}{' with a web page' if is_page(content) else ''}: {words_of(content)}"
            if error.response.history:  # a client follows as a GET and without the key
                told += f" (redirected to {public(str(error.response.url))}: give the address that answers itself)"
        elif isinstance(error, openai.APIConnectionError):
            # The package hides the cause behind 'Connection error.'.
            told = f"no connection ({error.__cause__ or error})"
            told += connection_fix(told)
            if proxy := proxy_of(self._endpoint.url):
                told += f" by the proxy {proxy} that the environment names; NO_PROXY takes hosts that need none"
        elif isinstance(error, TimeoutError):
            told = "no answer"
        else:
            told = str(error) or type(error).__name__
        return self._hidden(told)[:_DETAIL_CHARACTERS]

    def _hidden(self, text: str) -> str:
        key = self._endpoint.api_key
        return text.replace(key, "***") if len(key) > len("none") else text

    def _dialect(self, request: Request) -> Dialect:
        return self._endpoint.dialects.get(request.model, Dialect())

    async def _receive(self, request: Request, dialect: Dialect, retries: int | None) -> tuple[bytes, int]:
        """The body of the response, and how often the package sent the request again."""
        # `extra_body` is sent as it is; all else is held against openai's types part by part: a quarter of the time.
        client = self._client if retries is None else self._client.with_options(max_retries=retries)
        create = client.chat.completions.with_streaming_response.create
        sent = body(request, dialect, self._endpoint.fields)
        async with AsyncExitStack() as stack:
            opening = stack.enter_async_context(create(model=request.model, messages=(), extra_body=sent))
            response = await self._patiently(opening, request.model)
            pieces = response.iter_bytes()
            try:
                found = bytearray(await self._patiently(_beginning(pieces), request.model))
                try:
                    await self._rest(pieces, found)
                except (httpx2.HTTPError, StalledError):
                    if not ends_itself(bytes(found)):  # else all is there, only the connection did not end
                        raise
                return bytes(found), response.retries_taken
            except httpx2.HTTPError as error:
                raise StalledError(f"the answer was cut off ({error or type(error).__name__})") from error

    async def _patiently(self, waiting: Coroutine[Any, Any, T], model: str) -> T:
        """What is waited for before an answer begins: as long as others of the model are answered, and then timeout_s.

        Raises:
            TimeoutError: longer.
        """
        task = asyncio.ensure_future(waiting)
        since_s = time.monotonic()
        try:
            while not task.done():
                answered_s = max(since_s, self._answered_s.get(model, -math.inf))
                left_s = answered_s + self._endpoint.timeout_s - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError
                await asyncio.wait({task}, timeout=left_s)
            return task.result()
        finally:
            await _stopped(task)

    async def _rest(self, pieces: AsyncIterator[bytes], found: bytearray) -> None:
        """Add to the first bytes of an answer those that follow.

        Raises:
            StalledError: it was silent for too long, or did not end in time.
        """
        clock = asyncio.get_running_loop().time
        end_s = clock() + self._endpoint.timeout_s
        try:
            async with asyncio.timeout(None) as limit:
                limit.reschedule(clock() + (_AFTER_END_S if _DONE.search(found) else self._endpoint.silence_s))
                async for piece in pieces:
                    found += piece
                    self._heard_s = time.monotonic()
                    if len(found) > _MOST_BYTES:
                        raise ServerError(f"more than {_MOST_BYTES:,} bytes", "answers without an end")
                    wait_s = _AFTER_END_S if _DONE.search(found, max(0, len(found) - 32)) else self._endpoint.silence_s
                    limit.reschedule(min(end_s, clock() + wait_s))
        except TimeoutError as error:
            why = "took too long" if clock() >= end_s else f"stalled: no byte for {self._endpoint.silence_s:g} s"
            raise StalledError(f"the answer {why}") from error

    async def _lives(self, model: str, *, answers_errors: bool) -> bool:
        """Whether `model` answers the shortest of questions, or any other meanwhile: then it was that one request.

        One that answered with an error and then lets the question wait has a long queue, no more.
        """
        since_s = time.monotonic()
        client = self._client.with_options(max_retries=0, timeout=_ALIVE_S)
        try:
            await client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "Say yes."}], max_tokens=1
            )
        except openai.APIStatusError as error:
            alive = _of_this_request(error.status_code)
        except openai.APITimeoutError:
            alive = answers_errors
        except openai.APIError:
            alive = False
        else:
            alive = True
        return alive or self._answered_s.get(model, -math.inf) > since_s

    async def models(self) -> list[str] | None:
        """Names of the models that the endpoint serves; None if it has no such list.

        Raises:
            ValueError: it does not let us in, or is no such endpoint but a web page.
            FatalError: it does not answer.
        """
        url = self._endpoint.url
        at = f"the engine at {public(url)} cannot be asked for its models"
        try:
            client = self._client.with_options(max_retries=_PROBES, timeout=_PROBE_S)
            data = (await client.models.with_raw_response.list()).http_response.content
        except openai.APIStatusError as error:
            if error.status_code in _NO_LIST and not is_page(error.response.content):
                return None
            if error.status_code < 500 and error.status_code not in (408, 409, 429):
                fix = fix_of(error.status_code, url, page=is_page(error.response.content))
                raise ValueError(f"{at}: {self.told(error)}{f'; {fix}' if fix else ''}") from error
            raise FatalError(f"{at}: {self.told(error)}") from error
        except openai.APIError as error:
            raise FatalError(f"{at}: {self.told(error)}") from error
        try:
            return _names(json.loads(data))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if is_page(data):
                raise ValueError(
                    f"{at}: it answers with a web page ({words_of(data)}); {fix_of(None, url, page=True)}"
                ) from error
            return None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[asyncio.Task[str]]:
        """While any request is open, somebody looks whether the engine lives; that task ends when it is gone."""
        self._open += 1
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        try:
            yield self._watch
        finally:
            self._open -= 1
            if not self._open and (watch := self._watch):
                self._watch = None
                await _stopped(watch)

    async def _look(self) -> str:
        client = self._client.with_options(max_retries=0, timeout=_PROBE_S)
        failures, told = 0, ""
        since_s = time.monotonic()
        while failures < _PROBES:
            quiet_s = time.monotonic() - max((since_s, self._heard_s, *self._answered_s.values()))
            if quiet_s < _QUIET_S:
                failures = 0
                await asyncio.sleep(_QUIET_S - quiet_s)
                continue
            try:
                await client.models.with_raw_response.list()
                failures, since_s = 0, time.monotonic()
            except openai.APIConnectionError as error:
                failures, told = failures + 1, self.told(error)
                await asyncio.sleep(_PROBE_PAUSE_S)
            except openai.APIError:  # it answers, if only with an error: requests tell what is wrong with it
                failures, since_s = 0, time.monotonic()
        return f"the engine at {public(self._endpoint.url)} is gone: {told}"


async def _unless(gone: asyncio.Task[str], asking: Coroutine[Any, Any, Any]) -> Any:
    """What `asking` gives; FatalError as soon as the engine is found gone."""
    task = asyncio.create_task(asking)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise FatalError(gone.result())
        return task.result()
    finally:
        await _stopped(task)


async def _stopped(task: asyncio.Task[Any]) -> None:
    """End a task and wait until it let go of its connection; what it raises is of no interest any more."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _of_this_request(status: int | None) -> bool:
    """Whether an HTTP status says that it is this request that cannot be answered, not the engine that cannot."""
    return status is not None and status < 500 and status not in (*_NOT_FOR_US, 408, 409, 429)


def _tries(patience_s: float) -> int:
    """How often to send again so that the pauses fill `patience_s`."""
    return len(_PAUSES_S) + max(0, math.ceil((patience_s - sum(_PAUSES_S)) / _LONGEST_PAUSE_S))


def _names(listed: Any) -> list[str]:
    """Names in a list of models, in the shapes that servers use."""
    models: Any = listed if isinstance(listed, list) else dict(listed).get("data", dict(listed).get("models"))
    names = [each if isinstance(each, str) else dict(each).get("id") or dict(each)["name"] for each in models]
    return [str(name) for name in names]


async def _beginning(pieces: AsyncIterator[bytes]) -> bytes:
    """The first bytes of an answer; comments and blanks that keep a connection open in a queue do not begin one."""
    found = b""
    async for piece in pieces:
        found += piece
        if any(line and not line.startswith(b":") for line in map(bytes.strip, found.splitlines())):
            break
    return found


def _http_client(url: str, connections: int) -> openai.DefaultAsyncHttpxClient:
    """A client that keeps so many connections, and reaches this machine without a proxy."""
    most = connections + _SPARE_CONNECTIONS
    limits = replace(openai.DEFAULT_CONNECTION_LIMITS, max_connections=most, max_keepalive_connections=most)
    try:
        return openai.DefaultAsyncHttpxClient(trust_env=not is_loopback(url), limits=limits, timeout=_TIMEOUT)
    except (ImportError, ValueError, OSError, httpx2.InvalidURL) as error:
        raise ValueError(
            "what the environment says of connections cannot be used: correct or unset HTTP_PROXY, HTTPS_PROXY, "
            f"ALL_PROXY, SSL_CERT_FILE ({error})"
        ) from error
