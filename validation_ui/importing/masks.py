"""All masklets of a video, also those without an expression: a person who points at one must be asked which it is."""

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manifests.schema import MASK_STRIDE
from stages.base import RowError
from stages.video.masklets import Masklets, read_masklets
from validation_ui.importing.candidates import Clip
from validation_ui.project import inside


@dataclass(frozen=True)
class MaskletData:
    """A masklet as table `masklet` has it."""

    object_id: str
    areas_px: list[int]
    rles: bytes


def read_all(clip: Clip, sav_root: Path) -> tuple[list[MaskletData], dict[str, str]]:
    """(masklets of the video, what is wrong with others: object_id, or the path of a file, -> why)."""
    found: list[MaskletData] = []
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
        for n in range(len(masklets.ids)):
            object_id = f"{clip.id}/{kind}/{n}"
            if fault := _fault(masklets, n, clip):
                unusable[object_id] = fault
            else:
                found.append(_data(masklets, n, object_id))
    return found, unusable


def _fault(masklets: Masklets, n: int, clip: Clip) -> str | None:
    wanted, size = -(-clip.frame_count // MASK_STRIDE), (clip.height_px, clip.width_px)
    if n in masklets.errors:
        return masklets.errors[n]
    if len(masklets.rles) != wanted:
        return f"{clip.id}: {clip.frame_count} frames need {wanted} masks, the file has {len(masklets.rles)}"
    if np.any(masklets.sizes_TN2[:, n] != size):
        return f"{clip.id}: masks must have the video's size {size}, got {tuple(masklets.sizes_TN2[0, n].tolist())}"
    return None


def _data(masklets: Masklets, n: int, object_id: str) -> MaskletData:
    areas = masklets.areas[:, n].tolist()
    counts = [row[n]["counts"].decode() if area else None for row, area in zip(masklets.rles, areas, strict=True)]
    return MaskletData(object_id, areas, zlib.compress(json.dumps(counts).encode()))
