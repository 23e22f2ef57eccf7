"""The entries of a `Ref-SAV.json`, official or ours: the paths of a mask file, and the texts of its objects.

An entry is `{"video_path": …, "anno_path": …, "objects": {"<column in the mask file>": {"formated": …}}}`. `formated`
(the loader's spelling) is a text, and so is every one of `short_caps`, which the released training code never reads.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NoReturn, cast

MaskletType = Literal["manual", "auto"]

_ANNO = re.compile(r".*_(manual|auto)\.json")


@dataclass(frozen=True, slots=True)
class RefSavEntry:
    """One entry: paths as they stand there, which of the two mask files it is about, and what is said of its objects.

    Attributes:
        video_path, anno_path: below SAV_ROOT, in whichever layout.
        masklet_type: manual or auto, by the name of the mask file.
        objects: column -> what is said of the object, not looked at yet.
    """

    video_path: str
    anno_path: str
    masklet_type: MaskletType
    objects: dict[str, Any]

    @property
    def video_id(self) -> str:
        """The name of the video without its end."""
        return PurePosixPath(self.video_path).stem


def read_entry(file: object, key: str, entry: Any) -> RefSavEntry:
    """Return an entry whose paths were checked.

    Raises:
        ValueError: it breaks the format; `file` and `key` are named.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("objects"), dict):
        refuse(file, key, "an object with video_path, anno_path and objects", entry)
    for name in ("video_path", "anno_path"):
        value = entry.get(name)
        if not isinstance(value, str) or not _is_below(value):
            refuse(file, f"{key}: {name}", "a path below SAV_ROOT", value)
    kind = _ANNO.fullmatch(entry["anno_path"])
    if kind is None:
        refuse(file, f"{key}: anno_path", "a file …_manual.json or …_auto.json", entry["anno_path"])
    return RefSavEntry(entry["video_path"], entry["anno_path"], cast(MaskletType, kind[1]), entry["objects"])


def read_texts(file: object, where: str, column: str, described: Any, *, short: bool) -> Iterator[tuple[str, str]]:
    """Yield the texts of one object of an entry with the name of their field: `formated`, then `short_caps[0]` ….

    Args:
        file: is named in errors.
        where: its place in the file, for errors.
        column: its key.
        described: its value.
        short: whether to read `short_caps`.

    Raises:
        ValueError: it breaks the format.
    """
    if not column.isascii() or not column.isdigit():
        refuse(file, where, "keyed by a position in the frames' lists of masklets", column)
    if not isinstance(described, dict):
        refuse(file, where, "an object with `formated`", described)
    captions = described.get("short_caps", [])
    if not isinstance(captions, list):
        refuse(file, f"{where}: short_caps", "a list of texts", captions)
    long = [("formated", described["formated"])] if "formated" in described else []
    texts = [*long, *((f"short_caps[{number}]", text) for number, text in enumerate(captions))]
    if not texts or not all(isinstance(text, str) for _, text in texts):
        refuse(file, where, "described by texts in `formated` or `short_caps`", described)
    yield from texts if short else long


def refuse(file: object, where: str, rule: str, got: object) -> NoReturn:
    """Raise the ValueError of a place that breaks the format."""
    raise ValueError(f"{file}: {where} must be {rule}, got {type(got).__name__} {str(got)[:80]!r}")


def _is_below(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
