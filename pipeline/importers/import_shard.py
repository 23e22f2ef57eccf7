"""Imports the videos of a source into a shard: in parallel, and only what is not there yet.

A video is done when `.import/<video_id>.json` is there, which is written last. It has what was written, and a
fingerprint of all that it depends on: sizes and times of the source's files, its entry, and the settings. With another
fingerprint the video is imported again. A video that was left out has no such file, so it is tried again.
"""

import hashlib
import json
import logging
import multiprocessing
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.io import Folder
from manifests.outputs import TRAIN_FILE, brief, is_full, locked
from manifests.row_results import FatalError
from pipeline.importers.source_protocol import (
    ImportFailedError,
    ImportOptions,
    ImportReason,
    ImportTask,
    LeftOut,
    source,
)
from pipeline.importers.write_sav import write_video

logger = logging.getLogger(__name__)

SOURCE_FILE, DONE_FOLDER, _LOCK = "source.json", ".import", "lock"
_VERSION = 1  # raise it when what is written for the same source changes: all is imported again


@dataclass(frozen=True)
class ShardImport:
    """Holds what is imported where.

    Attributes:
        name: of the source.
        path: of the source's files.
        options: what the user told about them.
        folder: of the shard.
        crf: x264's constant rate factor.
    """

    name: str
    path: Path
    options: ImportOptions
    folder: Path
    crf: int

    def check(self) -> None:
        """Check that the shard is not one that was made of something else.

        Raises:
            ValueError: it is.
        """
        made_of = _content(self.folder / DONE_FOLDER / SOURCE_FILE)
        own = self._made_of()
        if made_of is None and any(self.folder.glob("*.mp4")):
            raise ValueError(f"--shard must name a new shard, got {self.folder} with videos of another origin")
        if made_of is not None and made_of != own:
            raise ValueError(
                f"--shard must name a new shard: {self.folder} was imported from {made_of['source']} "
                f"{made_of['path']}, not from {own['source']} {own['path']}"
            )

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Make the shard's folder, note what it is made of, and keep other imports out of it during the block.

        Raises:
            ValueError: another import writes the shard, or it was made of something else.
        """
        self.check()
        (self.folder / DONE_FOLDER).mkdir(parents=True, exist_ok=True)
        refusal = (
            f"a shard is written by one import at a time, got {self.folder}, which another one writes now: "
            "wait for it, or name another --shard"
        )
        with locked(self.folder / DONE_FOLDER / _LOCK, refusal):
            self.check()
            _write(self.folder / DONE_FOLDER / SOURCE_FILE, self._made_of())
            yield

    def _made_of(self) -> dict[str, Any]:
        return {"source": self.name, "path": str(self.path.resolve())}

    def done_file(self, video_id: str) -> Path:
        """Return the path of what is noted of a video that is done."""
        return self.folder / DONE_FOLDER / f"{video_id}.json"

    def fingerprint(self, task: ImportTask) -> str:
        """Return a hash of all that the files of a video depend on."""
        stats = [(str(one), (stat := one.stat()).st_size, stat.st_mtime_ns) for one in task.files if one.exists()]
        parts = (_VERSION, self.name, self.crf, self.options, task.source_id, [str(one) for one in task.files], stats)
        return hashlib.sha256(repr((*parts, task.entry)).encode("utf-8", "surrogatepass")).hexdigest()

    def is_done(self, task: ImportTask, video_id: str) -> bool | None:
        """Tell whether a video is done; None if it is, but its source has changed."""
        noted = _content(self.done_file(video_id))
        files = [self.folder / f"{video_id}.mp4", self.folder / f"{video_id}_manual.json"]
        if noted is None or not all(one.is_file() for one in files):
            return False
        return True if noted["fingerprint"] == self.fingerprint(task) else None


@dataclass(frozen=True)
class VideoOutcome:
    """Tells what became of a video: its line in `source.json`, or why it was left out."""

    video_id: str
    source_id: str
    left_out: LeftOut | None


def import_videos(
    job: ShardImport,
    tasks: Sequence[ImportTask],
    ids: Mapping[str, str],
    workers: int,
    on_done: Callable[[VideoOutcome], None],
) -> None:
    """Import videos in several processes.

    Args:
        job: what is imported where.
        tasks: the videos to import.
        ids: own id of every video of the source -> its id in the shard.
        workers: processes.
        on_done: is called with every outcome, in any order.

    Raises:
        FatalError: the disk is full, or a worker was killed.
    """
    if workers == 1 or len(tasks) == 1:
        for task in tasks:
            on_done(import_video(job, task, ids[task.source_id]))
        return
    pending = iter(tasks)
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        running: set[Future[VideoOutcome]] = set()
        try:
            while True:
                for task in _some(pending, 2 * workers - len(running)):  # not all at once: entries may be large
                    running.add(pool.submit(import_video, job, task, ids[task.source_id]))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    on_done(future.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _some(tasks: Iterator[ImportTask], number: int) -> Iterator[ImportTask]:
    for _ in range(number):
        task = next(tasks, None)
        if task is None:
            return
        yield task


def import_video(job: ShardImport, task: ImportTask, video_id: str) -> VideoOutcome:
    """Import one video; what is wrong with it is told in the outcome, and costs no other.

    Raises:
        FatalError: the disk is full.
    """
    noted = job.done_file(video_id)
    noted.unlink(missing_ok=True)
    fingerprint = job.fingerprint(task)
    try:
        video = source(job.name).open(task, job.options)
        written = write_video(
            video, job.folder, video_id=video_id, source_id=task.source_id, source=job.name, crf=job.crf
        )
    except ImportFailedError as fault:
        return _failed(job, task, video_id, LeftOut(fault.reason, fault.detail))
    except Exception as error:
        if is_full(error):
            raise FatalError(f"{job.folder}: {error}; free some space") from error
        place = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{brief(error)} ({Path(place.filename).name}:{place.lineno})"
        return _failed(job, task, video_id, LeftOut(ImportReason.UNEXPECTED_ERROR, detail))
    _write(noted, {"fingerprint": fingerprint, **asdict(written)})
    return VideoOutcome(video_id, task.source_id, None)


def _failed(job: ShardImport, task: ImportTask, video_id: str, why: LeftOut) -> VideoOutcome:
    for end in (".mp4", "_manual.json"):  # of an earlier import, before its source changed
        (job.folder / f"{video_id}{end}").unlink(missing_ok=True)
    return VideoOutcome(video_id, task.source_id, why)


def noted_videos(job: ShardImport) -> list[dict[str, Any]]:
    """Return what is noted of all videos that are done, by id."""
    files = sorted(one for one in (job.folder / DONE_FOLDER).glob("*.json") if one.name != SOURCE_FILE)
    return [content for one in files if (content := _content(one))]


def write_summary(job: ShardImport, left_out: Sequence[VideoOutcome]) -> list[dict[str, Any]]:
    """Write `source.json`, and `Ref-SAV.json` if there are texts; returns what is noted of the videos.

    The official loader takes one text of an object, so a second text of one is in a second entry of its video.
    """
    videos = noted_videos(job)
    lines = [{name: value for name, value in video.items() if name != "fingerprint"} for video in videos]
    fps = job.options.fps
    content = {
        **job._made_of(),
        "fps": float(fps) if fps else None,
        "crf": job.crf,
        "videos": lines,
        "left_out": [
            {"source_id": one.source_id, "reason": one.left_out.reason, "detail": one.left_out.detail}
            for one in sorted(left_out, key=lambda one: one.source_id)
            if one.left_out
        ],
    }
    out = Folder(str(job.folder))
    out.write_json(SOURCE_FILE, content)
    entries = {key: entry for video in videos for key, entry in _entries(job.folder.name, video)}
    if entries:
        out.write_json(TRAIN_FILE, entries)
    else:
        (job.folder / TRAIN_FILE).unlink(missing_ok=True)
    return videos


def _entries(shard: str, video: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    video_id = video["video_id"]
    rounds: list[dict[str, dict[str, str]]] = []
    for text in video["texts"]:
        column = str(text["position"])
        free = next((one for one in rounds if column not in one), None)
        if free is None:
            rounds.append(free := {})
        free[column] = {
            "formated": text["text"],
            "object_id": f"{video_id}/manual/{column}",
            "text_id": text["text_id"],
        }
    paths = {name: f"sav_train/{shard}/{video_id}{end}" for name, end in _PATHS}
    for number, objects in enumerate(rounds):
        yield f"{video_id}_manual{f'_{number + 1}' if number else ''}", {**paths, "objects": objects}


_PATHS = (("video_path", ".mp4"), ("anno_path", "_manual.json"))


def _content(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None  # not there, or cut off by a kill: the video counts as not done
    return content if isinstance(content, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    beside.replace(path)
