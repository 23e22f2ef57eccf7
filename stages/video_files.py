"""The files of one video and whether they fit together: what the mp4 really holds against what a JSON states."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from manifests.schema import MASK_STRIDE, Reason
from stages.base import Reject
from stages.video.frames import probe
from stages.video.masklets import Masklets, read_masklets
from stages.video.storage import readable

Open = Callable[[str], BinaryIO]  # opens a file below SAV_ROOT for reading; FileNotFoundError if there is none

# A second and a tenth: less is in how tools count the last frame, or 25 frames a second for 24; more is another video.
_DURATION_S, _DURATION_FRAC = 1.0, 0.1


@dataclass(frozen=True)
class VideoFiles:
    """Files of one video; paths are relative to SAV_ROOT."""

    video_id: str
    shard: str
    masklet_types: tuple[str, ...] = ("manual",)  # annotation files to read: manual always, auto if there is one
    folder: str = ""  # that they lie in; as SA-V's archives unpack if it is not told

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder or f"sav_train/{self.shard}")

    @property
    def video_path(self) -> str:
        """The mp4."""
        return f"{self.folder}/{self.video_id}.mp4"

    def anno_path(self, masklet_type: str) -> str:
        """The annotation file of type manual or auto."""
        return f"{self.folder}/{self.video_id}_{masklet_type}.json"


@dataclass(frozen=True)
class Video:
    """What an mp4 holds."""

    height_px: int  # upright: its display matrix is applied
    width_px: int
    frame_count: int
    fps: float  # on average
    duration_s: float


def open_video(files: VideoFiles, open_file: Open) -> Video:
    """Look at the mp4 of a video.

    Raises:
        RowError: VIDEO_MISSING or VIDEO_UNDECODABLE.
        FatalError: it cannot be read now.
    """
    path = files.video_path
    with readable(path, Reason.VIDEO_MISSING), open_file(path) as file:
        raw = file.read()  # whole: what goes wrong from here on is in the file, not in the storage
    found = probe(io.BytesIO(raw), path, Reason.VIDEO_UNDECODABLE)
    times = found.times
    return Video(*found.size, frame_count=len(times.start_s), fps=times.fps, duration_s=times.duration_s)


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


def check_file(masklets: Masklets, video: Video, file: str) -> Reject | None:
    """Why no masklet of this file can be used, or None."""
    if masklets.frame_count not in (None, video.frame_count):
        detail = f"{file}: video_frame_count is {masklets.frame_count}, the mp4 has {video.frame_count} frames"
        return Reject(Reason.FRAME_COUNT_MISMATCH, detail)
    entries, expected = len(masklets.rles), -(-video.frame_count // MASK_STRIDE)
    if entries != expected:
        rule = f"ceil({video.frame_count} frames / {MASK_STRIDE}) = {expected}"
        return Reject(Reason.ANNOTATION_COUNT_MISMATCH, f"{file}: masklet has {entries} entries, must be {rule}")
    stated_s, real_s = masklets.duration_s, video.duration_s
    if stated_s is not None and abs(stated_s - real_s) > max(_DURATION_S, _DURATION_FRAC * real_s):
        detail = (
            f"{file}: video_duration is {stated_s:g} s, the mp4 lasts {real_s:.2f} s by its timestamps: it plays at "
            "another rate than the one that was annotated, get the original"
        )
        return Reject(Reason.DURATION_MISMATCH, detail)
    return None


def check_masklet(masklets: Masklets, position: int, video: Video, file: str) -> Reject | None:
    """Why this masklet cannot be used, or None."""
    if position in masklets.errors:
        return Reject(Reason.RLE_MALFORMED, masklets.errors[position])
    wrong = (masklets.sizes_TN2[:, position] != (video.height_px, video.width_px)).any(axis=1)
    if wrong.any():
        t = int(wrong.argmax())
        got, rule = masklets.sizes_TN2[t, position].tolist(), [video.height_px, video.width_px]
        detail = f"{file}: masklet[{t}][{position}] has size {got}, the upright video {rule} (height, width)"
        return Reject(Reason.RLE_SIZE_MISMATCH, detail)
    return None
