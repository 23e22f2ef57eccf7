"""Joins the negatives of runs, if they have any: files `negatives*.parquet` beside or below a folder `negatives/`.

What they hold is up to the command that wrote them: all columns are carried along, in the order of their object_id.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.outputs import brief
from pipeline.publishing import published
from pipeline.publishing.dataset_card import Config
from pipeline.publishing.features import published_schema
from pipeline.publishing.parts import PartWriter
from pipeline.publishing.runs import Run

_GROUP_ROWS = 1_000


def join_negatives(runs: Sequence[Run], root: Path, leaving: frozenset[str], max_bytes: int) -> Config | None:
    """Write the negatives of all runs into the dataset; None if no run has any.

    Args:
        runs: in order of their rows.
        root: folder of the dataset.
        leaving: videos whose rows are left out.
        max_bytes: most bytes of a file.

    Raises:
        ValueError: a file cannot be read, has no object_id, or its columns do not go with those of another.
    """
    files = [(run, name) for run in runs for name in _names(run)]
    if not files:
        return None
    try:
        schemas = []
        for run, name in files:
            with run.out.open_table(name) as opened:
                schemas.append(opened.schema_arrow.remove_metadata())
            if "object_id" not in schemas[-1].names:
                raise ValueError(f"{run.name}/{name}: negatives must have a column object_id, got {schemas[-1].names}")
        own = pa.unify_schemas(schemas, promote_options="permissive")
        schema = published_schema(own)
        writer = PartWriter(root, published.NEGATIVES, schema, _GROUP_ROWS, max_bytes)
        gone = pa.array(sorted(leaving), pa.string())
        for run in runs:
            tables = [_filled(run.out.read_table(name), own) for name in _names(run)]
            if tables:
                table = pa.concat_tables(tables).sort_by("object_id")
                video_ids = pc.list_element(pc.split_pattern(table["object_id"], "/"), 0)
                writer.write(table.filter(pc.invert(pc.is_in(video_ids, value_set=gone))))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"the negatives of the runs cannot be joined: {brief(error)}") from error
    return Config("negatives", published.NEGATIVES, schema, writer.close(), "texts that no object, or another, fits")


def _names(run: Run) -> list[str]:
    beside = [name for name in run.out.names("", ".parquet") if name.lstrip("/").startswith("negatives")]
    return [name.lstrip("/") for name in beside] + run.out.names("negatives", ".parquet")


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    rows = len(table)
    arrays = [
        table[field.name].cast(field.type) if field.name in table.column_names else pa.nulls(rows, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema)
