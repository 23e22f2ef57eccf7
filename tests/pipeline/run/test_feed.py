"""The feed on a real event loop: rows of many units side by side, and what one of them can and cannot hold up."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from manifests.row_results import FatalError, Reject, RowError, Update
from manifests.schema import Reason, Row, Status
from pipeline.run import feed
from pipeline.run.feed import Breaker, Feed, UselessEngineError, lower_bound
from stages.base import AsyncStage
from tests.rows import make_row

UNITS, VIDEOS, ROWS = 6, 3, 2  # videos of a unit, rows of a video
CLOSED: list[Row] = []


@pytest.fixture(autouse=True)
def nothing_closed() -> None:
    CLOSED.clear()


class Ask(AsyncStage):
    """Does what it is told with each row, and notes when rows came and how many were open."""

    name = "ask"
    reads = ("object_id",)
    writes = ("expression",)

    def __init__(self, do: Callable[[Row], object] = lambda row: None) -> None:
        self._do = do
        self.came: list[str] = []
        self.open = self.most_open = 0

    async def answer(self, row: Row) -> Update | Reject:
        self.came.append(row.object_id)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            result = self._do(row)
            if asyncio.iscoroutine(result):
                await result
            await asyncio.sleep(0.002)
        finally:
            self.open -= 1
        return {"expression": row.object_id}


class Renderer:
    """Takes its time for a video, and notes how many it had at once."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self._takes_s = takes_s
        self.rendered: list[str] = []
        self.now = self.most = 0

    async def __call__(self, rows: list[Row]) -> list[Row]:
        assert len({row.video_id for row in rows}) == 1, "a video at a time"
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self._takes_s)
        self.now -= 1
        self.rendered.append(rows[0].video_id)
        return [row.model_copy() for row in rows]


def units() -> list[list[Row]]:
    return [
        [make_row(f"u{unit}v{video}/manual/{row}") for video in range(VIDEOS) for row in range(ROWS)]
        for unit in range(UNITS)
    ]


def run_all(fed: Feed, batches: Sequence[list[Row]]) -> list[list[Row] | BaseException]:
    """Every unit from a thread of its own, as Ray does."""

    def run(rows: list[Row]) -> list[Row] | BaseException:
        try:
            return fed.run(rows)
        except FatalError as error:
            return error

    with ThreadPoolExecutor(len(batches)) as pool:
        return list(pool.map(run, batches))


def test_every_row_comes_back_in_its_place() -> None:
    batches = units()
    batches[2][1].status, batches[2][1].reason = Status.REJECTED, Reason.TOO_SMALL
    ask = Ask()
    done = run_all(Feed(Renderer(), [ask], rows=5, renders=2, close=CLOSED.append), batches)
    for unit, rows in zip(batches, done, strict=True):
        assert isinstance(rows, list)
        assert [row.object_id for row in rows] == [row.object_id for row in unit]
        assert all(row.expression == row.object_id or row.status is Status.REJECTED for row in rows)
    assert len(ask.came) == UNITS * VIDEOS * ROWS - 1
    assert sorted(row.object_id for row in CLOSED) == sorted(row.object_id for unit in batches for row in unit)


def test_a_stuck_row_holds_up_its_unit_and_nobody_else() -> None:
    released = threading.Event()

    async def stick() -> None:
        while not released.is_set():
            await asyncio.sleep(0.01)

    ask = Ask(lambda row: stick() if row.object_id == "u0v0/manual/0" else None)
    fed = Feed(Renderer(), [ask], rows=4, renders=1, close=CLOSED.append)
    with ThreadPoolExecutor(UNITS) as pool:
        waiting = [pool.submit(fed.run, rows) for rows in units()]
        for each in waiting[1:]:
            assert len(each.result(timeout=60)) == VIDEOS * ROWS
        assert not waiting[0].done()
        assert len(CLOSED) == UNITS * VIDEOS * ROWS - 1, "the others are told as they end"
        assert len(ask.came) == UNITS * VIDEOS * ROWS, "the rest of its own unit went on too"
        released.set()
        assert len(waiting[0].result(timeout=60)) == VIDEOS * ROWS


def test_rows_go_on_when_their_own_video_is_rendered() -> None:
    """Not when the unit is: each video's rows come before the next video is rendered."""
    renderer, seen = Renderer(0.05), []
    ask = Ask(lambda row: seen.append((row.video_id, len(renderer.rendered))))
    Feed(renderer, [ask], rows=100, renders=1, close=CLOSED.append).run(units()[0])
    assert seen == [(f"u0v{video}", video + 1) for video in range(VIDEOS) for _ in range(ROWS)]


