"""Make a frame store: `python -m pipeline.export.frames RUN --out STORE`, or `make annotate STORE=1`.

Every video is decoded once: its annotated frames (6 fps) become JPEGs, and its masks stay the run-length strings that
they are. A video that is in the store and has not changed is left as it is, so the same command continues after a kill.
A video that cannot be read is named and left out. `pipeline/data/frame_store.py` describes the format.
"""

import argparse
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
from tqdm import tqdm

from manifests.io import Folder
from manifests.outputs import check_out
from manifests.row_results import FatalError, RowError
from manifests.schema import MASK_STRIDE
from pipeline.data.frame_store import QUALITY, SHORT_PX, Info, SourceFile, StoredVideo, sha256, write_stored
from pipeline.data.videos import NothingToTrainOnError, Video, read_videos
from stages.video.frames import walk
from stages.video.images import BgrImage, encode_jpeg
from stages.video.masklets import Masklets, read_masklets

logger = logging.getLogger("refsav")

STORE = "frames"  # name of the store in the folder of a run
EXIT_SOME_FAILED, EXIT_USER_ERROR = 1, 2
StoreResult = Literal["made", "kept", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig:
    """How the frames of a store are made."""

    short_px: int = SHORT_PX  # a longer short side is reduced; SAM 2 takes 1024 x 1024
    quality: int = QUALITY  # of the JPEGs, OpenCV's scale
    renew: bool = False  # make a file again whose sources or settings changed; otherwise that is an error

    def __post_init__(self) -> None:
        if self.short_px < 1 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"short_px must be positive and quality in [1, 100], got {self.short_px} and {self.quality}"
            )


