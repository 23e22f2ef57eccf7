"""One video into the frame store: its annotated frames as JPEGs, its masks as they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from manifests.schema import MASK_STRIDE
from pipeline.data.frame_store import QUALITY, SHORT_PX, Info, SourceFile, StoredVideo, sha256, write_stored
from pipeline.data.videos import Video
from stages.base import FatalError, RowError
from stages.video.frames import walk
from stages.video.images import BgrImage, encode_jpeg
from stages.video.masklets import Masklets, read_masklets

Outcome = Literal["made", "kept", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreConfig:
    """How the frames are kept."""

    short_px: int = SHORT_PX  # a longer short side is reduced: SAM 2 sees 1024 x 1024
    quality: int = QUALITY  # of the JPEGs, OpenCV's scale
    renew: bool = False  # make what is there again if its sources or these settings changed, else that is an error

    def __post_init__(self) -> None:
        if self.short_px < 1 or not 1 <= self.quality <= 100:
            raise ValueError(
                f"short_px must be positive and quality in [1, 100], got {self.short_px} and {self.quality}"
            )


def store_video(video: Video, store: Path, config: StoreConfig) -> tuple[Outcome, str]:
    """Store one video if it is not there; what happened, and why it failed."""
    stored = StoredVideo(store, video)
    try:
        if stored.path.exists() and _is_done(stored, video, config):
            return "kept", ""
        _make(video, stored.path, config)
    except (ValueError, OSError) as error:
        return "failed", f"{video.video_id}: {error}".replace(
            f"{video.video_id}: {video.video_id}:", f"{video.video_id}:"
        )
    except (RowError, FatalError) as error:
        return "failed", f"{video.video_id}: {error}"
    return "made", ""


def _is_done(stored: StoredVideo, video: Video, config: StoreConfig) -> bool:
    """True if the file is what would be made.

    Raises:
        ValueError: it is of something else, and is not to be made again.
    """
    try:
        info = stored.info
        stored.check_sources()
        if (info.short_px, info.quality) != (config.short_px, config.quality):
            raise ValueError(
                f"{stored.path}: must have short_px {config.short_px} and quality {config.quality}, got "
                f"{info.short_px} and {info.quality}; give those, another --out, or --renew"
            )
    except ValueError:
        if not config.renew:
            raise
        return False
    return {each.masklet_type for each in video.expressions} <= info.sources.keys()


def _make(video: Video, path: Path, config: StoreConfig) -> None:
    beside = {kind: video.video_path.with_name(f"{video.video_path.stem}_{kind}.json") for kind in ("manual", "auto")}
    needed: dict[str, Path] = {each.masklet_type: each.anno_path for each in video.expressions}
    sources = {"video": _source(video.video_path)}  # before reading: what changes meanwhile is seen at the next look
    masklets: dict[str, Masklets] = {}
    for kind, file in (beside | needed).items():
        try:
            sources[kind] = _source(file)
            masklets[kind] = read_masklets(file.read_bytes(), str(file))
        except (OSError, RowError):
            sources.pop(kind, None)
            if kind in needed:
                raise  # no expression is of the other file: a store without it will do

    jpegs_T, count, size = [], 0, (0, 0)
    for frame in walk(video.video_path, str(video.video_path)):
        count += 1
        if frame.index % MASK_STRIDE == 0:
            bgr_HW3 = frame.bgr()
            size = (bgr_HW3.shape[0], bgr_HW3.shape[1])
            jpegs_T.append(_jpeg(bgr_HW3, config))
    for kind in list(masklets):
        if fault := masklets[kind].file_fault(count):
            if kind in needed:
                raise ValueError(fault.detail)
            del masklets[kind], sources[kind]

    bad = {
        kind: {n: fault.detail for n in range(len(of_file.ids)) if (fault := of_file.masklet_fault(n, size))}
        for kind, of_file in masklets.items()
    }
    info = Info(
        video_id=video.video_id,
        frame_count=count,
        height_px=size[0],
        width_px=size[1],
        short_px=config.short_px,
        quality=config.quality,
        sources=sources,
        bad_columns=bad,
    )
    counts: dict[str, list[list[bytes | None]]] = {
        kind: [[None if n in bad[kind] else rle["counts"].encode() for n, rle in enumerate(rles)] for rles in each.rles]
        for kind, each in masklets.items()
    }
    write_stored(path, info, jpegs_T, counts)


def _source(path: Path) -> SourceFile:
    stat = path.stat()
    return SourceFile(name=path.name, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=sha256(path))


def _jpeg(bgr_HW3: BgrImage, config: StoreConfig) -> bytes:
    height_px, width_px = bgr_HW3.shape[:2]
    scale = config.short_px / min(height_px, width_px)
    if scale < 1:
        size = (max(1, round(width_px * scale)), max(1, round(height_px * scale)))
        bgr_HW3 = cv2.resize(bgr_HW3, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    return encode_jpeg(bgr_HW3, config.quality)
