"""The frames of a split, read when they are looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.problems import MismatchError, some
from pipeline.evaluation.split import Split, SplitVideo

_FOLDERS = ("videos", "JPEGImages")  # ours and the official one; that of the YouTube-VOS family

Frame = NDArray[np.uint8]  # (H, W, 3), red green blue


class Jpegs(Sequence[Frame]):
    """All frames of a video, in order; none is kept."""

    def __init__(self, folder: Path, video: SplitVideo) -> None:
        self._folder, self._video = folder / video.video_id, video

    def __len__(self) -> int:
        return len(self._video.frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> list[Frame]: ...
    def __getitem__(self, index: int | slice) -> Frame | list[Frame]:
        """Read a frame, or several.

        Raises:
            ValueError: it cannot be read or is not of the video's size.
        """
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        path = self._folder / f"{self._video.frames[index]}.jpg"
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"{path} is not a picture that OpenCV reads; export the split again")
        size = (self._video.height_px, self._video.width_px)
        if picture.shape[:2] != size:
            raise ValueError(f"{path} is of the video's size {size} (height, width), got {picture.shape[:2]}")
        return np.asarray(picture[..., ::-1], np.uint8)


def find_frames(split: Split) -> Path:
    """The folder that has a folder of frames for each video.

    Raises:
        MismatchError: frames are missing; a line for each video that lacks some.
    """
    folder = next((split.folder / name for name in _FOLDERS if (split.folder / name).is_dir()), None)
    if folder is None:
        raise ValueError(f"{split.folder} has its frames in {' or '.join(_FOLDERS)}/<video>/<frame>.jpg, got neither")
    problems = []
    for video in split.videos:
        there = {path.name for path in (folder / video.video_id).glob("*.jpg")}
        missing = [f"{name}.jpg" for name in video.frames if f"{name}.jpg" not in there]
        if missing:
            problems.append(f"{video.video_id}: {len(missing)} of {len(video.frames)} frames missing: {some(missing)}")
    if problems:
        raise MismatchError(str(folder), problems, "Export the split again, or fetch what is missing.")
    return folder
