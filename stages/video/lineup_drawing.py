"""Draws the frames of a line-up: a thin contour and a number for every object, in black and white.

Colours would add to what a text says of colours, so contours have none. The frames are drawn once without digits, and
the digits put in for every trial: nothing else tells two trials apart.
"""

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from manifests.lineup import MAX_SHOWN, LineupFrame
from stages.video.images import BgrImage, bounded, encode_jpeg, shrink_mask
from stages.video.lineup_tags import ByteMask, Tag, place_tags
from stages.video.rle import decode
from stages.video.views import contour, crop

DIGIT_PX = 18  # height of a digit: 14 are left if an engine reduces the frame by a fifth
_FONT, _STROKE_PX = cv2.FONT_HERSHEY_DUPLEX, 2
_PAD_PX = 4
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_QUALITY, _SHEET_QUALITY = 90, 75
_SHEET_LONG_PX, _SHEET_COLUMNS = 420, 3
_PAIR_PX, _PAIR_CONTEXT_FRAC, _PAIR_LEAST_PX = 384, 0.5, 48


class LineupDrawing:
    """The frames of a line-up with some of the objects marked; `numbered` puts the numbers in."""

    def __init__(self, frames: Sequence[LineupFrame], object_ids: Sequence[str], long_px: int | None = None) -> None:
        """Take the frames in the order in which they are shown; nothing is drawn yet.

        Args:
            frames: unmarked frames with the masks of the objects.
            object_ids: those that are marked, at most 9.
            long_px: the frames are reduced to this long side; None leaves them as they are.

        Raises:
            ValueError: there are more objects than digits.
        """
        if len(object_ids) > MAX_SHOWN:
            raise ValueError(f"a line-up shows at most {MAX_SHOWN} objects, got {len(object_ids)}: hold heats")
        self._frames, self._ids, self._long_px = frames, list(object_ids), long_px

    def numbered(self, order: Sequence[str]) -> list[bytes]:
        """Return the frames as JPEG with number 1 on the first object of `order`, 2 on the second, and so on."""
        return [encode_jpeg(drawn_HW3, _QUALITY) for drawn_HW3 in self._stamped(order)]

    def sheet(self, order: Sequence[str]) -> bytes:
        """Return all frames on one sheet, three in a row, as JPEG."""
        drawn = self._stamped(order)
        height, width = np.max([each.shape[:2] for each in drawn], axis=0).tolist()
        rows = -(-len(drawn) // _SHEET_COLUMNS)
        canvas_HW3 = np.full((rows * (height + 4), _SHEET_COLUMNS * (width + 4), 3), 24, np.uint8)
        for number, each in enumerate(drawn):
            y, x = (number // _SHEET_COLUMNS) * (height + 4), (number % _SHEET_COLUMNS) * (width + 4)
            canvas_HW3[y : y + each.shape[0], x : x + each.shape[1]] = each
        return encode_jpeg(canvas_HW3, _SHEET_QUALITY)

    def _stamped(self, order: Sequence[str]) -> list[BgrImage]:
        images = []
        for unnumbered_HW3, tags in self._drawn:
            image_HW3 = unnumbered_HW3.copy()
            for object_id, tag in tags.items():
                _stamp(image_HW3, tag, order.index(object_id) + 1)
            images.append(image_HW3)
        return images

    @cached_property
    def _drawn(self) -> list[tuple[BgrImage, dict[str, Tag]]]:
        """The frames with contours and empty tags, and where the tags are."""
        drawn = []
        for frame in self._frames:
            image_HW3, masks = opened(frame, self._ids, self._long_px)
            tags = place_tags(masks, tag_size())
            for mask_HW in masks.values():
                smaller = [each for each in masks.values() if each is not mask_HW and each.sum() <= mask_HW.sum()]
                _outline(image_HW3, mask_HW, smaller)
            for tag in tags.values():
                _line(image_HW3, tag)
            for tag in tags.values():
                _box(image_HW3, tag)
            drawn.append((image_HW3, tags))
        return drawn


def sheet(frames: Sequence[LineupFrame], order: Sequence[str]) -> bytes:
    """Draw a small sheet of a line-up for people, with digits as large as those in the full frames."""
    return LineupDrawing(frames, order, _SHEET_LONG_PX).sheet(order)


def opened(
    frame: LineupFrame, object_ids: Sequence[str], long_px: int | None = None
) -> tuple[BgrImage, dict[str, ByteMask]]:
    """Decode a frame, and the masks of those of the objects that are seen in it."""
    image_HW3 = np.asarray(cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    masks = {
        object_id: np.ascontiguousarray(decode({"size": frame.size, "counts": counts}))
        for object_id, counts in frame.masks.items()
        if object_id in object_ids
    }
    if long_px is not None:
        image_HW3 = bounded(image_HW3, long_px)
        masks = {name: small_mask(mask_HW, image_HW3.shape[:2]) for name, mask_HW in masks.items()}
    return image_HW3, masks


def small_mask(mask_HW: ByteMask, shape: tuple[int, ...]) -> ByteMask:
    """Reduce a mask that is not empty to `shape` (height, width); of one that would vanish, its centre stays."""
    small_HW = shrink_mask(mask_HW, (shape[1], shape[0]))
    if small_HW.any():
        return small_HW
    ys, xs = np.nonzero(mask_HW)
    y, x = int(ys.mean() * shape[0] / mask_HW.shape[0]), int(xs.mean() * shape[1] / mask_HW.shape[1])
    small_HW[min(y, shape[0] - 1), min(x, shape[1] - 1)] = 1
    return small_HW


def pair(frames: Sequence[LineupFrame], first: str, second: str) -> tuple[bytes, bytes, bytes]:
    """Return crops of two objects, each with a contour from the frame in which it is largest, and both side by side.

    Raises:
        ValueError: one of them is in none of the frames.
    """
    crops = [_crop(frames, object_id) for object_id in (first, second)]
    height = max(each.shape[0] for each in crops)
    beside_HW3 = np.full((height, sum(each.shape[1] for each in crops) + 6, 3), 24, np.uint8)
    beside_HW3[: crops[0].shape[0], : crops[0].shape[1]] = crops[0]
    beside_HW3[: crops[1].shape[0], crops[0].shape[1] + 6 :] = crops[1]
    one, other = (encode_jpeg(each, _QUALITY) for each in crops)
    return one, other, encode_jpeg(beside_HW3, _SHEET_QUALITY)


def _crop(frames: Sequence[LineupFrame], object_id: str) -> BgrImage:
    seen = [opened(frame, [object_id]) for frame in frames if object_id in frame.masks]
    if not seen:
        raise ValueError(f"{object_id} is in none of the {len(frames)} frames of the line-up")
    image_HW3, masks = max(seen, key=lambda each: int(np.count_nonzero(each[1][object_id])))
    mask_HW = masks[object_id]
    cut_HW3 = crop(contour(image_HW3, mask_HW, 1), cv2.boundingRect(mask_HW), _PAIR_CONTEXT_FRAC, _PAIR_LEAST_PX)
    scale = min(4.0, _PAIR_PX / max(cut_HW3.shape[:2]))
    size = max(1, round(cut_HW3.shape[1] * scale)), max(1, round(cut_HW3.shape[0] * scale))
    return np.asarray(
        cv2.resize(cut_HW3, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8
    )


def tag_size() -> tuple[int, int]:
    """Return (width, height) of a tag, which has room for any digit."""
    return max(_digit(number).shape[1] for number in range(1, 10)) + 2 * _PAD_PX, DIGIT_PX + 2 * _PAD_PX


def _digit(number: int) -> NDArray[np.uint8]:
    """Draw a digit exactly DIGIT_PX high, white on black, without a margin."""
    canvas_HW = np.zeros((96, 96), np.uint8)
    cv2.putText(canvas_HW, str(number), (20, 70), _FONT, 2.0, 255, 4, cv2.LINE_AA)
    x, y, width, height = cv2.boundingRect(canvas_HW)
    size = max(1, round(width * DIGIT_PX / height)), DIGIT_PX
    return np.asarray(
        cv2.resize(canvas_HW[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA), np.uint8
    )


def _stamp(image_HW3: BgrImage, tag: Tag, number: int) -> None:
    digit_HW = _digit(number)
    x, y, width, height = tag.box
    left, top = x + (width - digit_HW.shape[1]) // 2, y + (height - digit_HW.shape[0]) // 2
    image_HW3[top : top + digit_HW.shape[0], left : left + digit_HW.shape[1]] = digit_HW[..., np.newaxis]


def _box(image_HW3: BgrImage, tag: Tag) -> None:
    x, y, width, height = tag.box
    cv2.rectangle(image_HW3, (x, y), (x + width - 1, y + height - 1), _BLACK, -1)
    cv2.rectangle(image_HW3, (x, y), (x + width - 1, y + height - 1), _WHITE, 1)


def _line(image_HW3: BgrImage, tag: Tag) -> None:
    if tag.anchor is None:
        return
    x, y, width, height = tag.box
    centre = x + width // 2, y + height // 2
    for colour, thickness in ((_BLACK, 3), (_WHITE, 1)):
        cv2.line(image_HW3, centre, tag.anchor, colour, thickness, cv2.LINE_AA)


def _outline(image_HW3: BgrImage, mask_HW: ByteMask, smaller: Sequence[ByteMask]) -> None:
    """Draw a white line with a black edge just outside the mask, but not on an object that is smaller."""
    free_HW = mask_HW == 0
    for other_HW in smaller:
        free_HW &= other_HW == 0
    for colour, reach_px in ((_BLACK, 2), (_WHITE, 1)):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach_px + 1,) * 2)
        image_HW3[(cv2.dilate(mask_HW, kernel) > 0) & free_HW] = colour
