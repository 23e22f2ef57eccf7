"""The protocol of a writer, which answers prompts with text, and the base class of all stages that ask one.

There are two writers, and the stages are the same for both: `pipeline/writers/measured.py` answers from the row's
facts and asks no model; `pipeline/writers/model_writer.py` sends prompt and images to a model.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

from pydantic import BaseModel

import prompts
from manifests.row_results import Reject, RowError, Update
from manifests.schema import Reason, Row
from prompts import Prompt
from stages.base import AsyncStage

R = TypeVar("R", bound=BaseModel)

# Errors of a writer that reject the row instead of letting it fail: as every attempt ended so, another run would too.
NO_ANSWER = (Reason.REFUSED, Reason.MARKER_LEAK)


@dataclass(frozen=True)
class Model:
    """The name by which a model is asked for, and its commit or revision; "" if the endpoint does not tell it."""

    name: str
    revision: str


class Writer(Protocol):
    """Answers prompts. It is pickled and sent to workers, so it makes what cannot be pickled at the first `write`.

    Attributes:
        name: goes to the row's column `writer`.
        pool: name of the workers that run the stages that ask it, as in `Stage.pool`.
    """

    name: str
    pool: str

    async def write(self, prompt: Prompt[R], row: Row, images: Sequence[bytes]) -> R:
        """Return the reply to `prompt` for `row`.

        Every request to a model is appended to `row.calls`, also those of a row that fails: they were paid for.

        Args:
            prompt: what is asked.
            row: the object that it is asked about; its columns fill in the prompt.
            images: JPEG files that the writer may look at, in the order in which the prompt speaks of them.

        Raises:
            RowError: there is no usable reply for this row.
            FatalError: the engine is gone.
        """
        ...


class JudgeWriter(Writer, Protocol):
    """A writer that also answers the questions of a line-up.

    Attributes:
        judge: the model that answers them.
        looks: whether it looks at images; if not, none are drawn for it, and one trial is as good as several.
    """

    judge: Model
    looks: bool


class WriterStage(AsyncStage):
    """A stage that asks a writer.

    Attributes:
        asks: names of the prompts that it sends; the ids of those that were answered go to the row's `prompt_ids`.
        writes_text: whether what it is answered becomes a text of the row: then the column `writer` says who wrote it.
    """

    asks: ClassVar[tuple[str, ...]]
    writes_text: ClassVar[bool] = True

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.pool = writer.pool

    @abstractmethod
    async def write(self, row: Row) -> Update | Reject:
        """Ask for what this stage needs and return what becomes of `row`; {} if there was nothing to ask."""

    async def ask(self, name: str, row: Row, images: Sequence[bytes | None] = ()) -> Any:
        """Return the writer's reply to the prompt `name`, an instance of `prompts.load(name).reply`.

        Raises:
            ValueError: one of `images` is None, because no earlier stage drew it.
            RowError, FatalError: as `Writer.write` does.
        """
        drawn = [image for image in images if image is not None]
        if len(drawn) < len(images):
            raise ValueError(f"{row.object_id}: prompt {name!r} needs its picture, got none; render_views comes first")
        prompt = prompts.load(name, labelled=row.source_label is not None)
        reply = await self.writer.write(prompt, row, drawn)
        if prompt.id not in row.prompt_ids:
            row.prompt_ids = [*row.prompt_ids, prompt.id]
        return reply

    async def answer(self, row: Row) -> Update | Reject:
        """Return what `write` makes of the row, with the `writer` of its text; NO_ANSWER errors become rejections."""
        try:
            result = await self.write(row)
        except RowError as error:
            if error.reason not in NO_ANSWER:
                raise
            result = Reject(error.reason, error.detail)
        if not result or not self.writes_text:
            return result
        by_writer = {"writer": self.writer.name}
        if isinstance(result, Reject):
            return replace(result, update=result.update | by_writer)
        return result | by_writer
