"""Reads a CVAT XML file: the frames of its task, its tracks, their shapes, and those between key frames."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from pipeline.importers.source_protocol import ImportFailedError, ImportReason
from stages.video.rle import Rle, check_corners, from_mask, from_polygons

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """Holds a polygon or a mask at one frame.

    Attributes:
        size: (height, width) of the frame.
        points: corners (x, y) of a polygon, pixels.
        mask_HW: a mask of the whole frame; one of both is given.
    """

    size: tuple[int, int]
    points: Points | None = None
    mask_HW: NDArray[np.uint8] | None = None

    def rle(self) -> Rle:
        """Return its mask, encoded."""
        if self.mask_HW is not None:
            return from_mask(self.mask_HW)
        assert self.points is not None
        return from_polygons([self.points.ravel().tolist()], *self.size)


@dataclass(frozen=True)
class CvatTrack:
    """Holds a track of the file.

    Attributes:
        object_id: its id, or `group <group_id>` of tracks that are one object.
        label: of CVAT.
        shapes: frame -> its shape.
        outside: frames from which on it is not to be seen -> the polygon that it has there, if any.
        other: names of elements that are no masks, such as box.
    """

    object_id: str
    label: str
    shapes: dict[int, Shape]
    outside: dict[int, Shape | None]
    other: str = field(default="")

    def drawn(self, frames: range) -> dict[int, Shape]:
        """Return its shape at every frame of the task at which it can be seen."""
        drawn = dict(self.shapes)
        marks = sorted({*self.shapes, *self.outside, frames.stop})
        for a, b in itertools.pairwise(marks):
            shape, following = self.shapes.get(a), self.shapes.get(b) or self.outside.get(b)
            if shape is None or shape.points is None:
                continue
            for frame in range(a + frames.step, b, frames.step):
                if following is None or following.points is None:
                    drawn[frame] = shape  # it keeps still until it is outside, or to the end
                else:
                    share = (frame - a) / (b - a)
                    drawn[frame] = Shape(shape.size, points=between(shape.points, following.points, share))
        return drawn


def tracks_of(root: ElementTree.Element, xml: Path) -> Sequence[ElementTree.Element]:
    """Return the tracks of a file.

    Raises:
        ImportFailedError: two have one id.
    """
    tracks = list(root.iter("track"))
    counts = Counter(one.get("id") for one in tracks)
    if twice := next((one for one in tracks if counts[one.get("id")] > 1), None):
        detail = f"{xml}: every track must have an id of its own, got two with {twice.get('id')!r}"
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, detail)
    return tracks


def read_track(track: ElementTree.Element, xml: Path, size: tuple[int, int]) -> CvatTrack:
    """Read a track of the file.

    Args:
        track: the element.
        xml: its file, for messages.
        size: (height, width) of the pictures.

    Raises:
        ImportFailedError: one of its shapes cannot be read.
    """
    shapes: dict[int, Shape] = {}
    outside: dict[int, Shape | None] = {}
    other: Counter[str] = Counter()
    group = track.get("group_id", "0")
    object_id = track.get("id", "?") if group == "0" else f"group {group} {track.get('label', '')}".strip()
    for element in track:
        if element.tag not in ("polygon", "mask"):
            other[element.tag] += 1
            continue
        where = f"{xml}: track {track.get('id')}: {element.tag} at frame {element.get('frame')}"
        try:
            frame = int(element.attrib["frame"])
            gone, polygon = element.get("outside") == "1", element.tag == "polygon"
            if gone:
                outside[frame] = _polygon(element, size) if polygon and element.get("points") else None
            else:
                shapes[frame] = _polygon(element, size) if polygon else _mask(element, size)
        except (KeyError, ValueError) as error:
            why = f"attribute {error} is missing" if isinstance(error, KeyError) else str(error)
            raise ImportFailedError(ImportReason.MASK_UNREADABLE, f"{where}: {why}") from error
    return CvatTrack(object_id, track.get("label", ""), shapes, outside, ", ".join(sorted(other)))


def annotated(tracks: Sequence[CvatTrack], frames: range, masked: Sequence[int]) -> Sequence[int]:
    """Return the frames that were annotated: all of the task, unless there are masks only, and not in every frame.

    Where somebody drew a mask every tenth frame, an object is not out of sight in between: nobody looked.

    Args:
        tracks: of the file.
        frames: of the task.
        masked: those at which something is to be seen, rising.
    """
    if any(shape.points is not None for track in tracks for shape in track.shapes.values()) or len(masked) < 2:
        return frames
    steps = Counter(b - a for a, b in zip(masked, masked[1:], strict=False))
    return frames if steps.most_common(1)[0][0] <= frames.step else masked


def parsed(xml: Path) -> ElementTree.Element:
    """Return the root of a file.

    Raises:
        ImportFailedError: it is cut off, or another export.
    """
    try:
        root = ElementTree.parse(xml).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise ImportFailedError(
            ImportReason.ENTRY_MALFORMED, f"{xml} must be whole XML, got {error}: export it again"
        ) from error
    if root.tag != "annotations":
        raise ImportFailedError(ImportReason.ENTRY_MALFORMED, f"{xml} must be CVAT's <annotations>, got <{root.tag}>")
    if root.find("image") is not None or root.find("meta/project") is not None:
        got = (
            "a project's" if root.find("image") is None else "'CVAT for images', which does not say what is one object"
        )
        detail = f"{xml} must be a task's export as 'CVAT for video 1.1', got {got}: export the task so"
        raise ImportFailedError(ImportReason.UNSUPPORTED, detail)
    return root


def frames_of(root: ElementTree.Element, xml: Path) -> range:
    """Return the frames of the task, as numbers of the source video.

    Raises:
        ImportFailedError: it has none.
    """

    def number(name: str, default: int) -> int:
        found = next(
            (one.text for kind in ("task", "job") if (one := root.find(f"meta/{kind}/{name}")) is not None), None
        )
        digits = re.search(r"\d+", found or "")
        return int(digits[0]) if digits else default

    first, step = number("start_frame", 0), max(1, number("frame_filter", 1))
    drawn = [
        int(one.get("frame", "0")) for track in root.iter("track") for one in track if one.get("frame", "").isdigit()
    ]
    size = number("size", 0)
    last = first + step * (size - 1) if size else number("stop_frame", max(drawn, default=first))
    if last < first:
        raise ImportFailedError(
            ImportReason.ENTRY_MALFORMED, f"{xml} must have a frame at least, got {first} to {last}"
        )
    return range(first, last + 1, step)


def _polygon(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    points = np.array([pair.split(",") for pair in element.attrib["points"].split(";")], np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3:
        raise ValueError(f"points must be x,y;x,y;… of 3 corners at least, got {element.attrib['points'][:40]!r}")
    check_corners([points.ravel().tolist()], *size)
    return Shape(size, points=points)


def _mask(element: ElementTree.Element, size: tuple[int, int]) -> Shape:
    """Read a mask: runs row by row inside a box, background first."""
    left, top, width, height = (int(float(element.attrib[name])) for name in ("left", "top", "width", "height"))
    runs = np.array([int(run) for run in element.attrib["rle"].split(",")], np.int64)
    if (runs < 0).any() or runs.sum() != width * height:
        raise ValueError(f"runs must add up to width x height = {width * height}, got {runs.sum()}")
    if left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ImportFailedError(
            ImportReason.SIZE_MISMATCH,
            f"a mask at ({left}, {top}) of {width} x {height} must lie in its picture, {size[1]} x {size[0]}",
        )
    inside = np.repeat(np.arange(len(runs)) % 2, runs)
    mask_HW = np.zeros(size, np.uint8)
    mask_HW[top : top + height, left : left + width] = inside.reshape(height, width)
    return Shape(size, mask_HW=mask_HW)


def between(before_P2: Points, after_Q2: Points, share: float) -> Points:
    """Return the polygon between two key frames, a `share` in [0, 1] of the way from the first to the second.

    Each corner of the one goes with the corner of the other that lies nearest to it along the outline, measured from
    the first corner in shares of the whole outline. Corners that are left over go with the nearest likewise.
    """
    along_P, along_Q = _along(before_P2), _along(after_Q2)
    nearest_P = np.abs(along_P[:, None] - along_Q[None]).argmin(axis=1)
    pairs = {(p, int(q)) for p, q in enumerate(nearest_P)}
    for q in set(range(len(along_Q))) - set(nearest_P.tolist()):
        pairs.add((int(np.abs(along_P - along_Q[q]).argmin()), q))
    p, q = np.array(sorted(pairs)).T
    closed_P3, closed_Q3 = (np.vstack([points, points[:1]]) for points in (before_P2, after_Q2))
    return np.asarray(closed_P3[p] + (closed_Q3[q] - closed_P3[p]) * share)[:-1]


def _along(points: Points) -> NDArray[np.float64]:
    """Return how far along the closed outline each corner lies, in [0, 1]; the first comes again at the end."""
    steps = np.hypot(*np.diff(np.vstack([points, points[:1]]), axis=0).T)
    lengths = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(lengths / max(float(lengths[-1]), 1e-9))
