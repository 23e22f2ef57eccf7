"""What others read a dataset with: datasets, pandas, DuckDB, the official Sa2VA loader's rules, mlcroissant."""

import datetime
import decimal
import io
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from datasets import Features, Image, get_dataset_config_names, load_dataset

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.data.videos import read_videos
from pipeline.publish import main as publish
from pipeline.publishing import croissant
from pipeline.publishing.published import PublishedAnnotations
from tests.pipeline import rows
from tests.pipeline.publishing.made_runs import info, read_json, shard_rows, write_run

PREVIEW = "preview_jpeg"


def test_datasets_reads_it_as_the_card_says(dataset: Path, tmp_path: Path) -> None:
    cache = str(tmp_path)
    assert get_dataset_config_names(str(dataset)) == ["default", "not_kept"]
    kept = load_dataset(str(dataset), split="train", cache_dir=cache)
    others = load_dataset(str(dataset), "not_kept", split="train", cache_dir=cache)
    assert (kept.num_rows, others.num_rows) == (16, 8)
    assert set(kept["status"]) == {"kept"}
    assert kept["object_id"][:2] == ["sav_000000/manual/0", "sav_000000/manual/1"]
    assert isinstance(kept.features[PREVIEW], Image)
    assert kept[0][PREVIEW].size == (800, 450)
    assert kept[0]["facts"]["size"] == "medium"
    assert others[0]["reason"] == "part"


def test_datasets_streams_it(dataset: Path) -> None:
    stream = load_dataset(str(dataset), split="train", streaming=True)
    first = next(iter(stream))
    assert first["object_id"] == "sav_000000/manual/0"
    assert first[PREVIEW].size == (800, 450)
    assert sum(1 for _ in stream) == 16


def test_the_files_say_by_themselves_what_is_an_image(dataset: Path, tmp_path: Path) -> None:
    """Without the card: as `load_dataset("parquet", data_files=…)` reads them."""
    files = str(dataset / "data/*.parquet")
    loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert isinstance(loaded.features[PREVIEW], Image)


def test_the_card_states_the_features_that_datasets_finds(dataset: Path) -> None:
    header = yaml.safe_load((dataset / "README.md").read_text().split("---\n")[1])
    found = Features.from_arrow_schema(pq.read_schema(dataset / "data/train-00000-of-00001.parquet"))
    for told in header["dataset_info"]:
        assert Features._from_yaml_list(told["features"]) == found
        (split,) = told["splits"]
        assert split["num_examples"] == {"default": 16, "not_kept": 8}[told["config_name"]]


