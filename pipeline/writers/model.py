"""The writer that asks models: prompts with pictures go to the VLM, those without to the LLM."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TypeVar
from weakref import WeakValueDictionary

from pydantic import BaseModel

import prompts
from manifests.io import Folder
from manifests.schema import Call, Reason, Row
from pipeline.engines.chat import ChatClient, Endpoint
from pipeline.engines.dialect import Request
from pipeline.engines.models import Sampling
from pipeline.engines.reading import ChatReply
from pipeline.engines.reply_store import ReplyStore, key_of, question
from pipeline.writers.usable import FaultError, usable
from prompts import Prompt
from stages.base import RowError

R = TypeVar("R", bound=BaseModel)
_schema = cache(lambda reply: reply.model_json_schema())


@dataclass(frozen=True)
class Model:
    """A model as it is asked for, and which state of it that is; the revision is empty where nobody tells it."""

    name: str
    revision: str


class ModelWriter:
    """Asks until a reply can be used: each attempt is hotter than the last, and none is paid for twice."""

    pool = "chat"

    def __init__(
        self, endpoint: Endpoint, vlm: Model, llm: Model, sampling: Sampling, out: Folder, passes: int = 0
    ) -> None:
        """Prepare; connections are made by the first `write`.

        Args:
            endpoint: that is asked.
            vlm: for prompts with pictures.
            llm: for prompts without.
            sampling: how replies are drawn.
            out: folder of the run, for `replies/`.
            passes: earlier calls that the circuit breaker stopped: as many more seeds may be tried.
        """
        self.name = vlm.name if vlm == llm else f"{vlm.name} + {llm.name}"
        self._endpoint, self._vlm, self._llm, self._sampling = endpoint, vlm, llm, sampling
        self._store, self._passes = ReplyStore(out), passes
        self._opened: _Opened | None = None

    async def write(self, prompt: Prompt[R], row: Row, pictures: Sequence[bytes]) -> R:
        """See Writer.write.

        Raises:
            RowError: REFUSED, MARKER_LEAK if that is the fault of every answer, else BAD_REPLY; ENGINE_ERROR.
            FatalError: the engine is gone.
        """
        model = self._vlm if pictures else self._llm
        texts = prompt.render(**prompts.values_of(row))
        faults: list[FaultError] = []
        before = len(row.calls)
        for temperature, seed in self._ladder(row.attempts):
            request = Request(
                model=model.name,
                system=texts.system,
                images=tuple(pictures),
                user=texts.user,
                schema_name=prompt.name,
                schema=_schema(prompt.reply),
                temperature=temperature,
                top_p=self._sampling.top_p,
                seed=seed,
                max_tokens=self._sampling.max_tokens,
            )
            answer, call = await self._answer(request, prompt, model)
            row.calls.append(call)
            try:
                return usable(prompt, answer)
            except FaultError as fault:
                call.fault = str(fault)
                faults.append(fault)
                if sum(not call.stored for call in row.calls[before:]) >= len(self._sampling.temperatures):
                    break
        reasons = {fault.reason for fault in faults}
        told = "; ".join(f"{number}. {fault}" for number, fault in enumerate(faults, 1))
        raise RowError(
            reasons.pop() if len(reasons) == 1 else Reason.BAD_REPLY,
            f"none of {len(faults)} answers of {model.name} to {prompt.id} can be used: {told}",
        )

    def _ladder(self, attempts: int) -> Iterator[tuple[float, int]]:
        """(temperature, seed) of each attempt; a row that failed before goes on where it was, over kept answers."""
        steps = self._sampling.temperatures * (attempts + 1 + self._passes)
        return ((temperature, self._sampling.seed + number) for number, temperature in enumerate(steps))

    async def _answer(self, request: Request, prompt: Prompt[R], model: Model) -> tuple[ChatReply, Call]:
        asked = question(request, prompt.id, model.revision, self._endpoint.fields.deciding)
        key = key_of(asked)
        opened = self._open()
        lock = opened.asking.setdefault(key, asyncio.Lock())
        async with lock:
            answer = await self._store.get(key)
            stored = answer is not None
            if answer is None:
                answer = await opened.client.ask(request)
                await self._store.put(key, asked, answer)
        call = Call(
            prompt=prompt.id,
            model=model.name,
            revision=model.revision,
            key=key,
            temperature=request.temperature,
            seed=request.seed,
            tokens_in=answer.tokens_in,
            tokens_cached=answer.tokens_cached,
            tokens_out=answer.tokens_out,
            seconds_s=answer.seconds_s,
            resent=answer.resent,
            stored=stored,
            forms=list(answer.forms),
            fault=None,
        )
        return answer, call

    def _open(self) -> "_Opened":
        if self._opened is None:
            self._opened = _Opened(ChatClient(self._endpoint))
        return self._opened


@dataclass
class _Opened:
    """What cannot travel to a worker: made there."""

    client: ChatClient
    # two rows may ask the same at the same time: the second waits, and finds the answer kept
    asking: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
