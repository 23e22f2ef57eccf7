"""Writes tables into parquet files of a bounded size, named as the hub wants: `train-00000-of-00003.parquet`.

Where a file and a row group end depends on the rows alone, so the same rows give the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.publishing.features import images

MAX_BYTES = 500_000_000  # of a file, as the hub recommends
_FOOTER_BYTES = 4_000_000  # least room for the list of row groups at the end of a file
_GROUP_FOOTER_BYTES = 100_000  # of a row group there: 217 columns take 36 kB, with texts as least and greatest more
# A row group, which readers load at once, ends when it has so many rows or bytes; parquet keeps 200 kB for each
_GROUP_ROWS, _GROUP_BYTES = 10_000, 16_000_000
_STEP_ROWS = 100  # after so many it is looked whether a row group is full


@dataclass(frozen=True)
class Part:
    """Holds a written file: its name below the dataset's folder, rows and size."""

    name: str
    rows: int
    size_bytes: int


class PartWriter:
    """Writes rows as they come; `close` gives the files their names, which have the number of all files.

    Args:
        root: the dataset's folder.
        folder: the folder in it for these files.
        schema: a published schema (`features.published_schema`).
        max_bytes: most bytes of a file; a file of one row group may be larger.
    """

    def __init__(self, root: Path, folder: str, schema: pa.Schema, max_bytes: int = MAX_BYTES) -> None:
        self._root, self._folder, self._schema, self._max_bytes = root, folder, schema, max_bytes
        self._group_bytes = min(_GROUP_BYTES, (max_bytes - _FOOTER_BYTES) // 3)
        self._held: list[pa.Table] = []
        self._held_rows = self._held_bytes = 0
        self._written: list[tuple[Path, int]] = []  # unfinished name, rows
        self._writer: pq.ParquetWriter | None = None
        self._file_bytes = self._file_groups = 0

    def write(self, table: pa.Table) -> None:
        """Take rows, in order; a row group is written when it is full."""
        for start in range(0, len(table), _STEP_ROWS):
            step = table.slice(start, _STEP_ROWS)
            self._held.append(step)
            self._held_rows, self._held_bytes = self._held_rows + len(step), self._held_bytes + step.nbytes
            if self._held_rows >= _GROUP_ROWS or self._held_bytes >= self._group_bytes:
                self._write_group(pa.concat_tables(self._held))

    def close(self) -> list[Part]:
        """Write what is left, and name the files; at least one, which without rows has columns and no row group."""
        if self._held:
            self._write_group(pa.concat_tables(self._held))
        elif not self._written:
            self._begin_file()
        self._end_file()
        parts = []
        for number, (path, rows) in enumerate(self._written):
            name = f"{self._folder}/train-{number:05d}-of-{len(self._written):05d}.parquet"
            path.rename(self._root / name)
            parts.append(Part(name, rows, (self._root / name).stat().st_size))
        return parts

    def _write_group(self, rows: pa.Table) -> None:
        group = images(rows.combine_chunks(), self._schema)
        footer_bytes = max(_FOOTER_BYTES, (self._file_groups + 1) * _GROUP_FOOTER_BYTES)
        if self._writer is not None and self._file_bytes + group.nbytes + footer_bytes > self._max_bytes:
            self._end_file()
        writer = self._writer or self._begin_file()
        writer.write_table(group, row_group_size=len(group))
        path, before = self._written[-1]
        self._written[-1] = (path, before + len(group))
        self._file_bytes, self._file_groups = path.stat().st_size, self._file_groups + 1
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    def _begin_file(self) -> pq.ParquetWriter:
        path = self._root / self._folder / f"part-{len(self._written)}"
        path.parent.mkdir(exist_ok=True)
        self._written.append((path, 0))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd", write_page_index=True)
        return self._writer

    def _end_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer, self._file_bytes, self._file_groups = None, 0, 0
