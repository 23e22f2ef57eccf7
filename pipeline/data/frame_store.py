"""The frame store: a folder with one Arrow file a video, for five random frames and their masks in a few milliseconds.

`<store>/<video id>.arrow` is one record batch, not compressed, opened by mapping it into memory. A row is an annotated
frame: `jpeg` (upright, short side at most SHORT_PX), and for the annotation files `manual` and `auto` the run-length
strings of its masklets, at the size of the source; null where a masklet is malformed. The schema's metadata holds
`Info` as JSON. A file appears at once, when all of it is written. Training needs nothing but the store, so it can be
copied without videos.

Why JPEG: five random frames come 5 to 9 times as fast as from H.264 with 8 frames a GOP, at 3 to 6 times the bytes
[measured on real clips]. Why one file a video: 37,000 files are no burden, three million would be.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.data.videos import Expression, Video
from stages.video.images import Image
from stages.video.rle import Rle

VERSION: Literal[1] = 1
SUFFIX = ".arrow"
SHORT_PX = 1024  # SAM 2 sees 1024 x 1024: a longer short side would be thrown away
QUALITY = 90
_KEY = b"refsav.frames"


class SourceFile(BaseModel):
    """Describes a file that went into the store, as it was then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int = Field(description="bytes")
    mtime_ns: int
    sha256: str

    def is_like(self, path: Path) -> bool:
        """Tell whether the file is the same; it is read only where its time differs."""
        stat = path.stat()
        if stat.st_size != self.size:
            return False
        return stat.st_mtime_ns == self.mtime_ns or sha256(path) == self.sha256


class Info(BaseModel):
    """Holds what a file of the store says of itself, in its schema's metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = VERSION
    video_id: str
    frame_count: int = Field(description="source frames, 24 fps")
    height_px: int = Field(description="of the upright source, and of the masks")
    width_px: int
    short_px: int = Field(description="longest short side of the JPEGs")
    quality: int = Field(description="of the JPEGs")
    sources: dict[str, SourceFile] = Field(description="video, manual, auto")
    bad_columns: dict[str, dict[int, str]] = Field(description="annotation file -> position -> what is wrong with it")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_stored(path: Path, info: Info, jpegs_T: Sequence[bytes], counts: dict[str, list[list[bytes | None]]]) -> None:
    """Write a video's file, which appears at once when all of it is written.

    Args:
        path: of the file.
        info: what it says of itself.
        jpegs_T: one for every annotated frame.
        counts: annotation file (manual, auto) -> [T][N] run-length strings; None where a masklet is malformed.
    """
    arrays = [pa.array(jpegs_T, pa.large_binary())]
    arrays += [pa.array(rows, pa.list_(pa.binary())) for rows in counts.values()]
    schema = pa.schema(
        [pa.field(name, array.type) for name, array in zip(["jpeg", *counts], arrays, strict=True)],
        metadata={_KEY: info.model_dump_json().encode()},
    )
    unfinished = path.with_name(f".{path.name}.tmp")
    try:
        with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class StoredVideo:
    """Reads one video of a store; its file is opened when something is asked for."""

    def __init__(self, store: Path, video: Video) -> None:
        self._video = video
        self.path = store / f"{video.video_id}{SUFFIX}"

    @cached_property
    def _batch(self) -> pa.RecordBatch:
        try:
            with pa.memory_map(str(self.path)) as file:
                return pa.ipc.open_file(file).get_batch(0)
        except FileNotFoundError as error:
            raise ValueError(
                f"{self._video.video_id}: must be in the frame store, got no {self.path}; make it with "
                "python -m pipeline.export.frames"
            ) from error
        except (OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{self.path}: must be a file of a frame store: {error}; remove it and export again"
            ) from error

    @cached_property
    def info(self) -> Info:
        """Return the metadata of the file.

        Raises:
            ValueError: it is not there, damaged, of another format or of another video.
        """
        metadata = self._batch.schema.metadata or {}
        try:
            info = Info.model_validate_json(metadata[_KEY])
        except (KeyError, ValidationError) as error:
            raise ValueError(
                f"{self.path}: must be a file of a frame store, format {VERSION}: {error}; remove it and export again"
            ) from error
        if info.video_id != self._video.video_id:
            raise ValueError(f"{self.path}: must be of {self._video.video_id}, got one of {info.video_id}")
        return info

    def check_sources(self) -> None:
        """Refuse a stored file if the video or masks that it was made from have changed; missing files do not count.

        Raises:
            ValueError: a source changed since the export.
        """
        there = {"video": self._video.video_path}
        there |= {expression.masklet_type: expression.anno_path for expression in self._video.expressions}
        for name, path in there.items():
            stored = self.info.sources.get(name)
            if stored is not None and path.exists() and not stored.is_like(path):
                raise ValueError(
                    f"{self._video.video_id}: {path} changed since it went into {self.path}; export again with "
                    "--renew, or put the old file back"
                )

    @property
    def annotated_count(self) -> int:
        """Return the number of annotated frames (6 fps)."""
        return int(self._batch.num_rows)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        from PIL import Image as PilImage  # of the extra `train`: the base install makes stores without it

        with PilImage.open(BytesIO(self._batch.column("jpeg")[0].as_buffer())) as image:  # reads no more than its head
            return image.height, image.width

    def images(self, frames: Sequence[int]) -> list[Image]:
        """Read the upright images of these frames, in the order asked for; short side at most the store's."""
        jpegs_T = self._batch.column("jpeg")
        return [self._decode(jpegs_T[frame].as_buffer(), frame) for frame in frames]

    def _decode(self, jpeg: pa.Buffer, frame: int) -> Image:
        image_HW3 = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        if image_HW3 is None:
            raise ValueError(
                f"{self.path}: frame {frame} must be a JPEG; the file is damaged: remove it and export again"
            )
        return np.asarray(image_HW3, np.uint8)

    def rles(self, expression: Expression, frames: Sequence[int]) -> list[Rle]:
        """Read the expression's mask in these frames; its runs are not checked.

        Raises:
            ValueError: the store has no such masklet, or it is malformed.
        """
        kind, column, info = expression.masklet_type, expression.column, self.info
        where = f"{expression.object_id}: masklet {column} of {kind}"
        if kind not in info.sources:
            raise ValueError(f"{where} must be in {self.path}, which has no {kind} masks; export this source again")
        if column in info.bad_columns.get(kind, {}):
            raise ValueError(f"{where} must be readable: {info.bad_columns[kind][column]}")
        masks_T = self._batch.column(kind)
        rles = []
        for frame in frames:
            masks = masks_T[frame]
            if not 0 <= column < len(masks):
                raise ValueError(f"{where} must be in {self.path}, which has {len(masks)} masklets there")
            rles.append(Rle(size=[info.height_px, info.width_px], counts=masks[column].as_py().decode()))
        return rles
