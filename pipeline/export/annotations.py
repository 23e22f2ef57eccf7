"""Reads the annotations of a run for its exports: in order of object_id, with a few files in memory at a time."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema, conform, gather
from manifests.io import Folder
from manifests.schema import AnnotationRow

Indices: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]  # row numbers, in order of object_id

_WINDOW_ROWS = 256  # read at a time: 8 MB with views


class Annotations:
    """The rows in `annotations/` of a run, in order of object_id, read as they are asked for."""

    _files_held = 8  # a row that was tried again is in another file than its neighbours

    def __init__(self, out: Folder) -> None:
        self._out, self._schema = out, arrow_schema(AnnotationRow)
        self._names = self._files()
        self._order_rows()

    def _order_rows(self) -> pa.ChunkedArray:
        """Find out where every row is; return the ids of all rows in the order of the files."""
        lengths: list[int] = []

        def ids() -> Iterator[pa.Table]:
            for part in self.tables(["object_id"]):
                lengths.append(len(part))
                yield part

        all_ids = gather(ids(), self._schema_of(["object_id"]))["object_id"]
        order = pc.sort_indices(all_ids).to_numpy().astype(np.int32)
        ends = np.cumsum(lengths, dtype=np.int32)
        self._file = np.searchsorted(ends, order, side="right").astype(np.int32)
        self._place = order - np.concatenate([np.zeros(1, np.int32), ends])[self._file]
        self._order = order
        return all_ids

    @property
    def schema(self) -> pa.Schema:
        """The columns, with their null rules and descriptions."""
        return self._schema

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self._order)

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the rows of every file as a table, in arbitrary order."""
        for name in self._names:
            yield self._read(name, columns)

    def select(self, columns: Sequence[str]) -> pa.Table:
        """Return some columns of all rows at once, in order; meant for columns of a few bytes."""
        return gather(self.tables(columns), self._schema_of(columns)).take(self._order)

    def valid(self, column: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return a boolean for every row, in order: whether it has a value in the column."""
        parts = [self._valid(name, column).to_numpy() for name in self._names]
        valid: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.concatenate(parts or [np.zeros(0, bool)])[self._order]
        return valid

    def rows(self, columns: Sequence[str], at: Indices | None = None) -> Iterator[dict[str, Any]]:
        """Yield some columns of the rows, row by row: of all rows, or of those with the numbers `at`."""
        for part in self._parts(columns, at):
            yield from part.to_pylist()

    def batches(self, columns: Sequence[str], size: int, at: Indices | None = None) -> Iterator[pa.Table]:
        """Yield some columns of the rows in order, as tables of `size` rows; only the last may have fewer."""
        held: list[pa.Table] = []
        for part in self._parts(columns, at):
            held.append(part)
            while sum(map(len, held)) >= size:
                joined = pa.concat_tables(held)
                yield joined.slice(0, size).combine_chunks()
                held = [joined.slice(size)]
        if sum(map(len, held)):
            yield pa.concat_tables(held).combine_chunks()

    def _parts(self, columns: Sequence[str], at: Indices | None) -> Iterator[pa.Table]:
        """Yield the rows in order, a window at a time; what a window has of a file is taken from it at once."""
        chosen = np.arange(self.num_rows) if at is None else at
        held: OrderedDict[int, pa.Table] = OrderedDict()
        for start in range(0, len(chosen), _WINDOW_ROWS):
            window = chosen[start : start + _WINDOW_ROWS]
            file_of = self._file[window]
            by_file = np.argsort(file_of, kind="stable")
            parts = []
            for file in np.unique(file_of).tolist():
                if file not in held:
                    held[file] = self._read(self._names[file], columns)
                    if len(held) > self._files_held:
                        held.popitem(last=False)
                held.move_to_end(file)
                parts.append(held[file].take(self._place[window[file_of == file]]))
            yield parts[0] if len(parts) == 1 else pa.concat_tables(parts).combine_chunks().take(np.argsort(by_file))

    def _files(self) -> list[str]:
        return self._out.names("annotations", ".parquet")

    def _read(self, name: str, columns: Sequence[str]) -> pa.Table:
        return conform(self._out.read_table(name, columns), self._schema_of(columns))

    def _valid(self, name: str, column: str) -> pa.ChunkedArray:
        return self._read(name, [column])[column].is_valid()

    def _schema_of(self, columns: Sequence[str]) -> pa.Schema:
        return pa.schema([self._schema.field(column) for column in columns])
