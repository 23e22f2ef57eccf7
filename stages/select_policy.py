"""Decides which masklets are worth describing: first one by one, then all of a video together. The paper does not say.

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

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from manifests.row_results import Reject
from manifests.schema import ManifestRow, Reason, Status
from stages.video.interest import interests
from stages.video.rle import Rle, contained, from_mask, mean_overlaps
from stages.video.track import Sight, Track

STAGE = "select_objects"  # the column `stage` of rows that are rejected here
WEIGHTS = {"moves": 2.0, "in sight": 1.0, "size": 1.0, "clear of the border": 1.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectConfig:
    """Thresholds of select_objects; `max_iou` and `max_contained_frac` are for means over frames."""

    min_visible_frames: int = 6  # annotated frames: less than a second shows no action to describe
    min_best_area_px: int = 400  # of the largest mask: the crop is at full resolution, and of 20 x 20 it shows a dot
    border_frac: float = 0.03  # width of the strip along the border / short side: what is cut off lies along the border
    max_in_border_frac: float = 0.5  # share of the largest mask in that strip: the rest would be outside the frame
    max_iou: float = 0.7  # outlines of one object, one by hand and one by machine, agree in 0.7 or more
    max_contained_frac: float = 0.8  # of a part, in the larger thing: its edges need not follow those of the thing
    keep_parts: bool = False  # the text for a part, such as a hand of a person, tends to describe the person
    max_objects: int = 6  # of a video: the paper keeps 1.94 after its checks, more of one video teaches little new

    def __post_init__(self) -> None:
        for name in ("min_visible_frames", "min_best_area_px", "max_objects"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("border_frac", "max_in_border_frac", "max_iou", "max_contained_frac"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")


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


def reject(row: ManifestRow, why: Reject) -> None:
    """Mark a row as rejected by select_objects."""
    row.status, row.stage, row.reason, row.detail = Status.REJECTED, STAGE, why.reason, why.detail


def check_candidate(row: ManifestRow, rles: list[Rle], config: SelectConfig) -> Reject | None:
    """Return why a masklet is not worth describing, whatever else is in the video; None if it may be."""
    if row.best_index is None:
        return Reject(Reason.NEVER_VISIBLE, f"all {len(row.areas_px)} masks are empty")
    visible = np.count_nonzero(row.areas_px)
    if visible < config.min_visible_frames:
        detail = f"visible in {visible} annotated frames < min_visible_frames {config.min_visible_frames}"
        return Reject(Reason.TOO_FEW_VISIBLE_FRAMES, detail)
    best_px = row.areas_px[row.best_index]
    if best_px < config.min_best_area_px:
        return Reject(Reason.TOO_SMALL, f"largest mask {best_px} px < min_best_area_px {config.min_best_area_px}")
    strip_px = math.ceil(min(row.height_px, row.width_px) * config.border_frac)
    strip = _border_strip(row.height_px, row.width_px, strip_px)
    share = contained([rles[row.best_index]], [strip]).item()
    if share > config.max_in_border_frac:
        figures = f"{share:.2f} of its largest mask is within {strip_px} px of the border"
        detail = f"{figures} > max_in_border_frac {config.max_in_border_frac}"
        return Reject(Reason.AT_BORDER, detail)
    return None


@lru_cache(maxsize=8)
def _border_strip(height_px: int, width_px: int, strip_px: int) -> Rle:
    mask_HW = np.ones((height_px, width_px), np.uint8)
    mask_HW[strip_px:-strip_px, strip_px:-strip_px] = 0
    return from_mask(mask_HW)


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
