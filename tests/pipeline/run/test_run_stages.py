"""Three outcomes, kept apart: rejected by design, failed by accident, fatal for the run."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from manifests.row_results import FatalError, Reject, RowError, Update
from manifests.schema import Reason, Row, Status
from pipeline.run.run_stages import finish, run_stages
from stages.base import AsyncStage, Result, Stage
from tests.rows import make_row


class Describe(Stage):
    reads = ("object_id",)
    writes = ("expression",)

    def __init__(self, answer: Callable[[Row], Result], *, by_video: bool = False, name: str = "describe") -> None:
        self.answer, self.by_video, self.name = answer, by_video, name  # type: ignore[misc]
        self.batches: list[list[str]] = []

    def process(self, rows: Sequence[Row]) -> list[Result]:
        self.batches.append([row.object_id for row in rows])
        return [self.answer(row) for row in rows]


class Later(AsyncStage):
    """Does what it is told with each row; notes the order in which rows came."""

    reads = ("object_id",)
    writes = ("expression",)

    def __init__(self, do: Callable[[Row], Awaitable[Update | Reject]], name: str = "later") -> None:
        self._do, self.name = do, name  # type: ignore[misc]
        self.came: list[str] = []

    async def answer(self, row: Row) -> Update | Reject:
        self.came.append(row.object_id)
        return await self._do(row)


def rows(*numbers: int) -> list[Row]:
    return [make_row(f"v{number}/manual/0") for number in numbers]


def test_a_row_that_comes_through_is_kept() -> None:
    batch = rows(1)
    run_stages([Describe(lambda row: {"expression": row.object_id})], batch)
    finish(batch, max_attempts=3)
    assert (batch[0].status, batch[0].expression, batch[0].attempts) == (Status.KEPT, "v1/manual/0", 1)
    assert batch[0].seconds_s > 0


def test_a_rejected_row_keeps_its_reason_and_passes_later_stages_untouched() -> None:
    later = Describe(lambda row: {"expression": "late"}, name="later")
    batch = rows(1, 2)
    small = Reject(Reason.TOO_SMALL, "9 px < 400", {"expression": "a dot"})
    first = Describe(lambda row: small if row.video_id == "v1" else {})
    run_stages([first, later], batch)
    finish(batch, max_attempts=1)
    assert later.batches == [["v2/manual/0"]]
    assert (batch[0].status, batch[0].stage, batch[0].reason) == (Status.REJECTED, "describe", Reason.TOO_SMALL)
    assert (batch[0].detail, batch[0].expression) == ("9 px < 400", "a dot"), "what was found out is kept"
    assert batch[1].status is Status.KEPT


def test_an_exception_costs_its_row_alone() -> None:
    def answer(row: Row) -> Result:
        if row.video_id == "v2":
            raise KeyError("broken")
        return {"expression": "fine"}

    batch = rows(1, 2, 3)
    run_stages([Describe(answer)], batch)
    finish(batch, max_attempts=3)
    assert [row.status for row in batch] == [Status.KEPT, Status.FAILED, Status.KEPT]
    assert batch[1].reason is Reason.UNEXPECTED_ERROR
    assert "KeyError: 'broken'" in (batch[1].detail or "")


def test_a_row_error_keeps_its_own_reason() -> None:
    batch = rows(1)
    run_stages([Describe(lambda row: RowError(Reason.DECODE_ERROR, "v1.mp4: after 3 frames"))], batch)
    assert (batch[0].status, batch[0].reason) == (Status.FAILED, Reason.DECODE_ERROR)
    assert batch[0].detail == "v1.mp4: after 3 frames"


def test_a_row_that_failed_max_attempts_times_is_poisoned() -> None:
    batch = [make_row(attempts=1), make_row(attempts=2)]
    run_stages([Describe(lambda row: ValueError("no"))], batch)
    finish(batch, max_attempts=3)
    assert [(row.status, row.attempts) for row in batch] == [(Status.FAILED, 2), (Status.POISONED, 3)]


def test_a_row_that_select_objects_rejected_was_not_attempted() -> None:
    row = make_row(status=Status.REJECTED, stage="select_objects", reason=Reason.TOO_SMALL)
    run_stages([Describe(lambda row: {})], [row])
    finish([row], max_attempts=3)
    assert (row.status, row.attempts) == (Status.REJECTED, 0)


def test_a_fatal_error_stops_everything() -> None:
    def answer(row: Row) -> Result:
        raise FatalError("engine gone")

    with pytest.raises(FatalError, match="engine gone"):
        run_stages([Describe(answer)], rows(1, 2))


def test_rows_come_video_by_video_where_a_stage_asks_for_it() -> None:
    stage = Describe(lambda row: {}, by_video=True)
    run_stages([stage], [make_row("a/manual/0"), make_row("b/manual/0"), make_row("a/auto/3")])
    assert stage.batches == [["a/manual/0", "a/auto/3"], ["b/manual/0"]]


def test_a_stage_that_loses_a_row_stops_the_run() -> None:
    stage = Describe(lambda row: {})
    stage.process = lambda rows: []  # type: ignore[method-assign]
    with pytest.raises(FatalError, match="got 0 for 2 rows"):
        run_stages([stage], rows(1, 2))


def test_a_stage_may_write_only_what_it_names() -> None:
    with pytest.raises(FatalError, match="verdict"):
        run_stages([Describe(lambda row: {"verdict": "consistent"})], rows(1))


async def nothing(_: Row) -> Update:
    return {}


def test_from_the_first_asynchronous_stage_on_rows_do_not_wait_for_one_another() -> None:
    """The first row is held in its first stage until the second has been through the last."""
    through = asyncio.Event()

    async def held(row: Row) -> Update:
        if row.video_id == "v1":
            await asyncio.wait_for(through.wait(), 60)
        return {}

    async def last(row: Row) -> Update:
        through.set()
        return {"expression": row.object_id}

    before, between = Describe(lambda row: {}), Describe(lambda row: {}, name="between")
    batch = rows(1, 2)
    run_stages([before, Later(held), between, Later(last, "last")], batch)
    assert before.batches == [["v1/manual/0", "v2/manual/0"]], "together, before"
    assert between.batches == [["v2/manual/0"], ["v1/manual/0"]], "one by one, after"
    assert [row.expression for row in batch] == ["v1/manual/0", "v2/manual/0"]
    assert all(row.seconds_s > 0 for row in batch)


def test_outcomes_of_asynchronous_stages() -> None:
    async def answer(row: Row) -> Update | Reject:
        await asyncio.sleep(0)
        if row.video_id == "v1":
            return Reject(Reason.AMBIGUOUS, "two", {"expression": "a dot"})
        if row.video_id == "v2":
            raise RowError(Reason.BAD_REPLY, "none")
        if row.video_id == "v3":
            raise KeyError("odd")
        return {"expression": "fine"}

    batch, last = rows(1, 2, 3, 4), Later(nothing, "last")
    run_stages([Later(answer), last], batch)
    assert [row.reason for row in batch] == [Reason.AMBIGUOUS, Reason.BAD_REPLY, Reason.UNEXPECTED_ERROR, None]
    assert [row.status for row in batch] == [Status.REJECTED, Status.FAILED, Status.FAILED, Status.PENDING]
    assert batch[0].expression == "a dot"
    assert "KeyError: 'odd'" in (batch[2].detail or "")
    assert last.came == ["v4/manual/0"]


def test_a_stage_that_is_cancelled_from_within_does_not_keep_its_row() -> None:
    """A task that ends so ends in silence: the row would count as kept, with nothing written."""

    async def answer(row: Row) -> Update:
        if row.video_id == "v1":
            raise asyncio.CancelledError
        return {}

    batch = rows(1, 2)
    run_stages([Later(answer)], batch)
    assert [row.status for row in batch] == [Status.FAILED, Status.PENDING]
    assert "cancelled from within" in (batch[0].detail or "")


def test_a_fatal_error_stops_what_is_in_flight() -> None:
    ended = []

    async def answer(row: Row) -> Update:
        if row.video_id == "v2":
            await asyncio.sleep(0.01)
            raise FatalError("engine gone")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(row.video_id)
        return {}

    with pytest.raises(FatalError, match="engine gone"):
        run_stages([Later(answer)], rows(1, 2, 3))
    assert sorted(ended) == ["v1", "v3"]


def test_two_fatal_errors_are_one() -> None:
    async def answer(_: Row) -> Update:
        raise FatalError("engine gone")

    with pytest.raises(FatalError, match="engine gone"):
        run_stages([Later(answer)], rows(1, 2, 3))


def test_an_asynchronous_stage_may_write_only_what_it_names() -> None:
    async def answer(_: Row) -> Update:
        return {"verdict": "consistent"}

    with pytest.raises(FatalError, match="verdict"):
        run_stages([Later(answer)], rows(1))


def test_all_batches_of_a_process_share_a_loop() -> None:
    loops = []

    async def answer(_: Row) -> Update:
        loops.append((asyncio.get_running_loop(), threading.current_thread()))
        return {}

    run_stages([Later(answer)], rows(1))
    run_stages([Later(answer)], rows(2))
    assert loops[0] == loops[1]


def test_an_asynchronous_stage_is_not_run_in_batches() -> None:
    with pytest.raises(TypeError, match="run_stages"):
        Later(nothing).process(rows(1))
