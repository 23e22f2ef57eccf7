"""Reads the annotation files of SA-V (`_manual.json`, `_auto.json`), and checks them against their video.

Nothing else in the project looks into such a file. A masklet is one object's masks, one in every annotated frame.

Shapes: T annotated frames (6 fps), N masklets, 4 = (x, y, width, height), 2 = (x, y), in pixels; masks `_HW`, uint8, 1
inside.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from manifests.io import Folder
from manifests.row_results import Reject, RowError
from manifests.schema import MASK_STRIDE, Reason
from stages.video.rle import Rle, Runs, areas_px, boxes_px, checked, decode, empty, parse, union
from stages.video.source_file import json_text, readable
from stages.video.track import Track

# A second and a tenth: less is in how tools count the last frame, or 25 frames a second for 24; more is another video.
_DURATION_S, _DURATION_FRAC = 1.0, 0.1


@dataclass(frozen=True)
class Origin:
    """Holds where an imported masklet comes from (pipeline/importers); SA-V's own files say nothing of it.

    Attributes:
        source: name of the source that it was imported from.
        source_id: its own ids there, `<video>/<object>`.
        label: what the source's annotator called it: a category or a noun phrase.
        members: positions of the masklets that it joins, if it is no object but what an expression of several means.
    """

    source: str | None = None
    source_id: str | None = None
    label: str | None = None
    members: tuple[int, ...] = ()


@dataclass(frozen=True)
class Masklets:
    """Holds the masklets of one annotation file.

    Attributes:
        file: what errors call it.
        frame_count: source frames that the file states; None if it does not.
        duration_s: length of the video that it states; None if it does not.
        ids: the file's own ids of the masklets; None if it gives none.
        rles: [T][N] checked RLE, safe for pycocotools; an empty mask where the file's own is malformed.
        sizes_TN2: (height, width) of each RLE; (1, 1) where the file gives none that makes sense.
        errors: masklet position -> its first malformed RLE and what is wrong with it.
        runs: run lengths of the T x N strings, frame by frame.
        origins: of the N masklets.
    """

    file: str
    frame_count: int | None
    duration_s: float | None
    ids: list[int | None]
    rles: list[list[Rle]]
    sizes_TN2: NDArray[np.int64]
    errors: dict[int, str]
    runs: Runs
    origins: list[Origin]

    @cached_property
    def areas(self) -> NDArray[np.int64]:
        """Return the pixels of every mask, shape (T, N); 0 = not visible."""
        return np.array([areas_px(rles) for rles in self.rles], np.int64).reshape(self.sizes_TN2.shape[:2])

    @cached_property
    def boxes(self) -> NDArray[np.int64]:
        """Return the tight box of every mask, shape (T, N, 4); zeros = not visible."""
        return np.array([boxes_px(rles) for rles in self.rles], np.int64).reshape(*self.sizes_TN2.shape[:2], 4)

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Return the mean (x, y) of every mask's pixels, shape (T, N, 2); nan = not visible."""
        return self.runs.centres().reshape(self.sizes_TN2.shape)

    def file_fault(self, frame_count: int, duration_s: float | None = None) -> Reject | None:
        """Say why no masklet of this file can be used with its video, or None.

        Args:
            frame_count: source frames of the video; there must be a mask for every fourth, from the first on.
            duration_s: of the video by its timestamps; None leaves it and the stated number of frames unchecked.
        """
        if duration_s is not None and self.frame_count not in (None, frame_count):
            detail = f"{self.file}: video_frame_count is {self.frame_count}, the mp4 has {frame_count} frames"
            return Reject(Reason.FRAME_COUNT_MISMATCH, detail)
        entries, expected = len(self.rles), annotated_count(frame_count)
        if entries != expected:
            rule = f"ceil({frame_count} frames / {MASK_STRIDE}) = {expected}"
            detail = f"{self.file}: masklet has {entries} entries, must be {rule}"
            return Reject(Reason.ANNOTATION_COUNT_MISMATCH, detail)
        stated_s = self.duration_s
        if stated_s is None or duration_s is None:
            return None
        if abs(stated_s - duration_s) > max(_DURATION_S, _DURATION_FRAC * duration_s):
            detail = (
                f"{self.file}: video_duration is {stated_s:g} s, the mp4 lasts {duration_s:.2f} s by its timestamps: "
                "it plays at another rate than the one that was annotated, get the original"
            )
            return Reject(Reason.DURATION_MISMATCH, detail)
        return None

    def masklet_fault(self, n: int, size: tuple[int, int]) -> Reject | None:
        """Say why masklet n cannot be used with a video of `size` (height, width), upright, or None."""
        if n in self.errors:
            return Reject(Reason.RLE_MALFORMED, self.errors[n])
        wrong_T = (self.sizes_TN2[:, n] != size).any(axis=1)
        if wrong_T.any():
            t = int(wrong_T.argmax())
            got, rule = self.sizes_TN2[t, n].tolist(), list(size)
            detail = f"{self.file}: masklet[{t}][{n}] has size {got}, the upright video {rule} (height, width)"
            return Reject(Reason.RLE_SIZE_MISMATCH, detail)
        return None


