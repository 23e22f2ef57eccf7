"""The contract of a stage: rows in, one result per row out, same order. No Ray, no model here."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from manifests.schema import Reason, Row

Update = dict[str, Any]  # column -> value, only columns named in `writes`


@dataclass(frozen=True)
class Reject:
    """This row ends here by design; what was found out about it until then is kept too."""

    reason: Reason
    detail: str
    update: Update = field(default_factory=dict)


class RowError(Exception):
    """This row failed in a foreseen way (it is retried); any other exception is an UNEXPECTED_ERROR."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


class FatalError(Exception):
    """The run cannot go on (engine dead, disk full): stop, keep what is written, resume later."""


Result = Update | Reject | Exception  # an Exception fails its row alone


class Stage(ABC):
    """One step. Configured by a frozen dataclass, picklable before `setup`, no work at import."""

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    writes: ClassVar[tuple[str, ...]]
    by_video: ClassVar[bool] = False  # True: `process` gets the rows of one video at a time
    pool: str = "cpu"  # neighbouring stages of one pool share a worker

    def setup(self) -> None:  # noqa: B027  (most stages have nothing to set up)
        """Load what must not be pickled, once per worker."""

    @abstractmethod
    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Results for `rows`: same length, same order. Raise FatalError to stop the run."""


class AsyncStage(Stage):
    """A stage that waits for others: many rows are in flight, and each goes on to the next stage by itself."""

    @abstractmethod
    async def answer(self, row: Row) -> Update | Reject:
        """The result for one row; exceptions as in Stage.process."""

    def process(self, rows: Sequence[Row]) -> list[Result]:
        """Not for rows in flight: `pipeline.run.run_stages` awaits `answer`."""
        raise TypeError(f"{self.name} is asynchronous: run it with pipeline.run.run_stages")
