"""Make a frame store: `python -m pipeline.export.frames RUN --out STORE`, or `make annotate STORE=1`.

Each video is decoded once: its annotated frames (6 fps) become JPEGs, its masks stay the strings that they are. What
is in the store and not changed since is left alone, so the same command goes on after a kill. A video that cannot be
read is named and left out; the others are made. The format: pipeline/data/frame_store.py.
"""

import argparse
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
from tqdm import tqdm

from manifests.io import Folder
from pipeline.data.frame_store import QUALITY, SHORT_PX
from pipeline.data.videos import NothingToTrainOnError, Video, read_videos
from pipeline.export.store_video import Outcome, StoreConfig, store_video
from pipeline.out_folder import check_out

logger = logging.getLogger("refsav")

STORE = "frames"  # in the folder of a run
EXIT_SOME_FAILED, EXIT_USER_ERROR = 1, 2


def write_store(videos: Sequence[Video], store: Path, config: StoreConfig, workers: int) -> dict[str, str]:
    """Put videos into the store.

    Args:
        videos: those of `read_videos`.
        store: folder; made if it is not there.
        config: how.
        workers: processes.

    Returns:
        Video id -> why it could not be stored, of those that could not.

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
    """Put the videos with a kept expression into `<run>/frames`; how many could not be stored.

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
    """Refuse what a frame store cannot be made of: its files are mapped into memory, and videos are read by path.

    Raises:
        ValueError: a folder is not on a local disk.
    """
    for name, folder in {"--out": run, "--sav-root": sav}.items():
        if not folder.is_local:
            raise ValueError(f"with --store, {name} must be a folder on a local disk, got {folder.url}")


def _outcomes(
    videos: Sequence[Video], store: Path, config: StoreConfig, workers: int
) -> Iterator[tuple[str, Outcome, str]]:
    if workers == 1:
        for video in videos:
            yield video.video_id, *store_video(video, store, config)
        return
    # not forked: the caller may have threads, of Ray for one
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _one_thread) as pool:
        jobs = {pool.submit(store_video, video, store, config): video for video in videos}
        for job in as_completed(jobs):
            video = jobs[job]
            try:
                yield video.video_id, *job.result()
            except BrokenProcessPool:  # the decoder took the process with it; nobody knows whose
                yield video.video_id, "failed", f"{video.video_id}: a process died (memory?); run the command again"


def _one_thread() -> None:
    cv2.setNumThreads(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0 done, 1 some videos could not be stored, 2 wrong settings."""
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
    """The options."""
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
