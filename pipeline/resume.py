"""What an earlier run into the same folder left: rows that are done, and failures that are to be tried again.

Committed rows stand in `annotations/`, their ids in `checkpoint/` (written by Ray Data). A failed row is taken back
before it is tried again: first copied to `attempts/`, then out of `checkpoint/`, last out of `annotations/`. Each step
is whole and can be repeated, so a kill between two of them loses and doubles nothing.
"""

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.schema import AnnotationRow, Status

_PENDING = ".pending.parquet"


def take_back_failed(out: Folder) -> dict[str, int]:
    """Make the failed rows of the last run undone again; returns attempts so far by object_id."""
    schema = arrow_schema(AnnotationRow)
    for name in out.names("annotations", ".parquet"):
        failed = pc.equal(out.read_table(name, ["status"])["status"], Status.FAILED.value)
        if not pc.any(failed).as_py():
            continue
        table = out.read_table(name).cast(schema)
        lost = table.filter(failed)
        attempt = max(lost["attempts"].to_pylist())
        stem = name.removeprefix("annotations/").removesuffix(".parquet")
        out.write_table(f"attempts/{stem}-{attempt}.parquet", lost)
        _forget(out, "checkpoint", pa.array(lost["object_id"].to_pylist()))
        _rewrite(out, name, table.filter(pc.invert(failed)))
    tried: dict[str, int] = {}
    for name in out.names("attempts", ".parquet"):
        for row in out.read_table(name, ["object_id", "attempts"]).to_pylist():
            tried[row["object_id"]] = max(row["attempts"], tried.get(row["object_id"], 0))
    return tried


def done_ids(out: Folder) -> set[str]:
    """Ids of the committed rows."""
    names = [name for name in out.names("checkpoint", ".parquet") if not name.endswith(_PENDING)]
    return {object_id for name in names for object_id in out.read_table(name)["object_id"].to_pylist()}


def _forget(out: Folder, folder: str, ids: pa.Array) -> None:
    for name in out.names(folder, ".parquet"):
        table = out.read_table(name)
        there = pc.is_in(table["object_id"], value_set=ids)
        if pc.any(there).as_py():
            _rewrite(out, name, table.filter(pc.invert(there)))


def _rewrite(out: Folder, name: str, table: pa.Table) -> None:
    if table.num_rows:
        out.write_table(name, table)
    else:
        out.delete(name)
