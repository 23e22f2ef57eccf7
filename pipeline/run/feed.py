"""Keeps an engine busy: rows of many units go through the stages that wait for it, as soon as they are rendered.

A unit of rows is read and committed together, but its rows do not wait for one another: the videos of all open units
are rendered in parallel, in the order of the units, and from then on every row proceeds by itself. One event loop holds
all of them, because a request that waits costs almost no CPU. A circuit breaker stops the run if most rows get no
usable reply, before every object was paid for and lost.
"""

import asyncio
import math
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from manifests.row_results import FatalError
from manifests.schema import Reason, Row, Status
from pipeline.run.run_stages import event_loop, run_row
from stages.base import Stage

Render = Callable[[list[Row]], Awaitable[list[Row]]]

# A request costs 3 to 6 ms of CPU here (`benchmarks.feed --one-core`): with 512 open requests of 3 s, which is quick
# for a model, a process uses half of a core to a full one.
REQUESTS_A_PROCESS = 512
_MOST_AHEAD_ROWS = 256  # a rendered row holds about a megabyte of images
_LEAST_UNITS = 4

BAD = (Reason.ENGINE_ERROR, Reason.BAD_REPLY)  # reasons that the circuit breaker counts
_LEAST_ROWS = 16
_MOST_BAD_FRAC = 0.5
_Z = 1.96  # of a two-sided 95 % interval
_EXAMPLE_CHARACTERS = 600


def processes(in_flight: int) -> int:
    """Return how many processes share `in_flight` open requests: one, until one core is not enough."""
    return max(1, -(-in_flight // REQUESTS_A_PROCESS))


def open_rows(in_flight: int) -> int:
    """Return how many rows a process may have rendered but not finished, if it has `in_flight` open requests.

    A row has at most one open request. More rows than requests keep the engine's queue filled while a video takes long
    to render, and let the last rows end together instead of one after the other.
    """
    return in_flight + min(2 * in_flight, _MOST_AHEAD_ROWS) if in_flight else _MOST_AHEAD_ROWS


def open_units(in_flight: int, rows_per_unit: int) -> int:
    """Return how many units may be open: twice what the rows need, so that one slow row does not keep others out."""
    return _LEAST_UNITS + 2 * -(-open_rows(in_flight) // rows_per_unit)


class UselessEngineError(FatalError):
    """Raised when most rows got no usable reply; the failed attempts of these rows do not count."""


@dataclass
class Breaker:
    """Is the circuit breaker of one process: it counts rows without a usable reply, and stops a run that is useless."""

    rows: int = 0
    bad: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count(self, row: Row) -> None:
        """Count a row that has ended at a stage that asks models.

        Rows that were tried before do not count: they are those that failed, whatever the engine does.

        Raises:
            UselessEngineError: of at least 16 rows, the share without a usable reply is above one half, by the lower
                bound of its 95 % interval.
        """
        if row.attempts:
            return
        bad = row.status is Status.FAILED and row.reason in BAD
        with self._lock:
            self.rows += 1
            self.bad += bad
            if not bad or self.rows < _LEAST_ROWS or lower_bound(self.bad, self.rows) <= _MOST_BAD_FRAC:
                return
            message = f"{self.bad} of the first {self.rows} objects got no answer that could be used"
        raise UselessEngineError(
            f"{message}; they do not count as tried. Look at the model and the server's settings; one example: "
            f"{row.object_id} at {row.stage}: {' '.join((row.detail or '').split())[:_EXAMPLE_CHARACTERS]}"
        )


def lower_bound(hits: int, number: int) -> float:
    """Return the lower end of the Wilson score interval (95 %) of the share `hits` / `number`."""
    share, z2 = hits / number, _Z * _Z
    half = _Z * math.sqrt(share * (1 - share) / number + z2 / (4 * number * number))
    return (share + z2 / (2 * number) - half) / (1 + z2 / number)


class Feed:
    """Runs units through stages on the event loop of this process; `run` may be called by many threads at a time."""

    def __init__(
        self, render: Render, stages: Sequence[Stage], rows: int, renders: int, close: Callable[[Row], None]
    ) -> None:
        """Make a feed without any open unit.

        Args:
            render: runs the rows of one video through the stages before, in another process.
            stages: the stages that follow, which wait for an engine.
            rows: most rows that may be rendered and not finished.
            renders: most videos that are rendered at a time.
            close: called with every row as soon as it has ended.
        """
        self._render, self._stages, self._close = render, stages, close
        self._most_rows = rows
        self._rows = asyncio.Semaphore(rows)
        self._renders = asyncio.Semaphore(renders)
        self._entering = asyncio.Lock()  # videos enter in order, so that small ones do not overtake large ones
        self._breaker = Breaker()
        self._units: set[asyncio.Task[list[Row]]] = set()
        self._fatal: FatalError | None = None

    def run(self, rows: Sequence[Row]) -> list[Row]:
        """Run the pending rows of a unit through all stages; returns all its rows in their order.

        Raises:
            FatalError: a stage raised it, for this unit or for another open one; the unit is then to be thrown away.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._entered(rows), event_loop()).result()
        except CancelledError:
            assert self._fatal
            raise self._fatal from None

    async def _entered(self, rows: Sequence[Row]) -> list[Row]:
        if self._fatal:
            raise self._fatal
        unit = asyncio.create_task(self._unit(rows))
        self._units.add(unit)
        try:
            return await unit
        except FatalError as error:
            self._fatal = self._fatal or error
            for other in self._units - {unit}:
                other.cancel()
            raise
        finally:
            self._units.discard(unit)

    async def _unit(self, rows: Sequence[Row]) -> list[Row]:
        ended = {row.object_id: row for row in rows if row.status is not Status.PENDING}
        for row in ended.values():
            self._close(row)
        videos: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row.status is Status.PENDING:
                videos[row.video_id].append(row)
        try:
            async with asyncio.TaskGroup() as group:
                for video in videos.values():
                    group.create_task(self._video(group, video, ended))
        except* FatalError as fatal:
            raise _first(fatal) from None
        return [ended[row.object_id] for row in rows]

    async def _video(self, group: asyncio.TaskGroup, rows: list[Row], ended: dict[str, Row]) -> None:
        room = min(len(rows), self._most_rows)
        async with self._entering:
            for _ in range(room):
                await self._rows.acquire()
        try:
            async with self._renders:
                rendered = await self._render(rows)
        except BaseException:
            self._leave(room)
            raise
        for at, row in enumerate(rendered):
            ended[row.object_id] = row
            group.create_task(self._row(row, at < room))

    async def _row(self, row: Row, holds_room: bool) -> None:
        try:
            if row.status is Status.PENDING:
                started_s = time.perf_counter()
                await run_row(self._stages, row)
                row.seconds_s += time.perf_counter() - started_s
                self._breaker.count(row)
            self._close(row)
        finally:
            self._leave(holds_room)

    def _leave(self, room: int) -> None:
        for _ in range(room):
            self._rows.release()


def _first(errors: BaseExceptionGroup[Any]) -> FatalError:
    """Return the first error of a group, or of the group within it."""
    error = errors.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(error)
    assert isinstance(error, FatalError)
    return error
