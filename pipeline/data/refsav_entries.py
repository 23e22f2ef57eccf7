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
_POSITION = re.compile("0*[0-9]{1,9}")
_SHORT = "short_caps"  # the name of that field if it is no list
_TEXTS = "described by texts in `formated` or `short_caps`"


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


def read_fields(file: object, where: str, column: str, described: Any) -> list[tuple[str, Any]]:
    """Return what stands for texts of one object of an entry, by field: `formated`, then `short_caps[0]` ….

    Args:
        file: is named in errors.
        where: its place in the file, for errors.
        column: its key.
        described: its value.

    Raises:
        ValueError: its key is no position, or it has no such field. The values are not looked at.
    """
    if _POSITION.fullmatch(column) is None:
        refuse(file, where, "keyed by a position in the frames' lists of masklets", column)
    if not isinstance(described, dict):
        refuse(file, where, "an object with `formated`", described)
    captions = described.get(_SHORT)
    named = [("formated", described["formated"])] if described.get("formated") is not None else []
    if isinstance(captions, list):
        named += [(f"{_SHORT}[{number}]", text) for number, text in enumerate(captions)]
    elif captions is not None:
        named.append((_SHORT, captions))
    if not named:
        refuse(file, where, _TEXTS, described)
    return named


def read_texts(file: object, where: str, column: str, described: Any, *, short: bool) -> Iterator[tuple[str, str]]:
    """Yield the texts of one object of an entry with the name of their field, as `read_fields` names them.

    Args:
        file: is named in errors.
        where: its place in the file, for errors.
        column: its key.
        described: its value.
        short: whether to read `short_caps`.

    Raises:
        ValueError: it breaks the format, in any field.
    """
    fields = read_fields(file, where, column, described)
    texts = [(name, as_text(file, where, name, value)) for name, value in fields]
    yield from (one for one in texts if short or one[0] == "formated")


def as_text(file: object, where: str, name: str, value: Any) -> str:
    """Return the value of a field that `read_fields` named, which must be a text.

    Raises:
        ValueError: it is something else.
    """
    if name == _SHORT:
        refuse(file, f"{where}: {name}", "a list of texts", value)
    if not isinstance(value, str):
        refuse(file, f"{where}: {name}", _TEXTS, value)
    return value


def refuse(file: object, where: str, rule: str, got: object) -> NoReturn:
    """Raise the ValueError of a place that breaks the format."""
    raise ValueError(f"{file}: {where} must be {rule}, got {type(got).__name__} {str(got)[:80]!r}")


def _is_below(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts
