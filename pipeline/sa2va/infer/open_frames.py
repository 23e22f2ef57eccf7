"""Open annotated frames (6 a second) of a video file or of a folder of images; they are read when they are asked for.

All frames of a video at once would be gigabytes; the price is that going back means decoding from the start.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from manifests.row_results import FatalError, RowError
from stages.video.frames import Frame, probe, walk
from stages.video.images import Image, read_image

ANNOTATED_FPS = 6  # what SA-V's masklets and the training have
_SUFFIXES = {".jpg", ".jpeg", ".png"}


class _Frames(Sequence[Image]):
    """Checks indices and resolves slices for both kinds of frames."""

    def _read(self, index: int) -> Image:
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image]: ...
    def __getitem__(self, index: int | slice) -> Image | list[Image]:
        """Read a frame, or a list of them; nothing is kept."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        return self._read(index)


class FolderFrames(_Frames):
    """Reads the images of a folder in the order of their names; all of them are annotated frames.

    Attributes:
        names: names of the files.
        times_s: times at which the frames would be shown, at 6 a second.
    """

    def __init__(self, folder: Path) -> None:
        """List the images of a folder.

        Raises:
            ValueError: there is no image in it.
        """
        self._paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
        if not self._paths:
            raise ValueError(f"{folder} must have the frames of a video as .jpg or .png files, and has none")
        self.names = [path.name for path in self._paths]
        self.times_s = [index / ANNOTATED_FPS for index in range(len(self._paths))]

    def __len__(self) -> int:
        return len(self._paths)

    def _read(self, index: int) -> Image:
        path = self._paths[index]
        image_HW3 = read_image(path)
        if image_HW3 is None:
            raise ValueError(f"{path} cannot be read as a picture; make it again or take it out of the folder")
        return image_HW3


class VideoFrames(_Frames):
    """Reads some frames of a video file, upright: those that come nearest to every sixth of a second.

    Attributes:
        sources: indices of the source frames.
        names: the same indices as texts.
        times_s: times at which the frames are shown.
    """

    def __init__(self, path: Path, stride: int | None = None) -> None:
        """Choose the frames by the video's timestamps, and decode it once to see that they are all there.

        Args:
            path: a file that FFmpeg reads.
            stride: take every so many source frames instead, whenever they are shown.

        Raises:
            ValueError: the file is no video, or damaged; or the stride is below 1.
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

    def _read(self, index: int) -> Image:
        wanted = self.sources[index]
        if wanted < self._next:
            self._frames, self._next = walk(self._path, str(self._path)), 0
        for frame in self._frames:
            self._next = frame.index + 1
            if frame.index == wanted:
                return frame.rgb()
        raise ValueError(f"{self._path} has changed: frame {wanted} was there and is no longer")


def open_frames(path: Path, stride: int | None = None) -> FolderFrames | VideoFrames:
    """Open the frames of a folder or of a video file.

    Raises:
        ValueError: the path is neither, or a stride is given for a folder, whose images are all used.
    """
    if path.is_dir():
        if stride is not None:
            raise ValueError(f"--stride is for video files: all pictures of the folder {path} are used")
        return FolderFrames(path)
    if not path.is_file():
        raise ValueError(f"{path} must be a video file or a folder of pictures, and there is none")
    return VideoFrames(path, stride)
