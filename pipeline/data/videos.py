"""What is trained on: videos with their expressions, from an annotation run or a `Ref-SAV.json` (ours or the official).

The official file has one entry a mask file; ours too. Here a video is ONE item, its manual and automatic
masklets together: in their separate entries, frames would be decoded twice, and the two may end up in one batch.

Official paths repeat the shard: `sav_000/sav_train/sav_000/x.mp4`, for a folder unpacked as `sav_train/sav_000/x.mp4`.
The official loader looks for a part `sav_train` and drops what stands before it, Sa2VA-i always drops the first part.
Here the path is tried as it is, then so, then with the shard repeated, which is how Sa2VA's instructions lay files out.
The first that exists counts, and its reading is tried first for the next.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pydantic_core import from_json

from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, SPLIT_EXPRESSIONS, SPLIT_INFO, TRAIN_FILE, brief
from manifests.schema import Status
from pipeline.data.refsav_entries import MaskletType, read_entry, read_texts, refuse
from stages.video.source_file import json_text

logger = logging.getLogger(__name__)

_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "masklet_position", "video_path", "anno_path"),
    *("frame_count", "expression"),
)


class NothingToTrainOnError(ValueError):
    """Raised where there is no expression, or none is left."""


@dataclass(frozen=True, slots=True)
class Expression:
    """Holds a referring expression and the masklet that it means.

    Attributes:
        object_id: '<video id>/<manual|auto>/<column>', or what the file says.
        masklet_type: which of the video's two annotation files.
        anno_path: that file.
        column: position in an annotated frame's list of masklets.
        text: the referring expression.
    """

    object_id: str
    masklet_type: MaskletType
    anno_path: Path
    column: int
    text: str


class FileDigests(NamedTuple):
    """Identifies the files of a video by what is known of them without reading them.

    Attributes:
        stat: hash of their sizes and times.
        content: hash of their SHA-256, which a frame store has; "" where there is none.
    """

    stat: str
    content: str

    def is_like(self, other: "FileDigests") -> bool:
        """Return whether the files are the same ones, unless they were changed without another size or time."""
        return self.stat == other.stat or (self.content != "" and self.content == other.content)


@dataclass(frozen=True, slots=True)
class Video:
    """Holds a video and its expressions.

    Attributes:
        video_id: e.g. sav_000001.
        video_path: of the mp4.
        frame_count: source frames (24 fps); None where the source does not say.
        expressions: manual before automatic masklets, by position.
        absent: texts that fit nothing in the video; empty where they were not asked for.
        source: name of the data set of a mixture that it comes from; empty where there is no mixture.
        files: `FileDigests` of the video and its annotation files; None where they were not looked at.
    """

    video_id: str
    video_path: Path
    frame_count: int | None
    expressions: tuple[Expression, ...]
    absent: tuple[str, ...] = ()
    source: str = ""
    files: FileDigests | None = field(default=None, compare=False)


def read_videos(
    source: Path | Sequence[Path],
    sav_root: Path | None,
    *,
    exclude: frozenset[str] = frozenset(),
    official: bool = False,
    absent: bool = False,
) -> list[Video]:
    """Read every video with an expression, by id; a masklet may have several (short captions).

    Args:
        source: folder of an annotation run (its kept rows count), or a `Ref-SAV.json`; or several of them. One that
            is named twice is read once.
        sav_root: folder that the paths in there start from; None = what the run's run.json says.
        exclude: ids of videos that are left out; how many is logged.
        official: as the release reads: no short captions, and a video's manual and automatic masklets are two items.
        absent: also read the texts that fit nothing in a video: of a run, or of a negatives.json beside a file. Those
            of objects that may have a twin without a masklet are left out.

    Raises:
        ValueError: it is neither, or an entry cannot be understood; entry and key are named. What can only be seen
            in other files (masks, videos) is for `data.check`.
    """
    given = [source] if isinstance(source, Path) else source
    sources = list(dict.fromkeys(one.expanduser().resolve() for one in given))
    parts = [part for one in sources for part in _read(one, sav_root, short=not official, absent=absent)]
    videos = _merged(parts, by_file=official)
    named = ", ".join(map(str, sources))
    if not videos:
        raise NothingToTrainOnError(f"there must be something to train on, got no expression in {named}")
    kept = [video for video in videos if video.video_id not in exclude]
    if exclude:
        logger.info("%d of %d videos are held out and were left out", len(videos) - len(kept), len(videos))
    if not kept:
        raise NothingToTrainOnError(
            f"there must be something to train on, got {len(videos)} videos in {named}, all held out"
        )
    return kept


def _read(source: Path, sav_root: Path | None, *, short: bool, absent: bool) -> Iterable[Video]:
    """Read a source as videos that have one expression; an id may come several times."""
    if not source.is_file() and not (source / "annotations").is_dir():
        got = "without annotations/" if source.is_dir() else "where nothing is"
        raise ValueError(f"a source is a {TRAIN_FILE} or the folder of an annotation run, got {source} {got}")
    root = _sav_root(source, sav_root)
    if source.is_dir():
        return _read_run(source, root, short, absent)
    texts = _read_absent(source.with_name(NEGATIVES_FILE)) if absent else {}
    return (replace(video, absent=texts.get(video.video_id, ())) for video in _read_refsav(source, root, short))


def excluded_videos(split: Path) -> frozenset[str]:
    """Return the ids of the videos that training must not see.

    Args:
        split: folder of a split, or a file of it: our `split.json` (all that were set aside, accepted or not) or the
            official `meta_expressions_valid.json` (its videos). A folder that has both counts with both.

    Raises:
        ValueError: there is no such file, or it is not one.
    """
    if split.is_dir():
        files = [path for name in (SPLIT_INFO, SPLIT_EXPRESSIONS) if (path := split / name).is_file()]
        if not files:
            raise ValueError(f"a split is a folder with {SPLIT_INFO} or {SPLIT_EXPRESSIONS}, got {split} with neither")
        return frozenset().union(*map(_ids, files))
    return _ids(split)


def overlap(videos: Iterable[Video], split_ids: frozenset[str]) -> list[str]:
    """Return the sorted ids of `videos` that are in the split: a training run with any must not start."""
    return sorted(video.video_id for video in videos if video.video_id in split_ids)


def _ids(file: Path) -> frozenset[str]:
    try:
        content = json.loads(json_text(file.read_bytes()))
        ids = content["held_out"] + content["videos"] if "held_out" in content else list(content["videos"])
        if not all(isinstance(one, str) for one in ids):
            raise TypeError("a video id is a text")
        return frozenset(ids)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"a split file is our {SPLIT_INFO} (held_out, videos) or a {SPLIT_EXPRESSIONS} (videos), got "
            f"{brief(error)} in {file}"
        ) from error


def _sav_root(source: Path, sav_root: Path | None) -> Path:
    if sav_root is not None:
        return sav_root.expanduser().resolve()
    run = (source if source.is_dir() else source.parent) / "run.json"
    try:
        return Path(json.loads(json_text(run.read_bytes()))["config"]["sav_root"]).expanduser().resolve()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"--sav-root must name the folder that holds sav_train/: {run} does not tell it ({brief(error)})"
        ) from error


def _read_run(run: Path, root: Path, short: bool, absent: bool) -> Iterator[Video]:
    out = Folder(str(run))
    names = out.names("annotations", ".parquet")
    if not names:
        raise ValueError(
            f"a source is a {TRAIN_FILE} or the folder of an annotation run, got {run} without annotations/"
        )
    locate = _Locator(root)
    for name in names:
        more = [column for column, wanted in (("short_expression", short), ("negatives", absent)) if wanted]
        columns = [*_COLUMNS, "status", *more]  # a run of an earlier version has not all of them
        for row in out.read_table(name, columns).to_pylist():
            if row["status"] == Status.KEPT.value:
                video_path, anno_path = locate(row["video_path"]), locate(row["anno_path"])
                for text in (row["expression"] or "", row.get("short_expression")):
                    if text is not None:
                        expression = Expression(
                            object_id=row["object_id"],
                            masklet_type=row["masklet_type"],
                            anno_path=anno_path,
                            column=row["masklet_position"],
                            text=text,
                        )
                        texts = tuple(filter(None, map(_absent_text, row.get("negatives") or ())))
                        yield Video(row["video_id"], video_path, row["frame_count"], (expression,), texts)


def _read_absent(file: Path) -> dict[str, tuple[str, ...]]:
    """Return video id -> the texts of a negatives.json that fit nothing in the video.

    Raises:
        ValueError: it cannot be read, or is something else.
    """
    try:
        content = from_json(json_text(file.read_bytes()), cache_strings="keys")
        return {video_id: tuple(filter(None, map(_absent_text, negatives))) for video_id, negatives in content.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"texts without a target are read from {file}, which the annotation run writes beside {TRAIN_FILE}, got "
            f"{brief(error)}: put it there, or train without --negatives"
        ) from error


def _absent_text(negative: dict[str, Any]) -> str | None:
    """Return the text of a negative if it surely fits nothing in its video, else None."""
    text = negative["text"]
    if not isinstance(text, str):
        raise TypeError(f"a negative has a text, got {text!r}")
    sure = negative["kind"] == "no_target" and not negative["unseen_twin_possible"]
    return text if sure else None


def _merged(parts: Iterable[Video], *, by_file: bool) -> list[Video]:
    """Join the videos that have one id; `by_file`: only those that share an annotation file too."""
    groups: dict[tuple[str, str], list[Video]] = {}
    for part in parts:
        key = part.video_id, part.expressions[0].masklet_type if by_file else ""
        groups.setdefault(key, []).append(part)
    videos = []
    for (video_id, _), group in sorted(groups.items()):
        expressions = [expression for part in group for expression in part.expressions]
        paths = sorted({str(part.video_path) for part in group})
        if len(paths) > 1:
            raise ValueError(f"a video id belongs to one file, got {' and '.join(paths)} for {video_id}")
        for kind in ("manual", "auto"):
            files = sorted({str(one.anno_path) for one in expressions if one.masklet_type == kind})
            if len(files) > 1:
                raise ValueError(f"a video has one {kind} file, got {' and '.join(files)} for {video_id}")
        expressions.sort(key=lambda one: (one.masklet_type != "manual", one.column))
        absent = tuple(sorted({text for part in group for text in part.absent}))  # one order, whatever the source
        videos.append(replace(group[0], expressions=tuple(expressions), absent=absent))
    return videos


def _read_refsav(file: Path, root: Path, short: bool) -> Iterator[Video]:
    """Read a `Ref-SAV.json` as videos that have one expression, in its order.

    With `short` False only `formated` is read, as the release does. An empty text stays, for the check.

    Raises:
        ValueError: the file cannot be read, or an entry of it; the key is named.
    """
    try:
        entries = from_json(json_text(file.read_bytes()), cache_strings="keys")
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: must be a Ref-SAV.json, or the folder of an annotation run: {error}") from error
    if not isinstance(entries, dict):
        refuse(file, "the top level", "an object with an entry for each mask file", entries)
    locate = _Locator(root)
    for key, entry in entries.items():
        yield from _read_entry(file, key, entry, locate, short)


def _read_entry(file: Path, key: str, value: Any, locate: "_Locator", short: bool) -> Iterator[Video]:
    entry = read_entry(file, key, value)
    video_path, anno_path = locate(entry.video_path), locate(entry.anno_path)
    for column, described in entry.objects.items():
        for _, text in read_texts(file, f"{key}: objects: {column!r}", column, described, short=short):
            given = described.get("object_id")
            object_id = given if isinstance(given, str) else f"{video_path.stem}/{entry.masklet_type}/{column}"
            expression = Expression(object_id, entry.masklet_type, anno_path, int(column), text)
            yield Video(video_path.stem, video_path, None, (expression,))


class _Locator:
    """Finds the files that paths of a run or a `Ref-SAV.json` mean, whichever layout SAV_ROOT has."""

    def __init__(self, root: Path) -> None:
        self._root, self._first = root, 0

    def __call__(self, relative: str) -> Path:
        """Return the path of the file, or where it should be."""
        candidates = [self._root / path for path in _readings(PurePosixPath(relative))]
        order = sorted(range(len(candidates)), key=lambda n: (n != self._first, n))
        for n in order:
            if candidates[n].exists():
                self._first = n
                return candidates[n]
        return candidates[0]  # is not there: the check says so


def _readings(path: PurePosixPath) -> list[PurePosixPath]:
    """Return the path as it is, as the official loader and Sa2VA-i read it, and in Sa2VA's folders; no one twice."""
    parts = path.parts
    readings = [path]
    at = parts.index("sav_train") if parts.count("sav_train") == 1 else 0
    if at and at + 1 < len(parts) and parts[at - 1] == parts[at + 1]:
        readings.append(PurePosixPath(*parts[: at - 1], *parts[at:]))
    if len(parts) > 1:
        readings.append(PurePosixPath(*parts[1:]))
    if parts[0] == "sav_train" and len(parts) > 2:
        readings.append(PurePosixPath(parts[1], *parts))
    return list(dict.fromkeys(readings))
