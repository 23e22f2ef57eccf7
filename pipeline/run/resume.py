"""Resumes a run: which rows are done, and how rows are taken back so that they are tried again.

Committed rows are in `annotations/`, their ids in `checkpoint/`, both written by Ray Data. A row is taken back in three
steps: it is copied to `attempts/`, removed from `checkpoint/`, and removed from `annotations/`. Every step is atomic
and can be repeated; what a kill between two steps left is finished by the next call, whatever it is asked to take back.

A file in `attempts/` is named after the file of `annotations/` that its rows were in, with a number in order of time.
The work is linear in the number of files: one read of a file for its ids, and one more if rows of it are taken back.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema, conform, gather
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from stages.writer import NO_ANSWER

_PENDING = ".pending.parquet"
_TRIED = ["object_id", "status", "reason", "attempts"]


def take_back_failed(out: Folder) -> dict[str, int]:
    """Take back the failed rows of the last call; returns by object_id how often a row was tried so far."""
    left = _Left(out)
    left.take_back(left.failed())
    return left.attempts()


def take_back(out: Folder, object_ids: Collection[str]) -> None:
    """Take back committed rows, so that the next call runs them again; ids without a row are ignored."""
    _Left(out).take_back(object_ids)


def forgive(out: Folder, reasons: Collection[Reason], before: pa.Array) -> None:
    """Take back the last attempt of rows that failed in a call which the circuit breaker stopped.

    Args:
        out: folder of the run.
        reasons: reasons of failure that say nothing about the rows themselves.
        before: ids of the rows that were done when that call began; they stay as they are.
    """
    schema = arrow_schema(AnnotationRow)
    names = out.names("annotations", ".parquet")
    files = _SmallFiles(out, names, ["object_id", "status", "reason"])
    failed = pc.and_(
        pc.is_in(files.rows["status"], pa.array([Status.FAILED, Status.POISONED])),
        pc.is_in(files.rows["reason"], pa.array(list(reasons), pa.string())),
    )
    ids = files.rows["object_id"].filter(failed)
    forgiven = set(ids.to_pylist()) - set(before.filter(_among(before, ids)).to_pylist())
    for number in files.holding(_among(files.rows["object_id"], forgiven)):
        rows = conform(out.read_table(names[number]), schema).to_pylist()
        for row in rows:
            if row["object_id"] in forgiven:
                row["status"], row["attempts"] = Status.FAILED.value, row["attempts"] - 1
        out.write_table(names[number], pa.Table.from_pylist(rows, schema))


def done_ids(out: Folder) -> pa.Array:
    """Return the ids of the committed rows, an array of strings without repetition."""
    names = [name for name in out.names("checkpoint", ".parquet") if not name.endswith(_PENDING)]
    return pc.unique(_SmallFiles(out, names, ["object_id"]).rows["object_id"])


def taken_back(out: Folder) -> list[str]:
    """Return the names of the files in `attempts/`, oldest first."""
    return sorted(out.names("attempts", ".parquet"), key=_number)


class _SmallFiles:
    """The rows that many small files hold, as one table: some 30 bytes for each id, where Python's take 200."""

    def __init__(self, out: Folder, names: Sequence[str], columns: Sequence[str]) -> None:
        schema = arrow_schema(AnnotationRow)
        self.names = list(names)
        lengths = []

        def read() -> Iterator[pa.Table]:
            for name in self.names:
                table = out.read_table(name, columns)
                lengths.append(len(table))
                yield pa.table([table[column].cast(schema.field(column).type) for column in columns], list(columns))

        self.rows = gather(read(), pa.schema([schema.field(column) for column in columns]))
        self._ends = np.cumsum(lengths, dtype=np.int64)

    def of(self, number: int) -> pa.Table:
        """Return the rows of the file with this place in `names`."""
        start = int(self._ends[number - 1]) if number else 0
        return self.rows.slice(start, int(self._ends[number]) - start)

    def holders(self, mask: pa.ChunkedArray) -> list[int]:
        """Return the place in `names` of the file of every row for which the mask is true, in order."""
        places = np.flatnonzero(mask.to_numpy())
        numbers: list[int] = np.searchsorted(self._ends, places, side="right").tolist()
        return numbers

    def holding(self, mask: pa.ChunkedArray) -> list[int]:
        """Return the places in `names` of the files with a row for which the mask is true."""
        return list(dict.fromkeys(self.holders(mask)))


