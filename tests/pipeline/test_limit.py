"""--limit: always the same videos, spread over the shard, those of a smaller number among them; and what they take."""

from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.build_manifest import chosen_videos, rows_left_out
from pipeline.engines.models import EngineModel
from pipeline.run.progress_bar import RunEstimate, Seen, corrected_estimate, estimate_h, estimate_run
from pipeline.run.recipes import modern, paper
from pipeline.run.run_config import RunConfig

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
    out = rows_left_out(manifest, 3)
    taken = {video for object_id, video, _ in rows if object_id not in out}
    assert len(taken) == 3
    assert taken <= {f"v{video}" for video in range(6, 10)}


def test_what_a_run_takes() -> None:
    plan = estimate_run(replace(modern(), engine="vllm"), 100)
    assert (plan.requests, plan.tokens_in, plan.tokens_out) == (600, 560_000, 56_000)
    both = estimate_run(replace(paper(), engine="vllm"), 10)
    assert (both.tokens_in, both.tokens_out) == (111_000, 5_600), "two models, each with its share"
    same = EngineModel(model="m", tokens_per_object=(1000, 100))
    alone = RunConfig(recipe="x", engine="http", engine_url="http://h/v1", vlm=same, llm=same)
    assert estimate_run(alone, 3).tokens_in == 3000
    assert estimate_h(plan, in_flight=20, seconds_s=6.0, tokens_out=0) == pytest.approx(600 * 6 / 20 / 3600)
    assert estimate_h(plan, in_flight=2000, seconds_s=6.0, tokens_out=0) == pytest.approx(600 * 6 / 100 / 3600)
    assert estimate_h(plan, 20, 6.0, tokens_out=10) == pytest.approx(600 * 6 * 9.333 / 20 / 3600, rel=1e-3)


def test_the_first_rows_correct_it() -> None:
    """By those that were worked on: what is rejected before takes no request."""
    plan = RunEstimate(100, 600, 560_000, 56_000)
    seen = Seen({"kept": 4, "failed": 1, "rejected": 9}, 5, 30, 20_000, 2_500)
    told = corrected_estimate(plan, seen, passed_s=90)
    assert told == "by the first 5 of 100 objects the whole takes 600 requests, 400,000 tokens in, 50,000 out, 30 min"
