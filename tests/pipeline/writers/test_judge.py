"""A judge behind a real HTTP server: which model is asked, what counts as an answer, and what is asked twice."""

import json
from pathlib import Path

import pytest

from manifests.lineup import AMBIGUOUS, SINGLED_OUT
from manifests.schema import Reason, Row, Status
from pipeline.run.run_stages import run_stages
from pipeline.writers.model_writer import ModelWriter
from stages.lineup_trials import LineupConfig
from stages.verify_lineup import VerifyLineup
from stages.writer import Model
from tests import misbehaving
from tests.misbehaving import Rule, good, reply, serve
from tests.pipeline.writers.asking import writer_of
from tests.stages.test_verify_lineup import balls


def held(server: misbehaving.Server, out: Path, row: Row, catch_frac: float = 0.0) -> Row:
    writer = writer_of(server.url, out)
    judge = ModelWriter(
        writer._endpoint, writer._vlm, writer._llm, writer._sampling, writer._store._out, judge=Model("judge", "j1")
    )
    run_stages([VerifyLineup(judge, LineupConfig(), catch_frac=catch_frac)], [row])
    return row


def test_the_judge_alone_is_asked_and_noted(tmp_path: Path) -> None:
    with serve(Rule(do=good(numbers=[1])), models=("vlm", "llm", "judge")) as server:
        row = held(server, tmp_path, balls(2))
        assert {asked.model for asked in server.requests} == {"judge"}
        assert {asked.pictures for asked in server.requests} == {2}
    assert row.lineup is not None
    assert (row.lineup.judge, row.lineup.revision) == ("judge", "j1")
    assert {(call.model, call.revision, call.purpose) for call in row.calls} == {("judge", "j1", "lineup")}


@pytest.mark.parametrize("nonsense", [[3], [9], [1, 7]])
def test_a_number_that_nobody_bore_is_no_answer(nonsense: list[int], tmp_path: Path) -> None:
    once = Rule(do=good(numbers=nonsense), prompt="lineup", times=1)
    with serve(once, Rule(do=good(numbers=[])), models=("judge",)) as server:
        row = held(server, tmp_path, balls(2))
    assert row.reason is Reason.NOT_FOUND
    fault = row.calls[0].fault
    assert fault is not None
    assert "the objects bore 1 to 2" in fault
    assert [call.temperature for call in row.calls] == [0.3, 0.6, 0.3], "asked again, then the second trial"


@pytest.mark.parametrize(
    "do",
    [
        good(numbers=[9]),
        good(numbers=["one"]),
        good(numbers=[0]),
        reply("I think it is number two."),
        reply('{"evidence": "x"}'),
        reply("!" * 300, "length"),
    ],
)
def test_a_judge_that_talks_nonsense_costs_the_row_an_attempt(do: misbehaving.Do, tmp_path: Path) -> None:
    with serve(Rule(do=do), models=("judge",)) as server:
        row = held(server, tmp_path, balls(2))
    assert (row.status, row.reason, row.stage) == (Status.FAILED, Reason.BAD_REPLY, "verify_lineup")
    assert row.lineup is None
    assert {call.purpose for call in row.calls} == {"lineup"}, "they were paid for, and the bill has their line"
    assert len(row.calls) == 4


def test_evidence_may_say_anything(tmp_path: Path) -> None:
    odd = good(numbers=[1], evidence="I can't see 2 well: the contour in this frame is outlined in white.")
    with serve(Rule(do=odd), models=("judge",)) as server:
        row = held(server, tmp_path, balls(2))
    assert row.reason is Reason.AMBIGUOUS
    assert not [call.fault for call in row.calls if call.fault]


def test_trials_with_the_same_numbers_are_asked_each_by_itself(tmp_path: Path) -> None:
    """Two objects have two orders only: without seeds of its own a third trial would find the answer to the first."""
    with serve(Rule(do=good(numbers=[1])), models=("judge",)) as server:
        row = held(server, tmp_path, balls(2))
        assert row.lineup is not None
        assert len(server.requests) == len(row.lineup.trials) > 2
        assert len({call.key for call in row.calls}) == len(row.calls)
        sent = len(server.requests)
        again = held(server, tmp_path, balls(2))
        assert len(server.requests) == sent, "of a row that is run again everything is found"
    assert again.lineup == row.lineup
    assert all(call.stored for call in again.calls)


def test_catch_trials_are_held_for_the_objects_that_were_drawn(tmp_path: Path) -> None:
    with serve(Rule(do=good(numbers=[1])), models=("judge",)) as server:
        without, row = held(server, tmp_path, balls(3)), held(server, tmp_path, balls(3), catch_frac=1.0)
    assert without.catch_trials == []
    assert [catch.kind for catch in row.catch_trials] == ["unique", "dropped", "no_target"]
    assert {catch.lineup.decision for catch in row.catch_trials} <= {AMBIGUOUS, SINGLED_OUT}
    assert {call.purpose for call in row.calls} == {"lineup", "catch"}
    asked = {json.dumps(catch.lineup.expression) for catch in row.catch_trials}
    assert len(asked) == 3


def test_a_catch_text_without_a_usable_reply_does_not_cost_the_object(tmp_path: Path) -> None:
    row = balls(3)
    nonsense = Rule(do=good(numbers=[9]), prompt="lineup", telling="the blue object")  # in catch texts only
    with serve(nonsense, Rule(do=good(numbers=[])), models=("judge",)) as server:
        held(server, tmp_path, row, catch_frac=1.0)
    assert (row.status, row.reason) == (Status.REJECTED, Reason.NOT_FOUND)
    assert [catch.kind for catch in row.catch_trials] == ["unique", "dropped"]
    assert any(call.fault and call.purpose == "catch" for call in row.calls), "what it cost is counted"
