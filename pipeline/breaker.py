"""Stops a run whose engine gives nothing that can be used, before every object is paid for and lost."""

import math
import threading
from dataclasses import dataclass, field

from manifests.schema import Reason, Row, Status
from stages.base import FatalError

BAD = (Reason.ENGINE_ERROR, Reason.BAD_REPLY)
_LEAST_ROWS = 16
_MOST_BAD_FRAC = 0.5
_Z = 1.96  # both ends of a 95 % interval
_EXAMPLE_CHARACTERS = 600


class UselessEngineError(FatalError):
    """Most rows ended without an answer that could be used; those rows do not count as tried."""


@dataclass
class Breaker:
    """Counts rows that models were asked about for the first time, in one process."""

    rows: int = 0
    bad: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, row: Row) -> None:
        """Count a row that came to its end at a stage that asks models.

        Rows that were tried before do not count: they are the ones that failed, whatever the engine does.

        Raises:
            UselessEngineError: From 16 rows on, if the lower 95 % bound of the share of bad ends is above one half.
        """
        if row.attempts:
            return
        bad = row.status is Status.FAILED and row.reason in BAD
        with self._lock:
            self.rows += 1
            self.bad += bad
            if not bad or self.rows < _LEAST_ROWS or lower_bound(self.bad, self.rows) <= _MOST_BAD_FRAC:
                return
            told = f"{self.bad} of the first {self.rows} objects got no answer that could be used"
        raise UselessEngineError(
            f"{told}; they do not count as tried. Look at the model and the server's settings; one example: "
            f"{row.object_id} at {row.stage}: {' '.join((row.detail or '').split())[:_EXAMPLE_CHARACTERS]}"
        )


def lower_bound(hits: int, number: int) -> float:
    """Lower end of Wilson's 95 % interval of a share."""
    share, z2 = hits / number, _Z * _Z
    half = _Z * math.sqrt(share * (1 - share) / number + z2 / (4 * number * number))
    return (share + z2 / (2 * number) - half) / (1 + z2 / number)
