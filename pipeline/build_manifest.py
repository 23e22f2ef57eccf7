"""A SA-V shard folder -> manifest: one row per masklet, sorted by video.

Every file is read and written through fsspec: SAV_ROOT and the output may be local folders or URLs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import BinaryIO

import fsspec
import pyarrow as pa

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import ManifestRow
from stages.check_video import VideoFiles
from stages.select_objects import SelectConfig, select_objects

# map(), or anything that does the same in parallel; both arguments can be pickled and results come in order
MapParallel = Callable[[Callable[[VideoFiles], pa.Table], Sequence[VideoFiles]], Iterable[pa.Table]]


def list_videos(fs: fsspec.AbstractFileSystem, sav_root: str, shard: str) -> list[VideoFiles]:
    """Videos of a shard of which there is at least one file, by id.

    Args:
        fs: file system of `sav_root`.
        sav_root: folder that holds `sav_train`, as `fs` names it.
        shard: folder below `sav_train`, e.g. sav_000.

    Raises:
        ValueError: there is no such folder, or no video in it; the message says which shards there are.
    """
    folder = f"{sav_root}/sav_train"
    names = _names(fs, f"{folder}/{shard}")
    stems = {
        name.removesuffix(end) for name in names for end in (".mp4", "_manual.json", "_auto.json") if name.endswith(end)
    }
    if not stems:
        found = ", ".join(_names(fs, folder)[:60]) or "nothing"
        raise ValueError(
            f"no SA-V videos in {folder}/{shard}; {folder} has {found}. Set SHARD and SAV_ROOT accordingly"
        )
    return [
        VideoFiles(stem, shard, ("manual", "auto") if f"{stem}_auto.json" in names else ("manual",))
        for stem in sorted(stems)
    ]


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
        sav_root: folder that holds `sav_train`, as `fs` names it.
        shards: folders below `sav_train`.
        config: the selection policy.
        map_parallel: applies a picklable function to each video, results in order.

    Raises:
        ValueError: a shard is not there or has no video.
        FatalError: while the tables are made: a file is there but cannot be read now.
    """
    videos = [files for shard in sorted(set(shards)) for files in list_videos(fs, sav_root, shard)]
    return map_parallel(partial(_video_table, fs, sav_root, config), videos)


def write(tables: Iterable[pa.Table], out: Folder, rows_per_unit: int) -> None:
    """Write `manifest.parquet`; a row group is a unit of work of whole videos, so that Ray reads one at a time.

    Args:
        tables: of one video each.
        out: where to; the file appears at once, when it is complete.
        rows_per_unit: a unit ends with the video that reaches this number of rows.
    """
    out.write_tables("manifest.parquet", _units(tables, rows_per_unit), arrow_schema(ManifestRow))


def _names(fs: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    """Names in a folder, sorted; none if it is no folder."""
    if not fs.isdir(folder):
        return []
    return sorted(path.rstrip("/").rpartition("/")[2] for path in fs.ls(folder, detail=False))


def _video_table(fs: fsspec.AbstractFileSystem, sav_root: str, config: SelectConfig, files: VideoFiles) -> pa.Table:
    def open_file(path: str) -> BinaryIO:
        file: BinaryIO = fs.open(f"{sav_root}/{path}", "rb")
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
