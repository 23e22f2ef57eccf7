"""Builds the manifest of SA-V shards, one row per masklet, sorted by video; chooses the videos for `--limit`.

All files are read and written through fsspec: SAV_ROOT and the output may be local folders or URLs.
"""

import errno
import logging
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem

from manifests.arrow import arrow_schema, to_table
from manifests.io import Folder
from manifests.schema import GivenText, ManifestRow, Status
from pipeline.run.units import row_groups
from stages.sav_root import list_videos
from stages.select_objects import SelectConfig, TextsByObject, select_objects
from stages.shard import left_out
from stages.video_files import VideoFiles

logger = logging.getLogger(__name__)

_NAMES_SHOWN = 5  # names of files in a log line
_GOLDEN = 0.6180339887498949  # its multiples, modulo 1, are spread evenly, however many
_SEED = 0
# map(), or a parallel function like it, with results in order and arguments that can be pickled
MapParallel = Callable[[Callable[["VideoTask"], pa.Table], Sequence["VideoTask"]], Iterable[pa.Table]]


@dataclass(frozen=True)
class VideoTask:
    """Names a video whose masklets become rows, and the texts that were given for them; None if texts are written."""

    files: VideoFiles
    texts: TextsByObject | None = None


def build(
    fs: fsspec.AbstractFileSystem,
    sav_root: str,
    shards: Iterable[str],
    config: SelectConfig,
    map_parallel: MapParallel = map,
    texts: TextsByObject | None = None,
) -> Iterable[pa.Table]:
    """Build the manifest of some shards; yields a table of `ManifestRow` for every video, in their order.

    Args:
        fs: file system of `sav_root`.
        sav_root: path of SAV_ROOT in `fs`.
        shards: names of shards, as in `stages.shard`.
        config: which masklets are selected.
        map_parallel: applies a picklable function to every video, with results in order.
        texts: given for objects, by object_id; None if texts are written.

    Raises:
        ValueError: a shard does not exist or has no video, or two shards have a video of the same id.
        FatalError: while the tables are made: a file exists but cannot be read now.
    """
    videos = [files for shard in sorted(set(shards)) for files in list_videos(fs, sav_root, shard)]
    shard_of: dict[str, str] = {}
    for files in videos:
        if (other := shard_of.setdefault(files.video_id, files.shard)) != files.shard:
            raise ValueError(
                f"video {files.video_id} must be in one shard, got {other} and {files.shard}: give each its own run"
            )
    if others := left_out(fs, sav_root, videos):
        names = ", ".join(others[:_NAMES_SHOWN]) + (" …" if len(others) > _NAMES_SHOWN else "")
        logger.info("left out %d files that are no video's: %s", len(others), names)
    of_video: dict[str, dict[str, Sequence[GivenText]]] = defaultdict(dict)
    for object_id, given in (texts or {}).items():
        of_video[object_id.partition("/")[0]][object_id] = given
    tasks = [VideoTask(files, None if texts is None else of_video.get(files.video_id, {})) for files in videos]
    return map_parallel(partial(_video_table, fs, sav_root, config), tasks)


def write(tables: Iterable[pa.Table], out: Folder, rows_per_unit: int) -> None:
    """Write `manifest.parquet`, in row groups of whole units of work (run/units.py), one in memory at a time.

    Args:
        tables: a table for each video.
        out: folder of the run; the file appears at once, when it is complete.
        rows_per_unit: a unit ends with the video that brings it to this number of rows.
    """
    out.write_tables("manifest.parquet", row_groups(tables, rows_per_unit), arrow_schema(ManifestRow))


def chosen_videos(video_ids: Sequence[str], number: int, seed: int = _SEED) -> list[str]:
    """Choose `number` videos, spread over the shard; those for a smaller number are among those for a larger one.

    Args:
        video_ids: ids of the shard's videos, sorted, without repetition.
        number: at least 1; all are chosen if there are no more.
        seed: another seed gives another choice.
    """
    keys = [((at + seed) * _GOLDEN) % 1.0 for at in range(len(video_ids))]
    ranked = sorted(range(len(video_ids)), key=keys.__getitem__)[:number]
    return [video_ids[at] for at in sorted(ranked)]


def rows_left_out(manifest: pa.Table, number: int) -> pa.ChunkedArray:
    """Return the object ids that `--limit` leaves out: those of all videos but the chosen ones.

    Args:
        manifest: columns object_id, video_id and status of the complete manifest.
        number: how many videos to choose, of those with a pending row.
    """
    pending = manifest.filter(pc.equal(manifest["status"], Status.PENDING.value))["video_id"]
    chosen = chosen_videos(sorted(pc.unique(pending).to_pylist()), number)
    out = pc.invert(pc.is_in(manifest["video_id"], value_set=pa.array(chosen, pa.string())))
    return manifest.filter(out)["object_id"]


def _video_table(fs: fsspec.AbstractFileSystem, sav_root: str, config: SelectConfig, task: VideoTask) -> pa.Table:
    def open_file(path: str) -> BinaryIO:
        full = f"{sav_root}/{path}"
        if isinstance(fs, LocalFileSystem) and not stat.S_ISREG(os.stat(full).st_mode) and not os.path.isdir(full):
            raise OSError(errno.EINVAL, "no regular file", full)  # reading a pipe would never end
        file: BinaryIO = fs.open(full, "rb")
        return file

    return to_table(select_objects(task.files, open_file, config, task.texts), ManifestRow)
