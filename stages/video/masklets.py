"""An annotation file of SA-V (`_manual.json`, `_auto.json`), checked, with what its masks measure.

Shapes: T annotated frames (6 fps), N masklets, 4 = (x, y, width, height), 2 = (x, y), in pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco
from pydantic_core import from_json

from manifests.schema import Reason
from stages.base import RowError
from stages.video.content import json_text
from stages.video.rle import MAX_PX, Runs, empty, parse

Rle = dict[str, Any]  # {"size": [height, width], "counts": bytes}


@dataclass(frozen=True)
class Masklets:
    """The masklets of one file.

    Attributes:
        frame_count: source frames that the file states; None if it does not.
        duration_s: length of the video that it states; None if it does not.
        ids: the file's own id of each masklet; None if it gives none.
        rles: [T][N] checked RLE, safe for pycocotools; an empty mask where the file's own is malformed.
        sizes_TN2: (height, width) of each RLE, in this order; (1, 1) where it gives none.
        errors: masklet position -> its first malformed RLE and what is wrong with it.
        runs: run lengths of the T x N strings, frame by frame.
    """

    frame_count: int | None
    duration_s: float | None
    ids: list[int | None]
    rles: list[list[Rle]]
    sizes_TN2: NDArray[np.int64]
    errors: dict[int, str]
    runs: Runs

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Pixels of each mask, shape (T, N); 0 = not visible."""
        return np.array([[coco.area(rle) for rle in rles] for rles in self.rles], np.int64).reshape(
            self.sizes_TN2.shape[:2]
        )

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Tight box of each mask, shape (T, N, 4); zeros = not visible."""
        return np.array([coco.toBbox(rles) for rles in self.rles], np.int64).reshape(*self.sizes_TN2.shape[:2], 4)

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Mean (x, y) of each mask's pixels, shape (T, N, 2); nan = not visible."""
        return self.runs.centres().reshape(self.sizes_TN2.shape)


def contained(rles: Sequence[Rle]) -> NDArray[np.float64]:
    """Masks of one frame and size, each in each: [i, j] = shared pixels / pixels of mask i; 0 where i is empty."""
    masks = list(rles)
    shares: NDArray[np.float64] = coco.iou(masks, masks, [1] * len(masks))  # "crowd": the union is mask i alone
    return shares


def mean_overlaps(
    areas_TN: NDArray[np.float64], rles: Sequence[Sequence[Rle]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(mean IoU over frames where either is visible, mean share of i in j over frames where i is visible), both [i, j].

    Args:
        areas_TN: pixels of each mask.
        rles: [N][T] masks.
    """
    contained_TNN = np.stack([contained(frame) for frame in zip(*rles, strict=True)])
    inter_TNN = contained_TNN * areas_TN[:, :, None]
    union_TNN = areas_TN[:, :, None] + areas_TN[:, None] - inter_TNN
    iou_NN = (inter_TNN / np.maximum(union_TNN, 1)).sum(axis=0) / (union_TNN > 0).sum(axis=0)
    return iou_NN, contained_TNN.sum(axis=0) / (areas_TN > 0).sum(axis=0)[:, None]


def read_masklets(raw: bytes, file: str) -> Masklets:
    """Parse an annotation file.

    Args:
        raw: the whole file.
        file: what errors call it.

    Raises:
        RowError: JSON_MALFORMED with the position or the key that breaks the format.
    """
    try:
        return check_masklets(from_json(json_text(raw), cache_strings="keys"), file)
    except ValueError as error:
        cut = ": the file breaks off, get it again" if str(error).startswith("EOF ") else ""
        raise RowError(Reason.JSON_MALFORMED, f"{file}: {error}{cut}") from error


def check_masklets(annotation: object, file: str) -> Masklets:
    """As `read_masklets`, for a file that is parsed already."""
    if not isinstance(annotation, dict):
        _malformed(file, "the top level", "an object", annotation)
    frames = annotation.get("masklet")
    if not isinstance(frames, list) or not frames:
        _malformed(file, "masklet", "a list with an entry for each annotated frame", frames)
    for t, entries in enumerate(frames):
        if not isinstance(entries, list) or len(entries) != len(frames[0]):
            _malformed(file, f"masklet[{t}]", "a list as long as masklet[0]", entries)
    masklets = len(frames[0])
    ids = annotation.get("masklet_id")
    ids = [None] * masklets if ids is None else ids
    if not isinstance(ids, list) or len(ids) != masklets:
        _malformed(file, "masklet_id", f"a list of {masklets} ids, one for each masklet", ids)
    checked_ids = [_whole(value, file, f"masklet_id[{n}]") for n, value in enumerate(ids)]
    frame_count = _whole(annotation.get("video_frame_count"), file, "video_frame_count")
    duration_s = annotation.get("video_duration")
    if duration_s is not None and not (isinstance(duration_s, int | float) and 0 <= duration_s < float("inf")):
        _malformed(file, "video_duration", "seconds", duration_s)

    flat = [_entry(entry) for entries in frames for entry in entries]
    runs = parse([text for text, *_ in flat], [h for _, h, _, _ in flat], [w for _, _, w, _ in flat])
    problems = runs.errors | {s: fault for s, (*_, fault) in enumerate(flat) if fault}
    errors: dict[int, str] = {}
    for s in sorted(problems):
        errors.setdefault(s % masklets, f"{file}: masklet[{s // masklets}][{s % masklets}]: {problems[s]}")
    rles: list[Rle] = [
        empty(h, w) if s in problems else {"size": [h, w], "counts": text.encode()}
        for s, (text, h, w, _) in enumerate(flat)
    ]
    return Masklets(
        frame_count=frame_count,
        duration_s=duration_s,
        ids=checked_ids,
        rles=[rles[t * masklets : (t + 1) * masklets] for t in range(len(frames))],
        sizes_TN2=np.array([(h, w) for _, h, w, _ in flat], np.int64).reshape(len(frames), masklets, 2),
        errors=errors,
        runs=runs,
    )


def _entry(entry: Any) -> tuple[str, int, int, str | None]:
    """(counts, height, width, what is wrong); ("", 1, 1, …) where something is."""
    match entry:
        case {"size": [int() | float() as h, int() | float() as w], "counts": str(text)}:
            if h >= 1 and w >= 1 and h * w <= MAX_PX and h % 1 == 0 and w % 1 == 0:
                return text, int(h), int(w), None
            return "", 1, 1, f"size must be whole, positive and at most {MAX_PX} pixels in all, got {[h, w]}"
        case {"size": _, "counts": list()}:
            return "", 1, 1, "counts is an uncompressed list; SA-V has compressed strings"
    return "", 1, 1, f'must be {{"size": [height, width], "counts": "…"}}, got {str(entry)[:80]}'


def _whole(value: Any, file: str, key: str) -> int | None:
    """A whole number that may be written as a float (483.0) or be missing."""
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value < 2**31 or value % 1:
        _malformed(file, key, "a whole number", value)
    return int(value)


def _malformed(file: str, key: str, rule: str, got: object) -> NoReturn:
    found = f"{len(got)} entries" if isinstance(got, list) else f"{type(got).__name__} {str(got)[:40]}"
    raise RowError(Reason.JSON_MALFORMED, f"{file}: {key} must be {rule}, got {found}")
