"""Annotated frames (6 a second) of a video file or of a folder of pictures, read when they are asked for.

A whole video at once would be gigabytes; the cost of not having it is that going back means decoding from the start.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.base import FatalError, RowError
from stages.video.frames import Frame, probe, walk

Picture = NDArray[np.uint8]  # HW3, red green blue
ANNOTATED_FPS = 6  # what SA-V's masklets and the training have
_PICTURES = {".jpg", ".jpeg", ".png"}


class _Frames(Sequence[Picture]):
    """What the two kinds share: an index is checked, a slice is a list."""

    def _read(self, index: int) -> Picture:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> list[Picture]: ...
    def __getitem__(self, index: int | slice) -> Picture | list[Picture]:
        """Frames are read now, and not kept."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self._read(index)


class FolderFrames(_Frames):
    """The pictures of a folder in the order of their names; all of them are annotated frames.

    Attributes:
        names: of the files.
        times_s: when each would be shown, at 6 a second.
    """

    def __init__(self, folder: Path) -> None:
        """List the folder.

        Raises:
            ValueError: no picture in it.
        """
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
        if not self._paths:
            raise ValueError(f"{folder} must have the frames of a video as .jpg or .png files, and has none")
        self.names = [path.name for path in self._paths]
        self.times_s = [index / ANNOTATED_FPS for index in range(len(self._paths))]

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self, index: int) -> Picture:
        path = self._paths[index]
        picture_HW3 = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture_HW3 is None:
            raise ValueError(f"{path} cannot be read as a picture; make it again or take it out of the folder")
        return np.asarray(cv2.cvtColor(picture_HW3, cv2.COLOR_BGR2RGB), np.uint8)


class VideoFrames(_Frames):
    """Some frames of a video file, upright: those that come nearest to every sixth of a second.

    Attributes:
        sources: the source frame of each.
        names: the same as texts.
        times_s: when each is shown.
    """

    def __init__(self, path: Path, stride: int | None = None) -> None:
        """Choose the frames by the video's timestamps, and decode it once to see that they are all there.

        Args:
            path: a file that FFmpeg reads.
            stride: every so many source frames instead, whenever they are shown.

        Raises:
            ValueError: not a video, or damaged; a stride below 1.
        """
        if stride is not None and stride < 1:
            raise ValueError(f"the stride must be at least 1, got {stride}")
        self._path = path
        try:
            times = probe(path, str(path)).times
            count = sum(1 for _ in walk(path, str(path)))
        except (RowError, FatalError) as error:
            raise ValueError(str(error)) from error
        if count != len(times.start_s):
            raise ValueError(f"{path} must have {len(times.start_s)} frames, got {count}; give an undamaged video")
        self.sources = list(range(0, count, stride)) if stride else times.every(1 / ANNOTATED_FPS)
        self.names = [str(frame) for frame in self.sources]
        self.times_s: list[float] = times.start_s[self.sources].tolist()
        self._frames: Iterator[Frame] = iter(())
        self._next = count  # source frame that the iterator gives next: none, it is opened when needed

    def __len__(self) -> int:
        return len(self.sources)

    def _read(self, index: int) -> Picture:
        wanted = self.sources[index]
        if wanted < self._next:
            self._frames, self._next = walk(self._path, str(self._path)), 0
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index == wanted:
                return np.ascontiguousarray(frame.bgr()[..., ::-1])
        raise ValueError(f"{self._path} has changed: frame {wanted} was there and is no longer")


def open_frames(path: Path, stride: int | None = None) -> FolderFrames | VideoFrames:
    """Frames of a folder or of a video file.

    Raises:
        ValueError: neither; or a stride for a folder, whose pictures are all used.
    """
    if path.is_dir():
        if stride is not None:
            raise ValueError(f"--stride is for video files: all pictures of the folder {path} are used")
        return FolderFrames(path)
    if not path.is_file():
        raise ValueError(f"{path} must be a video file or a folder of pictures, and there is none")
    return VideoFrames(path, stride)
