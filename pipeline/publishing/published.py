"""Reads a published dataset again: its rows in order of object_id, a few row groups in memory at a time."""

import json
from collections import OrderedDict
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.outputs import brief
from manifests.schema import AnnotationRow
from manifests.versions import ROW_DEFAULTS, fit, merged_type
from pipeline.export.annotations import Annotations
from pipeline.publishing.dataset_files import SUMS
from pipeline.publishing.features import IMAGES
from pipeline.publishing.runs import STATED, readable, run_info
from pipeline.run.run_json import RunInfo

_OPEN_FILES = 3  # parquet keeps 200 kB in memory for each row group of an open file
KEPT, NOT_KEPT, NEGATIVES = "data", "not_kept", "negatives"  # folders of the configs
_SHOWN = 5  # files in a message
INFO = "dataset.json"  # what the runs were, for readers of this project


class PublishedAnnotations(Annotations):
    """The rows of a dataset that `pipeline.publish` wrote, kept or not, with image columns as bytes again."""

    _files_held = 2  # row groups: one of those that are kept, one of the others

    def __init__(self, out: Folder) -> None:
        self._out = out
        self._opened: OrderedDict[str, pq.ParquetFile] = OrderedDict()
        files = self._parquet_files()
        self._names = [f"{name}#{group}" for name in files for group in range(self._open(name).num_row_groups)]
        described = {field.name: field for field in (*arrow_schema(AnnotationRow), *STATED)}
        published = self._open(files[0]).schema_arrow.remove_metadata()
        self._schema = pa.schema(
            [
                described[field.name].with_type(merged_type(described[field.name].type, _type(field)))
                if field.name in described
                else pa.field(field.name, _type(field), metadata=field.metadata)
                for field in published
            ]
        )
        self._order_rows()

    def _parquet_files(self) -> list[str]:
        names = [name for folder in (KEPT, NOT_KEPT) for name in self._out.names(folder, ".parquet")]
        if not names:
            raise ValueError(f"a dataset has rows in {KEPT}/, got none in {self._out.path()}")
        return names

    def _open(self, name: str) -> pq.ParquetFile:
        if name not in self._opened:
            with readable(self._out.path(), name, "publish it again"):
                self._opened[name] = self._out.open_table(name)
            if len(self._opened) > _OPEN_FILES:
                self._opened.popitem(last=False)[1].close()
        self._opened.move_to_end(name)
        return self._opened[name]

    def _read(self, name: str, columns: Sequence[str]) -> pa.Table:
        table = self._group(name, columns)
        return pa.table(
            [
                _bytes(table[name])
                if name in IMAGES
                else fit(table[name], self._schema.field(name).type, ROW_DEFAULTS, (name,))
                for name in columns
            ],
            list(columns),
        )

    def _valid(self, name: str, column: str) -> pa.ChunkedArray:
        # Whether there is an image is in each of its parts; the path is the one that takes no room.
        return self._group(name, [f"{column}.path" if column in IMAGES else column])[column].is_valid()

    def _group(self, name: str, columns: Sequence[str]) -> pa.Table:
        file, _, group = name.partition("#")
        with readable(self._out.path(), file, "publish it again"):
            return self._open(file).read_row_group(int(group), columns=list(columns), use_threads=False)


def read_info(out: Folder) -> tuple[RunInfo, list[str]]:
    """Read what the runs of a dataset were, and the names of their stages.

    Raises:
        ValueError: the file is not what `pipeline.publish` writes.
    """
    try:
        content = json.loads(out.read_bytes(INFO))
        return run_info(content["run"]), [str(stage) for stage in content["stages"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{out.path(INFO)} must be what pipeline.publish writes, got {brief(error)}") from error


def is_dataset(out: Folder) -> bool:
    """Tell whether a folder is a dataset that `pipeline.publish` wrote."""
    return out.exists(INFO) and out.exists(SUMS)


def check_complete(out: Folder) -> None:
    """Check that a dataset has the files with its rows, no more and no fewer than its checksums name.

    Raises:
        ValueError: files are missing, or there are others.
    """
    lines = out.read_bytes(SUMS).decode(errors="replace").splitlines()
    listed = {
        name for name in (line.partition("  ")[2] for line in lines) if name.startswith((f"{KEPT}/", f"{NOT_KEPT}/"))
    }
    there = {name for folder in (KEPT, NOT_KEPT) for name in out.names(folder, ".parquet")}
    faults = [f"{name} is missing" for name in sorted(listed - there)]
    faults += [f"{name} is not listed" for name in sorted(there - listed)]
    if faults:
        more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ValueError(
            f"a dataset must have the parquet files that its {SUMS} lists, but in {out.path()} "
            f"{', '.join(faults[:_SHOWN])}{more}: copy or download it again"
        )


def _type(field: pa.Field) -> pa.DataType:
    return pa.binary() if field.name in IMAGES else field.type


def _bytes(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pc.struct_field(part, "bytes") for part in column.chunks], pa.binary())
