"""What may become of a row in a stage: columns to write, a rejection, or a failure; and the error that ends a run."""

from dataclasses import dataclass, field
from typing import Any

from manifests.schema import Reason

Update = dict[str, Any]  # column -> value; a stage may only update the columns in its `writes`


@dataclass(frozen=True)
class Reject:
    """The result of a row that ends at this stage by design; columns in `update` are written all the same."""

    reason: Reason
    detail: str
    update: Update = field(default_factory=dict)


class RowError(Exception):
    """This row failed in a foreseen way, and the next run tries it again.

    Any other exception of a stage, but FatalError, makes the row fail with the reason UNEXPECTED_ERROR.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return self.detail


class FatalError(Exception):
    """The run cannot go on (engine dead, disk full): it stops, keeps what is written, and can be resumed later."""
