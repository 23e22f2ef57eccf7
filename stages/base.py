"""The contract of a stage: rows go in, one result per row comes out in the same order. It knows no Ray and no model."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from manifests.row_results import Reject, Update
from manifests.schema import Row

Result = Update | Reject | Exception  # an exception lets its own row fail, and no other


class Stage(ABC):
    """One step of the annotation.

    A stage is pickled and sent to workers before `setup`, so its constructor takes plain settings and opens nothing.

    Attributes:
        name: goes to the row's column `stage` if the stage rejects the row or fails at it.
        reads: columns that the stage needs; `pipeline.run.graph.check` sees that an earlier stage writes them.
        writes: columns that its updates may have.
        by_video: whether `process` gets the rows of one video at a time.
        pool: name of the workers that run the stage; neighbouring stages of one pool share a worker.
    """

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[tuple[str, ...]]
    by_video: ClassVar[bool] = False
    pool: str = "cpu"

    def setup(self) -> None:  # noqa: B027  (most stages have nothing to set up)
        """Load what must not be pickled; called once in every worker."""

    @abstractmethod
    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Return the results for `rows`: as many, in the same order.

        Raises:
            FatalError: the run is to stop.
        """


class AsyncStage(Stage):
    """A stage that waits for a server: many rows are in flight, and every row goes on to the next stage by itself."""

    @abstractmethod
    async def answer(self, row: Row) -> Update | Reject:
        """Return the result for one row.

        Raises:
            RowError: the row failed in a foreseen way.
            FatalError: the run is to stop.
        """

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Raise TypeError: `pipeline.run.run_stages` awaits `answer` instead."""
        raise TypeError(f"{self.name} is asynchronous: run it with pipeline.run.run_stages")
