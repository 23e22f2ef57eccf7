"""The demo shard annotated in this process: what `make annotate` writes, without the seconds that Ray takes."""

from itertools import groupby
from operator import attrgetter
from pathlib import Path

import pyarrow as pa

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Row
from pipeline import build_manifest, graph
from pipeline.export.write import write_exports
from pipeline.recipes import demo
from pipeline.run_json import begin_run, end_run
from pipeline.run_stages import finish, run_stages
from pipeline.writers.measured import MeasuredWriter


def annotate_demo(out: Path, sav_root: Path) -> None:
    """Write a whole run of the shard below `sav_root` to `out`."""
    folder, sav, config = Folder(str(out)), Folder(str(sav_root)), demo()
    stages = graph.build(config, sav, MeasuredWriter())
    begin_run(folder, config, None, sav, ["demo"])
    tables = list(build_manifest.build(sav.fs, sav.path(), ["demo"], config.select))
    build_manifest.write(tables, folder, config.rows_per_unit)
    rows = [Row.model_validate(row) for row in pa.concat_tables(tables).to_pylist()]
    for stage in stages:
        stage.setup()
    run_stages(stages, rows)
    finish(rows, config.max_attempts)
    for video_id, of_video in groupby(rows, attrgetter("video_id")):
        folder.write_table(f"annotations/{video_id}.parquet", to_table(list(of_video), AnnotationRow))
    write_exports(folder, end_run(folder, 0.0, None), ["select_objects", *(stage.name for stage in stages)])
