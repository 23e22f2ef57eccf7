"""Keeps a benchmark split and the published training rows apart: no video is in both, by id or by look.

The split's frames are compared with the eight small frames of a preview, one preview a video, so no video is decoded.
A preview has the contour of its object in it; how two frames are compared is said in stages/video/fingerprint.py.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow.compute as pc

from manifests.outputs import SPLIT_EXPRESSIONS, SPLIT_MASKS
from manifests.schema import Status
from pipeline.data.videos import excluded_videos
from pipeline.evaluation.split import FRAME_FOLDERS
from pipeline.export.annotations import Annotations
from pipeline.importers.pictures import PICTURE_ENDS
from stages.video import fingerprint
from stages.video.views import frames_of_sheet

_SHOWN = 5
_BATCH_ROWS = 500


@dataclass(frozen=True)
class BenchmarkSplit:
    """Holds a benchmark split: its folder, the videos that training must not see, and hashes of its frames."""

    folder: Path
    ids: frozenset[str]
    frames: dict[str, bytes]  # video id -> hashes; only videos with frames that can be read


@dataclass(frozen=True)
class Leaks:
    """Holds what a split and the kept rows have in common.

    Attributes:
        ids: videos of the split that have kept rows.
        alike: pairs (video of the split, video with kept rows) that look the same.
        compared: videos with kept rows whose look was compared.
        unseen: videos with kept rows that have no preview to compare.
        without_frames: videos of the split without a frame that can be read, which were compared by id alone.
    """

    ids: list[str]
    alike: list[tuple[str, str]]
    compared: int
    unseen: int
    without_frames: list[str]

    def check(self, folder: Path) -> None:
        """Refuse a split that leaks.

        Raises:
            ValueError: a video is in both; the first are named.
        """
        hint = "add --leave-out to publish without the rows of these videos"
        if self.ids:
            raise ValueError(
                f"no video may be in the split and in the training rows, got {len(self.ids)} in both: "
                f"{_named(self.ids)} ({folder}); {hint}"
            )
        if self.alike:
            pairs = [f"{ours} = {theirs}" for ours, theirs in self.alike]
            raise ValueError(
                f"no video of the split may look like one of the training rows, got {len(pairs)}: {_named(pairs)} "
                f"({folder}); look at them, and {hint}"
            )

    @property
    def videos(self) -> frozenset[str]:
        """Return the videos whose rows would leak."""
        return frozenset(self.ids) | {theirs for _, theirs in self.alike}


def read_split(folder: Path) -> BenchmarkSplit:
    """Read a split and hash its frames.

    Raises:
        ValueError: it is not a split as `python -m validation_ui export` writes it, or as the official release has it.
    """
    if not folder.is_dir():
        raise ValueError(f"--split must be the folder of a benchmark split, got {folder}")
    missing = [name for name in (SPLIT_EXPRESSIONS, SPLIT_MASKS) if not (folder / name).is_file()]
    if missing:
        raise ValueError(f"--split must have {' and '.join(missing)}, got {folder} without: export it again")
    ids = excluded_videos(folder)
    videos = sorted(path for name in FRAME_FOLDERS for path in (folder / name).glob("*") if path.is_dir())
    with ThreadPoolExecutor(2) as pool:
        hashes = pool.map(_hashes, videos)
        frames = {video.name: hashed for video, hashed in zip(videos, hashes, strict=True) if hashed}
    return BenchmarkSplit(folder, ids, frames)


def find_leaks(annotations: Annotations, split: BenchmarkSplit) -> Leaks:
    """Compare the kept rows with a split."""
    ids, sparse, unseen = set(), {}, 0
    for video_id, jpeg, size in _first_of_each_video(annotations):
        if video_id in split.ids:
            ids.add(video_id)
        elif jpeg is None:
            unseen += 1
        elif split.frames:
            sparse[video_id] = b"".join(map(fingerprint.of_frame, frames_of_sheet(jpeg, size)))
    seen = {name: hashed for name, hashed in sparse.items() if hashed}
    alike = fingerprint.near_duplicates(split.frames, seen) if split.frames and seen else []
    without = sorted(excluded_videos(split.folder / SPLIT_EXPRESSIONS) - split.frames.keys())
    return Leaks(sorted(ids), sorted(alike), len(seen), unseen + len(sparse) - len(seen), without)


def _first_of_each_video(annotations: Annotations) -> Iterator[tuple[str, bytes | None, tuple[int, int]]]:
    columns = ["video_id", "status", "preview_jpeg", "width_px", "height_px"]
    last = None
    for batch in annotations.batches(columns, _BATCH_ROWS):
        for row in batch.filter(pc.equal(batch["status"], Status.KEPT.value)).to_pylist():
            if row["video_id"] != last:
                last = row["video_id"]
                yield last, row["preview_jpeg"], (row["width_px"], row["height_px"])


def _hashes(video: Path) -> bytes:
    files = sorted(path for path in video.iterdir() if path.suffix.lower() in PICTURE_ENDS)
    greys = (cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_2) for path in files)
    return b"".join(fingerprint.of_frame(np.asarray(grey, np.uint8)) for grey in greys if grey is not None)


def _named(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
