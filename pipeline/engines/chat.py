"""One client for every engine: OpenAI's chat API, bounded requests in flight, sent again when the engine stumbles.

What is tried again, and with which pauses, is the `openai` package's: connection errors, timeouts, 408, 409, 429 and
5xx, with growing pauses and jitter, or as Retry-After says. What that cannot know is decided here: whether the engine
is gone, so that the run stops instead of losing a row with each request.
"""

import asyncio
import base64
import json
import math
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import openai
from openai.types.chat import ChatCompletion

from manifests.schema import Reason
from stages.base import FatalError, RowError

_QUIET_S = 10.0  # without an answer for so long, the engine is asked whether it lives
_PROBE_S, _PROBES, _PROBE_PAUSE_S = 5.0, 5, 3.0  # at worst 10 + 5 x 5 + 5 x 3 s: gone is known within a minute
_PAUSES_S, _LONGEST_PAUSE_S = (0.5, 1.0, 2.0, 4.0), 8.0  # of the openai package: these, then the longest each time
_ALIVE_S = 20.0  # for a word of an answer
_DETAIL_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine is reached, and how patient one is with it."""

    url: str  # ends in /v1
    in_flight: int = 8  # requests that one client has open at a time
    patience_s: float = 40.0  # how long errors are answered by sending again; an engine being replaced needs minutes
    timeout_s: float = 600.0  # of one request, everything included


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question: system text, pictures (JPEG) and then the instruction, and the JSON schema of the answer."""

    model: str
    system: str
    pictures: tuple[bytes, ...] = field(repr=False)
    user: str
    schema_name: str
    schema: dict[str, Any]
    temperature: float
    top_p: float
    seed: int
    max_tokens: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `text` is not judged here."""

    text: str
    finish_reason: str  # stop, length, content_filter …; "no completion" if the body was none
    refusal: str | None = None
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds_s: float = 0.0
    resent: int = 0


class ChatClient:
    """Asks one endpoint. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY", "none"),
            timeout=endpoint.timeout_s,
            max_retries=_tries(endpoint.patience_s),
        )
        self._slots = asyncio.Semaphore(endpoint.in_flight)
        self._open = 0
        self._last_answer_s = -math.inf
        self._watch: asyncio.Task[None] | None = None
        self._gone: asyncio.Future[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """The engine's answer, whatever it is worth.

        Raises:
            RowError: ENGINE_ERROR, the engine lives and answers others, but not this.
            FatalError: it is gone, does not know the model, or does not let us in.
        """
        async with self._slots, self._watched():
            started_s = time.monotonic()
            try:
                async with asyncio.timeout(self._endpoint.timeout_s):
                    raw = await self._or_gone(self._client.chat.completions.with_raw_response.create(**body(request)))
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                told = f"{self._endpoint.url} does not serve {request.model!r} to us: {_told(error)}"
                raise FatalError(told) from error
            except (openai.APIError, TimeoutError) as error:
                rejected = isinstance(error, openai.APIStatusError) and error.status_code < 500
                limited = isinstance(error, openai.RateLimitError)
                if (rejected and not limited) or self._last_answer_s > started_s or await self._lives(request.model):
                    raise RowError(Reason.ENGINE_ERROR, f"{request.schema_name}: {_told(error)}") from error
                raise FatalError(
                    f"the engine at {self._endpoint.url} has answered nothing for "
                    f"{time.monotonic() - started_s:.0f} s: {_told(error)}"
                ) from error
            self._last_answer_s = time.monotonic()
            return _answer(raw.http_response.content, self._last_answer_s - started_s, raw.retries_taken)

    async def _lives(self, model: str) -> bool:
        """Whether it answers the shortest of questions: then it was the other request that it cannot answer."""
        client = self._client.with_options(max_retries=0, timeout=_ALIVE_S)
        try:
            await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Say yes."}], max_tokens=1
            )
        except openai.APIError:
            return False
        return True

    async def models(self) -> list[str]:
        """Names of the models that the endpoint serves.

        Raises:
            FatalError: it does not answer, or not to us.
        """
        try:
            page = await self._client.with_options(max_retries=_PROBES, timeout=_PROBE_S).models.list()
        except openai.APIError as error:
            told = f"the engine at {self._endpoint.url} cannot be asked for its models: {_told(error)}"
            raise FatalError(told) from error
        return [model.id for model in page.data]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """While any request is open, somebody looks whether the engine lives."""
        self._open += 1
        if self._watch is None:
            self._gone = asyncio.get_running_loop().create_future()
            self._watch = asyncio.create_task(self._look(self._gone))
        try:
            yield
        finally:
            self._open -= 1
            if not self._open and self._watch:
                self._watch.cancel()
                self._watch = self._gone = None

    async def _look(self, gone: asyncio.Future[None]) -> None:
        client = self._client.with_options(max_retries=0, timeout=_PROBE_S)
        failures = 0
        since_s = time.monotonic()
        while failures < _PROBES:
            quiet_s = time.monotonic() - max(self._last_answer_s, since_s)
            if quiet_s < _QUIET_S:
                failures = 0
                await asyncio.sleep(_QUIET_S - quiet_s)
                continue
            try:
                await client.models.list()
                failures, since_s = 0, time.monotonic()
            except openai.APIConnectionError as error:
                failures, told = failures + 1, _told(error)
                await asyncio.sleep(_PROBE_PAUSE_S)
            except openai.APIError:  # it answers, if only with an error: requests tell what is wrong with it
                failures, since_s = 0, time.monotonic()
        if not gone.done():
            gone.set_exception(FatalError(f"the engine at {self._endpoint.url} is gone: {told}"))

    async def _or_gone(self, answer: Any) -> Any:
        """`answer`, or the FatalError of a watch that found the engine gone meanwhile."""
        gone = self._gone
        assert gone is not None
        task = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else gone.result()
        finally:
            task.cancel()


