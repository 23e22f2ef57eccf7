"""Three outcomes, kept apart: rejected by design, failed by accident, fatal for the run."""

from collections.abc import Callable, Sequence

import pytest

from manifests.schema import Reason, Row, Status
from pipeline.run_stages import finish, run_stages
from stages.base import FatalError, Reject, Result, RowError, Stage
from tests.rows import make_row


class Describe(Stage):
    name = "describe"
    reads = ("object_id",)
    writes = ("expression",)

    def __init__(self, answer: Callable[[Row], Result], *, by_video: bool = False) -> None:
        self.answer, self.by_video = answer, by_video
        self.batches: list[list[str]] = []

    def process(self, rows: Sequence[Row]) -> list[Result]:
        self.batches.append([row.object_id for row in rows])
        return [self.answer(row) for row in rows]


def rows(*numbers: int) -> list[Row]:
    return [make_row(f"v{number}/manual/0") for number in numbers]


def test_a_row_that_comes_through_is_kept() -> None:
    batch = rows(1)
    run_stages([Describe(lambda row: {"expression": row.object_id})], batch)
    finish(batch, max_attempts=3)
    assert (batch[0].status, batch[0].expression, batch[0].attempts) == (Status.KEPT, "v1/manual/0", 1)
    assert batch[0].seconds_s > 0


def test_a_rejected_row_keeps_its_reason_and_passes_later_stages_untouched() -> None:
    later = Describe(lambda row: {"expression": "late"})
    later.name = "later"
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
