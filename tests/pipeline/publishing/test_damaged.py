"""Runs, datasets and splits that are damaged, incomplete, or of another version: a sentence that names the file."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.diff import main as diff
from pipeline.publish import main
from pipeline.publishing.published import PublishedAnnotations
from tests.pipeline import model_rows
from tests.pipeline.publishing.made_runs import info, read_json, shard_rows, write_run
from tests.pipeline.publishing.test_publish import said, scene, seen_runs, split_of

Spoil = Callable[[Path], object]


def publish(*given: object) -> int:
    return main([*map(str, given), "--date", "2026-11-26"])


def first(run: Path) -> Path:
    return min((run / "annotations").iterdir())


def overwrite(path: Path) -> None:
    """Damage the middle, so that the end of the file can be read and its rows cannot."""
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(len(content) // 2) + content[200 + len(content) // 2 :])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**read_json(path), **changes}))


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda run: first(run).write_bytes(b""), "annotations/u_0000.parquet cannot be read"),
        (lambda run: overwrite(first(run)), "annotations/u_0000.parquet cannot be read"),
        (lambda run: pq.write_table(pa.table({"x": [1]}), run / "annotations/z.parquet"), "z.parquet cannot be read"),
        (lambda run: (run / "annotations/d.parquet").mkdir(), "annotations/d.parquet cannot be read"),
        (lambda run: (run / "run.json").write_text("[]"), "must be what pipeline.annotate writes"),
        (lambda run: edit(run / "run.json", shards=None), "shards: Input should be a valid list"),
        (lambda run: edit(run / "run.json", seconds="long"), "seconds: Input should be a valid number"),
        (lambda run: edit(run / "run.json", config=None), "config: Input should be"),
        (lambda run: edit(run / "run.json", engine={"url": ""}), "engine.gpus: Field required"),
    ],
)
def test_a_damaged_run_is_told_by_both_commands(
    tmp_path: Path, runs: list[Path], caplog: pytest.LogCaptureFixture, spoil: Spoil, named: str
) -> None:
    run = Path(shutil.copytree(runs[0], tmp_path / "run"))
    spoil(run)
    assert publish(run, "--out", tmp_path / "out") == 2
    assert named in said(caplog)
    caplog.clear()
    assert diff([str(runs[1]), str(run), "--out", str(tmp_path / "diff")]) == 2
    assert named in said(caplog)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda root: shutil.rmtree(root / "not_kept"), "not_kept/train-00000-of-00001.parquet is missing"),
        (lambda root: shutil.copy(*[root / f"data/train-00000-of-0000{n}.parquet" for n in (1, 2)]), "is not listed"),
        (lambda root: overwrite(root / "data/train-00000-of-00001.parquet"), "cannot be read"),
        (lambda root: edit(root / "dataset.json", run={}), "shards: Field required"),
        (lambda root: (root / "dataset.json").write_text("[]"), "must be what pipeline.publish writes"),
    ],
)
def test_a_damaged_dataset_is_not_compared(
    tmp_path: Path, dataset: Path, caplog: pytest.LogCaptureFixture, spoil: Spoil, named: str
) -> None:
    """A missing file is not taken for rows that are gone."""
    root = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    spoil(root)
    assert diff([str(dataset), str(root), "--out", str(tmp_path / "diff")]) == 2
    assert named in said(caplog)


# ---- other versions ----


def with_facts(table: pa.Table, *, drop: str = "", add: str = "") -> pa.Table:
    """The rows with one field fewer, or one more, in the struct `facts`."""
    facts = table["facts"].combine_chunks()
    fields = {field.name: facts.field(field.name) for field in facts.type if field.name != drop}
    if add:
        fields[add] = pa.array([0.5] * len(facts))
    column = pa.StructArray.from_arrays(list(fields.values()), names=list(fields), mask=facts.is_null())
    return table.set_column(table.schema.get_field_index("facts"), "facts", column)


def test_runs_of_an_older_and_a_newer_version_are_joined_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = with_facts(to_table(shard_rows("sav_000", 0, 2), AnnotationRow), drop="unseen_twin_possible")
    newer = with_facts(to_table(shard_rows("sav_001", 4, 2), AnnotationRow), add="shine_frac")
    runs = [write_run(tmp_path / f"{n}", [], info(f"sav_00{n}"), table=one) for n, one in enumerate((older, newer))]
    assert publish(*runs, "--out", tmp_path / "out") == 0
    facts = [row["facts"] for row in PublishedAnnotations(Folder(str(tmp_path / "out"))).rows(["facts"])]
    told = [(one["unseen_twin_possible"], one["shine_frac"]) for one in facts if one]
    assert told == [(False, None)] * 4 + [(False, 0.5)] * 4
    for run in runs:
        capsys.readouterr()
        assert diff([str(run), str(tmp_path / "out"), "--out", str(tmp_path / "diff")]) == 0
        assert "6 and 12 rows: 6 added, 0 removed, 0 changed, 6 unchanged" in capsys.readouterr().out


def test_a_run_that_lacks_what_nothing_can_stand_for_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = with_facts(to_table(shard_rows("sav_000", 0, 2), AnnotationRow), drop="motion")
    run = write_run(tmp_path / "run", [], info("sav_000"), table=table.drop_columns(["frame_count"]))
    assert publish(run, "--out", tmp_path / "out") == 2
    assert "got none of frame_count, facts.motion" in said(caplog)


def with_column(name: str, change: Callable[[Any], Any], row: int = 0) -> pa.Table:
    """The rows of two videos, with another value in a column of one row."""
    table = to_table(shard_rows("sav_000", 0, 2), AnnotationRow)
    values = table[name].to_pylist()
    values[row] = change(values[row])
    field = pa.field(name, table.schema.field(name).type)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


@pytest.mark.parametrize("name", ["object_id", "areas_px", "width_px", "anno_path"])
def test_a_row_without_a_value_that_it_must_have_is_told_by_both_commands(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    run = write_run(tmp_path / "run", [], info("sav_000"), table=with_column(name, lambda _: None))
    assert publish(run, "--out", tmp_path / "out") == 2
    assert f"u_0001.parquet: the column {name} must have a value in every row, got none in 1 of 4" in said(caplog)
    assert diff([str(run), str(run), "--out", str(tmp_path / "diff")]) == 2
    assert f"the column {name} must have a value" in said(caplog)


def test_ids_that_do_not_fit_their_columns_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = with_column("video_id", lambda _: "zzz")
    run = write_run(tmp_path / "run", [], info("sav_000"), table=other)
    assert publish(run, "--out", tmp_path / "out") == 2
    assert "sav_000000/manual/0: an object_id must be" in said(caplog)
    assert "got zzz/manual/0" in said(caplog)
    assert diff([str(run), str(run), "--out", str(tmp_path / "diff")]) == 2
    assert "must begin with its video_id, got the video_id zzz" in said(caplog)
    unplaced = write_run(tmp_path / "b", [], info("sav_000"), table=with_column("masklet_position", lambda _: None))
    assert publish(unplaced, "--out", tmp_path / "out") == 2
    assert "got sav_000000/manual/None" in said(caplog)


def test_a_column_of_another_type_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = to_table(shard_rows("sav_000", 0, 2), AnnotationRow)
    place = table.schema.get_field_index("expression")
    run = write_run(
        tmp_path / "run",
        [],
        info("sav_000"),
        table=table.set_column(place, "expression", pa.array([["a"]] * len(table))),
    )
    assert publish(run, "--out", tmp_path / "out") == 2
    assert "parquet: column expression cannot be read" in said(caplog)


def test_a_video_in_two_shards_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No row is twice, but one entry of Ref-SAV.json has one mask file: the second shard's objects are not in it."""
    runs = []
    for shard, places in (("sav_000", (0, 1)), ("sav_001", (2, 3))):
        paths = {
            "shard": shard,
            "video_path": f"{shard}/sav_000000.mp4",
            "anno_path": f"{shard}/sav_000000_manual.json",
        }
        made = [model_rows.kept(0, place, **paths) for place in places]
        runs.append(write_run(tmp_path / shard, made, info(shard)))
    assert publish(*runs, "--out", tmp_path / "out") == 2
    assert "sav_000000/manual/2: all rows of a video must have the same video_path" in said(caplog)
    assert not (tmp_path / "out").exists()


