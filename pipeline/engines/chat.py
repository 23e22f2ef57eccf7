"""One client for every engine: OpenAI's chat API, bounded requests in flight, sent again when the engine stumbles.

What is tried again, and with which pauses, is the `openai` package's: connection errors, timeouts, 408, 409, 429 and
5xx, with growing pauses and jitter, or as Retry-After says. What that cannot know is decided here: whether the engine
is gone, so that the run stops instead of losing a row with each request.
"""

import asyncio
import base64
import math
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import openai
from pydantic import BaseModel, Field, ValidationError

from manifests.schema import Reason
from pipeline.engines.exchange import Answer, Request
from stages.base import FatalError, RowError

_QUIET_S = 10.0  # without an answer for so long, the engine is asked whether it lives
_PROBE_S, _PROBES, _PROBE_PAUSE_S = 5.0, 5, 3.0  # at worst 10 + 5 x 5 + 5 x 3 s: gone is known within a minute
_PAUSES_S, _LONGEST_PAUSE_S = (0.5, 1.0, 2.0, 4.0), 8.0  # of the openai package: these, then the longest each time
_ALIVE_S = 10.0  # for a word of an answer
_NOT_FOR_US = (401, 402, 403, 404, 405, 407)  # of every request alike: key, credit, model, address
_DETAIL_CHARACTERS = 500


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an engine is reached, and how patient one is with it."""

    url: str  # ends in /v1
    in_flight: int = 8  # requests that one client has open at a time
    patience_s: float = 40.0  # how long errors are answered by sending again; an engine being replaced needs minutes
    timeout_s: float = 600.0  # of one request, everything included


class ChatClient:
    """Asks one endpoint. Belongs to one event loop."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=endpoint.timeout_s,
            max_retries=_tries(endpoint.patience_s),
        )
        self._slots = asyncio.Semaphore(endpoint.in_flight)
        self._open = 0
        self._answered_s: dict[str, float] = {}  # by model: when it last answered anything
        self._watch: asyncio.Task[str] | None = None

    async def ask(self, request: Request) -> Answer:
        """The engine's answer, whatever it is worth.

        Raises:
            RowError: ENGINE_ERROR, the engine lives and answers others, but not this.
            FatalError: it is gone, does not know the model, or does not let us in.
        """
        async with self._slots, self._watched() as gone:
            started_s = time.monotonic()
            try:
                async with asyncio.timeout(self._endpoint.timeout_s):
                    raw = await _unless(gone, self._send(request))
            except (openai.APIError, TimeoutError) as error:
                told = f"{_told(error)} after {time.monotonic() - started_s:.0f} s"
                status = error.status_code if isinstance(error, openai.APIStatusError) else None
                if status in _NOT_FOR_US:
                    told = f"{self._endpoint.url} does not serve {request.model!r} to us: {told}"
                    raise FatalError(told) from error
                if _of_this_request(status) or await self._lives(request.model, answers_errors=status is not None):
                    raise RowError(Reason.ENGINE_ERROR, f"{request.schema_name}: {told}") from error
                raise FatalError(f"{request.model} at {self._endpoint.url} does not answer: {told}") from error
            self._answered_s[request.model] = time.monotonic()
            return _answer(raw.http_response.content, time.monotonic() - started_s, raw.retries_taken)

    async def _send(self, request: Request) -> Any:
        # `extra_body` is sent as it is; all else is held against openai's types part by part: a quarter of the time.
        create = self._client.chat.completions.with_raw_response.create
        return await create(model=request.model, messages=(), extra_body=body(request))

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

    async def models(self) -> list[str]:
        """Names of the models that the endpoint serves.

        Raises:
            FatalError: it does not answer, or not to us.
        """
        try:
            client = self._client.with_options(max_retries=_PROBES, timeout=_PROBE_S)
            raw = await client.models.with_raw_response.list()
            return [model.id for model in _Models.model_validate_json(raw.http_response.content).data]
        except (openai.APIError, ValidationError) as error:
            told = f"the engine at {self._endpoint.url} cannot be asked for its models: {_told(error)}"
            raise FatalError(told) from error

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
            quiet_s = time.monotonic() - max((since_s, *self._answered_s.values()))
            if quiet_s < _QUIET_S:
                failures = 0
                await asyncio.sleep(_QUIET_S - quiet_s)
                continue
            try:
                await client.models.with_raw_response.list()
                failures, since_s = 0, time.monotonic()
            except openai.APIConnectionError as error:
                failures, told = failures + 1, _told(error)
                await asyncio.sleep(_PROBE_PAUSE_S)
            except openai.APIError:  # it answers, if only with an error: requests tell what is wrong with it
                failures, since_s = 0, time.monotonic()
        return f"the engine at {self._endpoint.url} is gone: {told}"


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


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Completion(BaseModel):
    """What is used of a completion: engines differ in the rest, and in their names for how one ended."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage | None = None


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


def _answer(data: bytes, seconds_s: float, resent: int) -> Answer:
    try:
        completion = _Completion.model_validate_json(data)
    except ValidationError:
        return Answer(
            text=data[:_DETAIL_CHARACTERS].decode(errors="replace"),
            finish_reason="no completion",
            seconds_s=seconds_s,
            resent=resent,
        )
    choice, usage = completion.choices[0], completion.usage or _Usage()
    details = usage.prompt_tokens_details or _Details()
    return Answer(
        text=choice.message.content or "",
        finish_reason=choice.finish_reason or "no reason",
        refusal=choice.message.refusal,
        tokens_in=usage.prompt_tokens,
        tokens_cached=details.cached_tokens or 0,
        tokens_out=usage.completion_tokens,
        seconds_s=seconds_s,
        resent=resent,
    )


def _told(error: BaseException) -> str:
    """What an error says, with the cause that the openai package hides behind 'Connection error.'."""
    cause = f" ({error.__cause__})" if error.__cause__ and str(error.__cause__) else ""
    told = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{told}{cause}"[:_DETAIL_CHARACTERS]
