"""A SA-V shard folder -> manifest: one row per masklet, sorted by video.

Every file is read and written through fsspec: SAV_ROOT and the output may be local folders or URLs.
"""

import errno
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import ManifestRow
from stages.sav_root import list_videos
from stages.select_objects import SelectConfig, select_objects
from stages.shard import left_out
from stages.video_files import VideoFiles

logger = logging.getLogger(__name__)

_TOLD = 5  # names in a line
# map(), or anything that does the same in parallel; both arguments can be pickled and results come in order
MapParallel = Callable[[Callable[[VideoFiles], pa.Table], Sequence[VideoFiles]], Iterable[pa.Table]]


def build(
    fs: fsspec.AbstractFileSystem,
    sav_root: str,
    shards: Iterable[str],
    config: SelectConfig,
    map_parallel: MapParallel = map,
) -> Iterable[pa.Table]:
    """The manifest of some shards: a table of `ManifestRow` for each video, made as they are asked for.

    Args:
        fs: file system of `sav_root`.
        sav_root: SAV_ROOT, as `fs` names it.
        shards: of `stages.shard`.
        config: the selection policy.
        map_parallel: applies a picklable function to each video, results in order.

    Raises:
        ValueError: a shard is not there or has no video, or two have one of the same id.
        FatalError: while the tables are made: a file is there but cannot be read now.
    """
    videos = [files for shard in sorted(set(shards)) for files in list_videos(fs, sav_root, shard)]
    shard_of: dict[str, str] = {}
    for files in videos:
        if (other := shard_of.setdefault(files.video_id, files.shard)) != files.shard:
            raise ValueError(
                f"video {files.video_id} must be in one shard, got {other} and {files.shard}: give each its own run"
            )
    if others := left_out(fs, sav_root, videos):
        told = ", ".join(others[:_TOLD]) + (" …" if len(others) > _TOLD else "")
        logger.info("left out %d files that are no video's: %s", len(others), told)
    return map_parallel(partial(_video_table, fs, sav_root, config), videos)


def write(tables: Iterable[pa.Table], out: Folder, rows_per_unit: int) -> None:
    """Write `manifest.parquet`; a row group is a unit of work of whole videos, so that Ray reads one at a time.

    Args:
        tables: of one video each.
        out: where to; the file appears at once, when it is complete.
        rows_per_unit: a unit ends with the video that reaches this number of rows.
    """
    out.write_tables("manifest.parquet", _units(tables, rows_per_unit), arrow_schema(ManifestRow))


def _video_table(fs: fsspec.AbstractFileSystem, sav_root: str, config: SelectConfig, files: VideoFiles) -> pa.Table:
    def open_file(path: str) -> BinaryIO:
        whole = f"{sav_root}/{path}"
        if isinstance(fs, LocalFileSystem) and not stat.S_ISREG(os.stat(whole).st_mode) and not os.path.isdir(whole):
            raise OSError(errno.EINVAL, "no regular file", whole)  # a pipe would never end
        file: BinaryIO = fs.open(whole, "rb")
        return file

    return to_table(select_objects(files, open_file, config), ManifestRow)


def _units(tables: Iterable[pa.Table], rows_per_unit: int) -> Iterator[pa.Table]:
    unit: list[pa.Table] = []
    for table in tables:
        unit.append(table)
        if sum(part.num_rows for part in unit) >= rows_per_unit:
            yield pa.concat_tables(unit)
            unit = []
    if unit:
        yield pa.concat_tables(unit)
