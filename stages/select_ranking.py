"""Chooses among the masklets of one video that are worth describing: no duplicate, no part, and not too many.

Of more than `max_objects` separate masklets, those are taken that people are likely to refer to
(`stages/video/interest.py` measures it):

1. Manual masklets come before automatic ones: a person thought them worth an outline, and checked it. An automatic one
   may be any patch, and a text about a patch of wall teaches nothing.
2. Masklets of one kind are ordered by the weighted sum of four measures (`WEIGHTS`). Motion of its own counts as much
   as any two of the others, because verbs are what a video has over an image. The others are time in sight (a long
   text needs something to tell), size (neither a dot, nor the background that a text takes for granted), and distance
   from the border (else the text describes a part of the thing).

An earlier rule, size times time in sight, took tree trunks, a wall and a banner, and not the boy who rides past.

Shapes: T annotated frames, K candidates of a video; `[t, i, j]` reads "of mask i in mask j".
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manifests.row_results import Reject
from manifests.schema import ManifestRow, Reason
from stages.select_policy import SelectConfig, reject
from stages.video.interest import interests
from stages.video.rle import Rle, mean_overlaps
from stages.video.track import Sight, Track

WEIGHTS = {"moves": 2.0, "in sight": 1.0, "size": 1.0, "clear of the border": 1.0}


@dataclass(frozen=True)
class CandidateMasklet:
    """A masklet that is worth describing by itself, before it is compared with the others of its video."""

    row: ManifestRow
    rles: list[Rle]  # its T masks
    centres_T2: NDArray[np.float64]  # centre (x, y) of every mask in pixels; nan where it is not visible

    @property
    def extent(self) -> float:
        """The square root of the area, summed over frames: of two outlines of one object, the fuller one has more."""
        return float(np.sqrt(self.row.areas_px).sum())


def choose(candidates: list[CandidateMasklet], config: SelectConfig) -> None:
    """Reject duplicates, parts and masklets over the limit, in place; fill `siblings` and `part_of` of the rows."""
    rows = [candidate.row for candidate in candidates]
    areas_TK = np.array([row.areas_px for row in rows], np.float64).T
    iou_KK, contained_KK = mean_overlaps(areas_TK, [candidate.rles for candidate in candidates])

    unique: list[int] = []
    ranks = [(not one.row.given_texts, one.row.masklet_type != "manual", -one.extent) for one in candidates]
    for i in sorted(range(len(rows)), key=ranks.__getitem__):
        twin = max(unique, key=lambda j: iou_KK[i, j], default=None)
        if twin is not None and iou_KK[i, twin] >= config.max_iou:
            detail = f"mean IoU {iou_KK[i, twin]:.2f} >= max_iou {config.max_iou} with {rows[twin].object_id}"
            reject(rows[i], Reject(Reason.DUPLICATE, detail))
        else:
            unique.append(i)

    separate: list[int] = []
    for i in sorted(unique, key=lambda k: -sum(rows[k].areas_px)):
        container = max(separate, key=lambda j: contained_KK[i, j], default=None)
        if container is not None and contained_KK[i, container] >= config.max_contained_frac:
            rows[i].part_of = rows[container].object_id
            detail = f"{contained_KK[i, container]:.2f} of it >= max_contained_frac {config.max_contained_frac}"
            if not config.keep_parts and not rows[i].given_texts:
                reject(rows[i], Reject(Reason.PART, f"{detail} lies in {rows[container].object_id}"))
                continue
        separate.append(i)

    measures = interests([_sight(candidates[i]) for i in separate], rows[0].width_px, rows[0].height_px)
    sums = {
        i: sum(WEIGHTS[name] * value for name, value in of_object.items())
        for i, of_object in zip(separate, measures, strict=True)
    }
    ranked = sorted(separate, key=lambda k: (rows[k].masklet_type != "manual", -sums[k]))
    for rank, i in enumerate(ranked, start=1):
        rows[i].siblings = sorted(rows[j].object_id for j in separate)
        if rank > config.max_objects:
            figures = ", ".join(f"{name} {value:.2f}" for name, value in measures[separate.index(i)].items())
            detail = f"number {rank}, {rows[i].masklet_type}, interest {sums[i]:.2f}: {figures}"
            reject(rows[i], Reject(Reason.OVER_VIDEO_LIMIT, f"{detail} > max_objects {config.max_objects}"))


def _sight(candidate: CandidateMasklet) -> Sight:
    row = candidate.row
    return Sight(Track(row.object_id, row.areas_px, row.boxes_px, candidate.centres_T2), row.height_px, row.width_px)
