"""Publishing: what is refused, what is the same twice, what is left when it is interrupted, sums and sizes."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Negative, Ruling, Status
from pipeline.export.annotations import Annotations
from pipeline.publish import main
from pipeline.publishing.features import published_schema
from pipeline.publishing.parts import PartWriter
from pipeline.publishing.publish_dataset import PublishSettings, publish
from pipeline.publishing.published import PublishedAnnotations
from pipeline.publishing.runs import open_run
from pipeline.publishing.viewer_frames import outlines
from stages.video.views import Sheet
from tests.pipeline import model_rows, rows
from tests.pipeline.publishing.made_runs import info, read_json, shard_rows, two_runs, write_run


def command(*given: object) -> int:
    return main([*map(str, given), "--date", "2026-11-26"])


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def said(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records if record.levelname == "ERROR")


# ---- the same twice ----


def test_order_threads_places_and_units_do_not_matter(runs: list[Path], tmp_path: Path) -> None:
    moved = [Path(shutil.copytree(run, tmp_path / f"other/machine/{run.name}")) for run in runs]
    whole = write_run(tmp_path / "one_file", shard_rows("sav_000", 0, 4), info("sav_000"), unit=100)
    threads = pa.cpu_count()
    assert command(*runs, "--out", tmp_path / "a") == 0
    pa.set_cpu_count(1)
    try:
        assert command(*reversed(moved), "--out", tmp_path / "b") == 0
        assert command(moved[1], whole, "--out", tmp_path / "c") == 0
    finally:
        pa.set_cpu_count(threads)
    assert digests(tmp_path / "a") == digests(tmp_path / "b") == digests(tmp_path / "c")


def test_no_path_of_this_machine_is_published(dataset: Path, runs: list[Path]) -> None:
    for path in dataset.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"/some/where" not in content, path
        assert str(runs[0].parent).encode() not in content, path


def test_the_checksums_are_those_of_all_files(dataset: Path) -> None:
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=dataset, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {line.split("  ")[1] for line in (dataset / "SHA256SUMS").read_text().splitlines()}
    assert listed == set(digests(dataset)) - {"SHA256SUMS"}


# ---- what is refused ----


def test_a_row_twice_is_refused(runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    again = write_run(tmp_path / "again", shard_rows("sav_000", 3, 2), info("sav_000"))
    assert command(*runs, again, "--out", tmp_path / "out") == 2
    assert "a row must be in one run only, got 6 twice: sav_000003/manual/0 in" in said(caplog)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"recipe": "modern"}, "recipe: paper in"),
        ({"repair": False}, "repair: True in"),
        ({"sampling": {"seed": 1}}, "sampling.seed: 0 in"),
    ],
)
def test_settings_that_differ_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], named: str
) -> None:
    assert command(*two_runs(tmp_path, **changes), "--out", tmp_path / "out") == 2
    assert named in said(caplog)
    assert "--mix" in said(caplog)


def changed_prompt(row: AnnotationRow) -> AnnotationRow:
    ids = ["describe_scene@00000000" if one.startswith("describe_scene") else one for one in row.prompt_ids]
    return row.model_copy(update={"prompt_ids": ids})


def other_model(row: AnnotationRow) -> AnnotationRow:
    return row.model_copy(update={"calls": [call.model_copy(update={"model": "other"}) for call in row.calls]})


@pytest.mark.parametrize(
    ("change", "named"), [(changed_prompt, "prompt describe_scene:"), (other_model, "other@1f2e3d")]
)
def test_prompts_and_models_that_differ_are_refused_or_stated(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Any, named: str
) -> None:
    second = write_run(tmp_path / "b", [change(row) for row in shard_rows("sav_001", 4, 4)], info("sav_001"))
    assert command(runs[0], second, "--out", tmp_path / "out") == 2
    assert named in said(caplog)
    assert command(runs[0], second, "--out", tmp_path / "out", "--mix") == 0
    assert named in (tmp_path / "out/README.md").read_text()
    table = pq.read_table(tmp_path / "out/data").to_pylist()
    assert len({(*row["prompt_ids"], *row["models"]) for row in table}) == 2


def test_a_run_that_mixes_prompts_in_itself_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = shard_rows("sav_000", 0, 4)
    run = write_run(tmp_path / "a", [changed_prompt(made[0]), *made[1:]], info("sav_000"))
    assert command(run, "--out", tmp_path / "out") == 2
    assert "--prompt-changed" in said(caplog)


def test_an_unfinished_run_is_refused_or_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = write_run(tmp_path / "a", shard_rows("sav_000", 0, 4), info("sav_000"))
    next((run / "annotations").iterdir()).unlink()
    assert command(run, "--out", tmp_path / "out") == 2
    assert "4 lost" in said(caplog)
    assert "--partial" in said(caplog)
    assert command(run, "--out", tmp_path / "out", "--partial") == 0
    assert PublishedAnnotations(Folder(str(tmp_path / "out"))).num_rows == 8


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda run: (run / "run.json").unlink(), "without run.json"),
        (lambda run: (run / "run.json").write_text("{}"), "must be what pipeline.annotate writes"),
        (lambda run: (run / "run.json").write_text("no"), "must be what pipeline.annotate writes"),
        (lambda run: next((run / "annotations").iterdir()).write_bytes(b"PAR1"), "cannot be read"),
        (lambda run: shutil.rmtree(run / "annotations"), "got none in"),
        (lambda run: (run / "manifest.parquet").unlink(), "cannot be read"),
    ],
)
def test_what_is_no_run_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Any, named: str) -> None:
    run = write_run(tmp_path / "a", shard_rows("sav_000", 0, 2), info("sav_000"))
    spoil(run)
    assert command(run, "--out", tmp_path / "out") == 2
    assert named in said(caplog)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["--repo", "nobody"], "--repo must be USER/NAME"),
        (["--version", "1"], "--version must be"),
        (["--leave-out"], "--leave-out belongs to --split"),
        (["--split", "/nowhere"], "--split must be the folder"),
        (["--sav-root", "/nowhere"], "--sav-root must be the folder"),
        (["--viewer-pictures", "-1"], "at least 0"),
    ],
)
def test_wrong_settings(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, given: list[str], named: str
) -> None:
    assert command(*runs, "--out", tmp_path / "out", *given) == 2
    assert named in said(caplog)


def test_nothing_but_a_dataset_is_replaced(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    assert command(*runs, "--out", out) == 2
    assert "replaces nothing but an earlier dataset" in said(caplog)
    assert command(*runs, "--out", runs[0] / "inside") == 2
    assert command(*runs, "--out", runs[0]) == 2
    assert command(*runs, "--out", "s3://bucket/dataset") == 2
    assert command(runs[0], runs[0], "--out", tmp_path / "twice") == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)  # a shell in a folder that was replaced finds no file any more
    assert command(*runs, "--out", ".") == 2
    assert "must not be where the command is given" in said(caplog)
    assert (out / "thesis.txt").read_text() == "mine"
    assert not (runs[0] / "inside").exists()


def test_what_somebody_put_into_a_dataset_is_not_lost(
    runs: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert command(runs[0], "--out", out) == 0
    for added in (".cache/huggingface/upload/lock", ".gitattributes"):  # by the tools of the hub
        (out / added).parent.mkdir(parents=True, exist_ok=True)
        (out / added).touch()
    assert command(runs[0], "--out", out) == 0
    for name in (".git/HEAD", "notes.txt", "data/more.parquet"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
        assert command(runs[0], "--out", out) == 2
        assert f"got {out} with {name}, not listed in its SHA256SUMS" in said(caplog)
        (out / name).unlink()


def test_a_dataset_whose_rows_are_all_left_out_can_be_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", shard_rows("sav_000", 0, 1), info("sav_000"))
    split = split_of(tmp_path / "split", "sav_000000", scene(99))
    assert command(run, "--split", split, "--leave-out", "--out", tmp_path / "out") == 0
    assert PublishedAnnotations(Folder(str(tmp_path / "out"))).num_rows == 0


def test_names_with_signs_of_yaml_stay_names_on_the_card(tmp_path: Path) -> None:
    shard, video = "my: shard #1", "DAVIS_Bear"
    made = [model_rows.kept(0, 0, shard=shard).model_copy(update={"video_id": video, "object_id": f"{video}/manual/0"})]
    assert command(write_run(tmp_path / "run", made, info(shard)), "--out", tmp_path / "out") == 0
    header = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])
    assert header["pretty_name"] == f"Ref-SAV ({shard})"
    # The page compares small letters.
    assert "davis_bear/manual/0" in (tmp_path / "out/viewer/index-00000.js").read_text()


def test_an_interrupted_publish_leaves_what_was_there(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert command(*runs, "--out", out) == 0
    before = digests(out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipeline.publishing.viewer.write_viewer", full)
    assert command(*runs, "--out", out, "--version", "2.0.0") == 3
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# ---- columns of others, sizes ----


def test_columns_that_this_version_does_not_know_are_carried_along(tmp_path: Path) -> None:
    table = to_table(shard_rows("sav_000", 0, 2), AnnotationRow)
    newer = table.append_column("pick_rate_frac", pa.array([0.5] * len(table)))
    first = write_run(tmp_path / "a", [], info("sav_000"), table=newer.drop_columns(["repairs", "conflict"]))
    second = write_run(tmp_path / "b", shard_rows("sav_001", 4, 2), info("sav_001"))
    assert command(first, second, "--out", tmp_path / "out") == 0
    published = pq.read_table(tmp_path / "out/data").to_pylist()
    assert [row["pick_rate_frac"] for row in published] == [0.5] * 4 + [None] * 4
    assert all(row["repairs"] == [] for row in published[:4])
    assert '"pick_rate_frac":0.5' in (tmp_path / "out/viewer/rows-00000.js").read_text()
    assert "pick_rate_frac" in (tmp_path / "out/README.md").read_text()


def test_negatives_of_kept_rows_are_rows_of_their_own_and_a_file_for_training(tmp_path: Path) -> None:
    def with_negatives(row: AnnotationRow) -> AnnotationRow:
        texts = [f"not {row.object_id} {number}" for number in range(2)]
        made = [
            Negative(
                text=text,
                kind="no_target",
                changed="colour",
                instead_of="the red one",
                claim="blue",
                target=None,
                rulings=[
                    Ruling(object_id=row.object_id, kind="colour", claim="blue", state="ruled out", measured="red")
                ],
            )
            for text in texts
        ]
        return row.model_copy(update={"negatives": made})

    made = [shard_rows("sav_000", 0, 2), [with_negatives(row) for row in shard_rows("sav_001", 4, 2)]]
    runs = [write_run(tmp_path / str(n), rows, info(f"sav_00{n}")) for n, rows in enumerate(made)]
    assert command(*runs, "--out", tmp_path / "out") == 0
    kept = [row for row in made[1] if row.status == Status.KEPT]
    negatives = pq.read_table(tmp_path / "out/negatives").to_pylist()
    expected = [(row.object_id, negative.text) for row in kept for negative in row.negatives]
    assert [(row["object_id"], row["text"]) for row in negatives] == expected
    assert negatives[0]["rulings"][0]["claim"] == "blue"
    content = read_json(tmp_path / "out/negatives.json")
    assert [(one["object_id"], one["text"]) for of_video in content.values() for one in of_video] == expected
    for file in ("README.md", "croissant.json", "SHA256SUMS"):
        assert "negatives.json" in (tmp_path / "out" / file).read_text()
    assert "config_name: negatives" in (tmp_path / "out/README.md").read_text()
    told = (tmp_path / "out/viewer/rows-00000.js").read_text()
    assert f'"negatives":"{kept[0].negatives[0].text}; {kept[0].negatives[1].text}"' in told
    assert command(runs[0], "--out", tmp_path / "without") == 0
    assert not list((tmp_path / "without").glob("negatives*"))


def test_outlines_are_in_thousandths_of_the_frame_with_holes() -> None:
    mask_HW = np.zeros((100, 200), np.uint8)
    mask_HW[20:60, 40:120] = 1
    mask_HW[30:50, 60:100] = 0
    around, hole = sorted(outlines(mask_HW), key=max, reverse=True)
    assert (min(around[::2]), max(around[::2]), min(around[1::2]), max(around[1::2])) == (202, 598, 205, 595)
    assert 290 < min(hole[::2]) < max(hole[::2]) < 505
    assert outlines(np.zeros((4, 4), np.uint8)) == []


def test_rows_whose_video_is_not_there_are_noted(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sav/sav_train").mkdir(parents=True)
    assert command(*runs, "--out", tmp_path / "out", "--sav-root", tmp_path / "sav") == 0
    assert "note: 16 rows have no frames in the viewer, e.g. sav_000000/manual/0" in capsys.readouterr().out


def test_files_and_row_groups_are_bounded_and_sorted(runs: list[Path], tmp_path: Path) -> None:
    settings = PublishSettings(out=tmp_path / "out", date="2026-11-26", max_bytes=4_000_000 + 150_000)
    made = shard_rows("sav_000", 0, 300)
    run = write_run(tmp_path / "run", made, info("sav_000"), unit=64)
    done = publish([open_run(str(run))], settings, lambda _: None)
    names = sorted(path.name for path in (tmp_path / "out/data").iterdir())
    assert len(names) > 1
    assert names == [f"train-{n:05d}-of-{len(names):05d}.parquet" for n in range(len(names))]
    ids = [one for name in names for one in pq.read_table(tmp_path / "out/data" / name)["object_id"].to_pylist()]
    assert ids == sorted(row.object_id for row in made if row.status == Status.KEPT)
    assert done.rows == done.kept + done.not_kept == len(made)


def test_a_part_ends_where_the_next_group_would_not_fit(tmp_path: Path) -> None:
    schema = published_schema(pa.schema([pa.field("object_id", pa.string()), pa.field("noise", pa.binary())]))
    noise = np.random.default_rng(0)
    writer = PartWriter(tmp_path, "data", schema, 4_000_000 + 330_000)
    for number in range(7):
        ids = [f"{number}-{k}" for k in range(5)]
        writer.write(pa.table({"object_id": ids, "noise": [noise.bytes(10_000) for _ in ids]}))
    parts = writer.close()
    assert [part.rows for part in parts] == [30, 5]
    assert all(part.size_bytes < 330_000 for part in parts)
    assert pq.read_metadata(tmp_path / parts[0].name).num_row_groups == 2


def test_a_file_of_many_row_groups_has_room_for_their_list(tmp_path: Path) -> None:
    """The same long text in all rows takes no room but in the list, as the least and the greatest of each group."""
    schema = published_schema(pa.schema([pa.field("object_id", pa.string())]))
    step, max_bytes = pa.table({"object_id": ["x" * 4_000] * 100}), 5_000_000
    writer = PartWriter(tmp_path, "data", schema, max_bytes)
    for _ in range(350):
        writer.write(step)
    parts = writer.close()
    assert sum(part.rows for part in parts) == 35_000
    assert all(part.size_bytes < max_bytes for part in parts)


def test_a_dataset_reads_back_as_the_rows_of_its_runs(dataset: Path, runs: list[Path]) -> None:
    published = PublishedAnnotations(Folder(str(dataset)))
    columns = arrow_schema(AnnotationRow).names
    ours = [row for run in runs for row in Annotations(Folder(str(run))).rows(columns)]
    assert list(published.rows(columns)) == ours
    for column in ("preview_jpeg", "facts"):  # of an image, without reading it
        assert published.valid(column).tolist() == [row[column] is not None for row in ours]


def test_the_cost_and_gates_of_all_runs_are_on_the_card(dataset: Path) -> None:
    card = (dataset / "README.md").read_text()
    assert "24 masklets: 16 kept" in card
    assert "| requests | 96 sent, 0 found answered in replies/ |" in card
    assert "per GPU-hour (16 in 3,600 s of 4 GPUs)" in card
    assert "| **this run** | 8 | 16 | 16 | 320 |" in card


# ---- the split ----


def split_of(folder: Path, video_id: str, frames: list[np.ndarray]) -> Path:
    """A split of one video, with its frames."""
    (folder / "videos" / video_id).mkdir(parents=True)
    for number, frame_HW3 in enumerate(frames):
        cv2.imwrite(str(folder / f"videos/{video_id}/{4 * number:05d}.jpg"), frame_HW3)
    (folder / "split.json").write_text(json.dumps({"videos": [video_id], "held_out": []}))
    (folder / "meta_expressions_valid.json").write_text(json.dumps({"videos": {video_id: {}}}))
    (folder / "mask_dict.json").write_text("{}")
    (folder / "agreement.md").write_text("# How far people agree\n\nkappa 0.8\n")
    (folder / "Ref-SAV.json").write_text("{}")
    return folder


def scene(seed: int) -> list[np.ndarray]:
    """Eight different frames of a landscape of 320x180 pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 9, 16, 3), np.uint8)
    return [cv2.resize(one, (320, 180), interpolation=cv2.INTER_CUBIC) for one in noise]


