"""Cuts the rows of a manifest into units of work: whole videos that are read, run and committed together.

A row group of manifest.parquet holds many units. Parquet's writer keeps about 40 kB for each row group until the file
is complete, and each task of Ray reads the list of them: with a row group for each unit of 32 rows, a run of all of
SA-V would hold 840 MB and parse 54 MB for every unit.
"""

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

GROUP_ROWS = 1_024


def unit_ends(video_ids: Sequence[str], rows_per_unit: int) -> list[int]:
    """Return where the units of work of some rows end: each with the video that brings it to `rows_per_unit` rows.

    Args:
        video_ids: of each row; the rows of a video are neighbours.
        rows_per_unit: at least 1.

    Returns:
        For each unit, the place of the first row after it; the last unit may have fewer rows.
    """
    ends, start = [], 0
    for at in range(1, len(video_ids) + 1):
        ended = at == len(video_ids) or video_ids[at] != video_ids[at - 1]
        if ended and (at - start >= rows_per_unit or at == len(video_ids)):
            ends.append(at)
            start = at
    return ends


def row_groups(tables: Iterable[pa.Table], rows_per_unit: int) -> Iterator[pa.Table]:
    """Yield tables of whole units, each of GROUP_ROWS rows or a few more; the last may have fewer.

    Args:
        tables: a table for each video.
        rows_per_unit: as in `unit_ends`.
    """
    group: list[pa.Table] = []
    group_rows = unit_rows = 0
    for table in tables:
        group.append(table)
        group_rows, unit_rows = group_rows + table.num_rows, unit_rows + table.num_rows
        if unit_rows >= rows_per_unit:
            unit_rows = 0
            if group_rows >= GROUP_ROWS:
                yield pa.concat_tables(group)
                group, group_rows = [], 0
    if group:
        yield pa.concat_tables(group)
