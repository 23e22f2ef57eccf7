"""Connections: closes those on which no complete request arrives, so that half-sent ones do not use up the server.

uvicorn waits for the rest of a request without end. `HurriedProtocol` limits the time for the headers; the time for the
body is limited where it is read (`web/guard.py`).
"""

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD_S = 10.0  # for the headers of a request, from its first byte or from when the connection was made
MAX_HEAD = 64 * 1024  # bytes of a request line and headers
_FILES = 16_384


class _Hurry(asyncio.Protocol):
    """Limits the time and the size of what comes before a request can be handled; mixed into a protocol of uvicorn."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    cycle: Any  # the request that is being handled, or the last one; None before the first

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._deadline: asyncio.TimerHandle | None = None
        self._unused = 0  # bytes that came since the last complete headers
        self._hurry()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; the headers of the next one must be complete in time."""
        super().data_received(data)
        if self._is_waiting():
            self._unused += len(data)
            self._hurry()
            if self._unused > MAX_HEAD:
                self._close()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline of a connection that is gone."""
        self._stop()
        super().connection_lost(exc)

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _hurry(self) -> None:
        if self._deadline is None:  # bytes that trickle in do not move it
            self._deadline = self.loop.call_later(HEAD_S, self._close)

    def _stop(self) -> None:
        self._unused = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._stop()
        if self._is_waiting() and not self.transport.is_closing():
            self.transport.close()


# h11 or httptools, whichever is installed, with the limits
HurriedProtocol = type("HurriedProtocol", (_Hurry, AutoHTTPProtocol), {})


def server_options() -> dict[str, Any]:
    """Return the options of `uvicorn.Config` that every server of the app has."""
    return {"http": HurriedProtocol, "ws": "none", "server_header": False, "log_level": "warning"}


def allow_many_files() -> None:
    """Raise the limit of open files: every connection is one, and 1,024 are used up by a few hundred browsers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
