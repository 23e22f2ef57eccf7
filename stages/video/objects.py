"""Loads the objects of a video: their tracks and, when they are asked for, their masks at full resolution.

Shapes: T annotated frames (6 fps); masks `_HW`, uint8, 1 inside.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from manifests.io import Folder
from manifests.schema import Reason
from stages.video.masklets import Masklets, read_masklets
from stages.video.rle import Rle, decode, union
from stages.video.storage import readable
from stages.video.track import Track


@dataclass(frozen=True)
class VideoObject:
    """One masklet of a video: its track, and its masks."""

    track: Track
    rles_T: Sequence[Rle]

    @property
    def object_id(self) -> str:
        """Id of the masklet: `<video id>/<manual|auto>/<position>`."""
        return self.track.object_id

    @cached_property
    def best_index(self) -> int:
        """Annotated frame of the largest area (paper, section 3.3)."""
        return int(np.argmax(self.track.areas_px))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Draw the mask_HW of an annotated frame."""
        return decode(self.rles_T[index])


def load_objects(sav: Folder, video_path: str, object_ids: Collection[str]) -> list[VideoObject]:
    """Read the masklets `object_ids` of one video, in that order; other annotation files are not opened.

    Raises:
        RowError: JSON_MISSING or JSON_MALFORMED if a file changed since the manifest was made.
        FatalError: it is there and cannot be read now.
    """
    files: dict[str, Masklets] = {}
    objects = []
    for object_id in object_ids:
        _, masklet_type, position = object_id.split("/")
        if masklet_type not in files:
            name = f"{video_path.removesuffix('.mp4')}_{masklet_type}.json"
            with readable(name, Reason.JSON_MISSING):
                raw = sav.read_bytes(name)
            files[masklet_type] = read_masklets(raw, name)
        file, n = files[masklet_type], int(position)
        track = Track(object_id, file.areas[:, n].tolist(), file.boxes[:, n].tolist(), file.centres[:, n])
        objects.append(VideoObject(track, [frame[n] for frame in file.rles]))
    return objects


def union_mask(objects: Collection[VideoObject], index: int) -> NDArray[np.uint8]:
    """Draw the mask_HW of all pixels of any of the objects at an annotated frame."""
    return decode(union([one.rles_T[index] for one in objects]))