def test_no_more_is_rendered_than_has_room_and_the_order_is_kept() -> None:
    renderer, ask = Renderer(0.001), Ask()
    run_all(Feed(renderer, [ask], rows=4, renders=2, close=CLOSED.append), units())
    assert ask.most_open <= 4
    assert renderer.most <= 2
    Feed(big := Renderer(), [Ask()], rows=1, renders=1, close=CLOSED.append).run(units()[0])
    assert big.rendered == [f"u0v{video}" for video in range(VIDEOS)], "a video larger than the room is taken alone"


def test_a_fatal_error_ends_all_units_at_once() -> None:
    def do(row: Row) -> object:
        if row.object_id == "u1v1/manual/0":
            raise FatalError("the engine is gone")
        return asyncio.sleep(60)

    started_s = time.monotonic()
    fed = Feed(Renderer(), [Ask(do)], rows=100, renders=8, close=CLOSED.append)
    ended = run_all(fed, units())
    assert {str(each) for each in ended} == {"the engine is gone"}
    assert time.monotonic() - started_s < 50
    with pytest.raises(FatalError, match="gone"):
        fed.run(units()[0])


def test_a_failed_render_gives_its_room_back() -> None:
    async def render(rows: list[Row]) -> list[Row]:
        if rows[0].video_id == "u0v0":
            raise FatalError("the disk is gone")
        return rows

    with pytest.raises(FatalError, match="disk"):
        Feed(render, [Ask()], rows=2, renders=1, close=CLOSED.append).run(units()[0])


def test_rows_that_get_no_answer_stop_the_run() -> None:
    def do(_: Row) -> None:
        raise RowError(Reason.BAD_REPLY, "it says '!!!!'")

    ended = run_all(Feed(Renderer(), [Ask(do)], rows=4, renders=1, close=CLOSED.append), units())
    stopped = [each for each in ended if isinstance(each, UselessEngineError)]
    assert len(stopped) >= UNITS - 16 // (VIDEOS * ROWS), "but those that were done before the 16th row"
    assert "16 of the first 16 objects got no answer" in str(stopped[0])
    assert "it says '!!!!'" in str(stopped[0])


def test_numbers_of_processes_rows_and_units() -> None:
    assert [feed.processes(each) for each in (1, 24, 512, 513)] == [1, 1, 1, 2]
    assert [feed.open_rows(each) for each in (1, 24, 384)] == [3, 72, 640]
    assert feed.open_units(24, 32) * 32 >= 2 * feed.open_rows(24)


def ended(number: int, bad: int, reason: Reason = Reason.ENGINE_ERROR, attempts: int = 0) -> list[Row]:
    rows = [make_row(f"v{at}/manual/0", attempts=attempts) for at in range(number)]
    for row in rows[:bad]:
        row.status, row.reason, row.stage, row.detail = Status.FAILED, reason, "caption_object", "HTTP 400: no"
    return rows[::-1]


@pytest.mark.parametrize(
    ("rows", "stops"),
    [
        (ended(15, 15), False),
        (ended(16, 16), True),
        (ended(16, 12), True),
        (ended(16, 11), False),
        (ended(400, 200), False),
        (ended(400, 230), True),
        (ended(40, 40, Reason.UNEXPECTED_ERROR), False),
        (ended(40, 40, Reason.DECODE_ERROR), False),
        (ended(40, 40, attempts=1), False),
    ],
    ids=["15 of 15", "16 of 16", "12 of 16", "11 of 16", "half", "more than half", "ours", "files", "tried before"],
)
def test_when_the_breaker_stops(rows: list[Row], stops: bool) -> None:
    breaker = Breaker()
    expected = pytest.raises(UselessEngineError, match="caption_object: HTTP 400: no") if stops else nullcontext()
    with expected:
        for row in rows:
            breaker.count(row)


def test_the_bound_is_wilsons() -> None:
    assert lower_bound(12, 16) == pytest.approx(0.5050, abs=1e-3)  # R: binom::binom.wilson
    assert lower_bound(0, 10) == pytest.approx(0.0, abs=1e-9)
    assert lower_bound(10, 10) == pytest.approx(0.7225, abs=1e-3)
