"""Decodes many videos of an import side by side, in processes of their own."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
from tqdm import tqdm

from stages.video import fingerprint
from validation_ui.importing.candidates import Clip
from validation_ui.importing.rows import Plan
from validation_ui.importing.source_video import Decoded, decode
from validation_ui.trouble import TroubleError


def decode_all(clips: Sequence[Clip], plan: Plan, sav_root: Path, folder: Path, workers: int) -> Generator[Decoded]:
    """Decode videos side by side and yield each as soon as it is read.

    Args:
        clips: the videos, in the order in which they are begun.
        plan: says which of them need images, and which are of the benchmark.
        sav_root: folder that holds `sav_train/`.
        folder: where the images go.
        workers: number of processes.

    Raises:
        TroubleError: one of the processes was killed.
    """
    if not clips:
        return
    # spawn, not fork: a child must not get a copy of the database's writer thread
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(clips)), context, initializer=_begin)

    def submit(clip: Clip) -> Future[Decoded]:
        frames = folder if plan.needs_images(clip.id) else None
        sample_fps = fingerprint.DENSE_FPS if clip.id in plan.benchmark else fingerprint.SPARSE_FPS
        return pool.submit(decode, clip, sav_root, frames, sample_fps)

    try:
        futures = map(submit, clips)
        for future in tqdm(as_completed(futures), total=len(clips), desc="import", unit="video", disable=None):
            yield future.result()
    except BrokenProcessPool as error:
        raise TroubleError(
            f"one of {workers} processes that decode videos was ended from outside, maybe for lack of memory: free "
            "some or give fewer --workers, then do this again; the videos that were read before are kept"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a process that decodes: with one thread, and it ends when the process that started it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it, which lets it finish a video
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)  # else it would wait for work for ever