def _tries(patience_s: float) -> int:
    """How often to send again so that the pauses fill `patience_s`."""
    return len(_PAUSES_S) + max(0, math.ceil((patience_s - sum(_PAUSES_S)) / _LONGEST_PAUSE_S))


def body(request: Request) -> dict[str, Any]:
    """The request as it goes over the wire: pictures before the text, so that those of one object share a prefix."""
    shown = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"}}
        for picture in request.pictures
    ]
    return {
        "model": request.model,
        "messages": [
            {"role": "system", "content": request.system},
            {"role": "user", "content": [*shown, {"type": "text", "text": request.user}]},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": request.schema_name, "schema": request.schema, "strict": True},
        },
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "max_tokens": request.max_tokens,
    }


def _answer(body: bytes, seconds_s: float, resent: int) -> Answer:
    try:
        completion = ChatCompletion.model_validate(json.loads(body))
        choice = completion.choices[0]
    except (ValueError, IndexError):
        return Answer(
            text=body[:_DETAIL_CHARACTERS].decode(errors="replace"),
            finish_reason="no completion",
            seconds_s=seconds_s,
            resent=resent,
        )
    usage = completion.usage
    cached = usage.prompt_tokens_details.cached_tokens if usage and usage.prompt_tokens_details else None
    return Answer(
        text=choice.message.content or "",
        finish_reason=choice.finish_reason,
        refusal=choice.message.refusal,
        tokens_in=usage.prompt_tokens if usage else 0,
        tokens_cached=cached or 0,
        tokens_out=usage.completion_tokens if usage else 0,
        seconds_s=seconds_s,
        resent=resent,
    )


def _told(error: BaseException) -> str:
    """What an error says, with the cause that the openai package hides behind 'Connection error.'."""
    cause = f" ({error.__cause__})" if error.__cause__ and str(error.__cause__) else ""
    return f"{type(error).__name__}: {error}{cause}"[:_DETAIL_CHARACTERS]
