"""Which masklets are worth describing, where the paper is silent: each by itself, then all of a video together.

Shapes: T annotated frames, K candidates of a video; `[t, i, j]` reads "of mask i in mask j".
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from manifests.schema import ManifestRow, Reason, Status
from stages.base import Reject
from stages.video.masklets import Rle, contained

STAGE = "select_objects"  # what rejected rows name


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectConfig:
    """Thresholds of select_objects."""

    min_visible_frames: int = 6  # annotated frames: one second, less shows no action to describe
    min_best_area_px: int = 400  # 20 x 20 at its best; the crop is at full resolution, below this it shows a dot
    border_frac: float = 0.03  # width of the border strip / short side: what is cut off hugs the border
    max_in_border_frac: float = 0.5  # most of the object in that strip: the rest of it is outside the picture
    max_iou: float = 0.7  # mean over frames; by hand and by machine, outlines of one object agree in 0.7 or more
    max_contained_frac: float = 0.8  # mean over frames; 0.2 allows for edges that do not follow the whole exactly
    keep_parts: bool = False  # a hand inside a person: the text for it is apt to describe the person
    max_objects: int = 6  # the paper keeps 1.94 a video after its checks; more of one video teaches little new

    def __post_init__(self) -> None:
        for name in ("min_visible_frames", "min_best_area_px", "max_objects"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("border_frac", "max_in_border_frac", "max_iou", "max_contained_frac"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")


@dataclass(frozen=True)
class Candidate:
    """A masklet that passed alone."""

    row: ManifestRow
    rles: list[Rle]  # T

    @property
    def score(self) -> float:
        """Linear size summed over frames: large and long in sight comes first."""
        return float(np.sqrt(self.row.areas_px).sum())


def reject(row: ManifestRow, why: Reject) -> None:
    """End a row in select_objects."""
    row.status, row.stage, row.reason, row.detail = Status.REJECTED, STAGE, why.reason, why.detail


def unfit(row: ManifestRow, rles: list[Rle], config: SelectConfig) -> Reject | None:
    """Why this masklet is not worth describing whatever else is in the video, or None."""
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
    share = coco.iou([rles[row.best_index]], [strip], [1]).item()
    if share > config.max_in_border_frac:
        figures = f"{share:.2f} of its largest mask is within {strip_px} px of the border"
        detail = f"{figures} > max_in_border_frac {config.max_in_border_frac}"
        return Reject(Reason.AT_BORDER, detail)
    return None


@lru_cache(maxsize=8)
def _border_strip(height_px: int, width_px: int, strip_px: int) -> Rle:
    mask_HW = np.ones((height_px, width_px), np.uint8, order="F")
    mask_HW[strip_px:-strip_px, strip_px:-strip_px] = 0
    rle: Rle = coco.encode(mask_HW)
    return rle


def choose(candidates: list[Candidate], config: SelectConfig) -> None:
    """Reject duplicates, parts and what is over the limit; tell the rest who their siblings are."""
    iou_KK, contained_KK = _mean_overlaps(candidates)
    rows = [candidate.row for candidate in candidates]
    scores = [candidate.score for candidate in candidates]

    separate: list[int] = []
    for i in sorted(range(len(rows)), key=lambda k: (rows[k].masklet_type != "manual", -scores[k])):
        twin = max(separate, key=lambda j: iou_KK[i, j], default=None)
        if twin is not None and iou_KK[i, twin] >= config.max_iou:
            detail = f"mean IoU {iou_KK[i, twin]:.2f} >= max_iou {config.max_iou} with {rows[twin].object_id}"
            reject(rows[i], Reject(Reason.DUPLICATE, detail))
        else:
            separate.append(i)

    wholes: list[int] = []
    for i in sorted(separate, key=lambda k: -sum(rows[k].areas_px)):
        whole = max(wholes, key=lambda j: contained_KK[i, j], default=None)
        if whole is not None and contained_KK[i, whole] >= config.max_contained_frac:
            rows[i].part_of = rows[whole].object_id
            detail = f"{contained_KK[i, whole]:.2f} of it >= max_contained_frac {config.max_contained_frac}"
            if not config.keep_parts:
                reject(rows[i], Reject(Reason.PART, f"{detail} lies in {rows[whole].object_id}"))
                continue
        wholes.append(i)

    ranked = sorted(wholes, key=lambda k: -scores[k])
    for rank, i in enumerate(ranked, start=1):
        rows[i].siblings = sorted(rows[j].object_id for j in wholes)
        if rank > config.max_objects:
            detail = f"number {rank} by size and visibility > max_objects {config.max_objects}"
            reject(rows[i], Reject(Reason.OVER_VIDEO_LIMIT, detail))


def _mean_overlaps(candidates: list[Candidate]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean IoU over frames where either is visible, mean share of i in j over frames where i is visible)."""
    areas_TK = np.array([candidate.row.areas_px for candidate in candidates], np.float64).T
    contained_TKK = np.stack([contained(rles) for rles in zip(*(c.rles for c in candidates), strict=True)])
    inter_TKK = contained_TKK * areas_TK[:, :, None]
    union_TKK = areas_TK[:, :, None] + areas_TK[:, None] - inter_TKK
    iou_KK = (inter_TKK / np.maximum(union_TKK, 1)).sum(axis=0) / (union_TKK > 0).sum(axis=0)
    return iou_KK, contained_TKK.sum(axis=0) / (areas_TK > 0).sum(axis=0)[:, None]
