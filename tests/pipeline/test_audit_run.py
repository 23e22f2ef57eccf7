"""The whole command on texts that others wrote: what is asked, what becomes of each, another file, a second call."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clips import draw_shard
from manifests.lineup import SINGLED_OUT
from manifests.schema import Facts, Status
from pipeline.writers.measured import MeasuredWriter
from tests import misbehaving
from tests.kept_ray import annotate
from tests.pipeline.facts_factory import make_row
from tests.running import annotations
from tests.stages.test_audit_texts import audited

VIDEOS, OBJECTS, SHARD = 3, 3, "tiny"


@pytest.fixture
def sav(tmp_path: Path) -> Path:
    return draw_shard(tmp_path / "sav", SHARD, VIDEOS, OBJECTS)


def write(file: Path, *lines: tuple[str, str]) -> Path:
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([("object_id", "text"), *lines])
    return file


def test_the_judge_alone_is_asked_and_every_text_and_masklet_has_an_end(sav: Path, tmp_path: Path) -> None:
    """Two objects of two videos have texts, one of them two; the judge always says "none"."""
    out, file = tmp_path / "out", tmp_path / "texts.csv"
    mine = [(f"clip_{video}/manual/{number}", f"thing {number}") for video in (0, 1) for number in (0, 1)]
    others = [("clip_0/manual/0", "another thing"), ("clip_2/manual/77", "nobody"), ("clip_9/manual/0", "elsewhere")]
    write(file, *mine, *others, ("clip_0/manual/0", "thing 0"))
    nobody = misbehaving.Rule(do=misbehaving.good(numbers=[]), prompt="lineup")
    with misbehaving.serve(nobody, models=("judge",)) as server:
        options = ["--recipe", "demo", "--engine", "http", "--engine-url", server.url, "--judge-model", "judge"]
        options += ["--workers", "2", "--texts", str(file)]
        first = annotate(out, sav, *options, shard=SHARD)
        assert first.returncode == 0, first.stderr
        assert {(asked.model, asked.prompt) for asked in server.requests} == {("judge", "lineup")}
        rows = {row["object_id"]: row for row in annotations(out).to_pylist()}
        calls = [call for row in rows.values() for call in row["calls"]]
        assert len(server.requests) == len({call["key"] for call in calls})
        sent = len(server.requests)

        table = (out / "texts.csv").read_bytes()
        again = annotate(out, sav, *options, shard=SHARD)
        assert again.returncode == 0, again.stderr
        assert len(server.requests) == sent
        assert (out / "texts.csv").read_bytes() == table

        write(file, *mine)
        changed = annotate(out, sav, *options, shard=SHARD)
        assert changed.returncode == 2
        assert "other settings (texts_sha256: " in changed.stderr
        assert "A run goes on with the file of texts" in changed.stderr
        assert (out / "texts.csv").read_bytes() == table

    assert len(rows) == VIDEOS * OBJECTS
    given = {object_id for object_id, _ in mine}
    assert {name: (row["status"], row["reason"]) for name, row in rows.items()} == {
        name: (Status.REJECTED, "not_found" if name in given else "no_text") for name in rows
    }
    assert {row["writer"] for name, row in rows.items() if name in given} == {"given"}
    ends = [(line["state"], line["reason"]) for line in csv.DictReader((out / "texts.csv").open(newline=""))]
    assert ends == [
        *[("rejected", "not_found")] * 5,
        *[("left_out", "unknown_object"), ("left_out", "not_in_shard"), ("left_out", "repeated")],
    ]
    assert "\ntexts                  8 in texts.csv" in first.stdout
    assert "catch trials " in first.stdout, "the judge is measured here too"
    page = (out / "README.md").read_text()
    assert "The texts are not of this run: they were given in the file texts.csv" in page
    assert "was described from its crop" not in page
    info = json.loads((out / "run.json").read_bytes())
    assert set(info["models"]) == {"judge"}
    assert info["writer"] == "texts of texts.csv"


def test_texts_of_the_demos_export_pass_and_swapped_ones_do_not(demo_run: Path) -> None:
    """By measurement: of the objects that were measured, each text of its own, and that of the next in its video."""
    rows = {row["object_id"]: row for row in annotations(demo_run).to_pylist() if row["facts"]}
    videos: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for entry in json.loads((demo_run / "Ref-SAV.json").read_bytes()).values():
        for described in entry["objects"].values():
            texts = [described["formated"], *described["short_caps"]]
            videos[described["object_id"].split("/")[0]].append((described["object_id"], texts))
    passed = {"own": 0, "swapped": 0}
    contradicted = texts_swapped = 0
    for video_id, objects in videos.items():
        group = [Facts.model_validate(row["facts"]) for row in rows.values() if row["video_id"] == video_id]
        if len(objects) == 1:
            continue
        for at, (object_id, own) in enumerate(objects):
            swapped = objects[(at + 1) % len(objects)][1]
            for name, texts in (("own", own), ("swapped", swapped)):
                checked = audited(_row(rows[object_id], group), texts, MeasuredWriter()).given_texts
                good = [one for one in checked if one.lineup and one.lineup.decision == SINGLED_OUT]
                passed[name] += sum(not one.contradictions for one in good)
                if name == "swapped":
                    contradicted += sum(bool(one.contradictions) for one in checked)
                    texts_swapped += len(checked)
    assert passed == {"own": texts_swapped, "swapped": 0}
    assert texts_swapped >= 40
    assert contradicted > 0.7 * texts_swapped


def _row(row: dict[str, Any], group: list[Facts]) -> Any:
    facts = next(one for one in group if one.object_id == row["object_id"])
    return make_row(facts, group, siblings=[one.object_id for one in group])
