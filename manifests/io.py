"""Files of a run, on a local disk or behind any fsspec URL; every write is whole or not there."""

import io
import json
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem


@dataclass(frozen=True)
class Folder:
    """A folder by path or URL (`/data/sav`, `s3://bucket/sav`); names below it are relative, with `/`."""

    url: str

    @cached_property
    def _resolved(self) -> tuple[Any, str]:
        url = self.url if "://" in self.url else str(Path(self.url).expanduser().resolve())
        fs, root = fsspec.core.url_to_fs(url)
        return fs, root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}  # workers open their own connection

    @property
    def fs(self) -> Any:
        """The fsspec filesystem."""
        return self._resolved[0]

    @property
    def arrow_fs(self) -> FileSystem:
        """The same as a pyarrow filesystem."""
        return PyFileSystem(FSSpecHandler(self.fs))

    @property
    def is_local(self) -> bool:
        """True if the files can be opened by path."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str = "") -> str:
        """Full path of a file, as the filesystem wants it."""
        return f"{self._resolved[1]}/{name}" if name else self._resolved[1]

    def at(self, path: str) -> "Folder":
        """The folder of this path on the same filesystem; itself if the path is its own."""
        if path == self.path():
            return self
        return Folder(path or "/" if self.is_local else self.fs.unstrip_protocol(path))

    def exists(self, name: str) -> bool:
        """True if there is a file or folder of that name."""
        return bool(self.fs.exists(self.path(name)))

    def names(self, folder: str, suffix: str) -> list[str]:
        """Sorted names (relative to this folder) of the files directly in `folder` that end in `suffix`."""
        if not self.exists(folder):
            return []
        found = self.fs.ls(self.path(folder), detail=False, refresh=True)
        return sorted(f"{folder}/{Path(path).name}" for path in found if path.endswith(suffix))

    def read_bytes(self, name: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: if it is not there.
        """
        return bytes(self.fs.cat_file(self.path(name)))

    def media(self, name: str) -> Path | BinaryIO:
        """Something PyAV can open and seek in: the path of a local file, the bytes of a remote one.

        Raises:
            FileNotFoundError: if it is not there.
        """
        if self.is_local:
            return Path(self.path(name))
        return io.BytesIO(self.read_bytes(name))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write the file so that a reader sees all of it or the old one."""
        with self._unfinished(name) as file:
            file.write(data)

    def write_text(self, name: str, parts: Iterable[str]) -> None:
        """Write a text as its parts come: only one is held at a time."""
        with self._unfinished(name) as file:
            for part in parts:
                file.write(part.encode())

    def delete(self, name: str) -> None:
        """Remove a file."""
        self.fs.rm_file(self.path(name))

    def write_json(self, name: str, value: object) -> None:
        """Write readable JSON."""
        self.write_text(name, [json.dumps(value, indent=1, ensure_ascii=False, default=str), "\n"])

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a parquet file."""
        self.write_tables(name, [table], table.schema)

    def write_tables(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write a parquet file with a row group for each of `tables`, as they come: only one is held at a time."""
        with self._unfinished(name) as file, pq.ParquetWriter(file, schema) as writer:
            for table in tables:
                writer.write_table(table)

    @contextmanager
    def _unfinished(self, name: str) -> Iterator[BinaryIO]:
        """A local file to fill: it becomes `name` at the end of the block, or vanishes if the block raises."""
        path = Path(self.path(name))
        if self.is_local:
            path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(self.path() if self.is_local else tempfile.gettempdir(), f".{uuid.uuid4().hex}.tmp")
        try:
            with unfinished.open("wb") as file:
                yield file
            if self.is_local:
                unfinished.replace(path)
            else:
                self.fs.put_file(str(unfinished), self.path(name))  # object stores publish a whole object
        finally:
            unfinished.unlink(missing_ok=True)

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a parquet file."""
        with pq.ParquetFile(self.path(name), filesystem=self.arrow_fs) as file:
            return file.read(columns=columns)

    def read_tables(self, folder: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
        """All parquet files of a folder as one table of `schema` (empty if there are none)."""
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        parts = [self.read_table(name, schema.names).cast(schema) for name in self.names(folder, ".parquet")]
        return pa.concat_tables(parts) if parts else schema.empty_table()
