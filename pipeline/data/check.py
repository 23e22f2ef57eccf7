"""Finds everything in the data that can be known to be wrong before the first step of training.

It does not find out whether an mp4 decodes to its end, which takes as long as an epoch of reading; a frame store was
made by decoding all of it. Training stops with the video's id where one breaks off.
"""

import hashlib
import json
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from manifests.row_results import FatalError, RowError
from pipeline.data.clips import Clips, Reader, VideoReader
from pipeline.data.frame_store import StoredVideo
from pipeline.data.videos import Expression, FileDigests, Video
from stages.video.frames import Probe, probe
from stages.video.masklets import Masklets, read_masklets
from stages.video.rle import parse

logger = logging.getLogger(__name__)

_NEVER = "its masklet must be visible in a frame, got only empty masks"
_SHOWN = 20  # problems in the error itself; the log has all
_FEW = 64  # videos that are looked at sooner than processes start
_CHUNK = 16


class TextRule(Protocol):
    """Checks a text before there are examples."""

    def __call__(self, text: str, size: tuple[int, int]) -> None:
        """Raise ValueError for a text that cannot be trained on with frames of this (height, width)."""


@dataclass(frozen=True, slots=True)
class DataProblem:
    """Describes a fault of an expression, or of a video (object_id None)."""

    video_id: str
    object_id: str | None
    text: str

    def __str__(self) -> str:
        return f"{self.object_id or self.video_id}: {self.text}"


