"""Counts what happened to every masklet of a run, by stage and reason, and checks the sums.

The input is the annotations table (`AnnotationRow`, one row per masklet), or what `count` or `count_parts` made of it,
and the names of the stages in their order.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import Status
from manifests.text_tables import text_table

FINAL = (Status.KEPT, Status.REJECTED, Status.FAILED, Status.POISONED)
_SHOWN = 5  # object ids in an error message


class OutcomeCount(NamedTuple):
    """The number of rows that share stage, reason and state; stage and reason are None for kept rows."""

    stage: str | None
    reason: str | None
    status: str
    rows: int


@dataclass(frozen=True)
class StageFlow:
    """One stage of a run: how many rows came in, and how many ended there for which reason."""

    stage: str
    rows_in: int
    stops: tuple[OutcomeCount, ...]  # largest first

    @property
    def rows_out(self) -> int:
        """The number of rows that went on to the next stage."""
        return self.rows_in - sum(stop.rows for stop in self.stops)

    def stopped(self, status: Status) -> int:
        """Return the number of rows that ended in this stage in the state `status`."""
        return sum(stop.rows for stop in self.stops if stop.status == status)


def count(table: pa.Table) -> list[OutcomeCount]:
    """Count the rows per stage, reason and state, the largest group first."""
    return count_parts([table])


def count_parts(tables: Iterable[pa.Table]) -> list[OutcomeCount]:
    """Count the rows of tables that are read one after the other, as `count` does those of one."""
    keys = ["stage", "reason", "status"]
    rows: Counter[tuple[str | None, str | None, str]] = Counter()
    for table in tables:
        for group in table.select(keys).group_by(keys).aggregate([([], "count_all")]).to_pylist():
            rows[group["stage"], group["reason"], group["status"]] += group["count_all"]
    outcomes = [OutcomeCount(*ended, number) for ended, number in rows.items()]
    return sorted(outcomes, key=lambda one: (-one.rows, one.stage or "", one.reason or "", one.status))


def assert_sums(manifest: pa.Table, table: pa.Table) -> None:
    """Check that every masklet of the manifest is in the annotations exactly once, in a final state.

    Args:
        manifest: has the column `object_id`.
        table: the annotations, with `object_id` and `status`.

    Raises:
        AssertionError: rows are lost, doubled, foreign or without a final state; names the first of them.
    """
    pending = table.filter(pc.invert(pc.is_in(table["status"], pa.array(FINAL))))["object_id"]
    if not len(pending) and _same_once(manifest["object_id"], table["object_id"]):
        return
    counted = pc.value_counts(table["object_id"].combine_chunks())
    doubled = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    wrong = {
        "lost": _without(manifest["object_id"], table["object_id"]),
        "not in the manifest": _without(table["object_id"], manifest["object_id"]),
        "there more than once": doubled.to_pylist(),
        "in no final state": pending.to_pylist(),
    }
    problems = [
        f"{len(ids)} {what} ({', '.join(ids[:_SHOWN])}{', …' if len(ids) > _SHOWN else ''})"
        for what, ids in wrong.items()
        if ids
    ]
    if problems:
        raise AssertionError(
            f"each of the {manifest.num_rows} masklets of the manifest must have exactly one final row, but of "
            f"{table.num_rows} rows: {'; '.join(problems)}. Run the same command again to finish what is missing."
        )


def _same_once(expected: pa.ChunkedArray, ids: pa.ChunkedArray) -> bool:
    """Tell whether both hold the same ids, each once, in any order; sorting takes less memory than a table of all."""
    ordered = ids.take(pc.sort_indices(ids))
    once = not pc.any(pc.equal(ordered.slice(1), ordered.slice(0, max(0, len(ordered) - 1)))).as_py()
    return once and len(expected) == len(ids) and expected.take(pc.sort_indices(expected)).equals(ordered)


def flow(table: pa.Table | Sequence[OutcomeCount], stages: Sequence[str]) -> list[StageFlow]:
    """Count, for every stage in order, the rows that came in and those that ended there.

    Raises:
        ValueError: a row ended in a stage that is not in `stages`, or is neither kept nor ended anywhere.
    """
    outcomes = _counted(table)
    kept = sum(outcome.rows for outcome in outcomes if outcome.status == Status.KEPT)
    stops = [outcome for outcome in outcomes if outcome.status != Status.KEPT]
    for stop in stops:
        if stop.stage not in stages or stop.status not in FINAL:
            raise ValueError(
                f"{stop.rows} rows are '{stop.status}' ({stop.reason}) at stage '{stop.stage}', but a row must be "
                f"kept, or have ended in a stage of this run: {', '.join(stages)}"
            )
    rows, flows = sum(outcome.rows for outcome in outcomes), []
    for stage in stages:
        flows.append(StageFlow(stage, rows, tuple(stop for stop in stops if stop.stage == stage)))
        rows = flows[-1].rows_out
    assert rows == kept, f"{rows} rows came out of the last stage, but {kept} are kept"
    return flows


def as_text(table: pa.Table | Sequence[OutcomeCount], stages: Sequence[str]) -> str:
    """Format the outcomes as a plain table, for the end of a run: a line for each stage, and its reasons below."""
    counted = _counted(table)
    lines: list[tuple[str, ...]] = [("stage", "in", "rejected", "failed", "poisoned", "out")]
    for step in flow(counted, stages):
        ended = [step.stopped(status) for status in FINAL[1:]]
        lines.append((step.stage, *(f"{rows:,}" for rows in (step.rows_in, *ended, step.rows_out))))
        for stop in step.stops:
            cells = (f"{stop.rows:,}" if stop.status == status else "" for status in FINAL[1:])
            lines.append((f"  {stop.reason}", "", *cells, ""))
    text = text_table(lines)
    rule = "-" * len(text[0])
    totals = dict.fromkeys(FINAL, 0)
    for outcome in counted:
        totals[Status(outcome.status)] += outcome.rows
    total = f"{sum(totals.values()):,} masklets: " + ", ".join(f"{rows:,} {status}" for status, rows in totals.items())
    return "\n".join([text[0], rule, *text[1:], rule, total])


def _counted(table: pa.Table | Sequence[OutcomeCount]) -> Sequence[OutcomeCount]:
    return count(table) if isinstance(table, pa.Table) else table


def _without(left: pa.ChunkedArray, right: pa.ChunkedArray) -> list[str]:
    """Return the values of `left` that are not in `right`."""
    missing: list[str] = left.filter(pc.invert(pc.is_in(left, right.combine_chunks()))).to_pylist()
    return missing
