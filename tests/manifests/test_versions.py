"""Columns of other versions: what a struct lacks gets its default, more stays, what has no default is told."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.arrow import arrow_schema, gather
from manifests.schema import AnnotationRow, Call, Facts
from manifests.versions import ROW_DEFAULTS, fit, lacking, merged_type, plain_type

INT, TEXT = pa.int64(), pa.string()


def struct(**fields: pa.DataType) -> pa.StructType:
    return pa.struct(list(fields.items()))


def test_defaults_are_those_of_the_row_types_at_any_depth() -> None:
    assert ROW_DEFAULTS["facts",] is None
    assert ROW_DEFAULTS["facts", "unseen_twin_possible"] is False
    assert ROW_DEFAULTS["calls", "purpose"] == Call.model_fields["purpose"].default
    assert ROW_DEFAULTS["calls", "forms"] == []
    assert ("facts", "motion") not in ROW_DEFAULTS


@pytest.mark.parametrize(
    ("known", "found", "merged"),
    [
        (struct(a=INT), struct(b=TEXT, a=TEXT), struct(a=INT, b=TEXT)),
        (pa.list_(struct(a=INT)), pa.list_(struct(b=INT)), pa.list_(struct(a=INT, b=INT))),
        (struct(a=struct(x=INT)), struct(a=struct(y=INT)), struct(a=struct(x=INT, y=INT))),
        (INT, pa.float64(), INT),
        (pa.struct([pa.field("a", INT, nullable=False)]), struct(), struct(a=INT)),
    ],
)
def test_merged_types_have_the_fields_of_both(known: pa.DataType, found: pa.DataType, merged: pa.DataType) -> None:
    assert merged_type(known, found) == merged


@pytest.mark.parametrize(
    ("stored", "values"),
    [
        (pa.large_string(), ["a", None]),
        (pa.string_view(), ["a", None]),
        (pa.dictionary(pa.int32(), TEXT), ["a", None]),
        (pa.large_binary(), [b"a", None]),
        (pa.binary(2), [b"ab", None]),
        (pa.large_list(pa.large_string()), [["a"], None, []]),
        (pa.list_(pa.float32(), 2), [[1.0, 2.0], None]),
        (pa.list_(pa.list_(pa.dictionary(pa.int8(), TEXT))), [[["a"], None], None]),
        (struct(x=pa.large_list(pa.string_view()), y=INT), [{"x": ["a"], "y": 1}, None]),
        (pa.uuid(), [b"0123456789abcdef", None]),
    ],
)
def test_values_are_the_same_whatever_tool_stored_them(stored: pa.DataType, values: list[Any]) -> None:
    plain = plain_type(stored)
    assert plain == plain_type(plain)
    array = pa.array(values, stored.storage_type if isinstance(stored, pa.BaseExtensionType) else stored)
    column = pa.chunked_array([array.cast(stored) if array.type != stored else array])
    assert fit(column, plain, {}, ("x",)).to_pylist() == values
    wider = struct(more=INT, x=plain)
    inside = pa.chunked_array([pa.StructArray.from_arrays([part], names=["x"]) for part in column.chunks])
    assert fit(inside, wider, {}, ("x",)).to_pylist() == [{"more": None, "x": value} for value in values]


def test_a_map_becomes_a_list_of_keys_and_values() -> None:
    column = pa.chunked_array([pa.array([[("a", 1)], None], pa.map_(TEXT, INT))])
    pairs = [[{"key": "a", "value": 1}], None]
    assert plain_type(column.type) == pa.list_(struct(key=TEXT, value=INT))
    assert fit(column, plain_type(column.type), {}, ("x",)).to_pylist() == pairs
    wanted = pa.list_(struct(key=TEXT, value=INT, more=INT))
    assert fit(column, wanted, {}, ("x",)).to_pylist() == [[{"key": "a", "value": 1, "more": None}], None]


@pytest.mark.parametrize("offset", [0, 2])
def test_a_column_gets_what_it_lacks_and_keeps_nulls_and_empty_lists(offset: int) -> None:
    rows = [[{"a": 1, "more": "x"}], None, [], [{"a": None, "more": None}, None, {"a": 3, "more": "z"}]]
    column = pa.chunked_array([pa.array(rows, pa.list_(struct(a=INT, more=TEXT))).slice(offset)])
    wanted = pa.list_(struct(a=INT, new=pa.bool_(), other=TEXT))
    fitted = fit(column, wanted, {("calls", "new"): True}, ("calls",))
    assert fitted.type == wanted
    full = [
        row if row is None else [one and {"a": one["a"], "new": True, "other": None} for one in row]
        for row in rows[offset:]
    ]
    assert fitted.to_pylist() == full


@given(
    st.lists(st.none() | st.lists(st.none() | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9)}), max_size=3))
)
def test_a_column_that_lacks_nothing_stays_as_it_is(rows: list[list[dict[str, int] | None] | None]) -> None:
    column = pa.chunked_array([pa.array(rows, pa.list_(struct(a=INT)))])
    wider = fit(column, pa.list_(struct(b=INT, a=INT)), {}, ("x",))
    assert fit(wider, column.type, {}, ("x",)).to_pylist() == rows


def test_what_nothing_can_stand_for_is_named() -> None:
    known = arrow_schema(AnnotationRow)
    facts = known.field("facts")
    older = pa.field(
        "facts", pa.struct([one for one in facts.type if one.name not in ("motion", "unseen_twin_possible")])
    )
    assert lacking(facts, older, ROW_DEFAULTS) == ["facts.motion"]
    assert lacking(known.field("frame_count"), None, ROW_DEFAULTS) == ["frame_count"]
    assert lacking(known.field("negatives"), None, ROW_DEFAULTS) == []
    assert [one for field in known for one in lacking(field, field, ROW_DEFAULTS)] == []
    assert plain_type(facts.type) == plain_type(pa.struct(list(arrow_schema(Facts))))


def test_small_tables_are_joined_as_they_come() -> None:
    schema = pa.schema([pa.field("n", INT)])
    joined = gather((pa.table({"n": [number]}) for number in range(1_000)), schema)
    assert joined["n"].to_pylist() == list(range(1_000))
    assert joined["n"].num_chunks < 1_000 // 256 + 256
    assert gather(iter(()), schema) == schema.empty_table()
