"""Resumes a run: which rows are done, and how rows are taken back so that they are tried again.

Committed rows are in `annotations/`, their ids in `checkpoint/`, both written by Ray Data. A row is taken back in three
steps: it is copied to `attempts/`, removed from `checkpoint/`, and removed from `annotations/`. Every step is atomic
and can be repeated; what a kill between two steps left is finished by the next call, whatever it is asked to take back.

A file in `attempts/` is named after the file of `annotations/` that its rows were in, with a number in order of time.
The work is linear in the number of files: one read of a file for its ids, and one more if rows of it are taken back.
"""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from manifests.arrow import arrow_schema, conform
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from stages.writer import NO_ANSWER

_PENDING = ".pending.parquet"
_TRIED = ["object_id", "status", "reason", "attempts"]


def take_back_failed(out: Folder) -> dict[str, int]:
    """Take back the failed rows of the last call; returns by object_id how often a row was tried so far."""
    left = _Left.of(out)
    left.take_back({object_id for rows in left.rows.values() for object_id, failed in rows.items() if failed})
    return left.attempts()


def take_back(out: Folder, object_ids: Collection[str]) -> None:
    """Take back committed rows, so that the next call runs them again; ids without a row are ignored."""
    _Left.of(out).take_back(object_ids)


def forgive(out: Folder, reasons: Collection[Reason], before: Collection[str]) -> None:
    """Take back the last attempt of rows that failed in a call which the circuit breaker stopped.

    Args:
        out: folder of the run.
        reasons: reasons of failure that say nothing about the rows themselves.
        before: ids of the rows that were done when that call began; they stay as they are.
    """
    schema = arrow_schema(AnnotationRow)
    for name in out.names("annotations", ".parquet"):
        rows = conform(out.read_table(name), schema).to_pylist()
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
    """Return the ids of the committed rows."""
    names = [name for name in out.names("checkpoint", ".parquet") if not name.endswith(_PENDING)]
    return {object_id for name in names for object_id in out.read_table(name)["object_id"].to_pylist()}


def taken_back(out: Folder) -> list[str]:
    """Return the names of the files in `attempts/`, oldest first."""
    return sorted(out.names("attempts", ".parquet"), key=_number)


@dataclass
class _Left:
    """What the files in the folder of a run hold, by their names; updated with every write."""

    out: Folder
    rows: dict[str, dict[str, bool]]  # annotations/: object_id -> whether it failed
    committed: dict[str, pa.Table]  # checkpoint/
    tried: dict[str, pa.Table]  # attempts/: columns _TRIED
    copies: int  # number of the last file in attempts/

    @classmethod
    def of(cls, out: Folder) -> "_Left":
        rows = {}
        for name in out.names("annotations", ".parquet"):
            table = out.read_table(name, ["object_id", "status"])
            failed = pc.equal(table["status"], Status.FAILED.value)
            rows[name] = dict(zip(table["object_id"].to_pylist(), failed.to_pylist(), strict=True))
        committed = {name: out.read_table(name) for name in out.names("checkpoint", ".parquet")}
        tried = {name: out.read_table(name, _TRIED) for name in taken_back(out)}
        return cls(out, rows, committed, tried, max(map(_number, tried), default=0))

    def take_back(self, object_ids: Collection[str]) -> None:
        """Take back rows, in the three steps of the module's text; first finish what a killed call had begun."""
        done = {
            object_id
            for name, table in self.committed.items()
            if not name.endswith(_PENDING)
            for object_id in table["object_id"].to_pylist()
        }
        forgotten: dict[str, set[str]] = {}
        copies: dict[str, list[pa.ChunkedArray]] = {}
        for name, table in self.tried.items():
            forgotten.setdefault(_origin(name), set()).update(set(table["object_id"].to_pylist()) - done)
            copies.setdefault(_origin(name), []).append(table["object_id"])
        asked, holders = set(object_ids), self._holders()
        for name, rows in self.rows.items():
            gone = forgotten.get(name, set()).intersection(rows)
            back = {object_id for object_id in rows if object_id in asked and object_id not in gone}
            if not gone and not back:
                continue
            table = self.out.read_table(name)
            if gone:
                table = self._drop(name, table, gone)
            if back:
                rows_back = conform(table.filter(_among(table, back)), arrow_schema(AnnotationRow))
                # A row never returns to a file it was taken from: a copy with the same ids has the same rows.
                if not any(rows_back["object_id"].equals(copy) for copy in copies.get(name, ())):
                    self._copy(name, rows_back)
                for holder in {file for object_id in back for file in holders.get(object_id, ())}:
                    self.committed[holder] = self._drop(holder, self.committed[holder], back)
                self._drop(name, table, back)

    def attempts(self) -> dict[str, int]:
        """Return by object_id how often a row was tried and failed, or was rejected because no usable reply came.

        A row that was replayed after another rejection starts from 0. A row without a usable reply does not: its next
        attempt goes on with seeds that were not tried yet.
        """
        tried: dict[str, int] = {}
        for table in self.tried.values():
            for row in table.to_pylist():
                if row["status"] in (Status.FAILED, Status.POISONED) or row["reason"] in NO_ANSWER:
                    tried[row["object_id"]] = max(row["attempts"], tried.get(row["object_id"], 0))
        return tried

    def _holders(self) -> dict[str, list[str]]:
        """Return by object_id the names of the files in `checkpoint/` that have it."""
        holders: dict[str, list[str]] = {}
        for name, table in self.committed.items():
            for object_id in table["object_id"].to_pylist():
                holders.setdefault(object_id, []).append(name)
        return holders

    def _copy(self, name: str, rows: pa.Table) -> None:
        self.copies += 1
        copy = f"attempts/{name.removeprefix('annotations/').removesuffix('.parquet')}-{self.copies}.parquet"
        self.out.write_table(copy, rows)
        self.tried[copy] = rows.select(_TRIED)

    def _drop(self, name: str, table: pa.Table, ids: Collection[str]) -> pa.Table:
        """Write a file again without the rows of these ids, or delete it if none is left; returns what is left."""
        left = table.filter(pc.invert(_among(table, ids)))
        if left.num_rows:
            self.out.write_table(name, left)
        else:
            self.out.delete(name)
        return left


def _among(table: pa.Table, ids: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(table["object_id"], value_set=pa.array(ids, pa.string()))


def _origin(copy: str) -> str:
    return f"annotations/{copy.removeprefix('attempts/').rpartition('-')[0]}.parquet"


def _number(copy: str) -> int:
    return int(copy.removesuffix(".parquet").rpartition("-")[2])
