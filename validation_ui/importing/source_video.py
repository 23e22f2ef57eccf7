"""Reads a source video as the app needs it: images in chunks, times, fingerprints, masks; decoded once.

A chunk covers 24 source frames and is two files: `key` with the annotated frames (every 4th), `rest` with the others.
Bytes: count, then frame and length of each image (all uint32, little-endian), then the images in that order.

Images are JPEG. Measured on demo and real clips at 853 x 480: JPEG 75 takes 2 ms to code, 2 to 3 to decode and 49 to
77 KB; WebP 70 takes 44 to 61 ms, 4 to 7 and 24 to 50 KB: 9 hours instead of 20 minutes for a benchmark.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manifests.io import Folder
from manifests.row_results import FatalError, RowError
from manifests.schema import MASK_STRIDE
from stages.video import fingerprint
from stages.video.frames import Frame, probe, walk
from stages.video.images import encode_jpeg, shrink
from stages.video.masklets import read_masklets
from validation_ui.importing.candidates import Clip
from validation_ui.project import inside

CHUNK_FRAMES = 24
SHORT_PX = 480
_QUALITY = 75


@dataclass(frozen=True)
class MaskletData:
    """A masklet as table `masklet` has it."""

    object_id: str
    areas_px: list[int]
    rles: bytes


@dataclass(frozen=True)
class Decoded:
    """What was read of a video.

    Attributes:
        fault: why it cannot be used; nothing else is then filled.
        sha256: of the source file.
        shown_px: (height, width) of the images; (0, 0) without images.
        pts_s: time of each frame, from the first one on; empty without images.
        chunks: as table `video` has them; empty without images.
        fingerprints: 32 bytes for every sampled frame that is not flat: `sample_fps` a second.
        masklets: all that can be read; empty without images.
        unusable: masklet or file -> why it cannot be read.
    """

    clip: Clip
    fault: str | None = None
    sha256: str = ""
    shown_px: tuple[int, int] = (0, 0)
    pts_s: list[float] = field(default_factory=list)
    chunks: list[dict[str, int | str]] = field(default_factory=list)
    fingerprints: bytes = b""
    masklets: list[MaskletData] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)


def decode(clip: Clip, sav_root: Path, frames: Path | None, sample_fps: float) -> Decoded:
    """Read a video; a fault of its files becomes `fault`, whatever else goes wrong is raised.

    Args:
        clip: which.
        sav_root: folder that `clip.path` is relative to.
        frames: folder for the chunks; None: fingerprints alone.
        sample_fps: fingerprints a second.
    """
    try:
        return _decode(clip, sav_root, frames, sample_fps)
    except (RowError, FatalError, FileNotFoundError, ValueError) as error:
        return Decoded(clip, fault=str(error))


def shown_size(height_px: int, width_px: int) -> tuple[int, int]:
    """Return (height, width) of the images: the short side at most SHORT_PX, never enlarged."""
    scale = min(1.0, SHORT_PX / min(height_px, width_px))
    return round(height_px * scale), round(width_px * scale)


def pack(images: Sequence[tuple[int, bytes]]) -> bytes:
    """Return a chunk of (source frame, JPEG)."""
    head = b"".join(struct.pack("<II", frame, len(jpeg)) for frame, jpeg in images)
    return struct.pack("<I", len(images)) + head + b"".join(jpeg for _, jpeg in images)


def unpack(chunk: bytes, frame: int) -> bytes | None:
    """Return the JPEG of one source frame of a chunk, or None if the chunk does not have it."""
    (count,) = struct.unpack_from("<I", chunk)
    at = 4 + 8 * count
    for n in range(count):
        index, size = struct.unpack_from("<II", chunk, 4 + 8 * n)
        if index == frame:
            return chunk[at : at + size]
        at += size
    return None


def _decode(clip: Clip, sav_root: Path, frames: Path | None, sample_fps: float) -> Decoded:
    path = inside(sav_root, clip.path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    times = probe(path, clip.path).times
    sampled = frozenset(times.every(1 / sample_fps))
    count, prints = 0, bytearray()
    chunks = None if frames is None else _Chunks(Folder(str(frames)), clip)
    for frame in walk(path, clip.path):
        count += 1
        if frame.index in sampled:
            prints += fingerprint.of_frame(frame.grey(SHORT_PX))
        if chunks is not None:
            chunks.add(frame)
    if count != clip.frame_count:
        raise ValueError(f"{clip.path}: must have the {clip.frame_count} frames that the run counted, got {count}")
    if chunks is None:
        return Decoded(clip, sha256=digest, fingerprints=bytes(prints))
    masklets, unusable = _read_masklets(clip, sav_root)
    return Decoded(
        clip,
        sha256=digest,
        shown_px=chunks.size,
        pts_s=times.start_s.round(6).tolist(),
        chunks=chunks.finish(),
        fingerprints=bytes(prints),
        masklets=masklets,
        unusable=unusable,
    )


def _read_masklets(clip: Clip, sav_root: Path) -> tuple[list[MaskletData], dict[str, str]]:
    """Read all masklets of a video, also those without an expression: who points at one must be asked which it is.

    Returns:
        The masklets; what is wrong with others: object_id, or the path of a file -> why.
    """
    good: list[MaskletData] = []
    unusable: dict[str, str] = {}
    for kind, path in clip.annotations.items():
        file = inside(sav_root, path)
        if not file.is_file():
            continue
        try:
            masklets = read_masklets(file.read_bytes(), path)
        except RowError as error:
            unusable[path] = error.detail
            continue
        file_fault = masklets.file_fault(clip.frame_count)
        for n in range(len(masklets.ids)):
            object_id = f"{clip.id}/{kind}/{n}"
            if fault := masklets.masklet_fault(n, (clip.height_px, clip.width_px)) or file_fault:
                unusable[object_id] = fault.detail
                continue
            areas = masklets.areas[:, n].tolist()
            counts = [row[n]["counts"] if area else None for row, area in zip(masklets.rles, areas, strict=True)]
            good.append(MaskletData(object_id, areas, zlib.compress(json.dumps(counts).encode())))
    return good, unusable


class _Chunks:
    """Collects images and writes a chunk as soon as it is full."""

    def __init__(self, folder: Folder, clip: Clip) -> None:
        self.folder, self.name, self.source_px = folder, clip.path, (clip.height_px, clip.width_px)
        self.size = shown_size(*self.source_px)
        self._written: list[dict[str, int | str]] = []
        self._key: list[tuple[int, bytes]] = []
        self._rest: list[tuple[int, bytes]] = []

    def add(self, frame: Frame) -> None:
        if frame.index % CHUNK_FRAMES == 0:
            self._flush()
        bgr_HW3 = frame.bgr()
        if (size := bgr_HW3.shape[:2]) != self.source_px:
            raise ValueError(f"{self.name}: frame {frame.index} must be {self.source_px} pixels, got {size}")
        jpeg = encode_jpeg(shrink(bgr_HW3, self.size[::-1]), _QUALITY)
        (self._rest if frame.index % MASK_STRIDE else self._key).append((frame.index, jpeg))

    def finish(self) -> list[dict[str, int | str]]:
        self._flush()
        return self._written

    def _flush(self) -> None:
        if self._key:
            first = self._key[0][0]
            self._written.append({"first": first, "key": self._write(self._key), "rest": self._write(self._rest)})
            self._key, self._rest = [], []

    def _write(self, images: Sequence[tuple[int, bytes]]) -> str:
        data = pack(images)
        name = f"{hashlib.sha256(data).hexdigest()}.bin"
        if not self.folder.exists(name):
            self.folder.write_bytes(name, data)
        return name