def check_videos(
    videos: Sequence[Video],
    clips: Clips,
    *,
    workers: int,
    on_bad: Literal["stop", "skip"],
    check_text: TextRule | None = None,
) -> list[Video]:
    """Return the videos that can be trained on, with their number of frames.

    Args:
        videos: of `read_videos`.
        clips: how they will be read: the files, or the store.
        workers: processes.
        on_bad: "stop" at any problem, or "skip": leave out the expressions (or videos) that have one, and log them.
        check_text: raises ValueError for a text that cannot be trained on, given with (height, width) of its video's
            frames; it must be possible to pickle it.

    Raises:
        ValueError: there are problems, or nothing is left.
    """
    good, problems = [], []
    for video, of_video in _looked_at(videos, clips, workers, check_text):
        problems += of_video
        if video is not None:
            good.append(video)
    for problem in problems:
        logger.log(logging.ERROR if on_bad == "stop" else logging.WARNING, "%s", problem)
    shown = "\n".join(f"  {problem}" for problem in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        shown += f"\n  … and {len(problems) - _SHOWN} more: all are in the log"
    if problems and on_bad == "stop":
        raise ValueError(
            f"data must be complete, got {len(problems)} problems; correct them, or leave them out (on_bad 'skip'):\n"
            + shown
        )
    if not good:
        raise ValueError(f"there must be something to train on, got {len(problems)} problems and no video:\n{shown}")
    if problems:
        before, after = (sum(len(video.expressions) for video in some) for some in (videos, good))
        logger.warning(
            "left out %d of %d expressions and %d of %d videos, each named above",
            *(before - after, before, len(videos) - len(good), len(videos)),
        )
    return good


def _looked_at(
    videos: Sequence[Video], clips: Clips, workers: int, check_text: TextRule | None
) -> Iterator[tuple[Video | None, list[DataProblem]]]:
    look = partial(look_at, clips=clips, check_text=check_text)
    if workers <= 1 or len(videos) <= _FEW:
        yield from map(look, videos)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(look, videos, chunksize=_CHUNK)


def look_at(video: Video, clips: Clips, check_text: TextRule | None = None) -> tuple[Video | None, list[DataProblem]]:
    """Check one video; return what is left of it (None = nothing), and its problems."""
    try:
        reader = clips.reader(video)
        count, size = _count_and_size(reader, video)
    except (ValueError, OSError) as error:
        return None, [DataProblem(video.video_id, None, str(error).removeprefix(f"{video.video_id}: "))]
    files = _Files(count, size)
    seen_size = reader.size if isinstance(reader, StoredVideo) else size
    rule = partial(check_text, size=seen_size) if check_text else None
    faults = [_fault(expression, reader, files, rule) for expression in video.expressions]
    pairs = list(zip(video.expressions, faults, strict=True))
    problems = [DataProblem(video.video_id, expression.object_id, fault) for expression, fault in pairs if fault]
    kept = tuple(expression for expression, fault in pairs if not fault)
    absent = []
    for text in video.absent:
        if fault := _text_fault(text, rule):
            problems.append(DataProblem(video.video_id, None, f"text without a target {text!r}: {fault}"))
        else:
            absent.append(text)
    if not kept:
        return None, problems
    digests = _digests(reader, video, kept)
    return replace(video, frame_count=count, expressions=kept, absent=tuple(absent), files=digests), problems


def _digests(reader: Reader, video: Video, expressions: Sequence[Expression]) -> FileDigests:
    """Return what identifies the files that these expressions of a video need."""
    if isinstance(reader, StoredVideo):
        kinds = ("video", *sorted({one.masklet_type for one in expressions}))
        sources = [reader.info.sources[kind] for kind in kinds if kind in reader.info.sources]
        stats = [(source.size, source.mtime_ns) for source in sources]
        return FileDigests(_hash(stats), _hash([source.sha256 for source in sources]))
    by_kind = {one.masklet_type: one.anno_path for one in expressions}
    found = [path.stat() for path in (video.video_path, *(by_kind[kind] for kind in sorted(by_kind)))]
    return FileDigests(_hash([(stat.st_size, stat.st_mtime_ns) for stat in found]), "")


def _hash(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _count_and_size(reader: Reader, video: Video) -> tuple[int, tuple[int, int]]:
    """Return the number of source frames, and (height, width) upright.

    Raises:
        ValueError: there is no such video, or it is not the one that was annotated.
    """
    if isinstance(reader, StoredVideo):
        reader.check_sources()
        count, size = reader.info.frame_count, (reader.info.height_px, reader.info.width_px)
    else:
        probed = _probe(video)
        count, size = probed.frame_count, probed.size
    if video.frame_count is not None and video.frame_count != count:
        raise ValueError(f"the video must have the {video.frame_count} frames that it was annotated with, got {count}")
    return count, size


def _probe(video: Video) -> Probe:
    path = video.video_path
    if not path.is_file():
        raise ValueError(f"its video must be there, got no {path}")
    try:
        return probe(path, str(path))
    except (RowError, FatalError) as error:
        raise ValueError(str(error)) from error


class _Files:
    """Reads the annotation files of a video, none of them twice."""

    def __init__(self, frame_count: int, size: tuple[int, int]) -> None:
        self.frame_count, self.size = frame_count, size
        self._read: dict[str, Masklets | str] = {}

    def masklets(self, expression: Expression) -> Masklets:
        """Return the masklets of the file that an expression is about.

        Raises:
            ValueError: it cannot be used.
        """
        key = expression.masklet_type
        if key not in self._read:
            self._read[key] = self._masklets(expression)
        masklets = self._read[key]
        if isinstance(masklets, str):
            raise ValueError(masklets)
        return masklets

    def _masklets(self, expression: Expression) -> Masklets | str:
        path = expression.anno_path
        try:
            masklets = read_masklets(path.read_bytes(), str(path))
        except OSError as error:
            return f"its masks must be there, got no {path} ({error.strerror})"
        except RowError as error:
            return error.detail
        fault = masklets.file_fault(self.frame_count)
        return fault.detail if fault else masklets


def _fault(
    expression: Expression, reader: Reader, files: _Files, check_text: Callable[[str], None] | None
) -> str | None:
    """Say what is wrong with an expression, or None."""
    if fault := _text_fault(expression.text, check_text):
        return fault.removeprefix(f"{expression.object_id}: ")
    try:
        if isinstance(reader, VideoReader):
            return _fault_in_file(expression, files)
        rles = reader.rles(expression, range(reader.annotated_count))
    except ValueError as error:
        return str(error).removeprefix(f"{expression.object_id}: ")
    return None if parse(rles).visible_S.any() else _NEVER


def _text_fault(text: str, check_text: Callable[[str], None] | None) -> str | None:
    if not text.strip():
        return f"its text must have words, got {text!r}"
    try:
        if check_text:
            check_text(text)
    except ValueError as error:
        return str(error)
    return None


def _fault_in_file(expression: Expression, files: _Files) -> str | None:
    masklets, column, path = files.masklets(expression), expression.column, expression.anno_path
    if not 0 <= column < len(masklets.ids):
        return f"{path} must have a masklet {column}, got {len(masklets.ids)}"
    if fault := masklets.masklet_fault(column, files.size):
        return fault.detail
    return None if masklets.areas[:, column].any() else _NEVER
