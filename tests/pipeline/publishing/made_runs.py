"""Writes finished runs of invented rows, as pipeline.annotate leaves them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.run.run_json import RunInfo
from tests.pipeline import model_rows, rows

CONFIG = {"recipe": "paper", "repair": True, "sav_root": "/some/where", "sampling": {"seed": 0}}


def info(shard: str, base: RunInfo = model_rows.RUN, **config: object) -> RunInfo:
    """The run.json of a run of one shard."""
    return {**base, "shards": [shard], "config": {**CONFIG, **config}}


def shard_rows(shard: str, first: int, videos: int) -> list[AnnotationRow]:
    """Three rows of each video: two kept, with previews, and one rejected."""
    made = []
    for video in range(first, first + videos):
        paths = {"shard": shard, "video_path": f"sav_train/{shard}/sav_{video:06d}.mp4"}
        paths["anno_path"] = f"sav_train/{shard}/sav_{video:06d}_manual.json"
        made += [
            model_rows.kept(video, place, preview_jpeg=rows.preview(10 * video + place), **paths) for place in (0, 1)
        ]
        made.append(rows.stopped(video, 2, video, **paths))
    return made


def write_run(
    out: Path, made: Sequence[AnnotationRow], told: RunInfo, *, unit: int = 4, table: pa.Table | None = None
) -> Path:
    """Write a run's manifest, annotations (in files of `unit` rows, not in order) and run.json."""
    table = to_table(made, AnnotationRow) if table is None else table
    folder = Folder(str(out))
    folder.write_table("manifest.parquet", table.select(["object_id", "video_id", "status"]))
    starts = list(range(0, table.num_rows, unit))
    for number, start in enumerate(reversed(starts)):
        folder.write_table(f"annotations/u_{number:04d}.parquet", table.slice(start, unit))
    folder.write_json("run.json", told)
    return out


def two_runs(root: Path, **changes: Any) -> list[Path]:
    """Two runs of four videos each, made alike but for `changes` to the config of the second."""
    return [
        write_run(root / "runs/a", shard_rows("sav_000", 0, 4), info("sav_000")),
        write_run(root / "elsewhere/b", shard_rows("sav_001", 4, 4), info("sav_001", **changes)),
    ]


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
