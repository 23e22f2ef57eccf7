"""How far the run is: a tqdm bar in a terminal, a log line now and then elsewhere."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tqdm import tqdm

logger = logging.getLogger(__name__)

_BAR_PERIOD_S, _LOG_PERIOD_S = 0.5, 30.0


class Progress:
    """Shows rows done of `total`, rows/s, time left, and rows by state."""

    def __init__(self, total: int) -> None:
        self._total = total

    @contextmanager
    def watching(self, counts: Callable[[], Mapping[str, int]]) -> Iterator[None]:
        """Ask `counts` (rows by state so far) now and then until the block ends."""
        stop = threading.Event()
        watch = self._bar if sys.stderr.isatty() else self._log
        thread = threading.Thread(target=watch, args=(counts, stop), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=10)

    def _bar(self, counts: Callable[[], Mapping[str, int]], stop: threading.Event) -> None:
        with tqdm(total=self._total, unit="row", smoothing=0.05) as bar:
            ended = False
            while not ended:
                ended = stop.wait(_BAR_PERIOD_S)
                states = counts()
                bar.set_postfix(states, refresh=False)
                bar.update(sum(states.values()) - bar.n)

    def _log(self, counts: Callable[[], Mapping[str, int]], stop: threading.Event) -> None:
        started_s = time.monotonic()
        ended = False
        while not ended:
            ended = stop.wait(_LOG_PERIOD_S)
            states = counts()
            done, passed_s = sum(states.values()), time.monotonic() - started_s
            rate = done / passed_s
            left = f"{(self._total - done) / rate:.0f} s left" if rate else "time left unknown"
            told = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
            logger.info("%d of %d rows (%s), %.2f rows/s, %s", done, self._total, told or "none", rate, left)
