"""Imported shards go through annotation, and through a few steps of training, as SA-V does."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from manifests.io import Folder
from manifests.schema import Reason, Status
from pipeline.importers.source_protocol import SOURCES
from tests.kept_ray import annotate
from tests.pipeline.importers.conftest import SETS
from tests.running import read_annotations

SHARDS = ",".join(sorted(SETS))


@pytest.fixture(scope="session")
def annotated(sav: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported") / "out"
    done = annotate(out, sav, "--recipe", "demo", "--workers", "2", shard=SHARDS)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def rows(annotated: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_annotations(Folder(str(annotated))).to_pylist()
    return found


def of(rows: Sequence[dict[str, Any]], source_id: str) -> dict[str, Any]:
    [row] = [row for row in rows if row["source_id"] == source_id]
    return row


def test_every_set_is_annotated_with_ids_and_labels_of_its_source(rows: list[dict[str, Any]]) -> None:
    kept = [row for row in rows if row["status"] == Status.KEPT]
    assert {row["source"] for row in kept} == set(SOURCES), [(row["source_id"], row["detail"]) for row in rows]
    assert of(rows, "3/41")["source_label"] == "red ball"
    assert of(rows, "walk/group 4 ball")["source_label"] == "ball"
    assert of(rows, "bear/1")["source_label"] is None


def test_a_label_is_the_noun_of_the_measured_text(rows: list[dict[str, Any]]) -> None:
    assert re.match(r"The object is an? [a-z -]+ red ball\.", of(rows, "3/41")["object_description"])
    assert re.match(r"The object is an? [a-z, -]+ horse", of(rows, "walk/0")["object_description"])
    assert "horse" not in of(rows, "bear/1")["object_description"]


def test_a_group_of_objects_is_left_out_with_its_reason(rows: list[dict[str, Any]]) -> None:
    row = of(rows, "c0ffee/11 + 12")
    assert (row["status"], row["reason"]) == (Status.REJECTED, Reason.SEVERAL_OBJECTS)
    assert "joins the masklets 0, 1" in row["detail"]
    assert row["object_id"] not in of(rows, "c0ffee/11")["siblings"]


def test_card_and_explanation_tell_the_source(annotated: Path) -> None:
    card = (annotated / "README.md").read_text()
    assert "`source_label`" in card
    assert "several_objects" in card


def test_the_same_clip_has_the_same_facts_in_every_layout(rows: list[dict[str, Any]]) -> None:
    """The horse of the sets that show the same scene: what is measured agrees, whatever rate and layout it came in."""
    horses = [of(rows, name)["facts"] for name in ("bear/1", "c0ffee/11", "walk/0", "clip/1")]
    for facts in horses:
        assert facts["motion"] == "right"
        assert facts["colours"][0]["name"] == horses[0]["colours"][0]["name"]
        assert facts["place_start"] == horses[0]["place_start"]
        assert facts["duration_s"] == pytest.approx(2.0, abs=0.1)
        assert facts["own_speed_px_s"] == pytest.approx(60, rel=0.15)
    balls = [of(rows, name)["facts"] for name in ("bear/2", "c0ffee/12", "walk/group 4 ball", "clip/2")]
    assert all(facts["enters_s"] == pytest.approx(0.5, abs=1e-3) for facts in balls), "the first instant after 0.4 s"


def test_a_few_steps_of_training_on_imported_texts(sav: Path, annotated: Path, tmp_path: Path) -> None:
    """Texts of MeViS with joined masks, and annotated rows of all sets, together."""
    from pipeline.sa2va.config import DataConfig, OptimConfig, TrainConfig
    from pipeline.sa2va.train.run import train
    from pipeline.sa2va.train.step import DistContext
    from pipeline.sa2va.train.training_data import read_data
    from tests.pipeline.sa2va.models import config as tiny_settings
    from tests.pipeline.sa2va.tiny import tiny_pixels

    config = TrainConfig(
        source=(str(annotated), str(sav / "sav_train/mevis/Ref-SAV.json")),
        sav_root=str(sav),
        out=str(tmp_path / "training"),
        model=tiny_settings(),
        data=DataConfig(pixels=tiny_pixels(), frames=2, max_objects=2),
        optim=OptimConfig(lr=5e-3, batch=2, micro_batch=1, epochs=2),
        loader_workers=0,
        pictures_every=0,
    )
    videos, clips = read_data(config)
    assert len(videos) == len(SETS)
    [mevis] = [video for video in videos if video.video_id == "c0ffee"]
    assert "everything that is not grass" in {one.text for one in mevis.expressions}
    train(config, videos, clips, DistContext())
    losses = [json.loads(line) for line in (tmp_path / "training/curve.jsonl").read_text().splitlines()]
    assert len(losses) >= 4
    assert all(line["loss"] > 0 for line in losses)
