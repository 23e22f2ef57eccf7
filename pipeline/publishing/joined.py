"""Reads the rows of several runs as if they were one, in order of object_id, with a few files in memory at a time."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from manifests.versions import ROW_DEFAULTS, filled, fit
from pipeline.export.annotations import Annotations
from pipeline.publishing.runs import STATED, PublishedRun, joined_schema, readable

_SHOWN = 5  # ids in a message


class JoinedAnnotations(Annotations):
    """The rows of all runs, each with the columns STATED.

    Raises:
        ValueError: a row is in two runs, or in one twice; names ids and runs.
    """

    def __init__(self, runs: Sequence[PublishedRun]) -> None:
        self._runs = list(runs)
        self._schema = joined_schema(runs)
        self._names = self._files()
        ids = self._order_rows().take(self._order)
        self._refuse_twice(ids)

    def _refuse_twice(self, ids: pa.ChunkedArray) -> None:
        twice = pc.equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1)))
        doubled = pc.unique(ids.slice(1).filter(twice)).to_pylist()
        if not doubled:
            return
        holders: dict[str, list[str]] = {object_id: [] for object_id in doubled[:_SHOWN]}
        for name in self._names:
            for object_id in self._read(name, ["object_id"])["object_id"].to_pylist():
                if object_id in holders:
                    holders[object_id].append(self._runs[int(name.partition(":")[0])].name)
        told = "; ".join(f"{object_id} in {' and '.join(names)}" for object_id, names in holders.items())
        raise ValueError(
            f"a row must be in one run only, got {len(doubled)} twice: {told}{'; …' if len(doubled) > _SHOWN else ''}. "
            "Give each shard once"
        )

    def _files(self) -> list[str]:
        return [
            f"{number}:{name}"
            for number, run in enumerate(self._runs)
            for name in run.out.names("annotations", ".parquet")
        ]

    def _read(self, name: str, columns: Sequence[str]) -> pa.Table:
        number, _, file = name.partition(":")
        run = self._runs[int(number)]
        with readable(run.name, file), run.out.open_table(file) as opened:
            there = set(opened.schema_arrow.names)
            table = opened.read(columns=[column for column in columns if column in there])
            rows = opened.metadata.num_rows
        arrays = []
        for column in columns:
            field = self._schema.field(column)
            if column in there:
                with readable(run.name, f"{file}: column {column}"):
                    array = fit(table[column], field.type, ROW_DEFAULTS, (column,))
                if array.null_count and not field.nullable and (column,) not in ROW_DEFAULTS:
                    raise ValueError(
                        f"{run.name}/{file}: the column {column} must have a value in every row, got none in "
                        f"{array.null_count} of {rows}; run it again"
                    )
                arrays.append(array)
            else:
                value = run.stated[column] if column in STATED.names else ROW_DEFAULTS.get((column,))
                arrays.append(pa.chunked_array([filled(value, rows, field.type)]))
        return pa.table(arrays, self._schema_of(columns))
