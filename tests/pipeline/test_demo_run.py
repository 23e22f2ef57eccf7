"""What a run over the demo shard says, against the truth that the shard was drawn from."""

import json
import warnings
from itertools import groupby
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from manifests.expression import marker_leak
from manifests.schema import Reason, Status
from pipeline.annotate import main, parser
from tests.pipeline.test_export import read_like_sa2va
from tests.running import ROOT, annotate, annotations


@pytest.fixture(scope="module")
def truth(demo_root: Path) -> dict[str, dict[str, Any]]:
    return {entry["object_id"]: entry for entry in json.loads((demo_root / "truth.json").read_text())}


@pytest.fixture(scope="module")
def rows(demo_run: Path) -> dict[str, dict[str, Any]]:
    return {row["object_id"]: row for row in annotations(demo_run).to_pylist()}


def measured(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {object_id: row["facts"] for object_id, row in rows.items() if row["facts"]}


def test_every_masklet_ends_as_it_was_drawn_to(rows: dict[str, Any], truth: dict[str, Any]) -> None:
    ended = {object_id: (row["status"], row["reason"]) for object_id, row in rows.items()}
    assert ended == {object_id: (entry["status"], entry["reason"]) for object_id, entry in truth.items()}


def test_the_demo_shows_every_kind_of_row(rows: dict[str, Any]) -> None:
    assert {Status.KEPT, Status.REJECTED} < {row["status"] for row in rows.values()}
    shown = {row["reason"] for row in rows.values() if row["reason"]}
    assert shown >= {
        Reason.JSON_MALFORMED,
        Reason.DECODE_ERROR,
        Reason.NEVER_VISIBLE,
        Reason.TOO_FEW_VISIBLE_FRAMES,
        Reason.TOO_SMALL,
        Reason.AT_BORDER,
        Reason.DUPLICATE,
        Reason.PART,
        Reason.OVER_VIDEO_LIMIT,
        Reason.UNRECOGNIZABLE,
        Reason.INCONSISTENT,
        Reason.AMBIGUOUS,
    }


@pytest.mark.parametrize("fact", ["motion", "size_change", "camera"])
def test_labels_are_those_of_the_scene(fact: str, rows: dict[str, Any], truth: dict[str, Any]) -> None:
    found = {object_id: facts[fact] for object_id, facts in measured(rows).items()}
    assert len(found) >= 24
    assert found == {object_id: truth[object_id][fact] for object_id in found}


def test_speeds_are_those_of_the_scene(rows: dict[str, Any], truth: dict[str, Any]) -> None:
    straight = {key: facts for key, facts in measured(rows).items() if facts["motion"] not in ("none", "complex")}
    for object_id, facts in straight.items():
        assert facts["own_speed_px_s"] == pytest.approx(truth[object_id]["speed_px_s"], rel=0.12, abs=6), object_id
    for object_id, facts in measured(rows).items():
        assert facts["camera_speed_px_s"] == pytest.approx(truth[object_id]["camera_speed_px_s"], rel=0.12, abs=6)


def test_visible_spans_are_exact(rows: dict[str, Any], truth: dict[str, Any]) -> None:
    for object_id, facts in measured(rows).items():
        spans = [time_s for span in facts["visible_spans"] for time_s in (span["start_s"], span["end_s"])]
        drawn = [time_s for span in truth[object_id]["visible_spans_s"] for time_s in span]
        assert spans == pytest.approx(drawn, abs=0.005), object_id


def test_the_main_colour_is_the_drawn_one(rows: dict[str, Any], truth: dict[str, Any]) -> None:
    for object_id, facts in measured(rows).items():
        named = [colour["name"] for colour in facts["colours"]]
        assert set(named) & set(truth[object_id]["colours"]), object_id
        if len(truth[object_id]["colours"]) == 1:
            assert named[0] == truth[object_id]["colours"][0], object_id


def test_expressions_say_what_was_drawn(rows: dict[str, Any], truth: dict[str, Any]) -> None:
    for object_id, row in rows.items():
        if row["status"] != Status.KEPT:
            continue
        text, drawn = row["expression"], truth[object_id]
        assert text.startswith("The object is ")
        assert "Throughout the video, " in text
        assert any(colour in text for colour in drawn["colours"]), object_id
        if drawn["motion"] in ("left", "right"):
            assert f"to the {drawn['motion']}" in row["video_description"], object_id
        words = {"grows": "larger", "shrinks": "smaller"}.get(drawn["size_change"])
        assert words is None or words in row["video_description"], object_id
        if len(drawn["visible_spans_s"]) > 1:
            assert "hidden" in text or "out of sight" in text, object_id
        assert marker_leak(text) is None
        assert 35 <= len(text.split()) <= 110, object_id


def test_no_two_objects_of_a_video_have_the_same_text(rows: dict[str, Any]) -> None:
    kept = sorted((row for row in rows.values() if row["expression"]), key=lambda row: row["video_id"])
    for video_id, group in groupby(kept, key=lambda row: row["video_id"]):
        texts = [row["expression"] for row in group]
        assert len(set(texts)) == len(texts), video_id


def test_ambiguous_objects_name_each_other(rows: dict[str, Any]) -> None:
    twins = {key: row["detail"] for key, row in rows.items() if row["reason"] == Reason.AMBIGUOUS}
    assert len(twins) == 2
    (first, told_first), (second, told_second) = twins.items()
    assert second in told_first
    assert first in told_second


def test_every_generated_text_has_its_prompt(rows: dict[str, Any]) -> None:
    for row in rows.values():
        asked = {prompt_id.split("@")[0] for prompt_id in row["prompt_ids"]}
        assert ("compose_expression" in asked) == (row["expression"] is not None)
        assert ("caption_crop" in asked) == (row["caption_crop"] is not None)
        assert (row["writer"] == "measured") == bool(asked)


def test_the_folder_has_all_outputs(demo_run: Path) -> None:
    names = {path.name for path in demo_run.iterdir()}
    assert names >= {"annotations", "manifest.parquet", "run.json", "report.html", "Ref-SAV.json", "README.md"}
    info = json.loads((demo_run / "run.json").read_text())
    assert info["versions"]["ray"] == "2.60.0"
    assert info["config"]["recipe"] == "demo"
    assert info["seconds"] > 0


def test_the_frame_store_has_every_video_with_an_expression(demo_run: Path, rows: dict[str, Any]) -> None:
    stored = {path.stem for path in (demo_run / "frames").glob("*.arrow")}
    assert stored == {row["video_id"] for row in rows.values() if row["status"] == "kept"}


def test_the_parquet_opens_with_pandas_and_datasets(demo_run: Path, rows: dict[str, Any], tmp_path: Path) -> None:
    frame = pd.read_parquet(demo_run / "annotations")
    assert set(frame["object_id"]) == set(rows)
    loaded = datasets.load_dataset(
        "parquet", data_files=str(demo_run / "annotations" / "*.parquet"), split="train", cache_dir=str(tmp_path)
    )
    assert set(loaded["object_id"]) == set(rows)
    assert loaded.filter(lambda row: row["status"] == "kept")[0]["facts"]["duration_s"] > 0


def test_the_official_loader_reads_the_run(demo_run: Path, demo_root: Path, rows: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loaded = read_like_sa2va(demo_root, demo_run / "Ref-SAV.json")
    kept = {row["expression"] for row in rows.values() if row["status"] == Status.KEPT}
    assert {text for objects in loaded.values() for text, _ in objects.values()} == kept
    assert all(masks.any() for objects in loaded.values() for _, masks in objects.values())
    assert "demo_000001_manual" in loaded, "a video with kept objects of both files has two entries"
    assert "demo_000001_auto" in loaded


def test_a_missing_shard_says_what_there_is(demo_root: Path, tmp_path: Path) -> None:
    done = annotate(tmp_path / "out", demo_root, shard="sav_000")
    assert done.returncode == 2
    assert "demo" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_check_runs_nothing(tmp_path: Path) -> None:
    assert main(["--shard", "demo", "--out", str(tmp_path / "out"), "--check"]) == 0
    assert not (tmp_path / "out").exists()


def test_every_option_is_in_the_help_and_the_docs() -> None:
    page = (ROOT / "docs/annotate.md").read_text()
    for action in parser()._actions:
        assert action.help
        assert action.option_strings[-1] in page or action.dest == "help"
