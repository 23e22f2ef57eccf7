"""Decodes many videos of an import side by side, in processes of their own."""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2
from tqdm import tqdm

from stages.video import fingerprint
from validation_ui.importing.candidates import Clip
from validation_ui.importing.rows import Plan
from validation_ui.importing.source_video import Decoded, decode


def decode_all(clips: Sequence[Clip], plan: Plan, sav_root: Path, folder: Path, workers: int) -> Iterator[Decoded]:
    """Decode videos side by side and yield each as soon as it is read.

    Args:
        clips: the videos, in the order in which they are begun.
        plan: says which of them need images, and which are of the benchmark.
        sav_root: folder that holds `sav_train/`.
        folder: where the images go.
        workers: number of processes.
    """
    if not clips:
        return
    # spawn, not fork: a child must not get a copy of the database's writer thread
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(clips)), context, initializer=cv2.setNumThreads, initargs=(1,))

    def submit(clip: Clip) -> Future[Decoded]:
        frames = folder if plan.needs_images(clip.id) else None
        sample_fps = fingerprint.DENSE_FPS if clip.id in plan.benchmark else fingerprint.SPARSE_FPS
        return pool.submit(decode, clip, sav_root, frames, sample_fps)

    try:
        futures = map(submit, clips)
        for future in tqdm(as_completed(futures), total=len(clips), desc="import", unit="video", disable=None):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
