"""The table of all judgements as CSV, for spreadsheets: the columns of `judgements.parquet`, one row at a time."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from manifests.text_tables import safe_cell

_TOGETHER = 200  # rows that are written at once: a few ms of processor time


def as_lines(judgements: pa.Table) -> Iterator[str]:
    """Iterate over parts of a CSV file with a header; nothing that people wrote can be taken for a formula.

    Texts and verdicts, which have parts, are JSON objects, lists are JSON lists; null is an empty cell.
    """
    yield _line(judgements.column_names)
    for batch in judgements.to_batches(max_chunksize=_TOGETHER):
        yield "".join(
            _line([_cell(value) for value in row.values()]) for row in batch.to_pylist(maps_as_pydicts="strict")
        )


def _line(cells: list[Any]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return safe_cell(value) if isinstance(value, str) else value
