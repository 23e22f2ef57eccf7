"""Writes the annotated frames of a split as JPEGs in the size of the source, upright."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manifests.row_results import FatalError, RowError
from stages.video.frames import walk
from stages.video.images import encode_jpeg
from validation_ui.exporting.benchmark import BenchmarkClip, ExportError, frame_name

QUALITY = 95


def write_frames(clips: Sequence[BenchmarkClip], sav_root: Path, videos: Path) -> int:
    """Write `<videos>/<video id>/<frame>.jpg`, and return the number of frames.

    Raises:
        ExportError: a source is not as it was when it was imported.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding and encoding let go of the interpreter
        jobs = [pool.submit(_write, clip, sav_root, videos / clip.id) for clip in clips]
        try:
            return sum(job.result() for job in jobs)
        finally:
            pool.shutdown(cancel_futures=True)


def _write(clip: BenchmarkClip, sav_root: Path, folder: Path) -> int:
    source = (sav_root / clip.path).resolve()
    if not source.is_relative_to(sav_root.resolve()):
        raise ExportError(f"a source lies below SAV_ROOT, got {source} of {clip.id}; import the run again")
    if clip.sha256 and _sha256(source, clip) != clip.sha256:
        raise ExportError(f"{clip.id}: {source} was changed since the import; put the judged file back")
    folder.mkdir(parents=True)
    count = 0
    try:
        for frame in walk(source, clip.id):
            count += 1
            if frame.index not in clip.annotated:
                continue
            bgr_HW3 = frame.bgr()
            if bgr_HW3.shape[:2] != (clip.height_px, clip.width_px):
                raise ExportError(
                    f"{clip.id}: frames and masks are of one size, got {bgr_HW3.shape[:2]} in {source} and "
                    f"{(clip.height_px, clip.width_px)} at the import; put the judged file back"
                )
            (folder / f"{frame_name(frame.index)}.jpg").write_bytes(encode_jpeg(bgr_HW3, QUALITY))
    except (RowError, FatalError) as error:
        raise ExportError(f"{error}; put the judged file back") from error
    if count != clip.frame_count:
        raise ExportError(
            f"{clip.id}: {source} must have the {clip.frame_count} frames that it had at the import, got {count}; put "
            "the judged file back"
        )
    return len(clip.annotated)


def _sha256(source: Path, clip: BenchmarkClip) -> str:
    try:
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"{clip.id}: its source cannot be read: {error}; is SAV_ROOT the one of the run?") from error
