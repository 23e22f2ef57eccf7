"""Reads and writes the files of a run on a local disk or behind any fsspec URL.

Every write is atomic: a reader finds the complete new file or the old one, never a part.
"""

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

from manifests.arrow import conform, gather
from manifests.outputs import brief


def in_utf8(name: str) -> str:
    r"""Return the name of a file with bytes that are not UTF-8 written as `\xe9`: nothing can store them as text."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Folder:
    """A folder, given by path or URL (`/data/sav`, `s3://bucket/sav`).

    Names of files are relative to it, with `/` between folders. A worker that gets it by pickle connects by itself.
    """

    url: str

    @cached_property
    def _resolved(self) -> tuple[Any, str]:
        url = self.url if "://" in self.url else str(Path(self.url).expanduser().resolve())
        if in_utf8(url) != url:
            raise ValueError(f"a path must be UTF-8, got '{in_utf8(url)}': rename the folder")
        fs, root = fsspec.core.url_to_fs(url)
        return fs, root.rstrip("/")

    def __getstate__(self) -> dict[str, str]:
        return {"url": self.url}

    @property
    def fs(self) -> Any:
        """The fsspec filesystem that the folder is on."""
        return self._resolved[0]

    @property
    def arrow_fs(self) -> FileSystem:
        """The filesystem that the folder is on, as pyarrow wants it."""
        return PyFileSystem(FSSpecHandler(self.fs))

    @property
    def is_local(self) -> bool:
        """Whether the files can be opened by path."""
        return isinstance(self.fs, LocalFileSystem)

    def path(self, name: str = "") -> str:
        """Return the full path of a file, or of the folder itself, as the filesystem wants it."""
        return f"{self._resolved[1]}/{name}" if name else self._resolved[1]

    def at(self, path: str) -> "Folder":
        """Return the folder at a full path on the same filesystem."""
        if path == self.path():
            return self
        return Folder(path or "/" if self.is_local else self.fs.unstrip_protocol(path))

    def exists(self, name: str) -> bool:
        """Return whether there is a file or folder of that name.

        Raises:
            OSError: the store cannot be asked: it is away, or there are no credentials for it.
        """
        try:
            return bool(self.fs.exists(self.path(name)))
        except OSError:
            raise
        except Exception as error:  # clients of remote stores have errors of their own, which are no OSError
            raise OSError(f"{self.path(name)} cannot be looked at: {brief(error)}") from error

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the sorted names, relative to this folder, of the files directly in `folder` that end in `suffix`."""
        if not self.exists(folder):
            return []
        paths = self.fs.ls(self.path(folder), detail=False, refresh=True)
        return sorted(f"{folder}/{Path(path).name}" for path in paths if path.endswith(suffix))

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        return bytes(self.fs.cat_file(self.path(name)))

    def media(self, name: str) -> Path | BinaryIO:
        """Return what PyAV can open and seek in: the path of a local file, or a remote file read into memory.

        Raises:
            FileNotFoundError: a remote file is not there.
        """
        if self.is_local:
            return Path(self.path(name))
        return io.BytesIO(self.read_bytes(name))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write `data` to a file, which appears at once when all of it is written."""
        with self._unfinished(name) as file:
            file.write(data)

    def write_text(self, name: str, parts: Iterable[str]) -> None:
        """Write a text file in UTF-8 from parts that are made as they are written: only one is held in memory."""
        with self._unfinished(name) as file:
            for part in parts:
                file.write(part.encode())

    def delete(self, name: str) -> None:
        """Remove one file of the folder.

        Raises:
            FileNotFoundError: it is not there.
        """
        self.fs.rm_file(self.path(name))

    def write_json(self, name: str, value: object) -> None:
        """Write a value as indented JSON; what JSON has no type for is written as its `str`."""
        self.write_text(name, [json.dumps(value, indent=1, ensure_ascii=False, default=str), "\n"])

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a table as a parquet file."""
        self.write_tables(name, [table], table.schema)

    def write_tables(self, name: str, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
        """Write a parquet file with a row group for every one of `tables`; only one is held in memory."""
        with self._unfinished(name) as file, pq.ParquetWriter(file, schema) as writer:
            for table in tables:
                writer.write_table(table)

    @contextmanager
    def _unfinished(self, name: str) -> Iterator[BinaryIO]:
        """Open a local file for writing: it becomes `name` after the block, or is removed if the block raises."""
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
                self.fs.put_file(str(unfinished), self.path(name))  # object stores show an object once it is complete
        finally:
            unfinished.unlink(missing_ok=True)

    def open_table(self, name: str) -> pq.ParquetFile:
        """Open a parquet file, to read its schema or some of its row groups; it is to be closed, or used in `with`."""
        return pq.ParquetFile(self.path(name), filesystem=self.arrow_fs)

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a parquet file as a table, all of it or some columns."""
        with self.open_table(name) as file:
            return file.read(columns=columns)

    def read_tables(self, folder: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
        """Return all parquet files of a folder as one table of `schema`, which is empty if there are none.

        Args:
            folder: name of the folder; its files are read in the order of their names.
            schema: of the files; types that differ are cast, columns that older files lack are null.
            columns: of `schema` that are read; all if None.
        """
        if columns is not None:
            schema = pa.schema([schema.field(column) for column in columns])
        parts = (conform(self.read_table(name, schema.names), schema) for name in self.names(folder, ".parquet"))
        return gather(parts, schema)
