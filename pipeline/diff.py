"""Tell what differs between two runs or datasets: `python -m pipeline.diff A B --out DIR`.

Rows added, removed and changed, and by what: source, selection, facts, prompt, model, text, gate, images. DIR gets a
page with changed texts side by side (diff.html), all figures (diff.json) and all changed rows (changed.parquet).
docs/publishing.md says what the causes mean.
"""

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.io import Folder
from manifests.outputs import check_out, make_out
from manifests.text_tables import text_table
from pipeline.export import card, cost, outcomes
from pipeline.export.annotations import Annotations
from pipeline.publishing.dataset_files import check_local_apart
from pipeline.publishing.diff_page import MAX_SHOWN, EvenSample, diff_page
from pipeline.publishing.joined import JoinedAnnotations
from pipeline.publishing.published import PublishedAnnotations, check_complete, is_dataset, read_info
from pipeline.publishing.row_changes import CAUSES, TEXTS, ChangedRow, RunDifference, compare
from pipeline.publishing.runs import open_run
from pipeline.run.run_json import RunInfo

logger = logging.getLogger("refsav")

EXIT_USER_ERROR, EXIT_FATAL = 2, 3
_SHOWN = ("status", "stage", "reason", "detail", "prompt_ids", *TEXTS)
_CHANGED = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("object_id", "cause")),
        pa.field("columns", pa.list_(pa.string())),
        *(pa.field(f"{name}_{side}", pa.string()) for name in ("status", "reason", *TEXTS) for side in ("a", "b")),
    ]
)
_GROUP_ROWS = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 wrong settings, 3 stopped."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        check_local_apart(options.out, [options.a, options.b])
        check_out(options.out)
        sides = [_opened(given) for given in (options.a, options.b)]
        make_out(options.out)
        difference = diff(sides[0], sides[1], (options.a, options.b), options.out)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        logger.error("stopped. Give the same command again.")
        return EXIT_FATAL
    except OSError as error:
        logger.error("stopped: %s. Give the same command again.", error)
        return EXIT_FATAL
    sys.stdout.write(f"{_told(difference)}\n\nlook at  {options.out / 'diff.html'}\n")
    return 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.diff", description=__doc__)
    add = command.add_argument
    add("a", metavar="A", help="folder or URL of a run or a dataset: before")
    add("b", metavar="B", help="folder or URL of a run or a dataset: after")
    add("--out", required=True, type=Path, help="folder for diff.html, diff.json and changed.parquet")
    add("--log-level", default="INFO")
    return command


def diff(
    a: tuple[Annotations, RunInfo], b: tuple[Annotations, RunInfo], names: tuple[str, str], out: Path
) -> RunDifference:
    """Compare two sides and write the files of the comparison.

    Args:
        a: rows and run.json of the side before.
        b: rows and run.json of the side after.
        names: what to call them.
        out: folder of the files.
    """
    difference, sample = RunDifference(), EvenSample(MAX_SHOWN)
    rows = _sampled(compare(a[0], b[0], difference, _SHOWN), sample)
    Folder(str(out)).write_tables("changed.parquet", _tables(rows), _CHANGED)
    tables = _tables_of_figures(difference, a, b)
    told = {
        "a": names[0],
        "b": names[1],
        "rows": difference.rows,
        "added": dict(difference.added),
        "removed": dict(difference.removed),
        "unchanged": difference.unchanged,
        "changed": {cause: difference.changed[cause] for cause in CAUSES if difference.changed[cause]},
        "columns": dict(difference.columns.most_common()),
        "tables": tables,
    }
    Folder(str(out)).write_json("diff.json", told)
    head = {
        "lede": f"From {names[0]} to {names[1]}: {_told(difference).splitlines()[0]}",
        "tables": tables,
        "changed": difference.changed.total(),
        "causes": [(cause, difference.changed[cause]) for cause in CAUSES if difference.changed[cause]],
    }
    Folder(str(out)).write_text("diff.html", diff_page(head, sample.kept))
    return difference


def _opened(given: str) -> tuple[Annotations, RunInfo]:
    out = Folder(given)
    if is_dataset(out):
        check_complete(out)
        return PublishedAnnotations(out), read_info(out)[0]
    run = open_run(given, partial=True)
    return JoinedAnnotations([run]), run.info


def _sampled(rows: Iterator[ChangedRow], sample: EvenSample) -> Iterator[ChangedRow]:
    for row in rows:
        sample.add(row)
        yield row


