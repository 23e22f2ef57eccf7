"""Draws candidates for raised quotas beside the app: in a thread, one draw at a time.

That something is still to be drawn is kept in the database (`importing.more.ask`), so a draw that was cut off, also by
a kill, goes on when the app starts again.
"""

import logging
import threading
from collections.abc import Callable

logger = logging.getLogger("refsav")


class DrawJob:
    """Runs draws one after the other.

    Args:
        draw: makes one draw; it is given a function that tells whether it should stop early.
    """

    def __init__(self, draw: Callable[[Callable[[], bool]], object] = lambda stopped: None) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._again = False
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether a draw is being made now."""
        with self._lock:
            return self._thread is not None

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def start(self) -> None:
        """Begin a draw; if one is being made, another follows, as quotas may have been raised since it began."""
        with self._lock:
            self._again = True
            if self._thread is None and not self._stopped.is_set():
                # as a daemon: what stops the app before `stop` is called does not wait for it
                self._thread = threading.Thread(target=self._work, name="draw", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the draw when the videos that are being decoded now are read, and wait for that; no other begins."""
        self._stopped.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._again or self._stopped.is_set():
                    self._thread = None  # whoever starts from now on needs a new thread
                    return
                self._again = False
            try:
                self._draw(self._stopped.is_set)
            except Exception:
                logger.exception("no new candidates were drawn: a fault of the program")
