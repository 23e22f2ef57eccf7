"""What is trained on: videos with their expressions, from an annotation run or a `Ref-SAV.json` (ours or the official).

The official file has one entry a mask file; ours too. Here a video is ONE item, its manual and automatic
masklets together: in their separate entries, frames would be decoded twice, and the two may end up in one batch.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.io import Folder
from manifests.schema import Status
from pipeline.data.refsav_file import Locator, MaskletType, Sample, read_refsav

logger = logging.getLogger(__name__)

TRAIN_FILE = "Ref-SAV.json"
SPLIT_FILE, META_FILE = "split.json", "meta_expressions_valid.json"
_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "masklet_position", "video_path", "anno_path"),
    *("frame_count", "expression"),
)


class NothingToTrainOnError(ValueError):
    """There is no expression, or none is left."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A text and the masklet that it is of.

    Attributes:
        object_id: '<video id>/<manual|auto>/<column>', or what the file says.
        masklet_type: which of the video's two annotation files.
        anno_path: that file.
        column: position in each annotated frame's list of masklets.
        text: the referring expression.
    """

    object_id: str
    masklet_type: MaskletType
    anno_path: Path
    column: int
    text: str


@dataclass(frozen=True, slots=True)
class Video:
    """A video and all that is said of it; `frame_count` are source frames (24 fps), None = nobody said so far."""

    video_id: str
    video_path: Path
    frame_count: int | None
    expressions: tuple[Expression, ...]


def read_videos(
    source: Path | Sequence[Path],
    sav_root: Path | None,
    *,
    exclude: frozenset[str] = frozenset(),
    official: bool = False,
) -> list[Video]:
    """Every video with an expression, by id; an expression that is there twice (short captions) stays twice.

    Args:
        source: folder of an annotation run (its kept rows count), or a `Ref-SAV.json`; or several of them.
        sav_root: folder that the paths in there start from; None = what the run's run.json says.
        exclude: ids of videos that are left out; how many is logged.
        official: as the release reads: no short captions, and a video's manual and automatic masklets are two items.

    Raises:
        ValueError: it is neither, or an entry cannot be understood; entry and key are named. What can only be seen
            in other files (masks, videos) is for `data.check`.
    """
    sources = [source] if isinstance(source, Path) else list(source)
    samples = [sample for each in sources for sample in _read(each.expanduser(), sav_root, short=not official)]
    videos = _grouped(samples, by_file=official)
    told = ", ".join(map(str, sources))
    if not videos:
        raise NothingToTrainOnError(f"there must be something to train on, got no expression in {told}")
    kept = [video for video in videos if video.video_id not in exclude]
    if exclude:
        logger.info("%d of %d videos are held out and were left out", len(videos) - len(kept), len(videos))
    if not kept:
        raise NothingToTrainOnError(
            f"there must be something to train on, got {len(videos)} videos in {told}, all held out"
        )
    return kept


def _read(source: Path, sav_root: Path | None, *, short: bool) -> list[Sample]:
    if not source.is_file() and not (source / "annotations").is_dir():
        got = "without annotations/" if source.is_dir() else "where nothing is"
        raise ValueError(f"a source is a {TRAIN_FILE} or the folder of an annotation run, got {source} {got}")
    root = _sav_root(source, sav_root)
    return _read_run(source, root) if source.is_dir() else read_refsav(source, root, short=short)


def excluded_videos(split: Path) -> frozenset[str]:
    """Ids of the videos that training must not see.

    Args:
        split: folder of a split, or a file of it: our `split.json` (all that were set aside, accepted or not) or the
            official `meta_expressions_valid.json` (its videos). A folder that has both counts with both.

    Raises:
        ValueError: there is no such file, or it is not one.
    """
    if split.is_dir():
        files = [path for name in (SPLIT_FILE, META_FILE) if (path := split / name).is_file()]
        if not files:
            raise ValueError(f"a split is a folder with {SPLIT_FILE} or {META_FILE}, got {split} with neither")
        return frozenset().union(*map(_ids, files))
    return _ids(split)


def overlap(videos: Iterable[Video], split_ids: frozenset[str]) -> list[str]:
    """Sorted ids of `videos` that are in the split: a training run with any must not start."""
    return sorted(video.video_id for video in videos if video.video_id in split_ids)


def _ids(file: Path) -> frozenset[str]:
    try:
        content = json.loads(file.read_bytes())
        ids = content["held_out"] + content["videos"] if "held_out" in content else list(content["videos"])
        if not all(isinstance(each, str) for each in ids):
            raise TypeError("a video id is a text")
        return frozenset(ids)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"a split file is our {SPLIT_FILE} (held_out, videos) or a {META_FILE} (videos), got {error!r} in {file}"
        ) from error


def _sav_root(source: Path, sav_root: Path | None) -> Path:
    if sav_root is not None:
        return sav_root.expanduser().resolve()
    run = (source if source.is_dir() else source.parent) / "run.json"
    try:
        return Path(json.loads(run.read_bytes())["config"]["sav_root"]).expanduser().resolve()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"--sav-root must name the folder that holds sav_train/: {run} does not tell it ({error!r})"
        ) from error


def _read_run(run: Path, root: Path) -> list[Sample]:
    out = Folder(str(run))
    names = out.names("annotations", ".parquet")
    if not names:
        raise ValueError(
            f"a source is a {TRAIN_FILE} or the folder of an annotation run, got {run} without annotations/"
        )
    samples, locate = [], Locator(root)
    for name in names:
        for row in out.read_table(name, [*_COLUMNS, "status"]).to_pylist():
            if row["status"] == Status.KEPT.value:
                samples.append(
                    Sample(
                        video_id=row["video_id"],
                        video_path=locate(row["video_path"]),
                        frame_count=row["frame_count"],
                        object_id=row["object_id"],
                        masklet_type=row["masklet_type"],
                        anno_path=locate(row["anno_path"]),
                        column=row["masklet_position"],
                        text=row["expression"] or "",
                    )
                )
    return samples


def _grouped(samples: Iterable[Sample], *, by_file: bool) -> list[Video]:
    by_video: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        by_video.setdefault((sample.video_id, sample.masklet_type if by_file else ""), []).append(sample)
    videos = []
    for (video_id, _), of_video in sorted(by_video.items()):
        paths = sorted({str(sample.video_path) for sample in of_video})
        if len(paths) > 1:
            raise ValueError(f"a video id belongs to one file, got {' and '.join(paths)} for {video_id}")
        for kind in ("manual", "auto"):
            files = sorted({str(sample.anno_path) for sample in of_video if sample.masklet_type == kind})
            if len(files) > 1:
                raise ValueError(f"a video has one {kind} file, got {' and '.join(files)} for {video_id}")
        ordered = sorted(of_video, key=lambda sample: (sample.masklet_type != "manual", sample.column))
        videos.append(
            Video(
                video_id=video_id,
                video_path=of_video[0].video_path,
                frame_count=of_video[0].frame_count,
                expressions=tuple(
                    Expression(each.object_id, each.masklet_type, each.anno_path, each.column, each.text)
                    for each in ordered
                ),
            )
        )
    return videos
