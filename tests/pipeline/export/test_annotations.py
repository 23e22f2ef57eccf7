"""Rows come in order of object_id, and as asked for, however they lie in files."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.export.annotations import Annotations
from tests.pipeline import rows

COLUMNS = ["object_id", "masklet_position", "preview_jpeg", "siblings", "facts"]
ROWS, FILES = 600, 23  # more than two windows; more files than are held


@pytest.fixture(scope="module")
def scattered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Annotations, list[dict[str, object]]]:
    """Rows that lie in files by chance, some files empty, and the same rows sorted."""
    out = Folder(str(tmp_path_factory.mktemp("scattered")))
    made = [rows.stopped(number // 3, number % 3, number) for number in range(ROWS)]
    table = to_table(made, AnnotationRow)
    previews = [b"%d" % number if number % 2 else None for number in range(ROWS)]
    place = table.schema.get_field_index("preview_jpeg")
    table = table.set_column(place, table.schema.field(place), pa.array(previews, pa.binary()))
    chance = np.random.default_rng(0)
    table, file_of = table.take(chance.permutation(ROWS)), chance.integers(1, FILES, ROWS)
    for file in range(FILES):
        out.write_table(f"annotations/{file:02d}.parquet", table.filter(pa.array(file_of == file)))
    return Annotations(out), table.take(pc.sort_indices(table["object_id"])).select(COLUMNS).to_pylist()


def test_all_rows_come_in_order(scattered: tuple[Annotations, list[dict[str, object]]]) -> None:
    annotations, expected = scattered
    assert list(annotations.rows(COLUMNS)) == expected


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600, 1_000])
def test_batches_are_full_but_the_last(scattered: tuple[Annotations, list[dict[str, object]]], size: int) -> None:
    annotations, expected = scattered
    batches = list(annotations.batches(COLUMNS, size))
    assert [len(batch) for batch in batches[:-1]] == [size] * ((ROWS - 1) // size)
    assert [row for batch in batches for row in batch.to_pylist()] == expected


@pytest.mark.parametrize("count", [0, 1, 256, 257, 900])
def test_rows_come_as_they_are_asked_for(scattered: tuple[Annotations, list[dict[str, object]]], count: int) -> None:
    """In any order, some twice."""
    annotations, expected = scattered
    at = np.random.default_rng(count).integers(0, ROWS, count)
    assert list(annotations.rows(COLUMNS, at)) == [expected[row] for row in at]
