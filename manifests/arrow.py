"""Derives Arrow schemas from the pydantic row types, and makes tables of rows."""

import types
import typing
from collections.abc import Iterable
from enum import Enum

import pyarrow as pa
from pydantic import BaseModel

_SCALARS: dict[type, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
}
_JOINED_AT_ONCE = 256  # a small table takes about 2 kB beside its values


def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """Return the schema of a table of `model` rows, with the null rule and the description of every column.

    Raises:
        TypeError: a field has a type that no Arrow type stands for.
    """
    return pa.schema(_fields(model))


def to_table(rows: typing.Sequence[BaseModel], model: type[BaseModel]) -> pa.Table:
    """Return rows as a table of `model`; columns that only a subclass of `model` has are left out."""
    dumped = [row.model_dump(include=set(model.model_fields)) for row in rows]
    return pa.Table.from_pylist(dumped, schema=arrow_schema(model))


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of `schema` in its order, cast to its types.

    A column that an older version did not write is null everywhere.

    Raises:
        ValueError: one is missing that must not be null, or a type cannot be cast.
    """
    missing = [field.name for field in schema if field.name not in table.column_names and not field.nullable]
    if missing:
        raise ValueError(f"a table must have the columns {', '.join(missing)}, got {', '.join(table.column_names)}")
    columns = [
        table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema.names).cast(schema)


def gather(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """Return many small tables of one schema as one, which takes no more memory than its values.

    Args:
        tables: taken one after the other; they are joined, some at a time, as they come.
        schema: theirs, for the case that there is none.
    """
    joined: list[pa.Table] = []
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if len(held) == _JOINED_AT_ONCE:
            joined.append(pa.concat_tables(held).combine_chunks())
            held = []
    parts = [*joined, *held]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _fields(model: type[BaseModel]) -> list[pa.Field]:
    fields = []
    for name, field in model.model_fields.items():
        data_type, nullable = _data_type(field.annotation)
        metadata = {"description": field.description} if field.description else None
        fields.append(pa.field(name, data_type, nullable=nullable, metadata=metadata))
    return fields


def _data_type(annotation: object) -> tuple[pa.DataType, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        (inner,) = [a for a in typing.get_args(annotation) if a is not type(None)]
        return _data_type(inner)[0], True
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        return pa.list_(_data_type(item)[0]), False
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return pa.struct(_fields(annotation)), False
        if issubclass(annotation, Enum):
            return pa.string(), False
        if annotation in _SCALARS:
            return _SCALARS[annotation], False
    raise TypeError(f"no Arrow type for {annotation!r}: add it to manifests/arrow.py")
