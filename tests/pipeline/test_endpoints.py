"""The whole command at endpoints as people have them: useless, with own ways, behind a proxy, tried on few videos."""

import json
from pathlib import Path

import pytest

from benchmarks.clips import draw_shard
from tests import misbehaving
from tests.dialects import field, refusing
from tests.kept_ray import annotate
from tests.running import annotations, served_by

VIDEOS, OBJECTS, SHARD = 6, 4, "tiny"
ROWS = VIDEOS * OBJECTS
MODEL = "@cf/lab/vlm@fp8"
KEY = "sk-not-to-be-shown"


@pytest.fixture(scope="module")
def sav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shard(tmp_path_factory.mktemp("sav"), SHARD, VIDEOS, OBJECTS)


def test_an_engine_that_says_nothing_stops_the_run_and_its_rows_were_not_tried(sav: Path, tmp_path: Path) -> None:
    def useless(body: dict[str, object]) -> misbehaving.Do:
        return misbehaving.good() if misbehaving.is_preflight(body) else misbehaving.reply("!" * 300, "length")

    async def broken(server: misbehaving.Server, request: object, body: dict[str, object]) -> object:
        return await useless(body)(server, request, body)  # type: ignore[arg-type]

    with misbehaving.serve(misbehaving.Rule(do=broken)) as server:  # type: ignore[arg-type]
        options = served_by(server.url)
        options += ["--vlm-model", "vlm", "--llm-model", "llm"]
        stopped = annotate(tmp_path, sav, *options, shard=SHARD)
        assert stopped.returncode == 3, stopped.stderr
        assert "objects got no answer that could be used; they do not count as tried" in stopped.stderr
        assert "nothing but '!'" in stopped.stderr, "one example"
        assert "Traceback" not in stopped.stderr
        assert len(server.requests) < 4 * ROWS, "not every object was paid for"

        server.rules.clear()
        mended = annotate(tmp_path, sav, *options, shard=SHARD)
        assert mended.returncode == 0, mended.stderr
    rows = [row for row in annotations(tmp_path).to_pylist() if row["calls"]]
    assert {(row["status"], row["attempts"]) for row in rows} == {("kept", 1)}
    assert len(rows) == ROWS
    assert json.loads((tmp_path / "run.json").read_bytes())["useless_passes"] == 1


def test_a_few_videos_first_at_an_endpoint_with_its_own_ways(sav: Path, tmp_path: Path) -> None:
    """A proxy that leads nowhere, a key with a line break, another name for a field, names with @ and /."""
    env = {"OPENAI_API_KEY": f"{KEY}\n", "http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    env |= {"NO_PROXY": "", "no_proxy": ""}
    slow = misbehaving.good(after_s=0.3)  # so that somebody looks before all is over
    picky = refusing(
        field("max_tokens"), 422, lambda told: {"detail": [{"loc": ["body", "max_tokens"], "msg": told}]}, slow
    )
    with misbehaving.serve(misbehaving.Rule(do=picky), models=(MODEL,)) as server:
        options = served_by(server.url)
        wrong = annotate(tmp_path, sav, *options, "--vlm-model", "vlm", "--llm-model", MODEL, shard=SHARD, **env)
        assert wrong.returncode == 2, wrong.stderr
        assert f"does not serve vlm but {MODEL}" in wrong.stderr

        options += [
            "--vlm-model",
            MODEL,
            "--llm-model",
            MODEL,
            "--request",
            "-seed",
            "--request",
            "reasoning_effort=low",
        ]
        few = annotate(tmp_path, sav, *options, "--limit", "2", shard=SHARD, **env)
        assert few.returncode == 0, few.stderr
        assert f"{2 * OBJECTS} objects to describe: about {7 * 2 * OBJECTS} requests" in few.stderr
        assert "at the speed of the first request" in few.stderr
        assert f"{4 * OBJECTS} more are left by --limit" in few.stdout
        assert len(annotations(tmp_path)) == 2 * OBJECTS
        assert {body.get("reasoning_effort") for body in server.bodies} == {"low"}
        assert not any("seed" in body for body in server.bodies)
        sent = len(server.requests)

        rest = annotate(tmp_path, sav, *options, shard=SHARD, **env)
        assert rest.returncode == 0, rest.stderr
        assert f"{ROWS} masklets, {2 * OBJECTS} done before, 2 workers" in rest.stderr
        assert "by the first" in rest.stderr, "corrected by what was seen"
        assert len(annotations(tmp_path)) == ROWS
        calls = [call for row in annotations(tmp_path).to_pylist() for call in row["calls"]]
        assert len(server.requests) == len({call["key"] for call in calls}) > sent, "nothing was asked twice"
        assert {call["model"] for call in calls} == {MODEL}

    info = json.loads((tmp_path / "run.json").read_bytes())
    assert info["engine"]["dialects"][MODEL]["length_field"] == "max_completion_tokens"
    assert info["config"]["request"] == {"reasoning_effort": "low", "seed": None}
    told = [few.stdout, few.stderr, rest.stdout, rest.stderr]
    assert not [text for text in told if KEY in text]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
