"""Finds places for the number tags of a line-up: inside an object where its tag fits, else beside it on a leader line.

Places depend on the masks alone, never on the numbers: all trials of an object differ in nothing but the digits.
What a tag or a line covers is counted in shares of the objects: a few pixels of a large one, or all of a small one.

Shapes: `_HW` masks with 1 inside, uint8; boxes are (x, y, width, height) and points (x, y), in pixels of the frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

ByteMask = NDArray[np.uint8]
TagPoint = tuple[int, int]
TagBox = tuple[int, int, int, int]

_INSIDE_FRAC = 0.1  # of the object that its tag may cover: of a smaller one it would hide what the text speaks of
_CONTOUR_PX = 3  # around a mask, where its contour is drawn
_GAP_PX = 6  # from a tag to its own object: the line between them must be seen
_COVER_PX = 2500.0  # px of distance that it is worth not to cover a whole object; covering 1 % is worth 25 px
_TAG_PX = 1e6  # never on another tag
_STEP_PX = 3  # of the grid of places that are tried
_TRIED = 32  # of the nearest places, those whose lines are looked at
_NEAR_PX = 110  # around an object a free place is looked for first
_BAD_PX = 80.0  # a place that costs more covers something, or is far away


@dataclass(frozen=True)
class Tag:
    """Holds where the tag of an object is drawn.

    Attributes:
        box: of the tag.
        anchor: where its leader line ends on the object; None for a tag inside its object.
    """

    box: TagBox
    anchor: TagPoint | None


def place_tags(masks: Mapping[str, ByteMask], size: tuple[int, int]) -> dict[str, Tag]:
    """Place a tag of `size` (width, height) for every mask; each has at least a pixel, and all are of one shape."""
    if not masks:
        return {}
    areas = {name: int(np.count_nonzero(mask_HW)) for name, mask_HW in masks.items()}
    small_first = sorted(masks, key=lambda name: (areas[name], name))
    cover_HW = _cover(masks, areas)
    taken_HW = np.zeros_like(cover_HW)
    tags: dict[str, Tag] = {}
    for name in small_first:
        smaller = [masks[other] for other in masks if other != name and areas[other] <= areas[name]]
        if (box := _inside(masks[name], smaller, areas[name], size)) is not None:
            tags[name] = Tag(box, None)
            _take(taken_HW, box)
    lines: list[tuple[TagPoint, TagPoint]] = []
    for name in small_first:
        if name not in tags:
            tag = _beside(masks[name], cover_HW, taken_HW, lines, size)
            tags[name] = tag
            _take(taken_HW, tag.box)
            assert tag.anchor is not None
            lines.append((_centre(tag.box), tag.anchor))
    return tags


def _cover(masks: Mapping[str, ByteMask], areas: Mapping[str, int]) -> NDArray[np.float32]:
    """Return of every pixel which share of the objects it covers; the contour of an object counts as part of it."""
    cover_HW = np.zeros(next(iter(masks.values())).shape, np.float32)
    kernel = np.ones((2 * _CONTOUR_PX + 1,) * 2, np.uint8)
    for name, mask_HW in masks.items():
        cover_HW += np.asarray(cv2.dilate(mask_HW, kernel), np.float32) / areas[name]
    return cover_HW


def _inside(mask_HW: ByteMask, smaller: Sequence[ByteMask], area_px: int, size: tuple[int, int]) -> TagBox | None:
    """Return the box of a tag as deep as possible in the object, clear of smaller ones; None where it does not fit."""
    width, height = size
    if width * height > _INSIDE_FRAC * area_px:
        return None
    free_HW = mask_HW.copy()
    for other_HW in smaller:
        free_HW[cv2.dilate(other_HW, np.ones((2 * _CONTOUR_PX + 1,) * 2, np.uint8)) > 0] = 0
    padded_HW = cv2.copyMakeBorder(free_HW, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)  # the frame's edge is an edge
    kernel = np.ones((height | 1, width | 1), np.uint8)
    fits_HW = cv2.erode(padded_HW, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if not fits_HW.any():
        return None
    depth_HW = cv2.distanceTransform(padded_HW, cv2.DIST_L2, 3) * fits_HW
    y, x = np.unravel_index(int(np.argmax(depth_HW)), depth_HW.shape)
    return int(x) - 1 - width // 2, int(y) - 1 - height // 2, width, height


def _beside(
    mask_HW: ByteMask,
    cover_HW: NDArray[np.float32],
    taken_HW: NDArray[np.float32],
    lines: Sequence[tuple[TagPoint, TagPoint]],
    size: tuple[int, int],
) -> Tag:
    """Return the nearest place outside the object from which neither tag nor line covers anything, or the least bad.

    It is looked for around the object, and in the whole frame only if nothing there is free.
    """
    x, y, width, height = cv2.boundingRect(mask_HW)
    rows, columns = mask_HW.shape
    for margin_px in (_NEAR_PX, max(rows, columns)):
        left, top = max(0, x - margin_px), max(0, y - margin_px)
        part = np.s_[top : min(rows, y + height + margin_px), left : min(columns, x + width + margin_px)]
        moved = [((x0 - left, y0 - top), (x1 - left, y1 - top)) for (x0, y0), (x1, y1) in lines]
        cost, tag = _best_beside(mask_HW[part], cover_HW[part], taken_HW[part], moved, size)
        if cost < _BAD_PX:
            break
    assert tag.anchor is not None
    anchor = tag.anchor[0] + left, tag.anchor[1] + top
    return Tag((tag.box[0] + left, tag.box[1] + top, *size), anchor)


def _best_beside(
    mask_HW: ByteMask,
    cover_HW: NDArray[np.float32],
    taken_HW: NDArray[np.float32],
    lines: Sequence[tuple[TagPoint, TagPoint]],
    size: tuple[int, int],
) -> tuple[float, Tag]:
    """Return the best place in a part of the frame, and its cost in pixels of distance."""
    width, height = size
    rows, columns = mask_HW.shape
    away_HW = cv2.distanceTransform(1 - mask_HW, cv2.DIST_L2, 3)
    ys = np.arange(0, max(1, rows - height + 1), _STEP_PX)
    xs = np.arange(0, max(1, columns - width + 1), _STEP_PX)
    centres = np.ix_(np.minimum(ys + height // 2, rows - 1), np.minimum(xs + width // 2, columns - 1))
    near = np.maximum(away_HW[centres] - _GAP_PX - max(size) / 2, 0)
    costs = near + _COVER_PX * _box_sums(cover_HW, xs, ys, size) + _TAG_PX * (_box_sums(taken_HW, xs, ys, size) > 0)
    order = np.argsort(costs, axis=None, kind="stable")[: _TRIED * 4 : 4]
    edge_HW = mask_HW - cv2.erode(mask_HW, np.ones((3, 3), np.uint8), borderValue=0)
    on_object_N2 = np.argwhere(edge_HW)[:, ::-1]
    own_frac = 1.0 / int(np.count_nonzero(mask_HW))
    best: tuple[float, Tag] | None = None
    for at in order.tolist():
        row, column = divmod(at, len(xs))
        box = (int(xs[column]), int(ys[row]), width, height)
        centre = _centre(box)
        anchor = _nearest(on_object_N2, centre)
        cost = float(costs[row, column]) + _line_cost(centre, anchor, mask_HW, own_frac, cover_HW, taken_HW, lines)
        if best is None or cost < best[0]:
            best = cost, Tag(box, anchor)
    assert best is not None
    return best


def _line_cost(
    start: TagPoint,
    end: TagPoint,
    own_HW: ByteMask,
    own_frac: float,
    cover_HW: NDArray[np.float32],
    taken_HW: NDArray[np.float32],
    lines: Sequence[tuple[TagPoint, TagPoint]],
) -> float:
    """Return what a leader line covers of other objects and of tags, and whether it crosses another line."""
    steps = max(2, int(np.hypot(end[0] - start[0], end[1] - start[1])))
    xs = np.linspace(start[0], end[0], steps).round().astype(int)
    ys = np.linspace(start[1], end[1], steps).round().astype(int)
    covered = np.maximum(cover_HW[ys, xs] - own_frac, 0)[own_HW[ys, xs] == 0].sum() * 3  # the line is 3 px wide
    crossed = sum(_cross(start, end, *line) for line in lines)
    return float(_COVER_PX * covered + _TAG_PX * (taken_HW[ys, xs] > 0).any() + 60.0 * crossed)


def _cross(a: TagPoint, b: TagPoint, c: TagPoint, d: TagPoint) -> bool:
    def side(p: TagPoint, q: TagPoint, r: TagPoint) -> int:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _box_sums(
    values_HW: NDArray[np.float32], xs: NDArray[np.intp], ys: NDArray[np.intp], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the sum of the values in the boxes with corners (xs, ys)."""
    sums = cv2.integral(values_HW, sdepth=cv2.CV_64F)
    rows, columns = values_HW.shape
    right, bottom = np.minimum(xs + size[0], columns), np.minimum(ys + size[1], rows)
    boxes = sums[np.ix_(bottom, right)] - sums[np.ix_(ys, right)] - sums[np.ix_(bottom, xs)] + sums[np.ix_(ys, xs)]
    return np.asarray(np.round(boxes, 9), np.float64)  # differences of large sums: what is not covered must be 0


def _take(taken_HW: NDArray[np.float32], box: TagBox) -> None:
    x, y, width, height = box
    taken_HW[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2] = 1


def _centre(box: Sequence[int]) -> TagPoint:
    return box[0] + box[2] // 2, box[1] + box[3] // 2


def _nearest(points_N2: NDArray[np.intp], to: TagPoint) -> TagPoint:
    x, y = points_N2[int(np.argmin(((points_N2 - to) ** 2).sum(axis=1)))]
    return int(x), int(y)