# ---- what is given ----


@pytest.mark.parametrize("repo", ["../..", "a/b/c", "-a/b", "a/b--c", "a/b.", "é/b"])
def test_names_that_the_hub_refuses(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, repo: str
) -> None:
    assert publish(*runs, "--out", tmp_path / "out", f"--repo={repo}") == 2
    assert "--repo must be USER/NAME" in said(caplog)


@pytest.mark.parametrize("out", ["/proc/none/out", "/dev/null/out", "x" * 300])
def test_an_out_that_cannot_be_made(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, out: str
) -> None:
    assert publish(*runs, "--out", tmp_path / out) == 2
    assert diff([*map(str, runs), "--out", str(tmp_path / out)]) == 2
    assert said(caplog).count("--out must be a folder") == 2


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(runs: list[Path], tmp_path: Path) -> None:
    assert publish(*runs, "--out", tmp_path / "v1") == 0
    (tmp_path / "latest").symlink_to(tmp_path / "v1")
    assert publish(runs[0], "--out", tmp_path / "latest", "--version", "2.0.0") == 0
    assert (tmp_path / "latest").is_symlink()
    assert read_json(tmp_path / "v1/dataset.json")["version"] == "2.0.0"


@pytest.mark.parametrize("end", ["png", "JPG"])
def test_frames_of_a_split_are_compared_whatever_they_are_called(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    run, split = seen_runs(tmp_path), split_of(tmp_path / "split", "renamed", [])
    for number, frame_HW3 in enumerate(scene(1)):
        cv2.imwrite(str(split / f"videos/renamed/{4 * number:05d}.{end}"), frame_HW3)
    assert publish(run, "--split", split, "--out", tmp_path / "out") == 2
    assert "renamed = sav_000001" in said(caplog)


def test_a_split_whose_frames_cannot_be_read_is_not_called_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, split = seen_runs(tmp_path), split_of(tmp_path / "split", "elsewhere", [np.zeros((8, 8, 3), np.uint8)])
    next((split / "videos/elsewhere").iterdir()).write_bytes(b"no picture")
    assert publish(run, "--split", split, "--out", tmp_path / "out") == 0
    assert "1 videos of the split have no frame that can be read (elsewhere)" in capsys.readouterr().out
    assert "by look, 0 videos were compared" in (tmp_path / "out/README.md").read_text()


def test_a_split_with_a_link_that_leads_nowhere_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = seen_runs(tmp_path)
    split = split_of(tmp_path / "split", "elsewhere", scene(99))
    (split / "dead").symlink_to(tmp_path / "nowhere")
    assert publish(run, "--split", split, "--out", tmp_path / "out") == 2
    assert f"must be one that can be read, got {split / 'dead'}" in said(caplog)
    assert not (tmp_path / "out").exists()
