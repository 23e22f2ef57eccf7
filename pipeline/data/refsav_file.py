"""`Ref-SAV.json` as samples, one a text; where the paths in it point to.

Official paths repeat the shard: `sav_000/sav_train/sav_000/x.mp4`, for a folder unpacked as `sav_train/sav_000/x.mp4`.
The official loader looks for a part `sav_train` and drops what stands before it, Sa2VA-i always drops the first part.
Here the path is tried as it is, then so, then with the shard repeated, which is how Sa2VA's instructions lay files out.
The first that exists counts, and its reading is tried first for the next.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn, cast

from pydantic_core import from_json

from stages.video.content import json_text

MaskletType = Literal["manual", "auto"]

_ANNO = re.compile(r".*_(manual|auto)\.json")


@dataclass(frozen=True, slots=True)
class Sample:
    """A text of an object, with all that its file says; paths are absolute."""

    video_id: str
    video_path: Path
    frame_count: int | None
    object_id: str
    masklet_type: MaskletType
    anno_path: Path
    column: int
    text: str


def read_refsav(file: Path, root: Path, *, short: bool = True) -> list[Sample]:
    """The samples of a `Ref-SAV.json`, in its order.

    `formated` (the loader's spelling) is a text, and so is each of `short_caps` (which the release never reads: `short`
    False). An empty text stays, for the check.

    Raises:
        ValueError: the file cannot be read, or an entry of it; the key is named.
    """
    try:
        entries = from_json(json_text(file.read_bytes()), cache_strings="keys")
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: must be a Ref-SAV.json, or the folder of an annotation run: {error}") from error
    if not isinstance(entries, dict):
        _refuse(file, "the top level", "an object with an entry for each mask file", entries)
    locate = Locator(root)
    return [sample for key, entry in entries.items() for sample in _samples(file, key, entry, locate, short)]


def _samples(file: Path, key: str, entry: Any, locate: "Locator", short: bool) -> Iterator[Sample]:
    if not isinstance(entry, dict) or not isinstance(entry.get("objects"), dict):
        _refuse(file, key, "an object with video_path, anno_path and objects", entry)
    paths: dict[str, str] = {}
    for name in ("video_path", "anno_path"):
        value = entry.get(name)
        if not isinstance(value, str) or not _is_below(value):
            _refuse(file, f"{key}: {name}", "a path below SAV_ROOT", value)
        paths[name] = value
    kind = _ANNO.fullmatch(paths["anno_path"])
    if kind is None:
        _refuse(file, f"{key}: anno_path", "a file …_manual.json or …_auto.json", paths["anno_path"])
    video_path, anno_path = locate(paths["video_path"]), locate(paths["anno_path"])
    for column, described in entry["objects"].items():
        where = f"{key}: objects: {column!r}"
        if not column.isascii() or not column.isdigit():
            _refuse(file, where, "keyed by a position in the frames' lists of masklets", column)
        if not isinstance(described, dict):
            _refuse(file, where, "an object with `formated`", described)
        given = described.get("object_id")
        for text in _texts(file, where, described, short):
            yield Sample(
                video_id=video_path.stem,
                video_path=video_path,
                frame_count=None,
                object_id=given if isinstance(given, str) else f"{video_path.stem}/{kind[1]}/{column}",
                masklet_type=cast(MaskletType, kind[1]),
                anno_path=anno_path,
                column=int(column),
                text=text,
            )


def _texts(file: Path, where: str, described: dict[str, Any], short: bool) -> list[str]:
    captions = described.get("short_caps", [])
    if not isinstance(captions, list):
        _refuse(file, f"{where}: short_caps", "a list of texts", captions)
    long = [described["formated"]] if "formated" in described else []
    texts = long + captions
    if not texts or not all(isinstance(text, str) for text in texts):
        _refuse(file, where, "described by texts in `formated` or `short_caps`", described)
    return texts if short else long


class Locator:
    """Where paths of a run or a `Ref-SAV.json` lead, whichever layout SAV_ROOT has."""

    def __init__(self, root: Path) -> None:
        self._root, self._first = root, 0

    def __call__(self, relative: str) -> Path:
        """The file, or where it should be."""
        candidates = [self._root / each for each in _readings(PurePosixPath(relative))]
        order = sorted(range(len(candidates)), key=lambda n: (n != self._first, n))
        for n in order:
            if candidates[n].exists():
                self._first = n
                return candidates[n]
        return candidates[0]  # is not there: the check says so


def _readings(path: PurePosixPath) -> list[PurePosixPath]:
    """The path as it is, as the official loader mends it, as Sa2VA-i does, and in Sa2VA's folders; each once."""
    parts = path.parts
    readings = [path]
    at = parts.index("sav_train") if parts.count("sav_train") == 1 else 0
    if at and at + 1 < len(parts) and parts[at - 1] == parts[at + 1]:
        readings.append(PurePosixPath(*parts[: at - 1], *parts[at:]))
    if len(parts) > 1:
        readings.append(PurePosixPath(*parts[1:]))
    if parts[0] == "sav_train" and len(parts) > 2:
        readings.append(PurePosixPath(parts[1], *parts))
    return list(dict.fromkeys(readings))


def _is_below(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts


def _refuse(file: Path, where: str, rule: str, got: object) -> NoReturn:
    raise ValueError(f"{file}: {where} must be {rule}, got {type(got).__name__} {str(got)[:80]!r}")
