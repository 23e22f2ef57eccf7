"""Keeps an engine busy: rows of many units go through the stages that wait for it, each as soon as it is rendered.

A unit of rows is read and committed as one, but its rows do not wait for one another: the videos of all open units
are rendered side by side, in the order of the units, and every row goes on alone. One event loop holds all of them:
a request that waits costs its process next to nothing.
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

from manifests.schema import Reason, Row, Status
from pipeline.run.run_stages import event_loop, run_row
from stages.base import FatalError, Stage

Render = Callable[[list[Row]], Awaitable[list[Row]]]

# A request takes a feeding process 3 to 6 ms of CPU (`benchmarks.feed --one-core`): 512 open ones that take 3 s each,
# which is quick for a model, keep about half a core to a whole one busy.
REQUESTS_A_PROCESS = 512
_MOST_AHEAD_ROWS = 256  # rendered rows hold about a megabyte of pictures each
_LEAST_UNITS = 4

BAD = (Reason.ENGINE_ERROR, Reason.BAD_REPLY)
_LEAST_ROWS = 16
_MOST_BAD_FRAC = 0.5
_Z = 1.96  # both ends of a 95 % interval
_EXAMPLE_CHARACTERS = 600


def processes(in_flight: int) -> int:
    """Processes that share `in_flight` open requests: one, until a core is not enough for them."""
    return max(1, -(-in_flight // REQUESTS_A_PROCESS))


def open_rows(in_flight: int) -> int:
    """Rows that are rendered and not finished, of one process with so many open requests.

    A row has one request open at a time, none where no engine is asked. More rows than requests keep the engine's queue
    filled when a video takes long to render, and let the last rows end together instead of one after the other.
    """
    return in_flight + min(2 * in_flight, _MOST_AHEAD_ROWS) if in_flight else _MOST_AHEAD_ROWS


def open_units(in_flight: int, rows_per_unit: int) -> int:
    """Units that are open at a time: twice what the rows need, so that one stuck row does not keep others out."""
    return _LEAST_UNITS + 2 * -(-open_rows(in_flight) // rows_per_unit)


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


class Feed:
    """Takes units through stages on the process's event loop; `run` may be called from many threads at once."""

    def __init__(
        self, render: Render, stages: Sequence[Stage], rows: int, renders: int, close: Callable[[Row], None]
    ) -> None:
        """Prepare.

        Args:
            render: takes the rows of one video through the stages before, elsewhere.
            stages: those that follow.
            rows: most rows that are rendered and not finished.
            renders: videos that are rendered at a time.
            close: called with each row as soon as it has come to its end.
        """
        self._render, self._stages, self._close = render, stages, close
        self._most_rows = rows
        self._rows = asyncio.Semaphore(rows)
        self._renders = asyncio.Semaphore(renders)
        self._entering = asyncio.Lock()  # videos enter in their order, large ones are not overtaken
        self._breaker = Breaker()
        self._units: set[asyncio.Task[list[Row]]] = set()
        self._fatal: FatalError | None = None

    def run(self, rows: Sequence[Row]) -> list[Row]:
        """Take the pending rows of a unit through all stages; returns all rows in their order.

        Raises:
            FatalError: from a stage of this unit or of another one that is open; nothing of this unit counts then.
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
    """The first error of a group, or of a group in it."""
    error = errors.exceptions[0]
    if isinstance(error, BaseExceptionGroup):
        return _first(error)
    assert isinstance(error, FatalError)
    return error