def test_pandas_reads_it(dataset: Path) -> None:
    frame = pd.read_parquet(dataset / "data")
    assert len(frame) == 16
    assert frame["expression"].str.startswith("The object is").all()
    picture = cv2.imdecode(np.frombuffer(frame[PREVIEW][0]["bytes"], np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (450, 800, 3)


def test_duckdb_reads_it(dataset: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed: see the next test")
    counted = duckdb.sql(f"select status, count(*) from '{dataset}/*/train-*.parquet' group by status").fetchall()
    assert dict(counted)["kept"] == 16
    inner = "facts.size, octet_length(preview_jpeg.bytes), list_transform(calls, lambda one: one.prompt)"
    (row,) = duckdb.sql(f"select {inner} from '{dataset}/data/*.parquet' order by object_id limit 1").fetchall()
    assert row[:2] == ("medium", len(rows.preview(0)))
    assert len(row[2]) == 6


def test_arrow_reads_both_configs_as_one_table_and_only_what_is_asked_for(dataset: Path) -> None:
    """What DuckDB needs: one schema in all files, and statistics by which row groups are skipped."""
    files = sorted(dataset.glob("*/train-*.parquet"))
    table = ds.dataset([str(file) for file in files], format="parquet")
    assert table.count_rows(filter=ds.field("status") == "kept") == 16
    assert len({pq.read_schema(file).remove_metadata() for file in files}) == 1
    for file in files:
        group = pq.read_metadata(file).row_group(0)
        assert group.column(0).path_in_schema == "object_id"
        assert group.column(0).statistics.has_min_max


def test_the_official_loader_and_ours_find_every_kept_row(dataset: Path) -> None:
    entries = read_json(dataset / "Ref-SAV.json")
    assert len(entries) == 8
    for key, entry in entries.items():
        video_id = key.rpartition("_")[0]
        shard = "sav_000" if int(video_id[-6:]) < 4 else "sav_001"
        assert entry["video_path"] == f"sav_train/{shard}/{video_id}.mp4"
        assert entry["anno_path"] == f"sav_train/{shard}/{video_id}_manual.json"
        assert all(said["formated"].startswith("The object is") for said in entry["objects"].values())
        assert list(entry["objects"]) == ["0", "1"]
    videos = read_videos(dataset / "Ref-SAV.json", Path("/anywhere"))
    assert sum(len(video.expressions) for video in videos) == 16


def test_mlcroissant_takes_the_description(dataset: Path) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed here: our own check is below")
    metadata = mlc.Dataset(jsonld=read_json(dataset / "croissant.json")).metadata
    assert not metadata.issues.errors
    assert not metadata.issues.warnings


def test_mlcroissant_reads_every_record(dataset: Path) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed here: the next test is ours")
    described = mlc.Dataset(jsonld=str(dataset / "croissant.json"), mapping={"repo": str(dataset)})
    kept, others = (list(described.records(name)) for name in ("default", "not_kept"))
    assert (len(kept), len(others)) == (16, 8)
    assert kept[0]["default/object_id"] == b"sav_000000/manual/0"
    assert kept[0]["default/preview_jpeg"].size == (800, 450)
    assert kept[0]["default/facts"]["default/facts/size"] == b"medium"
    assert [one["default/facts/colours/name"] for one in kept[0]["default/facts/colours"]] == [b"red", b"white"]
    assert kept[0]["default/calls"][0]["default/calls/tokens_in"] == 1000


def test_each_level_of_lists_has_a_transform_of_its_own() -> None:
    """A path through a list finds nothing in it; a list of structs in another cannot be told."""
    span = pa.struct([("start_s", pa.float64())])
    trials = pa.list_(
        pa.struct([("picked", pa.string()), ("heats", pa.list_(span)), ("times_s", pa.list_(pa.int64()))])
    )
    column = pa.field("facts", pa.struct([("size", pa.string()), ("spans", pa.list_(span)), ("trials", trials)]))
    told = {one["@id"]: one for one in croissant._nodes(croissant._field("c", column)) if "source" in one}
    paths = {name: one["source"]["transform"] for name, one in told.items()}
    assert paths == {
        "c/facts/size": {"jsonPath": "size"},
        "c/facts/spans/start_s": [{"jsonPath": "spans"}, {"jsonPath": "start_s"}],
        "c/facts/trials/picked": [{"jsonPath": "trials"}, {"jsonPath": "picked"}],
        "c/facts/trials/times_s": [{"jsonPath": "trials"}, {"jsonPath": "times_s"}],
    }
    (calls,) = croissant._field("c", pa.field("calls", pa.list_(span)))["subField"]  # type: ignore[index]
    assert calls["source"]["transform"] == {"jsonPath": "start_s"}


def test_the_description_keeps_to_the_specification(dataset: Path) -> None:
    described = read_json(dataset / "croissant.json")
    assert croissant.check(described) == []
    assert {"rai:dataLimitations", "rai:dataBiases", "rai:annotationsPerItem"} <= set(described)
    names = {field["name"] for field in described["recordSet"][0]["field"]}
    assert names == set(pq.read_schema(dataset / "data/train-00000-of-00001.parquet").names)
    lines = (dataset / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for file in described["distribution"]:
        if file["@id"] in sums:
            assert file["sha256"] == sums[file["@id"]]
            assert file["contentSize"] == f"{(dataset / file['@id']).stat().st_size} B"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda one: one.pop("license"), "license must be there"),
        (lambda one: one.update(datePublished="today"), "datePublished must be a date"),
        (lambda one: one["distribution"][0].pop("sha256"), "repo must have sha256"),
        (lambda one: one["recordSet"][0]["field"][0]["source"]["fileSet"].update({"@id": "no"}), "'no' is referred to"),
        (lambda one: one["recordSet"][0]["field"].append(one["recordSet"][0]["field"][0]), "given once"),
        (lambda one: one["@context"].pop("recordSet"), "'recordSet' must be declared"),
    ],
)
def test_a_wrong_description_is_found(dataset: Path, change: object, fault: str) -> None:
    described = read_json(dataset / "croissant.json")
    assert callable(change)
    change(described)
    assert any(fault in one for one in croissant.check(described))


def test_the_previews_are_the_runs_own(dataset: Path) -> None:
    table = pq.read_table(dataset / "data", columns=["object_id", PREVIEW]).to_pylist()
    for row in table:
        video, _, place = re.fullmatch(r"sav_(\d+)/(manual)/(\d)", row["object_id"]).groups()  # type: ignore[union-attr]
        assert io.BytesIO(row[PREVIEW]["bytes"]).read() == rows.preview(10 * int(video) + int(place))
    assert json.loads(pq.read_schema(next(dataset.glob("data/*"))).metadata[b"huggingface"])


def test_columns_of_ones_own_are_read_whatever_they_are_called_and_hold(tmp_path: Path) -> None:
    made = shard_rows("sav_000", 0, 1)
    table = to_table(made, AnnotationRow)
    one = datetime.datetime(2026, 1, 2, 3, 4, 5)
    own = {
        "yes": pa.array(["a: b", None, ""]),
        "Weird: {name} #1": pa.array([1, 2, 3], pa.uint8()),
        "when": pa.array([one, None, one], pa.timestamp("us", tz="UTC")),
        "day": pa.array([one.date()] * 3),
        "price": pa.array([decimal.Decimal("1.50")] * 3),
        "took": pa.array([datetime.timedelta(seconds=1)] * 3),
        "annotator": pa.array(["ann", "bob", None]).dictionary_encode(),
        "tags": pa.array([[("a b", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
        "embedding": pa.array([[0.5] * 32] * 3, pa.list_(pa.float32(), 32)),
        "key": pa.array([b"\xff\x00"] * 3),
        "nothing": pa.nulls(3),
        "half": pa.array([0.5] * 3, pa.float16()),
        "inner": pa.array([{"no: 1": "x"}] * 3),
    }
    for name, column in own.items():
        table = table.append_column(name, column)
    run = write_run(tmp_path / "run", made, info("sav_000"), table=table)
    out = tmp_path / "out"
    assert publish([str(run), "--out", str(out), "--date", "2026-11-26"]) == 0

    row = next(iter(load_dataset(str(out), split="train", streaming=True)))
    assert (row["yes"], row["Weird: {name} #1"], row["day"], row["annotator"]) == ("a: b", 1, one.date(), "ann")
    assert (row["tags"], row["key"], row["nothing"]) == ([{"key": "a b", "value": 1}], b"\xff\x00", None)
    assert (row["price"], row["inner"], row["half"]) == (decimal.Decimal("1.50"), {"no: 1": "x"}, 0.5)
    detail = (out / "viewer/rows-00000.js").read_text()
    assert '"32 values"' in detail
    assert '"key"' not in detail.replace('{"key":"a b"', "")

    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed here")
    described = mlc.Dataset(jsonld=str(out / "croissant.json"), mapping={"repo": str(out)})
    first = next(iter(described.records("default")))
    assert first["default/yes"] == b"a: b"
    assert first["default/Weird_3a__20__7b_name_7d__20__23_1"] == 1
    assert first["default/price"] == 1.5
    assert first["default/inner"] == {"default/inner/no_3a__20_1": b"x"}


def test_a_table_without_rows_has_columns_and_can_be_read(tmp_path: Path) -> None:
    kept = [row for row in shard_rows("sav_000", 0, 1) if row.expression]
    run = write_run(tmp_path / "run", kept, info("sav_000"))
    assert publish([str(run), "--out", str(tmp_path / "out"), "--date", "2026-11-26"]) == 0
    assert list(load_dataset(str(tmp_path / "out"), "not_kept", split="train", streaming=True)) == []
    assert pd.read_parquet(tmp_path / "out/not_kept").columns[0] == "object_id"
    back = PublishedAnnotations(Folder(str(tmp_path / "out")))
    assert [row["object_id"] for row in back.rows(["object_id"])] == [row.object_id for row in kept]
