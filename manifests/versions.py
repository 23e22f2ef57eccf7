"""Reads columns that another version of this code wrote: what a struct lacks gets its default, what it has more stays.

Types are plain here: without the null rules and descriptions inside them, so that types of several versions, of runs
and of published files can be compared.
"""

import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from manifests.schema import AnnotationRow

Path: typing.TypeAlias = tuple[str, ...]  # names from a column to a field inside it; lists have no name
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
_STORED = (
    *((is_text, pa.string()) for is_text in (pa.types.is_large_string, pa.types.is_string_view)),
    *((is_bytes, pa.binary()) for is_bytes in (pa.types.is_large_binary, pa.types.is_binary_view)),
    (pa.types.is_fixed_size_binary, pa.binary()),
)


def plain_type(data_type: pa.DataType) -> pa.DataType:
    """Return a type without the null rules and descriptions inside it, so that it equals what `datasets` infers.

    Of several ways to store the same values, which depend on the tool that wrote a file (pandas, polars, an extension),
    it is the common one: a categorical becomes its values, a map a list of structs `key` and `value`.
    """
    if isinstance(data_type, pa.BaseExtensionType):
        return plain_type(data_type.storage_type)
    if pa.types.is_dictionary(data_type):
        return plain_type(data_type.value_type)
    if pa.types.is_map(data_type):
        return pa.list_(pa.struct({"key": plain_type(data_type.key_type), "value": plain_type(data_type.item_type)}))
    if any(is_list(data_type) for is_list in _LISTS):
        return pa.list_(plain_type(data_type.value_type))
    if pa.types.is_struct(data_type):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in data_type])
    return next((plain for is_kind, plain in _STORED if is_kind(data_type)), data_type)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema with plain types; names, null rules and descriptions of the columns stay."""
    return pa.schema([field.with_type(plain_type(field.type)) for field in schema])


def merged_type(known: pa.DataType, found: pa.DataType) -> pa.DataType:
    """Return a plain type with the fields of both, those of `known` first; where types differ, that of `known`."""
    found = plain_type(found)
    if pa.types.is_list(known) and pa.types.is_list(found):
        return pa.list_(merged_type(known.value_type, found.value_type))
    if pa.types.is_struct(known) and pa.types.is_struct(found):
        fields = {field.name: plain_type(field.type) for field in known}
        for field in found:
            fields[field.name] = merged_type(fields.get(field.name, field.type), field.type)
        return pa.struct(list(fields.items()))
    return plain_type(known)


def defaults(model: type[BaseModel]) -> dict[Path, Any]:
    """Return the default of every field of a row type that has one, and of those inside its structs and lists."""
    found: dict[Path, Any] = {}
    for name, field in model.model_fields.items():
        if not field.is_required():
            default = field.get_default(call_default_factory=True)
            found[name,] = default.value if isinstance(default, Enum) else default
        if inner := _model_in(field.annotation):
            found |= {(name, *path): default for path, default in defaults(inner).items()}
    return found


def lacking(known: pa.Field, found: pa.Field | None, given: Mapping[Path, Any], path: Path = ()) -> list[str]:
    """Return the dotted names of the fields of `known` that `found` lacks and neither null nor a default can fill."""
    path = (*path, known.name)
    if found is None:
        return [] if known.nullable or path in given else [".".join(path)]
    own, other = known.type, plain_type(found.type)
    while pa.types.is_list(own) and pa.types.is_list(other):
        own, other = own.value_type, other.value_type
    if not (pa.types.is_struct(own) and pa.types.is_struct(other)):
        return []
    there = {field.name: field for field in other}
    return [name for field in own for name in lacking(field, there.get(field.name), given, path)]


def fit(column: pa.ChunkedArray, data_type: pa.DataType, given: Mapping[Path, Any], path: Path) -> pa.ChunkedArray:
    """Return a column as a plain type: what its structs lack is the default in `given`, else null.

    Args:
        column: as a file has it.
        data_type: a plain type; fields that only the file has are left out.
        given: the result of `defaults`.
        path: name of the column.

    Raises:
        pa.ArrowException: a value cannot be cast.
    """
    if _plain(column.type) == data_type:
        return column.cast(data_type)
    return pa.chunked_array([_fit(part, data_type, given, path) for part in column.chunks], data_type)


def filled(value: object, rows: int, data_type: pa.DataType) -> pa.Array:
    """Return an array with one value in all rows."""
    return pa.array([value] * rows, data_type)


def _fit(array: pa.Array, data_type: pa.DataType, given: Mapping[Path, Any], path: Path) -> pa.Array:
    array = _common_form(array)
    if pa.types.is_struct(data_type) and pa.types.is_struct(array.type):
        there = {field.name: place for place, field in enumerate(array.type)}
        arrays = [
            _fit(array.field(there[field.name]), field.type, given, (*path, field.name))
            if field.name in there
            else filled(given.get((*path, field.name)), len(array), field.type)
            for field in data_type
        ]
        return pa.StructArray.from_arrays(arrays, fields=list(data_type), mask=array.is_null())
    if pa.types.is_list(data_type) and pa.types.is_list(array.type):
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        ends = pa.array([0, *lengths.cumsum().tolist()], pa.int32())
        items = _fit(array.flatten(), data_type.value_type, given, path)
        return pa.ListArray.from_arrays(ends, items, type=data_type, mask=array.is_null())
    return array.cast(data_type)


def _common_form(array: pa.Array) -> pa.Array:
    """Return an array whose outermost type is stored as `plain_type` says; what is inside stays as it is."""
    stored = array.type
    if isinstance(stored, pa.BaseExtensionType):
        return _common_form(array.storage)
    if pa.types.is_dictionary(stored):
        return _common_form(array.dictionary_decode())
    if pa.types.is_map(stored):
        return array.cast(pa.list_(pa.struct({"key": stored.key_type, "value": stored.item_type})))
    if any(is_list(stored) for is_list in _LISTS[1:]):
        return array.cast(pa.list_(stored.value_type))
    return array


@lru_cache(maxsize=1_024)
def _plain(data_type: pa.DataType) -> pa.DataType:
    return plain_type(data_type)


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the row type that a field holds, alone, in a list or optionally."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list):
        return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


ROW_DEFAULTS = defaults(AnnotationRow)