class _Left:
    """What the files in the folder of a run held when it was opened."""

    def __init__(self, out: Folder) -> None:
        self._out = out
        self._annotations = _SmallFiles(out, out.names("annotations", ".parquet"), ["object_id", "status"])
        self._committed = _SmallFiles(out, out.names("checkpoint", ".parquet"), ["object_id"])
        self._tried = _SmallFiles(out, taken_back(out), _TRIED)
        self._copies = max(map(_number, self._tried.names), default=0)  # number of the last file in attempts/
        self._copied: list[pa.Table] = []  # rows that were copied there since, columns _TRIED

    def failed(self) -> pa.ChunkedArray:
        """Return the ids of the rows that failed."""
        rows = self._annotations.rows
        return rows["object_id"].filter(pc.equal(rows["status"], Status.FAILED.value))

    def take_back(self, object_ids: Collection[str] | pa.ChunkedArray) -> None:
        """Take back rows, in the three steps of the module's text; first finish what a killed call had begun."""
        rows = self._annotations.rows["object_id"]
        gone = self._forgotten()
        copies: dict[str, list[int]] = {}
        for number, name in enumerate(self._tried.names):
            copies.setdefault(_origin(name), []).append(number)
        back: dict[int, list[str]] = {}
        asked = _among(rows, object_ids)
        for number, object_id in zip(self._annotations.holders(asked), rows.filter(asked).to_pylist(), strict=True):
            if object_id not in gone.get(self._annotations.names[number], ()):
                back.setdefault(number, []).append(object_id)
        holders = self._holders([object_id for ids in back.values() for object_id in ids])
        for number, name in enumerate(self._annotations.names):
            dropped = gone.get(name, set())
            if dropped:
                dropped = dropped.intersection(self._annotations.of(number)["object_id"].to_pylist())
            if not dropped and number not in back:
                continue
            table = self._out.read_table(name)
            if dropped:
                table = self._drop(name, table, dropped)
            if number in back:
                rows_back = conform(table.filter(_among(table["object_id"], back[number])), arrow_schema(AnnotationRow))
                # A row never returns to a file it was taken from: a copy with the same ids has the same rows.
                before = (self._tried.of(copy)["object_id"] for copy in copies.get(name, ()))
                if not any(rows_back["object_id"].equals(copy) for copy in before):
                    self._copy(name, rows_back)
                for holder in sorted({file for object_id in back[number] for file in holders.get(object_id, ())}):
                    if self._out.exists(holder):
                        self._drop(holder, self._out.read_table(holder), back[number])
                self._drop(name, table, back[number])

    def attempts(self) -> dict[str, int]:
        """Return by object_id how often a row was tried and failed, or was rejected because no usable reply came.

        A row that was replayed after another rejection starts from 0. A row without a usable reply does not: its next
        attempt goes on with seeds that were not tried yet.
        """
        tried: dict[str, int] = {}
        for table in (self._tried.rows, *self._copied):
            counted = pc.or_(
                pc.is_in(table["status"], pa.array([Status.FAILED, Status.POISONED])),
                pc.is_in(table["reason"], pa.array(list(NO_ANSWER), pa.string())),
            )
            for row in table.filter(counted).select(["object_id", "attempts"]).to_pylist():
                tried[row["object_id"]] = max(row["attempts"], tried.get(row["object_id"], 0))
        return tried

    def _forgotten(self) -> dict[str, set[str]]:
        """Return by file of annotations/ the ids that were copied from it to attempts/ and are not committed now."""
        tried = self._tried.rows["object_id"]
        committed = self._committed.rows["object_id"]
        pending = np.array([name.endswith(_PENDING) for name in self._committed.names], bool)
        among = _among(committed, tried)
        held = zip(self._committed.holders(among), committed.filter(among).to_pylist(), strict=True)
        done = {object_id for number, object_id in held if not pending[number]}
        forgotten: dict[str, set[str]] = {}
        for number, name in enumerate(self._tried.names):
            if ids := set(self._tried.of(number)["object_id"].to_pylist()) - done:
                forgotten.setdefault(_origin(name), set()).update(ids)
        return forgotten

    def _holders(self, object_ids: Collection[str]) -> dict[str, list[str]]:
        """Return by object_id the names of the files in `checkpoint/` that have it."""
        committed = self._committed.rows["object_id"]
        among = _among(committed, object_ids)
        holders: dict[str, list[str]] = {}
        for number, object_id in zip(self._committed.holders(among), committed.filter(among).to_pylist(), strict=True):
            holders.setdefault(object_id, []).append(self._committed.names[number])
        return holders

    def _copy(self, name: str, rows: pa.Table) -> None:
        self._copies += 1
        copy = f"attempts/{name.removeprefix('annotations/').removesuffix('.parquet')}-{self._copies}.parquet"
        self._out.write_table(copy, rows)
        self._copied.append(rows.select(_TRIED))

    def _drop(self, name: str, table: pa.Table, ids: Collection[str]) -> pa.Table:
        """Write a file again without the rows of these ids, or delete it if none is left; returns what is left."""
        left = table.filter(pc.invert(_among(table["object_id"], ids)))
        if left.num_rows:
            self._out.write_table(name, left)
        else:
            self._out.delete(name)
        return left


def _among(ids: pa.Array | pa.ChunkedArray, chosen: Collection[str] | pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(chosen, pa.ChunkedArray):
        chosen = chosen.combine_chunks()
    return pc.is_in(ids, value_set=chosen if isinstance(chosen, pa.Array) else pa.array(chosen, pa.string()))


def _origin(copy: str) -> str:
    return f"annotations/{copy.removeprefix('attempts/').rpartition('-')[0]}.parquet"


def _number(copy: str) -> int:
    return int(copy.removesuffix(".parquet").rpartition("-")[2])
