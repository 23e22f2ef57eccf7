"""Reads a few frames of a row's video, and the outline of its mask in each, for the viewer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.data.clips import VideoReader
from pipeline.data.videos import Expression, Video
from stages.video.images import bounded, encode_jpeg
from stages.video.rle import decode, parse

FRAMES = 3  # of an object: while it can be seen, evenly
_LONG_PX, _QUALITY = 480, 75
_MILLE = 1000  # outlines are in thousandths of the frame's sides
_SLACK_PX = 0.7  # by which an outline may be simplified


class FrameReader:
    """Reads frames of rows below a SAV_ROOT; a video that cannot be read gives none, and is noted."""

    def __init__(self, sav_root: Path) -> None:
        self._root = sav_root
        self.missing: list[str] = []

    def __call__(self, row: dict[str, Any]) -> list[tuple[bytes, list[list[int]]]]:
        """Return up to FRAMES frames in which the object can be seen: JPEG, and outlines [x, y, x, y, …] in mille."""
        seen = [index for index, area in enumerate(row["areas_px"]) if area]
        chosen = [seen[len(seen) * (2 * k + 1) // (2 * FRAMES)] for k in range(FRAMES)] if seen else []
        expression = Expression(
            row["object_id"], row["masklet_type"], self._root / row["anno_path"], row["masklet_position"], ""
        )
        video = Video(row["video_id"], self._root / row["video_path"], row["frame_count"], (expression,))
        reader = VideoReader(video)
        frames = sorted(set(chosen))
        try:
            images = reader.images(frames)
            rles = reader.rles(expression, frames)
            if parse(rles).errors:
                raise ValueError("masks that are no run lengths")
            masks = [decode(rle) for rle in rles]
        except (ValueError, OSError, LookupError):
            self.missing.append(row["object_id"])
            return []
        return [
            (encode_jpeg(np.ascontiguousarray(bounded(image, _LONG_PX)[..., ::-1]), _QUALITY), outlines(mask_HW))
            for image, mask_HW in zip(images, masks, strict=True)
        ]


def outlines(mask_HW: NDArray[np.uint8]) -> list[list[int]]:
    """Return the outlines of a mask, holes too, each as [x, y, x, y, …] in thousandths of the frame's sides."""
    height_px, width_px = mask_HW.shape
    scale = min(1.0, _LONG_PX / max(mask_HW.shape))
    found, _ = cv2.findContours(np.ascontiguousarray(mask_HW), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    polygons: Sequence[NDArray[np.int32]] = [
        np.asarray(cv2.approxPolyDP(line, _SLACK_PX / scale, True), np.int32)[:, 0] for line in found
    ]
    return [
        np.round((line + 0.5) * _MILLE / (width_px, height_px)).astype(int).ravel().tolist()
        for line in polygons
        if len(line) > 2
    ]
