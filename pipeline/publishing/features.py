"""Says what the columns are in the words of Hugging Face `datasets`, so that the hub shows previews as images.

The library itself is not needed: its form of a feature is small, and stands in the parquet files and in README.md.
"""

import json
from typing import Any

import pyarrow as pa

from manifests.schema import AnnotationRow
from manifests.versions import plain_type

# columns of image files; published as the struct that `datasets.Image` reads
IMAGES = tuple(name for name in AnnotationRow.model_fields if name.endswith("_jpeg"))
IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
# what `datasets` calls a type that Arrow calls by another name
_DTYPES = {
    "double": "float64",
    "float": "float32",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}


def published_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of the published files: image columns as images, with the features in its metadata.

    Nullness is not carried over: readers of the hub take every column as nullable.
    """
    fields = [
        pa.field(field.name, IMAGE_TYPE if field.name in IMAGES else plain_type(field.type), metadata=field.metadata)
        for field in schema
    ]
    features = {field.name: _feature(field) for field in fields}
    noted = {"info": {"features": features}}
    return pa.schema(fields, {"huggingface": json.dumps(noted)})


def images(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with `schema`: its image files become structs, null stays null."""
    arrays = []
    for field in schema:
        column = table[field.name].combine_chunks()
        if field.name in IMAGES:
            paths = pa.nulls(len(column), pa.string())
            column = pa.StructArray.from_arrays([column, paths], fields=list(IMAGE_TYPE), mask=column.is_null())
        arrays.append(column.cast(field.type))
    return pa.table(arrays, schema)


def yaml_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the features of a published schema as README.md states them."""
    return [_yaml(field) for field in schema]


def _dtype(data_type: pa.DataType) -> str:
    return _DTYPES.get(str(data_type), str(data_type))


def _feature(field: pa.Field) -> dict[str, Any]:
    if field.type == IMAGE_TYPE and field.name in IMAGES:
        return {"_type": "Image"}
    return _nested(field.type)


def _nested(data_type: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(data_type):
        return {"feature": _nested(data_type.value_type), "_type": "List"}
    if pa.types.is_struct(data_type):
        return {field.name: _nested(field.type) for field in data_type}
    return {"dtype": _dtype(data_type), "_type": "Value"}


def _yaml(field: pa.Field) -> dict[str, Any]:
    if field.type == IMAGE_TYPE and field.name in IMAGES:
        return {"name": field.name, "dtype": "image"}
    return {"name": field.name, **_yaml_type(field.type)}


def _yaml_type(data_type: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(data_type):
        inner = _yaml_type(data_type.value_type)
        # A list of plain values is named by their type, one of structs by their fields.
        return {"list": inner["dtype"] if inner.keys() == {"dtype"} else inner.get("struct", inner)}
    if pa.types.is_struct(data_type):
        return {"struct": [{"name": field.name, **_yaml_type(field.type)} for field in data_type]}
    return {"dtype": _dtype(data_type)}
