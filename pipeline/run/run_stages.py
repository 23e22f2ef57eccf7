"""Runs stages on rows in plain Python: an error costs only its own row, and every row ends in exactly one state.

Stages before the first asynchronous one take the rows in batches. From that stage on, every row goes through the stages
by itself, many at a time, so that a row that waits for a model does not hold up the others.
"""

import asyncio
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from manifests.row_results import FatalError, Reject, RowError
from manifests.schema import Reason, Row, Status
from stages.base import AsyncStage, Result, Stage
from stages.select_policy import STAGE as SELECT_OBJECTS

_DETAIL_CHARACTERS = 2000
_LOCK = threading.Lock()


def run_stages(stages: Sequence[Stage], rows: Sequence[Row]) -> None:
    """Run the pending rows through all `stages`, in place; rows in another state are not changed.

    Raises:
        FatalError: a stage raised it; the rows are then to be thrown away.
    """
    first = next((at for at, stage in enumerate(stages) if isinstance(stage, AsyncStage)), len(stages))
    for stage in stages[:first]:
        pending = _pending(rows)
        for batch in _by_video(pending) if stage.by_video else [pending]:
            if batch:
                _run_batch(stage, batch)
    if (pending := _pending(rows)) and first < len(stages):
        started_s = time.perf_counter()
        asyncio.run_coroutine_threadsafe(_run_in_flight(stages[first:], pending), event_loop()).result()
        share_s = (time.perf_counter() - started_s) / len(pending)
        for row in pending:
            row.seconds_s += share_s


def finish(rows: Sequence[Row], max_attempts: int) -> None:
    """Set the final state of rows after the last stage and count this attempt, in place.

    A pending row becomes kept, and a failed one becomes poisoned once it failed `max_attempts` times. Rows that
    `select_objects` rejected were never attempted and do not change.
    """
    for row in rows:
        if row.stage == SELECT_OBJECTS:
            continue
        row.attempts += 1
        if row.status is Status.PENDING:
            row.status = Status.KEPT
        elif row.status is Status.FAILED and row.attempts >= max_attempts:
            row.status = Status.POISONED


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="refsav rows in flight", daemon=True).start()
    return loop


def event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process; a writer's connections belong to it, so all batches must use the same."""
    with _LOCK:
        return _start_loop()


async def _run_in_flight(stages: Sequence[Stage], rows: Sequence[Row]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for row in rows:
                group.create_task(run_row(stages, row))
    except* FatalError as fatal:
        raise fatal.exceptions[0] from None


async def run_row(stages: Sequence[Stage], row: Row) -> None:
    """Run one row through `stages` until it is no longer pending, in place.

    Raises:
        FatalError: a stage raised it.
    """
    for stage in stages:
        if row.status is not Status.PENDING:
            return
        if isinstance(stage, AsyncStage):
            (result,) = await asyncio.gather(stage.answer(row), return_exceptions=True)
            if isinstance(
                result, asyncio.CancelledError
            ):  # by the stage itself: raised here, it would end the row silently
                result = RuntimeError(f"stage {stage.name} was cancelled from within")
            if isinstance(result, FatalError) or not isinstance(result, dict | Reject | Exception):
                raise result
        else:
            (result,) = _results(stage, [row])
        _apply(stage, row, result)


def _pending(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row.status is Status.PENDING]


def _run_batch(stage: Stage, rows: Sequence[Row]) -> None:
    started_s = time.perf_counter()
    results = _results(stage, rows)
    share_s = (time.perf_counter() - started_s) / len(rows)
    for row, result in zip(rows, results, strict=True):
        row.seconds_s += share_s
        _apply(stage, row, result)


def _results(stage: Stage, rows: Sequence[Row]) -> Sequence[Result]:
    try:
        results = stage.process(rows)
    except FatalError:
        raise
    except Exception as error:  # noqa: BLE001  the only place that catches everything: an error may cost a row, not the run
        if len(rows) == 1:
            return [error]
        return [result for row in rows for result in _results(stage, [row])]
    if len(results) != len(rows):
        raise FatalError(f"stage {stage.name} must return one result per row: got {len(results)} for {len(rows)} rows")
    return results


def _apply(stage: Stage, row: Row, result: Result) -> None:
    if isinstance(result, dict):
        _update(stage, row, result)
        return
    row.stage = stage.name
    if isinstance(result, Reject):
        _update(stage, row, result.update)
        row.status, row.reason, row.detail = Status.REJECTED, result.reason, result.detail
        return
    row.status = Status.FAILED
    if isinstance(result, RowError):
        row.reason, row.detail = result.reason, result.detail[-_DETAIL_CHARACTERS:]
    else:
        trace = "".join(traceback.format_exception(result, limit=-3))
        row.reason, row.detail = Reason.UNEXPECTED_ERROR, trace[-_DETAIL_CHARACTERS:]


def _update(stage: Stage, row: Row, update: dict[str, Any]) -> None:
    undeclared = update.keys() - set(stage.writes)
    if undeclared:
        raise FatalError(f"stage {stage.name} wrote {sorted(undeclared)}, which its `writes` does not name")
    for column, value in update.items():
        setattr(row, column, value)


def _by_video(rows: Sequence[Row]) -> list[list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.video_id].append(row)
    return list(groups.values())
