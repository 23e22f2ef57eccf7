"""Who writes text, and the base of all stages that ask for it.

Two kinds of writer fit the protocol. `pipeline/writers/measured.py` answers from the row's facts and asks no model;
`pipeline/writers/model.py` shows prompt and pictures to a model. The stages are the same for both.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

import prompts
from manifests.schema import Reason, Row
from prompts import Prompt
from stages.base import AsyncStage, Reject, RowError, Update

R = TypeVar("R", bound=BaseModel)

NO_ANSWER = (Reason.REFUSED, Reason.MARKER_LEAK)  # every attempt ended so: another run would end so too


class Writer(Protocol):
    """Answers prompts. Picklable; what cannot be pickled (a client) is made at the first `write`."""

    name: str  # goes to the row's column `writer`
    pool: str  # the workers that its stages share, as in Stage.pool

    async def write(self, prompt: Prompt[R], row: Row, pictures: Sequence[bytes]) -> R:
        """The reply to `prompt` for `row`, seeing `pictures` (JPEG, in the order that the prompt speaks of).

        Each request to a model is appended to `row.calls`, also those of a row that fails: they were paid for.

        Raises:
            RowError: No usable reply for this row.
            FatalError: The engine is gone.
        """
        ...


class WriterStage(AsyncStage):
    """A stage that asks a writer."""

    asks: ClassVar[tuple[str, ...]]  # names of the prompts; ids of the answered ones go to the row's `prompt_ids`

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.pool = writer.pool

    @abstractmethod
    async def write(self, row: Row) -> Update | Reject:
        """What this stage makes of `row`; nothing if it had nothing to ask."""

    async def ask(self, name: str, row: Row, pictures: Sequence[bytes | None] = ()) -> Any:
        """The writer's reply to prompt `name`: an instance of `prompts.load(name).reply`; answered, it is noted."""
        shown = [picture for picture in pictures if picture is not None]
        if len(shown) < len(pictures):
            raise ValueError(f"{row.object_id}: prompt {name!r} needs its picture, got none; render_views comes first")
        prompt = prompts.load(name)
        reply = await self.writer.write(prompt, row, shown)
        if prompt.id not in row.prompt_ids:
            row.prompt_ids = [*row.prompt_ids, prompt.id]
        return reply

    async def answer(self, row: Row) -> Update | Reject:
        """See AsyncStage.answer; `writer` is added to what was written, `prompt_ids` as each prompt was answered."""
        try:
            result = await self.write(row)
        except RowError as error:
            if error.reason not in NO_ANSWER:
                raise
            result = Reject(error.reason, error.detail)
        if not result:
            return result
        told = {"writer": self.writer.name}
        if isinstance(result, Reject):
            return replace(result, update=result.update | told)
        return result | told