def write_store(videos: Sequence[Video], store: Path, config: StoreConfig, workers: int) -> dict[str, str]:
    """Write videos to a frame store.

    Args:
        videos: as `read_videos` returns them.
        store: folder of the store; it is made if it does not exist.
        config: how the frames are made.
        workers: number of processes.

    Returns:
        By video id, why a video could not be stored; empty if all were.

    Raises:
        ValueError: workers is not positive.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    store.mkdir(parents=True, exist_ok=True)
    failed: dict[str, str] = {}
    made = 0
    with tqdm(total=len(videos), unit="video", disable=not sys.stderr.isatty()) as bar:
        for video_id, outcome, detail in _outcomes(videos, store, config, workers):
            bar.update()
            made += outcome == "made"
            if outcome == "failed":
                failed[video_id] = detail
                logger.error("not stored: %s", detail)
    there = len(videos) - made - len(failed)
    logger.info("frame store %s: %d made, %d there before, %d could not be stored", store, made, there, len(failed))
    return dict(sorted(failed.items()))


def store_run(run: Folder, sav: Folder, workers: int | None) -> int:
    """Write the videos with a kept expression to `<run>/frames`; returns how many could not be stored.

    Raises:
        ValueError: the run or its videos are not on a local disk.
    """
    check_local(run, sav)
    try:
        videos = read_videos(Path(run.path()), Path(sav.path()))
    except NothingToTrainOnError as error:
        logger.warning("no frame store: %s", error)
        return 0
    return len(write_store(videos, Path(run.path(STORE)), StoreConfig(), workers or os.cpu_count() or 1))


def check_local(run: Folder, sav: Folder) -> None:
    """Check that both folders are local: a store's files are mapped into memory, and videos are read by path.

    Raises:
        ValueError: a folder is not on a local disk.
    """
    for name, folder in {"--out": run, "--sav-root": sav}.items():
        if not folder.is_local:
            raise ValueError(f"with --store, {name} must be a folder on a local disk, got {folder.url}")


def _outcomes(
    videos: Sequence[Video], store: Path, config: StoreConfig, workers: int
) -> Iterator[tuple[str, StoreResult, str]]:
    if workers == 1:
        for video in videos:
            yield video.video_id, *store_video(video, store, config)
        return
    # Processes are not forked, because the caller may have threads, such as those of Ray.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread) as pool:
        jobs = {pool.submit(store_video, video, store, config): video for video in videos}
        for job in as_completed(jobs):
            video = jobs[job]
            try:
                yield video.video_id, *job.result()
            except BrokenProcessPool:  # a decoder crashed the process; which video it read is unknown
                yield video.video_id, "failed", f"{video.video_id}: a process died (memory?); run the command again"


def _one_thread() -> None:
    cv2.setNumThreads(1)


def store_video(video: Video, store: Path, config: StoreConfig) -> tuple[StoreResult, str]:
    """Store one video if it is not there yet; returns what happened, and why it failed (else empty)."""
    stored = StoredVideo(store, video)
    try:
        if stored.path.exists() and _is_done(stored, video, config):
            return "kept", ""
        _make(video, stored.path, config)
    except (ValueError, OSError) as error:
        return "failed", f"{video.video_id}: {error}".replace(
            f"{video.video_id}: {video.video_id}:", f"{video.video_id}:"
        )
    except (RowError, FatalError) as error:
        return "failed", f"{video.video_id}: {error}"
    return "made", ""


def _is_done(stored: StoredVideo, video: Video, config: StoreConfig) -> bool:
    """Tell whether the file of a store is the one that would be made.

    Raises:
        ValueError: it was made of other sources or settings, and is not to be made again.
    """
    try:
        info = stored.info
        stored.check_sources()
        if (info.short_px, info.quality) != (config.short_px, config.quality):
            raise ValueError(
                f"{stored.path}: must have short_px {config.short_px} and quality {config.quality}, got "
                f"{info.short_px} and {info.quality}; give those, another --out, or --renew"
            )
    except ValueError:
        if not config.renew:
            raise
        return False
    return {one.masklet_type for one in video.expressions} <= info.sources.keys()


def _make(video: Video, path: Path, config: StoreConfig) -> None:
    beside = {kind: video.video_path.with_name(f"{video.video_path.stem}_{kind}.json") for kind in ("manual", "auto")}
    needed: dict[str, Path] = {one.masklet_type: one.anno_path for one in video.expressions}
    sources = {"video": _source(video.video_path)}  # before reading, so that a later change is noticed
    masklets: dict[str, Masklets] = {}
    for kind, file in (beside | needed).items():
        try:
            sources[kind] = _source(file)
            masklets[kind] = read_masklets(file.read_bytes(), str(file))
        except (OSError, RowError):
            sources.pop(kind, None)
            if kind in needed:
                raise  # no expression needs this file: the store is made without it

    jpegs_T, count, size = [], 0, (0, 0)
    for frame in walk(video.video_path, str(video.video_path)):
        count += 1
        if frame.index % MASK_STRIDE == 0:
            bgr_HW3 = frame.bgr()
            size = (bgr_HW3.shape[0], bgr_HW3.shape[1])
            jpegs_T.append(_jpeg(bgr_HW3, config))
    for kind in list(masklets):
        if fault := masklets[kind].file_fault(count):
            if kind in needed:
                raise ValueError(fault.detail)
            del masklets[kind], sources[kind]

    bad = {
        kind: {n: fault.detail for n in range(len(read.ids)) if (fault := read.masklet_fault(n, size))}
        for kind, read in masklets.items()
    }
    info = Info(
        video_id=video.video_id,
        frame_count=count,
        height_px=size[0],
        width_px=size[1],
        short_px=config.short_px,
        quality=config.quality,
        sources=sources,
        bad_columns=bad,
    )
    counts: dict[str, list[list[bytes | None]]] = {
        kind: [[None if n in bad[kind] else rle["counts"].encode() for n, rle in enumerate(rles)] for rles in read.rles]
        for kind, read in masklets.items()
    }
    write_stored(path, info, jpegs_T, counts)


def _source(path: Path) -> SourceFile:
    stat = path.stat()
    return SourceFile(name=path.name, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=sha256(path))


def _jpeg(bgr_HW3: BgrImage, config: StoreConfig) -> bytes:
    height_px, width_px = bgr_HW3.shape[:2]
    scale = config.short_px / min(height_px, width_px)
    if scale < 1:
        size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
        bgr_HW3 = cv2.resize(bgr_HW3, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    return encode_jpeg(bgr_HW3, config.quality)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 some videos could not be stored, 2 wrong settings."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    try:
        check_out(options.out)
        videos = read_videos(options.source, options.sav_root)
        config = StoreConfig(short_px=options.short_px, quality=options.quality, renew=options.renew)
        failed = write_store(videos, options.out, config, options.workers)
    except ValueError as error:
        logger.error("%s", error)
        return EXIT_USER_ERROR
    return EXIT_SOME_FAILED if failed else 0


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    command = argparse.ArgumentParser(prog="python -m pipeline.export.frames", description=__doc__)
    add = command.add_argument
    add("source", type=Path, help="folder of an annotation run, or a Ref-SAV.json")
    add("--sav-root", type=Path, help="folder that holds sav_train/ (default: what the run's run.json says)")
    add("--out", type=Path, required=True, help="folder of the store")
    add("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: CPUs)")
    add("--short-px", type=int, default=SHORT_PX, help=f"longest short side of the pictures (default {SHORT_PX})")
    add("--quality", type=int, default=QUALITY, help=f"of the JPEGs (default {QUALITY})")
    add("--renew", action="store_true", help="make again what is there but was made of other sources or settings")
    add("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default INFO")
    return command


if __name__ == "__main__":
    sys.exit(main())