def sheet(frames: list[np.ndarray]) -> bytes:
    drawn = Sheet()
    for slot, frame_HW3 in enumerate(frames):
        ringed_HW3 = np.asarray(cv2.circle(frame_HW3.copy(), (100, 90), 30, (0, 255, 255), 1), np.uint8)
        drawn.put(ringed_HW3, 1 + slot // 4, slot % 4)
    return drawn.jpeg()


def seen_runs(root: Path) -> Path:
    made = [
        row.model_copy(update={"preview_jpeg": sheet(scene(int(row.video_id[-6:])))}) if row.preview_jpeg else row
        for row in shard_rows("sav_000", 0, 4)
    ]
    return write_run(root / "run", made, info("sav_000"))


def test_a_split_that_shares_a_video_is_refused_by_id(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = seen_runs(tmp_path)
    split = split_of(tmp_path / "split", "sav_000002", scene(99))
    assert command(run, "--split", split, "--out", tmp_path / "out") == 2
    assert "got 1 in both: sav_000002" in said(caplog)


def test_a_split_that_looks_like_a_video_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = seen_runs(tmp_path)
    split = split_of(tmp_path / "split", "renamed", scene(1))
    assert command(run, "--split", split, "--out", tmp_path / "out") == 2
    assert "renamed = sav_000001" in said(caplog)
    assert not (tmp_path / "out").exists()
    assert command(run, "--split", split, "--leave-out", "--out", tmp_path / "out") == 0
    published = PublishedAnnotations(Folder(str(tmp_path / "out")))
    assert {row["video_id"] for row in published.rows(["video_id"])} == {f"sav_00000{n}" for n in (0, 2, 3)}
    card = (tmp_path / "out/README.md").read_text()
    assert "3 rows of 1 videos are left out" in card
    assert "### How far people agree" in card
    assert (tmp_path / "out/benchmark/videos/renamed/00004.jpg").exists()
    assert not (tmp_path / "out/benchmark/Ref-SAV.json").exists()
    assert read_json(tmp_path / "out/dataset.json")["left_out"] == 3


def test_a_split_of_other_videos_is_published(tmp_path: Path) -> None:
    run = seen_runs(tmp_path)
    split = split_of(tmp_path / "split", "elsewhere", scene(99))
    assert command(run, "--split", split, "--out", tmp_path / "out") == 0
    assert "by look, 4 videos were compared" in (tmp_path / "out/README.md").read_text()


def test_the_models_of_several_runs_are_named_with_their_licences(dataset: Path) -> None:
    notice = (dataset / "NOTICE").read_text()
    assert f"{model_rows.VLM}@1f2e3d: Meta Llama 3" in notice
    assert "CC BY 4.0" in notice
    measured = rows.RUN["writer"]
    assert measured == "measured"
