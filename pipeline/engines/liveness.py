"""Tells whether an engine is alive, while requests to it are open, so that a run stops when the engine is gone."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import openai

from manifests.row_results import FatalError
from pipeline.engines.address import public

# At worst 10 + 5 x 5 + 5 x 3 s pass until an engine counts as gone.
_QUIET_S = 10.0  # after so long without a byte of any reply, the engine is tested
_PROBE_S, _PROBES, _PROBE_PAUSE_S = 5.0, 5, 3.0  # of the tests: time limit, number, pause between two
_ALIVE_S = 10.0  # for a reply of one token
NOT_FOR_US = (401, 402, 403, 404, 405, 407)  # HTTP status that concerns every request: key, credit, model, address


class EngineWatch:
    """Remembers when an engine last replied, and tests it when it is quiet; belongs to one event loop.

    Attributes:
        answered_s: by model, when it last replied to a request, on the clock `time.monotonic`.
        heard_s: when a byte of any reply last came, on the same clock.
    """

    def __init__(self, client: openai.AsyncOpenAI, url: str, describe: Callable[[BaseException], str]) -> None:
        """Watch an endpoint that has no open request yet.

        Args:
            client: client of the endpoint.
            url: address of the endpoint, for messages.
            describe: returns an error as text for a message.
        """
        self.answered_s: dict[str, float] = {}
        self.heard_s = -math.inf
        self._client, self._url, self._describe = client, url, describe
        self._open = 0
        self._task: asyncio.Task[str] | None = None

    def last_answer_s(self, model: str) -> float:
        """Return when the model last replied to a request; minus infinity if it never did."""
        return self.answered_s.get(model, -math.inf)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.Task[str]]:
        """Count a request as open during the block; while any is open, one task tests the engine.

        The task is given to the block. It ends, with a message, when the engine is gone.
        """
        self._open += 1
        if self._task is None:
            self._task = asyncio.create_task(self._test_until_gone())
        try:
            yield self._task
        finally:
            self._open -= 1
            if not self._open and (task := self._task):
                self._task = None
                await cancel_and_wait(task)

    async def is_alive(self, model: str, *, answers_errors: bool) -> bool:
        """Tell whether `model` is alive: it replies to a shortest request, or to any other request meanwhile.

        Args:
            model: name under which the endpoint serves it.
            answers_errors: the endpoint answered with an error before: if the shortest request then has to wait, the
                engine has a long queue, but is alive.
        """
        since_s = time.monotonic()
        client = self._client.with_options(max_retries=0, timeout=_ALIVE_S)
        try:
            await client.chat.completions.with_raw_response.create(
                model=model, messages=[{"role": "user", "content": "Say yes."}], max_tokens=1
            )
        except openai.APIStatusError as error:
            alive = concerns_one_request(error.status_code)
        except openai.APITimeoutError:
            alive = answers_errors
        except openai.APIError:
            alive = False
        else:
            alive = True
        return alive or self.last_answer_s(model) > since_s

    async def _test_until_gone(self) -> str:
        client = self._client.with_options(max_retries=0, timeout=_PROBE_S)
        failures, message = 0, ""
        since_s = time.monotonic()
        while failures < _PROBES:
            quiet_s = time.monotonic() - max((since_s, self.heard_s, *self.answered_s.values()))
            if quiet_s < _QUIET_S:
                failures = 0
                await asyncio.sleep(_QUIET_S - quiet_s)
                continue
            try:
                await client.models.with_raw_response.list()
                failures, since_s = 0, time.monotonic()
            except openai.APIConnectionError as error:
                failures, message = failures + 1, self._describe(error)
                await asyncio.sleep(_PROBE_PAUSE_S)
            except openai.APIError:  # it answers, if only with an error: what is wrong will be seen by requests
                failures, since_s = 0, time.monotonic()
        return f"the engine at {public(self._url)} is gone: {message}"


def concerns_one_request(status: int | None) -> bool:
    """Tell whether an HTTP status says that one request cannot be answered, not that the engine cannot answer any."""
    return status is not None and status < 500 and status not in (*NOT_FOR_US, 408, 409, 429)


async def unless_gone(gone: asyncio.Task[str], asking: Coroutine[Any, Any, Any]) -> Any:
    """Return the result of `asking`.

    Raises:
        FatalError: the task `gone` ended first; the message is its result.
    """
    task = asyncio.create_task(asking)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise FatalError(gone.result())
        return task.result()
    finally:
        await cancel_and_wait(task)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has closed its connection; what it raises then is ignored."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
