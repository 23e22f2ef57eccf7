"""The whole command with a line-up, at a judge that always says "1": killed between trials, continued, and exposed."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.clips import draw_shard
from tests import misbehaving
from tests.kept_ray import annotate
from tests.running import ROOT, annotations, command, until

VIDEOS, OBJECTS, SHARD = 6, 3, "tiny"


@pytest.fixture
def sav(tmp_path: Path) -> Path:
    return draw_shard(tmp_path / "sav", SHARD, VIDEOS, OBJECTS)


def test_a_judge_that_always_says_one_is_paid_once_and_exposed(sav: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    always_one = misbehaving.Rule(do=misbehaving.good(numbers=[1]), prompt="lineup")
    with misbehaving.serve(always_one, models=("vlm", "llm", "judge")) as server:
        options = ["--recipe", "small", "--engine", "http", "--engine-url", server.url, "--workers", "2"]
        options += ["--vlm-model", "vlm", "--llm-model", "llm", "--judge-model", "judge", "--in-flight", "2"]
        given = command(out, sav, *options, shard=SHARD)
        killed = subprocess.Popen(given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until(lambda: sum(asked.prompt == "lineup" for asked in server.requests) >= 7, killed)
        killed.kill()
        killed.communicate()

        last = annotate(out, sav, *options, shard=SHARD)
        assert last.returncode == 0, last.stderr
        rows = [row for row in annotations(out).to_pylist() if row["calls"]]
        assert len(rows) == VIDEOS * OBJECTS
        calls = {call["key"]: call for row in rows for call in row["calls"]}
        assert len(server.requests) <= len(calls) + 2, "only what was in flight at the kill was asked again"
        by_model = {call["model"] for call in calls.values() if call["prompt"].startswith("lineup@")}
        assert by_model == {"judge"}, "used there and nowhere else"
        assert {call["purpose"] for call in calls.values()} == {"describe", "lineup", "repair", "catch"}

        held = [row["lineup"] for row in rows]
        assert all(lineup["judge"] == "judge" for lineup in held)
        assert {lineup["decision"] for lineup in held} == {"ambiguous"}, "of 3 numbers it likes one: never 3 of 5"
        assert {(row["status"], row["reason"], row["stage"]) for row in rows} == {
            ("rejected", "ambiguous", "repair_lineup")
        }
        assert all(row["lineup_before"] and row["lineup_jpeg"] and row["confuser_jpeg"] for row in rows)

    page = (out / "README.md").read_text()
    assert "The judge is biased: the number 1 is picked" in page
    assert "Catch texts are short" in page
    assert "the judge tells nothing" in page or "too few" in page
    assert json.loads((out / "run.json").read_bytes())["models"]["judge"] == "judge"
    for line in ("line-up ", "catch trials ", "line-up repair ", "sensitivity "):
        assert f"\n{line}" in last.stdout, line
