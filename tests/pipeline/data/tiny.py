"""A tiny SA-V folder with three videos, and its training file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.data.refsav_entries import MaskletType
from pipeline.data.videos import Expression, Video
from stages.video_files import VideoFiles
from tests.stages.tiny_sav import FRAMES, Masklet, annotation, box, write_json, write_mp4

MANUAL = (box(10, 20, 30, 40, speed=4), box(100, 50, 20, 20, during=range(2, 6)), box(0, 0, 160, 120))
AUTO = (box(5, 5, 50, 9, speed=3),)


def files_of(video_id: str) -> VideoFiles:
    return VideoFiles(video_id, "sav_000", ("manual", "auto"))


def make_video(
    root: Path, video_id: str = "sav_000007", *, auto: Sequence[Masklet] = AUTO, rotation_deg: int = 0
) -> Video:
    """Draw it; all its masklets have a text."""
    files = files_of(video_id)
    write_mp4(root, files, turn={"degrees": rotation_deg} if rotation_deg else None)
    write_json(root, "manual", annotation(MANUAL), files)
    if auto:
        write_json(root, "auto", annotation(auto), files)
    kinds: dict[MaskletType, int] = {"manual": len(MANUAL), "auto": len(auto)}
    return Video(
        video_id=video_id,
        video_path=root / files.video_path,
        frame_count=FRAMES,
        expressions=tuple(
            Expression(f"{video_id}/{kind}/{n}", kind, root / files.anno_path(kind), n, f"text {n} of {kind}")
            for kind, number in kinds.items()
            for n in range(number)
        ),
    )


def as_refsav(videos: Sequence[Video], root: Path) -> dict[str, Any]:
    """Their training file."""
    entries: dict[str, Any] = {}
    for video in videos:
        for each in video.expressions:
            key = f"{video.video_id}_{each.masklet_type}"
            entry = entries.setdefault(
                key,
                {
                    "video_path": str(video.video_path.relative_to(root)),
                    "anno_path": str(each.anno_path.relative_to(root)),
                    "objects": {},
                },
            )
            entry["objects"][str(each.column)] = {"formated": each.text}
    return entries


def write_refsav(path: Path, entries: dict[str, Any]) -> Path:
    path.write_text(json.dumps(entries))
    return path
