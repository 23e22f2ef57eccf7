"""The files of one video below SAV_ROOT: where they lie, and opening them on any file system."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from manifests.schema import Reason
from stages.video.frames import Probe, probe
from stages.video.masklets import Masklets, read_masklets
from stages.video.source_file import readable

Open = Callable[[str], BinaryIO]  # opens a file below SAV_ROOT for reading; FileNotFoundError if there is none


@dataclass(frozen=True)
class VideoFiles:
    """The files of one video; paths are relative to SAV_ROOT."""

    video_id: str
    shard: str
    masklet_types: tuple[str, ...] = ("manual",)  # annotation files to read: manual always, auto if there is one
    folder: str = ""  # that they lie in; as SA-V's archives unpack if it is not told

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder or f"sav_train/{self.shard}")

    @property
    def video_path(self) -> str:
        """Path of the mp4."""
        return f"{self.folder}/{self.video_id}.mp4"

    def anno_path(self, masklet_type: str) -> str:
        """Return the path of the annotation file of type manual or auto."""
        return f"{self.folder}/{self.video_id}_{masklet_type}.json"


def open_video(files: VideoFiles, open_file: Open) -> Probe:
    """Read the mp4 of a video, and find out what it holds.

    Raises:
        RowError: VIDEO_MISSING or VIDEO_UNDECODABLE.
        FatalError: it cannot be read now.
    """
    path = files.video_path
    with readable(path, Reason.VIDEO_MISSING), open_file(path) as file:
        raw = file.read()  # whole: what goes wrong from here on is in the file, not in the storage
    return probe(io.BytesIO(raw), path, Reason.VIDEO_UNDECODABLE)


def open_masklets(files: VideoFiles, masklet_type: str, open_file: Open) -> Masklets:
    """Read an annotation file of a video.

    Raises:
        RowError: JSON_MISSING or JSON_MALFORMED.
        FatalError: it cannot be read now.
    """
    path = files.anno_path(masklet_type)
    with readable(path, Reason.JSON_MISSING), open_file(path) as file:
        raw = file.read()
    return read_masklets(raw, path)
