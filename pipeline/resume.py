"""What an earlier run into the same folder left: rows that are done, and rows that are taken back to be tried again.

Committed rows stand in `annotations/`, their ids in `checkpoint/` (written by Ray Data). A row is taken back in three
steps: copied to `attempts/`, out of `checkpoint/`, out of `annotations/`. Each step is whole and can be repeated, and
what a kill between two of them left is ended by the next call, whatever that one is asked to take back.

A file of `attempts/` is called after the file of `annotations/` that its rows were in, and numbered in order of time.
"""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from stages.writer import NO_ANSWER

_PENDING = ".pending.parquet"


def take_back_failed(out: Folder) -> dict[str, int]:
    """Make the failed rows of the last run undone again; returns attempts so far by object_id."""
    table = out.read_tables("annotations", arrow_schema(AnnotationRow), ["object_id", "status"])
    take_back(out, table.filter(pc.equal(table["status"], Status.FAILED.value))["object_id"].to_pylist())
    return _attempts(out)


def take_back(out: Folder, object_ids: Collection[str]) -> None:
    """Make committed rows undone again; ids that have no row are passed over."""
    _finish(out)
    ids = pa.array(object_ids, pa.string())
    for name in out.names("annotations", ".parquet") if object_ids else []:
        if not pc.any(pc.is_in(out.read_table(name, ["object_id"])["object_id"], value_set=ids)).as_py():
            continue
        table = out.read_table(name).cast(arrow_schema(AnnotationRow))
        back = table.filter(pc.is_in(table["object_id"], value_set=ids))
        _copy(out, name, back)
        for committed in out.names("checkpoint", ".parquet"):
            _drop(out, committed, back["object_id"])
        _drop(out, name, back["object_id"])


def forgive(out: Folder, reasons: Collection[Reason], before: Collection[str]) -> None:
    """Do not count the last try of rows that failed for one of `reasons` in a call that the circuit breaker stopped.

    Args:
        out: folder of the run.
        reasons: that say nothing of the rows themselves.
        before: ids of the rows that were done when that call began.
    """
    schema = arrow_schema(AnnotationRow)
    for name in out.names("annotations", ".parquet"):
        rows = out.read_table(name).cast(schema).to_pylist()
        failed = [
            row
            for row in rows
            if row["object_id"] not in before
            and row["status"] in (Status.FAILED, Status.POISONED)
            and row["reason"] in reasons
        ]
        for row in failed:
            row["status"], row["attempts"] = Status.FAILED.value, row["attempts"] - 1
        if failed:
            out.write_table(name, pa.Table.from_pylist(rows, schema))


def done_ids(out: Folder) -> set[str]:
    """Ids of the committed rows."""
    names = [name for name in out.names("checkpoint", ".parquet") if not name.endswith(_PENDING)]
    return {object_id for name in names for object_id in out.read_table(name)["object_id"].to_pylist()}


def taken_back(out: Folder) -> list[str]:
    """Names of the files of `attempts/`, oldest first."""
    return sorted(out.names("attempts", ".parquet"), key=_number)


def _attempts(out: Folder) -> dict[str, int]:
    """Times that a row was tried without a usable end; one replayed after an end by design starts anew.

    No usable answer counts as a try: the next one asks further.
    """
    tried: dict[str, int] = {}
    for name in taken_back(out):
        for row in out.read_table(name, ["object_id", "status", "reason", "attempts"]).to_pylist():
            if row["status"] in (Status.FAILED, Status.POISONED) or row["reason"] in NO_ANSWER:
                tried[row["object_id"]] = max(row["attempts"], tried.get(row["object_id"], 0))
    return tried


def _copy(out: Folder, name: str, rows: pa.Table) -> None:
    """A row never comes back into a file that it was taken from: same file and same ids are the same rows."""
    copies = taken_back(out)
    of_file = [copy for copy in copies if _origin(copy) == name]
    if any(out.read_table(copy, ["object_id"])["object_id"].equals(rows["object_id"]) for copy in of_file):
        return
    number = 1 + max(map(_number, copies), default=0)
    stem = name.removeprefix("annotations/").removesuffix(".parquet")
    out.write_table(f"attempts/{stem}-{number}.parquet", rows)


def _finish(out: Folder) -> None:
    """Take out of `annotations/` what a call that was cut off had copied and forgotten already."""
    there = set(out.names("annotations", ".parquet"))
    for copy in taken_back(out):
        if _origin(copy) in there:
            copied = set(out.read_table(copy, ["object_id"])["object_id"].to_pylist())
            _drop(out, _origin(copy), pa.array(copied - done_ids(out), pa.string()))


def _origin(copy: str) -> str:
    return f"annotations/{copy.removeprefix('attempts/').rpartition('-')[0]}.parquet"


def _number(copy: str) -> int:
    return int(copy.removesuffix(".parquet").rpartition("-")[2])


def _drop(out: Folder, name: str, ids: pa.Array) -> None:
    """Write the file again without the rows of these ids, or not at all."""
    table = out.read_table(name)
    there = pc.is_in(table["object_id"], value_set=ids)
    if not pc.any(there).as_py():
        return
    left = table.filter(pc.invert(there))
    if left.num_rows:
        out.write_table(name, left)
    else:
        out.delete(name)
