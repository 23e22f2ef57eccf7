"""Draws the outline of an object into one of the images that the app shows."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from stages.video.images import BgrImage, encode_jpeg, shrink_mask
from stages.video.rle import Rle, decode
from stages.video.views import YELLOW
from validation_ui import stored_masks
from validation_ui.importing.source_video import unpack
from validation_ui.project import inside
from validation_ui.schema import masklet, video

_QUALITY = 85


def outlined(connection: Connection, data: Path, about: Row[Any]) -> bytes | None:
    """Return a JPEG of the annotated frame in which an item's object is largest, with its outline; None without images.

    Args:
        connection: a connection to read from.
        data: the data folder of the project.
        about: the row of the item.
    """
    shape = connection.execute(select(masklet.c.areas_px, masklet.c.rles).where(masklet.c.id == about.masklet_id)).one()
    clip = connection.execute(select(video).where(video.c.id == about.video_id)).one()
    place = int(np.argmax(shape.areas_px))
    frame = stored_masks.annotated(clip.frame_count)[place]
    counts = stored_masks.unpack(shape.rles)[place]
    chunk = next((one for one in reversed(clip.chunks) if one["first"] <= frame), None)
    if chunk is None or counts is None:
        return None
    path = inside(data / "frames", str(chunk["key"]))
    jpeg = unpack(path.read_bytes(), frame) if path.is_file() else None
    if jpeg is None:
        return None
    bgr_HW3 = np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    rle: Rle = {"size": [clip.height_px, clip.width_px], "counts": counts}
    mask_HW = shrink_mask(decode(rle), (bgr_HW3.shape[1], bgr_HW3.shape[0]))
    return encode_jpeg(_drawn(bgr_HW3, mask_HW, max(2, bgr_HW3.shape[0] // 160)), _QUALITY)


def _drawn(bgr_HW3: BgrImage, mask_HW: NDArray[np.uint8], thickness_px: int) -> BgrImage:
    """Draw a yellow line just outside the mask and a black one around it: one of both shows on any colour."""
    drawn_HW3 = bgr_HW3.copy()
    for width_px, colour in ((2 * thickness_px, (0, 0, 0)), (thickness_px, YELLOW)):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1,) * 2)
        drawn_HW3[(cv2.dilate(mask_HW, kernel) > 0) & (mask_HW == 0)] = colour
    return drawn_HW3
