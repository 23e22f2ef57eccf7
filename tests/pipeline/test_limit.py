"""--limit: always the same videos, spread over the shard, those of a smaller number among them; and what they take."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.annotate import _config, main, parser
from pipeline.build_manifest import chosen_videos, rows_left_out
from pipeline.engines.models import EngineModel
from pipeline.run import ray_adapter, ray_connect
from pipeline.run.progress_bar import RunEstimate, Seen, corrected_estimate, estimate_h, estimate_run
from pipeline.run.recipes import modern, paper
from pipeline.run.run_config import RunConfig
from tests.stages.tiny_sav import FILES, annotation, write_json, write_mp4

VIDEOS = [f"sav_{number:06}" for number in range(900)]


@pytest.mark.parametrize("number", [1, 5, 20, 100, 450])
def test_videos_are_spread_and_nested(number: int) -> None:
    chosen = chosen_videos(VIDEOS, number)
    assert len(set(chosen)) == number
    assert chosen == chosen_videos(VIDEOS, number) == sorted(chosen)
    assert set(chosen) <= set(chosen_videos(VIDEOS, number + 1))
    if number >= 5:
        at = [-1, *(VIDEOS.index(video) for video in chosen), 900]
        assert max(after - before for before, after in zip(at, at[1:], strict=False)) < 3.5 * 900 / number


def test_another_seed_takes_others_and_more_than_there_are_takes_all() -> None:
    assert chosen_videos(VIDEOS, 20, seed=1) != chosen_videos(VIDEOS, 20)
    assert chosen_videos(VIDEOS[:7], 20) == VIDEOS[:7]


def test_videos_without_anything_to_describe_do_not_count() -> None:
    status = ["rejected"] * 6 + ["pending"] * 4
    rows = [(f"v{video}/manual/{n}", f"v{video}", status[video]) for video in range(10) for n in (0, 1)]
    manifest = pa.table(dict(zip(("object_id", "video_id", "status"), map(list, zip(*rows, strict=True)), strict=True)))
    out = rows_left_out(manifest, 3).to_pylist()
    taken = {video for object_id, video, _ in rows if object_id not in out}
    assert len(taken) == 3
    assert taken <= {f"v{video}" for video in range(6, 10)}


def test_a_shard_without_masklets_is_done_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing for Ray to do, so none is started here."""
    write_json(tmp_path, "manual", annotation([]))
    write_mp4(tmp_path)
    monkeypatch.setattr(ray_connect, "connect", lambda *_: 1)
    monkeypatch.setattr(ray_adapter, "map_parallel", map)
    out = tmp_path / "out"
    assert main(["--shard", FILES.shard, "--sav-root", str(tmp_path), "--out", str(out)]) == 0
    assert f"the annotation files of {FILES.shard} have no masklets: there is nothing to do" in caplog.messages
    assert json.loads((out / "Ref-SAV.json").read_text()) == {}


def test_what_a_run_takes() -> None:
    plan = estimate_run(replace(modern(), engine="vllm"), 100)
    assert (plan.requests, plan.tokens_in, plan.tokens_out) == (1200, 1_226_700, 116_000), "the judge's share included"
    itself = estimate_run(replace(modern(), engine="vllm", judge=None), 100)
    assert (itself.requests, itself.tokens_in) == (1200, 1_526_700), "the writer judges itself"
    without = estimate_run(replace(modern(), engine="vllm", lineup=None), 100)
    assert (without.requests, without.tokens_in, without.tokens_out) == (700, 610_000, 61_000)
    both = estimate_run(replace(paper(), engine="vllm"), 10)
    assert (both.tokens_in, both.tokens_out) == (111_000, 5_600), "two models, each with its share"
    same = EngineModel(model="m", tokens_per_object=(1000, 100))
    alone = RunConfig(recipe="x", engine="http", engine_url="http://h/v1", vlm=same, llm=same)
    assert estimate_run(alone, 3).tokens_in == 3000
    assert estimate_h(plan, in_flight=20, seconds_s=6.0, tokens_out=0) == pytest.approx(1200 * 6 / 20 / 3600)
    assert estimate_h(plan, in_flight=2000, seconds_s=6.0, tokens_out=0) == pytest.approx(1200 * 6 / 100 / 3600)
    assert estimate_h(plan, 20, 6.0, tokens_out=10) == pytest.approx(1200 * 6 * 9.667 / 20 / 3600, rel=1e-3)


def test_the_first_rows_correct_it() -> None:
    """By those that were worked on: what is rejected before takes no request."""
    plan = RunEstimate(100, 600, 560_000, 56_000)
    seen = Seen({"kept": 4, "failed": 1, "rejected": 9}, 5, 30, 20_000, 2_500)
    told = corrected_estimate(plan, seen, passed_s=90)
    assert told == "by the first 5 of 100 objects the whole takes 600 requests, 400,000 tokens in, 50,000 out, 30 min"


@pytest.mark.parametrize(
    ("given", "judge", "held"),
    [
        (["--recipe", "modern"], "google/gemma-4-26B-A4B-it", True),
        (["--recipe", "modern", "--judge-model", "other/judge"], "other/judge", True),
        (["--recipe", "modern", "--vlm-model", "own/vlm"], None, True),
        (["--recipe", "modern", "--vlm-model", "own/vlm", "--judge-model", "other/judge"], "other/judge", True),
        (["--recipe", "small"], None, True),
        (["--recipe", "small", "--lineup", "off"], None, False),
        (["--recipe", "paper"], None, False),
        (["--recipe", "paper", "--lineup", "on"], None, True),
    ],
)
def test_who_judges_and_whether(given: list[str], judge: str | None, held: bool) -> None:
    config = _config(parser().parse_args(["--shard", "sav_000", "--engine", "vllm", *given]), ["sav_000"])
    assert (config.judge and config.judge.model, config.lineup is not None) == (judge, held)
    assert ("judge" in config.models) == held
    assert not held or config.models["judge"] == (config.judge or config.vlm)


@pytest.mark.parametrize("given", [["--recipe", "paper"], ["--recipe", "small", "--lineup", "off"]])
def test_a_judge_without_a_line_up_is_told(given: list[str]) -> None:
    with pytest.raises(ValueError, match=r"--judge-model .* is asked in line-ups, and recipe"):
        _config(parser().parse_args(["--shard", "sav_000", "--judge-model", "x/y", *given]), ["sav_000"])
