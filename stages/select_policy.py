"""Decides which masklets are worth describing by themselves, and has the thresholds of the choice of objects.

The paper does not say how objects were chosen. `select_ranking.py` compares those that pass here with one another.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from manifests.row_results import Reject
from manifests.schema import ManifestRow, Reason, Status
from stages.video.rle import Rle, contained, from_mask

STAGE = "select_objects"  # the column `stage` of rows that are rejected here


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
