"""The whole command with models behind a real HTTP server: an engine that goes away, a kill, dead letters."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.clips import draw_shard
from tests import misbehaving
from tests.kept_ray import annotate
from tests.running import ROOT, annotations, command, served_by, until

VIDEOS, OBJECTS = 18, 4  # so many that two requests, the most that a kill can cost, are less than 2% of all
SHARD = "tiny"
WAIT_S = 100.0


@pytest.fixture
def sav(tmp_path: Path) -> Path:
    return draw_shard(tmp_path / "sav", SHARD, VIDEOS, OBJECTS)


def test_a_run_through_bad_weather_pays_once(sav: Path, tmp_path: Path) -> None:
    """Engine gone, driver killed, replies refused: nothing is lost, and no answer is paid for twice."""
    out = tmp_path / "out"
    refused = misbehaving.Rule(
        do=misbehaving.reply(None, refusal="No."), prompt="compose_expression", telling="clip_17/"
    )
    with misbehaving.serve(refused, misbehaving.Rule(do=misbehaving.good(after_s=0.02))) as server:
        options = [*served_by(server.url), "--in-flight", "1"]
        options += ["--vlm-model", "vlm@1", "--llm-model", "llm@2"]

        def start() -> "subprocess.Popen[str]":
            given = command(out, sav, *options, shard=SHARD)
            return subprocess.Popen(given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        gone = start()
        until(lambda: len(server.requests) >= 60, gone)
        server.go()
        gone_s = time.monotonic()
        told = gone.communicate(timeout=WAIT_S)[1]
        assert gone.returncode == 3, told
        assert "the engine at" in told
        assert time.monotonic() - gone_s < 60

        server.come_back()
        killed = start()
        until(lambda: len(server.requests) >= 200, killed)
        killed.kill()
        killed.wait()
        until_quiet(server)

        last = annotate(out, sav, *options, shard=SHARD)
        assert last.returncode == 0, last.stderr
        spent = server.tokens_in + server.tokens_out
        rows = annotations(out).to_pylist()
        calls = {call["key"]: call for row in rows for call in row["calls"]}
        once = sum(call["tokens_in"] + call["tokens_out"] for call in calls.values())
        assert once <= spent <= 1.02 * once
        assert len(server.requests) <= len(calls) + 3 + 16  # in flight at the kill; sent in vain when it was gone

        ended = {row["object_id"]: (row["status"], row["reason"]) for row in rows if row["calls"]}
        assert set(ended.values()) == {("kept", None), ("rejected", "refused")}
        assert {(call["model"], call["revision"]) for call in calls.values()} == {("vlm", "1"), ("llm", "2")}
        assert json.loads((out / "run.json").read_bytes())["models"] == {"vlm": "vlm@1", "llm": "llm@2"}
        assert "rejected at compose_expression: refused" in last.stdout

        server.rules.remove(refused)
        server.forget()
        again = annotate(out, sav, *options, "--replay", "reason=refused", shard=SHARD)
        assert again.returncode == 0, again.stderr
        assert {row["status"] for row in annotations(out).to_pylist() if row["calls"]} == {"kept"}
        assert {asked.prompt for asked in server.requests} == {"compose_expression", "shorten_expression"}


def until_quiet(server: misbehaving.Server) -> None:
    """Workers of a killed driver live on for a moment."""
    before = -1
    while before != len(server.requests):
        before = len(server.requests)
        time.sleep(2.0)
