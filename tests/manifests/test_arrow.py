from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from manifests.arrow import arrow_schema, conform, to_table
from manifests.schema import AnnotationRow, Facts, ManifestRow, Reason, Row, Span, Status
from tests.pipeline.facts_factory import make_facts
from tests.rows import make_row


def full_row() -> Row:
    facts = make_facts()
    return make_row(
        status=Status.REJECTED,
        stage="compose_expression",
        reason=Reason.AMBIGUOUS,
        detail="as v1/manual/1",
        facts=facts,
        preview_jpeg=b"\xff\xd8",
        video_times_s=[0.0, 0.5],
        expression="Der rote Ball – 左の猫",
        prompt_ids=["a@1"],
        crop_jpeg=b"crop",
        video_jpegs=[b"one", b"two"],
        sibling_facts=[facts],
    )


@pytest.mark.parametrize("model", [ManifestRow, AnnotationRow, Row])
def test_columns_have_the_order_and_the_descriptions_of_the_fields(model: type[BaseModel]) -> None:
    schema = arrow_schema(model)
    assert schema.names == list(model.model_fields)
    for name, field in model.model_fields.items():
        assert schema.field(name).metadata == {b"description": (field.description or "").encode()}


@pytest.mark.parametrize(
    ("column", "data_type", "nullable"),
    [
        ("object_id", pa.string(), False),
        ("masklet_id", pa.int64(), True),
        ("video_fps", pa.float64(), False),
        ("areas_px", pa.list_(pa.int64()), False),
        ("boxes_px", pa.list_(pa.list_(pa.int64())), False),
        ("status", pa.string(), False),
        ("reason", pa.string(), True),
        ("preview_jpeg", pa.binary(), True),
        ("prompt_ids", pa.list_(pa.string()), False),
        ("video_jpegs", pa.list_(pa.binary()), False),
    ],
)
def test_types_and_nullability_follow_the_annotations(column: str, data_type: pa.DataType, nullable: bool) -> None:
    field = arrow_schema(Row).field(column)
    assert (field.type, field.nullable) == (data_type, nullable)


def test_facts_are_a_struct_with_its_own_nullability() -> None:
    facts = arrow_schema(Row).field("facts")
    assert facts.nullable
    assert [field.name for field in facts.type] == list(Facts.model_fields)
    assert facts.type.field("enters_s").nullable
    assert not facts.type.field("camera_known").nullable
    assert facts.type.field("camera_known").type == pa.bool_()
    spans = facts.type.field("hidden_spans").type
    assert [(field.name, field.type, field.nullable) for field in spans.value_type] == [
        (name, pa.float64(), False) for name in Span.model_fields
    ]
    assert arrow_schema(Row).field("sibling_facts").type.value_type == facts.type


def test_a_row_comes_back_from_a_table_as_it_was() -> None:
    rows = [make_row("v1/manual/1"), full_row()]
    table = to_table(rows, Row)
    assert table.schema.equals(arrow_schema(Row), check_metadata=True)
    assert [Row.model_validate(row) for row in table.to_pylist()] == rows


def test_a_table_of_a_smaller_row_leaves_out_the_pictures() -> None:
    table = to_table([full_row()], AnnotationRow)
    assert table.column_names == list(AnnotationRow.model_fields)
    (back,) = (AnnotationRow.model_validate(row) for row in table.to_pylist())
    assert back.model_dump() == full_row().model_dump(include=set(AnnotationRow.model_fields))


def test_no_rows_make_an_empty_table_of_the_same_schema() -> None:
    assert to_table([], ManifestRow).schema.equals(arrow_schema(ManifestRow))


def test_a_missing_value_where_none_may_be_is_refused(tmp_path: Path) -> None:
    row = make_row()
    row.shard = None  # type: ignore[assignment]
    with pytest.raises((pa.ArrowInvalid, ValueError), match="shard|non-nullable|null"):
        pq.write_table(to_table([row], ManifestRow), tmp_path / "a.parquet")


def test_the_file_opens_with_pandas(tmp_path: Path) -> None:
    pq.write_table(to_table([full_row(), make_row("v2/auto/0")], AnnotationRow), tmp_path / "a.parquet")
    full, bare = pd.read_parquet(tmp_path / "a.parquet").to_dict("records")
    assert (full["object_id"], bare["object_id"]) == ("v1/manual/0", "v2/auto/0")
    assert full["reason"] == "ambiguous"
    assert full["expression"] == "Der rote Ball – 左の猫"
    assert full["facts"]["colours"][0]["name"] == make_facts().colours[0].name
    assert bare["facts"] is None
    assert list(bare["areas_px"]) == [900] * 6


class Dated(BaseModel):
    when: datetime


class Mixed(BaseModel):
    values: dict[str, Any]


@pytest.mark.parametrize("model", [Dated, Mixed])
def test_a_type_that_has_no_arrow_form_says_where_to_add_it(model: type[BaseModel]) -> None:
    with pytest.raises(TypeError, match=r"no Arrow type for .*manifests/arrow\.py"):
        arrow_schema(model)


def test_files_of_before_a_column_are_read_with_null_in_it() -> None:
    table = to_table([full_row()], AnnotationRow)
    old = table.drop_columns(["source", "source_id", "source_label"])
    read = conform(old, arrow_schema(AnnotationRow))
    assert read.schema.equals(arrow_schema(AnnotationRow))
    assert read["source_label"].to_pylist() == [None]
    assert read.drop_columns(["source", "source_id", "source_label"]).to_pylist() == old.to_pylist()
    with pytest.raises(ValueError, match="object_id"):
        conform(old.drop_columns(["object_id"]), arrow_schema(AnnotationRow))
