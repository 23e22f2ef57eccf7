"""Chooses the frames of a line-up, in two steps, because a video is decoded before there is a text.

While it is decoded, `pool` names the annotated frames that any text about an object may need. When there is a text,
`choose` takes those that its line-up shows.

Shapes: T annotated frames, N objects.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from manifests.lineup import LineupFrame, LineupMask
from stages.video.images import BgrImage, bounded, encode_jpeg
from stages.video.lineup_drawing import small_mask
from stages.video.masklets import VideoObject
from stages.video.rle import areas_px, from_mask

_WELL_SEEN_FRAC = 0.5  # of the largest area: an object that is shown with less might as well not be shown
_COVERING = 4  # frames that are only there because another object is seen in them
_QUALITY = 92
# What it is worth that a frame shows something for the first time; of equal ones, the furthest from the others is taken
_END, _OBJECT, _MOMENT = 5.0, 3.0, 2.0


def pool(target: int, areas_NT: NDArray[np.int64], uniform: Sequence[int]) -> list[int]:
    """Return the annotated frames that a line-up of an object may need, ascending.

    They are the uniform frames, those in which the object comes, goes, is largest, and is hidden longest, and a few
    that show the others well.

    Args:
        target: which of the N objects the line-up is for.
        areas_NT: mask areas of all objects; 0 = not visible.
        uniform: annotated frames that are spread over the video.
    """
    areas_T = areas_NT[target]
    seen = np.flatnonzero(areas_T)
    wanted = {*uniform}
    if len(seen):
        wanted |= {int(seen[0]), int(seen[-1]), int(np.argmax(areas_T))}
        breaks = np.diff(seen)
        if breaks.max(initial=1) > 1:
            at = int(np.argmax(breaks))
            wanted.add(int(seen[at] + seen[at + 1]) // 2)
    well_NT = areas_NT >= np.maximum(1, _WELL_SEEN_FRAC * areas_NT.max(axis=1, keepdims=True))
    for _ in range(_COVERING):
        missing_N = ~well_NT[:, sorted(wanted)].any(axis=1)
        gains_T = well_NT[missing_N].sum(axis=0)
        if not gains_T.any():
            break
        wanted.add(int(np.argmax(gains_T)))
    return sorted(wanted)


class LineupFrames:
    """Keeps the unmarked frames of a video that the line-ups of its objects may need, each once for all of them.

    Attributes:
        wanted: annotated frames that `add` keeps.
    """

    def __init__(
        self, objects: Sequence[VideoObject], targets: Sequence[str], uniform: Sequence[int], long_px: int
    ) -> None:
        """Choose the frames.

        Args:
            objects: all separate objects of the video.
            targets: object_ids of those that have a line-up; there is none if the video has no other object.
            uniform: annotated frames that are spread over the video.
            long_px: long side of the frames that are kept.
        """
        areas_NT = np.array([each.track.areas_px for each in objects])
        places = {each.object_id: at for at, each in enumerate(objects)}
        self._pools = {name: pool(places[name], areas_NT, uniform) for name in targets if len(objects) > 1}
        self.wanted = {index for indices in self._pools.values() for index in indices}
        self._objects, self._long_px = objects, long_px
        self._frames: dict[int, LineupFrame] = {}

    def add(self, bgr_HW3: BgrImage, index: int) -> None:
        """Keep annotated frame `index`, reduced, with the masks of the objects seen in it, if it is wanted."""
        if index not in self.wanted:
            return
        small_HW3 = bounded(bgr_HW3, self._long_px)
        shape = small_HW3.shape[:2]
        seen = [
            LineupMask(object_id=each.object_id, counts=from_mask(small_mask(each.mask(index), shape))["counts"])
            for each in self._objects
            if each.track.areas_px[index]
        ]
        jpeg = encode_jpeg(small_HW3, _QUALITY)
        self._frames[index] = LineupFrame(time_s=0.0, size=list(shape), jpeg=jpeg, seen=seen)

    def of_each(self, annotated_s: Sequence[float]) -> dict[str, list[LineupFrame]]:
        """Return by object_id the frames that its line-up may need, in order of time.

        Args:
            annotated_s: times of the annotated frames.
        """
        timed = {
            index: frame.model_copy(update={"time_s": annotated_s[index]}) for index, frame in self._frames.items()
        }
        return {name: [timed[index] for index in indices if index in timed] for name, indices in self._pools.items()}


def choose(
    frames: Sequence[LineupFrame],
    target: str,
    moments_s: Iterable[float],
    count: int,
) -> list[int]:
    """Choose at most `count` of the frames of a pool; returns their places, ascending.

    What counts, in this order: where the object comes into sight and where it goes; that every other object is shown
    well once; the moments that the text speaks of; then that the frames are spread in time.

    Args:
        frames: the pool, in order of time.
        target: object_id of the object that the line-up is for.
        moments_s: times that the text speaks of.
        count: most frames to choose.
    """
    areas = [_areas(frame) for frame in frames]
    largest: dict[str, int] = {}
    for seen in areas:
        for name, area in seen.items():
            largest[name] = max(area, largest.get(name, 0))
    wishes: list[dict[str, float]] = [
        {f"object {name}": _OBJECT for name, area in seen.items() if area >= _WELL_SEEN_FRAC * largest[name]}
        for seen in areas
    ]
    visible = [at for at, seen in enumerate(areas) if target in seen]
    for end in visible[:1] + visible[-1:]:
        wishes[end][f"end {end}"] = _END
    times_s = np.array([frame.time_s for frame in frames])
    for moment_s in moments_s:
        wishes[int(np.argmin(np.abs(times_s - moment_s)))][f"moment {moment_s}"] = _MOMENT

    chosen: list[int] = []
    met: set[str] = set()
    span_s = float(times_s[-1] - times_s[0]) or 1.0
    while len(chosen) < min(count, len(frames)):
        left = [at for at in range(len(frames)) if at not in chosen]
        scores = [
            sum(worth for wish, worth in wishes[at].items() if wish not in met)
            + min((abs(times_s[at] - times_s[other]) / span_s for other in chosen), default=0.0)
            for at in left
        ]
        best = left[int(np.argmax(scores))]
        chosen.append(best)
        met |= wishes[best].keys()
    return sorted(chosen)


def _areas(frame: LineupFrame) -> dict[str, int]:
    found = areas_px([{"size": frame.size, "counts": mask.counts} for mask in frame.seen]).tolist()
    return {mask.object_id: area for mask, area in zip(frame.seen, found, strict=True)}
