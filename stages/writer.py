"""Who writes text, and the base of all stages that ask for it.

Two kinds of writer fit the protocol. `pipeline/writers/measured.py` answers from the row's facts and asks no model.
A writer that asks models belongs beside it (`pipeline/writers/model.py`): it renders
`prompt.render(**prompts.values_of(row))`, sends `pictures` and both parts to an engine with the JSON schema of
`prompt.reply`, and parses the answer with that same class. The stages do not change.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

import prompts
from manifests.schema import Row
from prompts import Prompt
from stages.base import FatalError, Reject, Result, Stage, Update

R = TypeVar("R", bound=BaseModel)


class Writer(Protocol):
    """Answers prompts. Picklable; what cannot be pickled (a client) is made at the first `write`."""

    name: str  # goes to the row's column `writer`
    pool: str  # the workers that its stages share, as in Stage.pool
    max_in_flight: int  # prompts that one worker may have open at a time

    async def write(self, prompt: Prompt[R], row: Row, pictures: Sequence[bytes]) -> R:
        """The reply to `prompt` for `row`, seeing `pictures` (JPEG, in the order that the prompt speaks of).

        Raises:
            RowError: No usable reply for this row.
            FatalError: The engine is gone.
        """
        ...


class WriterStage(Stage):
    """A stage that asks a writer: its rows are in flight together, and each fails alone."""

    asks: ClassVar[tuple[str, ...]]  # names of the prompts; their ids go to the row's `prompt_ids`

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.pool = writer.pool

    @abstractmethod
    async def answer(self, row: Row) -> Update | Reject:
        """What this stage makes of `row`; `writer` and `prompt_ids` are added by the base."""

    async def ask(self, name: str, row: Row, pictures: Sequence[bytes | None] = ()) -> Any:
        """The writer's reply to prompt `name`: an instance of `prompts.load(name).reply`."""
        shown = [picture for picture in pictures if picture is not None]
        if len(shown) < len(pictures):
            raise ValueError(f"{row.object_id}: prompt {name!r} needs its picture, got none; render_views comes first")
        async with self._slots:
            return await self.writer.write(prompts.load(name), row, shown)

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """See Stage.process; one row's exception stands in that row's place."""
        return asyncio.run(self._answer_all(rows))

    async def _answer_all(self, rows: Sequence[Row]) -> list[Result]:
        self._slots = asyncio.Semaphore(self.writer.max_in_flight)  # made here: it belongs to the running loop
        results = await asyncio.gather(*map(self._answer_one, rows), return_exceptions=True)
        return [_unless_fatal(result) for result in results]

    async def _answer_one(self, row: Row) -> Update | Reject:
        result = await self.answer(row)
        ids = [*row.prompt_ids, *(prompts.load(name).id for name in self.asks)]
        told = {"writer": self.writer.name, "prompt_ids": list(dict.fromkeys(ids))}
        if isinstance(result, Reject):
            return replace(result, update=result.update | told)
        return result | told


def _unless_fatal(result: Update | Reject | BaseException) -> Result:
    if isinstance(result, FatalError) or (isinstance(result, BaseException) and not isinstance(result, Exception)):
        raise result
    return result
