"""The files of one video and whether they fit together: what the mp4 really holds against what a JSON states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av

from manifests.schema import MASK_STRIDE, Reason
from stages.base import FatalError, Reject, RowError
from stages.video.masklets import Masklets, read_masklets

Open = Callable[[str], BinaryIO]  # opens a file below SAV_ROOT for reading; FileNotFoundError if there is none


@dataclass(frozen=True)
class VideoFiles:
    """Files of one video; paths are relative to SAV_ROOT."""

    video_id: str
    shard: str
    masklet_types: tuple[str, ...] = ("manual",)  # annotation files to read: manual always, auto if there is one

    @property
    def video_path(self) -> str:
        """The mp4."""
        return f"sav_train/{self.shard}/{self.video_id}.mp4"

    def anno_path(self, masklet_type: str) -> str:
        """The annotation file of type manual or auto."""
        return f"sav_train/{self.shard}/{self.video_id}_{masklet_type}.json"


@dataclass(frozen=True)
class Video:
    """What an mp4 holds."""

    height_px: int  # upright: rotation metadata is applied
    width_px: int
    frame_count: int
    fps: float


def probe(file: BinaryIO, name: str) -> Video:
    """Decode the first frame of an open mp4 and count its frames by demuxing, without decoding them.

    Raises:
        RowError: VIDEO_UNDECODABLE when there is no video stream or no first frame.
    """
    try:
        with av.open(file, mode="r", metadata_errors="replace") as container:
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise RowError(Reason.VIDEO_UNDECODABLE, f"{name}: FFmpeg knows no decoder for its video stream")
            stream.codec_context.thread_count = 1  # more would decode frames ahead of the first
            frames, first = 0, None
            for packet in container.demux(stream):
                frames += packet.size > 0 and not (packet.is_corrupt or packet.is_discard)
                if first is None:
                    first = next(iter(packet.decode()), None)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise RowError(Reason.VIDEO_UNDECODABLE, f"{name}: {error}") from error
    if not isinstance(first, av.VideoFrame):
        raise RowError(Reason.VIDEO_UNDECODABLE, f"{name}: no frame decodes")
    upright = (first.height, first.width) if first.rotation % 180 == 0 else (first.width, first.height)
    return Video(*upright, frame_count=frames, fps=float(stream.average_rate or 0))


def open_video(files: VideoFiles, open_file: Open) -> Video:
    """Probe the mp4 of a video.

    Raises:
        RowError: VIDEO_MISSING or VIDEO_UNDECODABLE.
        FatalError: it cannot be read now.
    """
    with _readable(files.video_path, Reason.VIDEO_MISSING), open_file(files.video_path) as file:
        return probe(file, files.video_path)


def open_masklets(files: VideoFiles, masklet_type: str, open_file: Open) -> Masklets:
    """Read an annotation file of a video.

    Raises:
        RowError: JSON_MISSING or JSON_MALFORMED.
        FatalError: it cannot be read now.
    """
    path = files.anno_path(masklet_type)
    with _readable(path, Reason.JSON_MISSING), open_file(path) as file:
        raw = file.read()
    return read_masklets(raw, path)


@contextmanager
def _readable(path: str, missing: Reason) -> Iterator[None]:
    """Tells a file that is not there for us, which costs its rows, from trouble that would cost those of any file."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise RowError(missing, f"{path} cannot be opened: {error!r}") from error
    except OSError as error:
        raise FatalError(f"{path} is there but cannot be read: {error!r}; see to the disk or network") from error


def check_file(masklets: Masklets, video: Video, file: str) -> Reject | None:
    """Why no masklet of this file can be used, or None."""
    if masklets.frame_count not in (None, video.frame_count):
        detail = f"{file}: video_frame_count is {masklets.frame_count}, the mp4 has {video.frame_count} frames"
        return Reject(Reason.FRAME_COUNT_MISMATCH, detail)
    entries, expected = len(masklets.rles), -(-video.frame_count // MASK_STRIDE)
    if entries != expected:
        rule = f"ceil({video.frame_count} frames / {MASK_STRIDE}) = {expected}"
        return Reject(Reason.ANNOTATION_COUNT_MISMATCH, f"{file}: masklet has {entries} entries, must be {rule}")
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
