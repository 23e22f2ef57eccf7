"""The pictures of a source: a folder of numbered files, or an mp4."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from manifests.row_results import RowError
from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from stages.video.frames import Probe, probe, walk
from stages.video.images import Image, read_image
from stages.video.times import FrameTimes

PICTURE_ENDS = (".jpg", ".jpeg", ".png")
VIDEO_ENDS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_SHOWN = 5


@dataclass(frozen=True)
class PictureFiles:
    """Gives the pictures of files, all of one size, that follow one another at a steady rate."""

    paths: Sequence[Path]
    fps: Fraction

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the files."""
        return [path.name for path in self.paths]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Return (height, width) of the first picture."""
        image_HW3 = _picture(self.paths[0])
        return image_HW3.shape[0], image_HW3.shape[1]

    @property
    def times(self) -> FrameTimes:
        """Return when they are shown."""
        return FrameTimes.steady(len(self.paths), float(self.fps))

    def read(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Give the pictures at these positions, rising; see `Pictures`."""
        for at in sorted(wanted):
            image_HW3 = _picture(self.paths[at])
            if image_HW3.shape[:2] != self.size:
                raise ImportFailedError(
                    ImportReason.SIZE_MISMATCH,
                    f"{self.paths[at]} is {by(image_HW3.shape[:2])}, {self.paths[0].name} {by(self.size)}",
                )
            yield at, image_HW3


@dataclass(frozen=True)
class VideoPictures:
    """Gives the frames of an mp4, with the times of its own timestamps."""

    path: Path

    @property
    def names(self) -> Sequence[str]:
        """Return a name for every frame."""
        return [f"frame {at} of {self.path.name}" for at in range(self._probe.frame_count)]

    @property
    def size(self) -> tuple[int, int]:
        """Return (height, width) in pixels, upright."""
        return self._probe.size

    @property
    def times(self) -> FrameTimes:
        """Return when its frames are shown."""
        return self._probe.times

    @cached_property
    def _probe(self) -> Probe:
        try:
            return probe(self.path, str(self.path))
        except RowError as error:
            raise ImportFailedError(ImportReason.FRAME_UNREADABLE, error.detail) from error

    def read(self, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
        """Give the frames at these positions, rising; see `Pictures`."""
        count, last = 0, max(wanted)
        try:
            for frame in walk(self.path, str(self.path)):
                count += 1
                if frame.index in wanted:
                    yield frame.index, frame.rgb()
                if frame.index == last:
                    return
        except RowError as error:
            raise ImportFailedError(ImportReason.FRAME_UNREADABLE, error.detail) from error
        raise ImportFailedError(ImportReason.FRAME_MISSING, f"{self.path} must have a frame {last}, got {count} frames")


def with_end(beside: Path, ends: Sequence[str]) -> Path | None:
    """Return the first file that is called as `beside` is with one of the endings, in small letters or large."""
    names = (f"{beside.name}{end}" for small in ends for end in (small, small.upper()))
    return next((path for name in names if (path := beside.with_name(name)).is_file()), None)


def numbered(folder: Path, ends: Sequence[str]) -> dict[int, Path]:
    """Return the files of a folder by the last number in their names, rising; names need no leading zeros.

    Raises:
        ImportFailedError: FRAME_MISSING, the order of two files cannot be told.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ends and path.name[0] != ".")
    found = [(number_in(path.stem), path) for path in files]
    counts = Counter(number for number, _ in found)
    unclear = [path.name for number, path in found if number < 0 or counts[number] > 1]
    if unclear:
        raise ImportFailedError(
            ImportReason.FRAME_MISSING,
            f"files of {folder} must be numbered, each once, got {', '.join(unclear[:_SHOWN])}",
        )
    return dict(sorted(found))


def number_in(stem: str) -> int:
    """Return the last number in a name without its ending; -1 if it has none."""
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits else -1


def hole(numbers: Sequence[int]) -> tuple[int, int] | None:
    """Return two rising numbers that are further apart than the usual step, between which one is missing; or None."""
    if len(numbers) < 3:
        return None
    steps = [b - a for a, b in zip(numbers, numbers[1:], strict=False)]
    usual = Counter(steps).most_common(1)[0][0]
    at = next((n for n, step in enumerate(steps) if step > usual), None)
    return None if at is None else (numbers[at], numbers[at + 1])


def by(size: Sequence[int]) -> str:
    """Return a size in words: '480 x 640 (height x width)'."""
    return f"{size[0]} x {size[1]} (height x width)"


def _picture(path: Path) -> Image:
    if not path.is_file():
        raise ImportFailedError(ImportReason.FRAME_MISSING, f"{path} is not there")
    image_HW3 = read_image(path)
    if image_HW3 is None:
        raise ImportFailedError(ImportReason.FRAME_UNREADABLE, f"{path} cannot be decoded: get it again")
    return image_HW3