def _tables(rows: Iterator[ChangedRow]) -> Iterator[pa.Table]:
    held: list[dict[str, Any]] = []
    for row in rows:
        told: dict[str, Any] = {"object_id": row.object_id, "cause": row.cause, "columns": list(row.columns)}
        for name in ("status", "reason", *TEXTS):
            told |= {f"{name}_a": row.before.get(name), f"{name}_b": row.after.get(name)}
        held.append(told)
        if len(held) == _GROUP_ROWS:
            yield pa.Table.from_pylist(held, _CHANGED)
            held = []
    yield pa.Table.from_pylist(held, _CHANGED)


def _tables_of_figures(
    difference: RunDifference, a: tuple[Annotations, RunInfo], b: tuple[Annotations, RunInfo]
) -> list[dict[str, object]]:
    figures = [[("rows", f"{side[0].num_rows:,}"), *card.figures(side[0])] for side in (a, b)]
    counts = [
        {(one.stage, one.reason, one.status): one.rows for one in outcomes.count_parts(side[0].tables(_OUTCOME))}
        for side in (a, b)
    ]
    ends = sorted(set(counts[0]) | set(counts[1]), key=lambda end: (end[0] or "", end[1] or "", end[2]))
    bills = [cost.cost(*side) for side in (a, b)]
    spent = [dict(cost.summary(bill)) if bill else {} for bill in bills]
    tables: list[dict[str, object]] = [
        {
            "title": "Rows",
            "head": ("what", "rows"),
            "rows": [
                *((f"only in A: {what} is gone", f"{rows:,}") for what, rows in difference.removed.most_common()),
                *((f"only in B: {what} is new", f"{rows:,}") for what, rows in difference.added.most_common()),
                ("unchanged", f"{difference.unchanged:,}"),
                *((f"changed by {one}", f"{difference.changed[one]:,}") for one in CAUSES if difference.changed[one]),
            ],
        },
        {
            "title": "Fates of rows in both",
            "head": ("in A", "in B", "rows"),
            "rows": [(x, y, f"{rows:,}") for (x, y), rows in sorted(difference.fates.items())],
        },
        {
            "title": "Figures",
            "head": ("figure", "A", "B"),
            "rows": [(name, x, y) for (name, x), (_, y) in zip(*figures, strict=True)],
        },
        {
            "title": "How rows ended",
            "head": ("end", "A", "B"),
            "rows": [(_end(end), f"{counts[0].get(end, 0):,}", f"{counts[1].get(end, 0):,}") for end in ends],
        },
        {
            "title": "Columns that differ",
            "head": ("column", "changed rows"),
            "rows": [(name, f"{rows:,}") for name, rows in difference.columns.most_common()],
        },
    ]
    if moved := [*difference.lost.items(), *difference.won.items()]:
        lost = len(difference.lost)
        tables.append(
            {
                "title": "Kept objects lost and won",
                "head": ("gate", "objects"),
                "rows": [
                    (f"{'lost' if place < lost else 'won'}: {stage}, {reason}", f"{rows:,}")
                    for place, ((stage, reason), rows) in enumerate(moved)
                ],
            }
        )
    if any(spent):
        names = list(dict.fromkeys([*spent[0], *spent[1]]))
        lines = [(name, spent[0].get(name, "none"), spent[1].get(name, "none")) for name in names]
        tables.append(
            {"title": "What the models were asked", "head": ("figure", "A", "B"), "rows": lines, "wide": True}
        )
    return tables


_OUTCOME = ["status", "stage", "reason"]


def _end(end: tuple[str | None, str | None, str]) -> str:
    stage, reason, status = end
    return f"{status} at {stage}: {reason}" if stage else status


def _told(difference: RunDifference) -> str:
    """Return the counts as text: a line for all, then a table by cause."""
    rows_a, rows_b = difference.rows
    first = (
        f"{rows_a:,} and {rows_b:,} rows: {difference.added.total():,} added, {difference.removed.total():,} removed, "
        f"{difference.changed.total():,} changed, {difference.unchanged:,} unchanged"
    )
    lines = [
        ("changed by", "rows"),
        *((one, f"{difference.changed[one]:,}") for one in CAUSES if difference.changed[one]),
    ]
    return "\n".join([first, *(["", *text_table(lines, rule=True)] if len(lines) > 1 else [])])


if __name__ == "__main__":
    sys.exit(main())