def annotated_count(frame_count: int) -> int:
    """Return the number of annotated frames of a video of `frame_count` source frames."""
    return -(-frame_count // MASK_STRIDE)


def read_masklets(raw: bytes, file: str) -> Masklets:
    """Parse an annotation file and check all of its masks; those that are malformed are in `errors`.

    Args:
        raw: the whole file.
        file: what errors call it.

    Raises:
        RowError: JSON_MALFORMED with the position or the key that breaks the format.
    """
    try:
        return check_masklets(from_json(json_text(raw), cache_strings="keys"), file)
    except ValueError as error:
        raise _unparsed(file, error) from error


def check_masklets(annotation: object, file: str) -> Masklets:
    """Do as `read_masklets` does, for a file that is parsed already."""
    frames = _entries(annotation, file)
    assert isinstance(annotation, dict)
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

    flat = [checked(entry) for entries in frames for entry in entries]
    runs = parse([rle for rle, _ in flat])
    problems = runs.errors | {s: fault for s, (_, fault) in enumerate(flat) if fault}
    errors: dict[int, str] = {}
    for s in sorted(problems):
        errors.setdefault(s % masklets, f"{file}: masklet[{s // masklets}][{s % masklets}]: {problems[s]}")
    rles = [empty(*rle["size"]) if s in problems else rle for s, (rle, _) in enumerate(flat)]
    return Masklets(
        file=file,
        frame_count=frame_count,
        duration_s=duration_s,
        ids=checked_ids,
        rles=[rles[t * masklets : (t + 1) * masklets] for t in range(len(frames))],
        sizes_TN2=np.array([rle["size"] for rle, _ in flat], np.int64).reshape(len(frames), masklets, 2),
        errors=errors,
        runs=runs,
        origins=_origins(annotation, masklets, file),
    )


def read_entries(raw: bytes, file: str) -> list[list[Any]]:
    """Parse an annotation file without checking its masks and return its entries [T][N]; for callers that need a few.

    `rle.checked` and `rle.parse` check an entry. Arguments and errors are those of `read_masklets`.
    """
    try:
        return _entries(from_json(json_text(raw), cache_strings="keys"), file)
    except ValueError as error:
        raise _unparsed(file, error) from error


@dataclass(frozen=True)
class VideoObject:
    """Holds one masklet of a video: its track, and its masks."""

    track: Track
    rles_T: Sequence[Rle]

    @property
    def object_id(self) -> str:
        """Return the id of the masklet: `<video id>/<manual|auto>/<position>`."""
        return self.track.object_id

    @cached_property
    def best_index(self) -> int:
        """Return the annotated frame of the largest area (paper, section 3.3)."""
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


def _entries(annotation: object, file: str) -> list[list[Any]]:
    if not isinstance(annotation, dict):
        _malformed(file, "the top level", "an object", annotation)
    frames = annotation.get("masklet")
    if not isinstance(frames, list) or not frames:
        _malformed(file, "masklet", "a list with an entry for each annotated frame", frames)
    for t, entries in enumerate(frames):
        if not isinstance(entries, list) or len(entries) != len(frames[0]):
            _malformed(file, f"masklet[{t}]", "a list as long as masklet[0]", entries)
    return frames


def _origins(annotation: dict[str, Any], masklets: int, file: str) -> list[Origin]:
    """Return where the masklets come from, by the keys that pipeline/importers adds to a file."""
    source = _of_type(annotation.get("source"), str, file, "source")
    if source is None:
        return [Origin()] * masklets
    video = _of_type(annotation.get("source_video_id"), str, file, "source_video_id") or ""
    values: dict[str, list[Any]] = {}
    for key, kind in (("masklet_source_id", str), ("masklet_source_label", str), ("masklet_members", list)):
        given = annotation.get(key)
        given = [None] * masklets if given is None else given
        if not isinstance(given, list) or len(given) != masklets:
            _malformed(file, key, f"a list of {masklets} entries, one for each masklet", given)
        values[key] = [_of_type(value, kind, file, f"{key}[{n}]") for n, value in enumerate(given)]
    for n, members in enumerate(values["masklet_members"]):
        if not all(isinstance(m, int) and 0 <= m < masklets for m in members or ()):
            _malformed(file, f"masklet_members[{n}]", f"positions of masklets below {masklets}", members)
    return [
        Origin(source, f"{video}/{own}", label, tuple(members or ()))
        for own, label, members in zip(*values.values(), strict=True)
    ]


def _of_type(value: Any, kind: type, file: str, key: str) -> Any:
    if value is not None and not isinstance(value, kind):
        _malformed(file, key, f"a {kind.__name__}, or null", value)
    return value


def _unparsed(file: str, error: ValueError) -> RowError:
    cut = ": the file breaks off, get it again" if str(error).startswith("EOF ") else ""
    return RowError(Reason.JSON_MALFORMED, f"{file}: {error}{cut}")


def _whole(value: Any, file: str, key: str) -> int | None:
    """Return a whole number that may be written as a float (483.0); None if it is missing."""
    if value is None:
        return None
    if not isinstance(value, int | float) or not 0 <= value < 2**31 or value % 1:
        _malformed(file, key, "a whole number", value)
    return int(value)


def _malformed(file: str, key: str, rule: str, got: object) -> NoReturn:
    what = f"{len(got)} entries" if isinstance(got, list) else f"{type(got).__name__} {str(got)[:40]}"
    raise RowError(Reason.JSON_MALFORMED, f"{file}: {key} must be {rule}, got {what}")
