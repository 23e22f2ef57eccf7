"""Reads the file of texts that others wrote: a `Ref-SAV.json` in the official layout, or a CSV of object_id and text.

A file that cannot be read as one of these is refused as a whole, with the place. A single text that cannot be used (no
words, an id of another form) is kept with its fault, so that it is counted and the others are audited.
"""

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

import fsspec

from manifests.io import Folder
from manifests.outputs import NEGATIVES_FILE, TRAIN_FILE, brief
from manifests.schema import GivenText
from manifests.text_tables import plain_cell
from pipeline.data.refsav_entries import as_text, read_entry, read_fields, refuse
from stages.video.source_file import json_text

TEXTS_FILE = "texts.csv"  # in the run's folder: a line for every text of the file
MAX_TEXT_CHARS = 4000  # four times the longest expression; patterns and judges take long for more
_COLUMNS = ("object_id", "text")
_DELIMITERS = (",", ";", "\t")
_OBJECT_ID = re.compile(r"([^/]+)/(manual|auto)/0*([0-9]{1,9})")
_SEPARATOR = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # a first line by which Excel is told what divides the cells
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SHOWN = 80  # characters of what was got
_IDS_SHOWN = 4


class TextFault(StrEnum):
    """Why a text of the file is not audited. docs/annotate.md has a table of all reasons."""

    MALFORMED = "malformed"  # its entry, line or object_id breaks the format
    EMPTY_TEXT = "empty_text"  # it has no words
    TOO_LONG = "too_long"  # it has more than MAX_TEXT_CHARS characters
    REPEATED = "repeated"  # the same text for the same object stands in the file before
    NOT_IN_SHARD = "not_in_shard"  # its video is not in the shards of this run
    UNKNOWN_OBJECT = "unknown_object"  # its video is there, but has no such masklet
    LEFT_BY_LIMIT = "left_by_limit"  # --limit leaves out its video


@dataclass(frozen=True, slots=True)
class TextEntry:
    """One text as it stands in the file.

    Attributes:
        where: its place there: "line 3", or the entry, the object's key and the field.
        object_id: `<video>/<manual|auto>/<position>`; what stands there if that is something else.
        text: without white space around it.
        fault: why it cannot be audited, whatever the shard has; None if nothing is wrong with it.
        detail: the rule and what was got.
    """

    where: str
    object_id: str
    text: str
    fault: TextFault | None = None
    detail: str = ""


@dataclass(frozen=True)
class GivenTexts:
    """The texts of a file, in its order, with the name and the SHA-256 of the file."""

    name: str
    sha256: str
    entries: Sequence[TextEntry]

    def by_object(self) -> dict[str, list[GivenText]]:
        """Return object_id -> the texts to audit, in the order of the file."""
        texts: dict[str, list[GivenText]] = defaultdict(list)
        for entry in self.entries:
            if entry.fault is None:
                texts[entry.object_id].append(GivenText(text=entry.text, where=entry.where))
        return dict(texts)


def read_given(path: str) -> GivenTexts:
    """Read the texts at a path or fsspec URL.

    Raises:
        ValueError: there is no such file, it has no text, or it is neither a Ref-SAV.json nor a CSV in UTF-8; the
            message has the place and what to do.
    """
    try:
        fs, place = fsspec.core.url_to_fs(path)
        if fs.isdir(place):
            raise IsADirectoryError("it is a folder")
        raw = bytes(fs.cat_file(place))
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            "--texts (make: TEXTS=…) must name a Ref-SAV.json or a CSV of object_id and text, got "
            f"{path}: {brief(error)}"
        ) from error
    name = place.rstrip("/").rpartition("/")[2]
    if not raw.strip():
        raise ValueError(f"{path}: must hold texts, got an empty file")
    if raw[:2] in _WIDE_MARKS or b"\0" in raw[:64]:
        raise ValueError(f"{path}: must be UTF-8, got UTF-16, or no text at all: save it again as UTF-8")
    if raw.startswith(b"PK"):
        raise ValueError(f"{path}: must be text, got an archive, as workbooks are: save it as CSV in UTF-8")
    is_json = raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    found = list(_of_json(path, raw) if is_json else _of_csv(path, raw))
    if not any(entry.fault is None for entry in found):
        first = f": {found[0].where}: {found[0].detail}" if found else ""
        raise ValueError(f"{path}: must have a text that can be audited, got {len(found)} that cannot{first}")
    return GivenTexts(name, hashlib.sha256(raw).hexdigest(), _without_repetitions(found))


def check_texts(given: GivenTexts, path: str, out: Folder, video_ids: Collection[str]) -> None:
    """Check, before anything is written, that a run in `out` over these videos has something to audit.

    Raises:
        ValueError: no text is about one of the videos, or the run would write over the file of texts.
    """
    written = [name for name in (TRAIN_FILE, TEXTS_FILE, NEGATIVES_FILE) if Folder(path).path() == out.path(name)]
    if written:
        raise ValueError(
            f"--texts (make: TEXTS=…) must lie apart from what the run writes, got {path}, and {written[0]} of "
            f"{out.path()} is written: name another --out (make: OUT=…)"
        )
    texts = given.by_object()
    if not any(object_id.partition("/")[0] in video_ids for object_id in texts):
        raise ValueError(
            f"{path}: must have a text about one of the {len(video_ids):,} videos of these shards, got texts about "
            f"{', '.join([*texts][:_IDS_SHOWN])}{' …' * (len(texts) > _IDS_SHOWN)}: is --shard (make: SHARD=…) right?"
        )


def _without_repetitions(entries: Sequence[TextEntry]) -> list[TextEntry]:
    seen: dict[tuple[str, str], str] = {}
    kept = []
    for entry in entries:
        entry = replace(entry, where=_encodable(entry.where), detail=_encodable(entry.detail))
        before = None if entry.fault else seen.get((entry.object_id, " ".join(entry.text.split())))
        if before is not None:
            entry = replace(entry, fault=TextFault.REPEATED, detail=f"the same as {before}")
        elif entry.fault is None:
            seen[entry.object_id, " ".join(entry.text.split())] = entry.where
        kept.append(entry)
    return kept


def _checked(where: str, object_id: str, text: str) -> TextEntry:
    """Return the text of an object, with the fault that it has by itself."""
    object_id, text = object_id.strip(), text.strip()
    if (match := _OBJECT_ID.fullmatch(object_id)) is None:
        rule = f"object_id must be <video>/<manual|auto>/<position>, got {object_id[:_SHOWN]!r}"
        return TextEntry(where, _encodable(object_id), _encodable(text), TextFault.MALFORMED, rule)
    object_id = f"{match[1]}/{match[2]}/{int(match[3])}"
    if _encodable(text) != text or _encodable(object_id) != object_id:
        detail = "must be characters of Unicode, has half a surrogate pair"
        return TextEntry(where, _encodable(object_id), _encodable(text), TextFault.MALFORMED, detail)
    if not any(char.isalnum() for char in text):
        return TextEntry(where, object_id, text, TextFault.EMPTY_TEXT, f"must have words, got {text[:_SHOWN]!r}")
    if len(text) > MAX_TEXT_CHARS:
        detail = f"must have at most {MAX_TEXT_CHARS:,} characters, has {len(text):,}"
        return TextEntry(where, object_id, f"{text[:_SHOWN]} …", TextFault.TOO_LONG, detail)
    return TextEntry(where, object_id, text)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


# ---- Ref-SAV.json ----


def _of_json(path: str, raw: bytes) -> Iterator[TextEntry]:
    try:
        content = json.loads(json_text(raw), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: must be a Ref-SAV.json: {brief(error)}") from error
    if not isinstance(content, dict):
        refuse(path, "the top level", "an object with an entry for each mask file", content)
    for key, value in content.items():
        try:
            entry = read_entry(path, key, value)
            masks = f"{entry.video_id}_{entry.masklet_type}.json"
            if PurePosixPath(entry.anno_path).name != masks:  # whose objects would the texts be about?
                refuse(path, f"{key}: anno_path", f"the mask file of its video, …/{masks}", entry.anno_path)
        except ValueError as error:
            yield TextEntry(key, "", "", TextFault.MALFORMED, str(error).removeprefix(f"{path}: "))
            continue
        for column, described in entry.objects.items():
            yield from _of_object(
                path, f"{key}: objects: {column!r}", f"{entry.video_id}/{entry.masklet_type}", column, described
            )


def _of_object(path: str, where: str, of_file: str, column: str, described: Any) -> Iterator[TextEntry]:
    """Yield the texts of one object: a field of it that breaks the format costs no other one."""
    object_id = f"{of_file}/{column}"

    def malformed(at: str, error: ValueError) -> TextEntry:
        return TextEntry(
            at, object_id, "", TextFault.MALFORMED, str(error).removeprefix(f"{path}: {where}").strip(": ")
        )

    try:
        fields = read_fields(path, where, column, described)
        stated = described.get("object_id", object_id)
        if stated != object_id:  # the loader goes by the key, a reader by the id: one of them takes another object
            refuse(path, f"{where}: object_id", f"that of its place, {object_id!r}", stated)
    except ValueError as error:
        yield malformed(where, error)
        return
    for name, value in fields:
        try:
            yield _checked(f"{where}: {name}", object_id, as_text(path, where, name, value))
        except ValueError as error:
            yield malformed(f"{where}: {name}", error)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:_SHOWN]!r} stands twice in one object, and only one of both would be read")
    return content


# ---- CSV ----


def _of_csv(path: str, raw: bytes) -> Iterator[TextEntry]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}: must be UTF-8, got the byte 0x{raw[error.start]:02x} in line {line}: save it again as UTF-8"
        ) from error
    if not text.strip():
        raise ValueError(f"{path}: must hold texts, got an empty file")
    told = _SEPARATOR.match(text)
    table = text[told.end() :] if told else text
    before = told[0].count("\n") if told else 0  # lines before the table
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a long cell is the fault of its text alone
    delimiters = (told[1],) if told else _DELIMITERS
    delimiter = next((one for one in delimiters if set(_COLUMNS) <= set(_names(table, one))), None)
    if delimiter is None:
        raise ValueError(
            f"{path}: must be a Ref-SAV.json, or a CSV whose first line names the columns object_id and text, got "
            f"{next(iter(table.strip().splitlines()), '')[:_SHOWN]!r}"
        )
    names = _names(table, delimiter)
    if twice := [name for name in _COLUMNS if names.count(name) > 1]:
        raise ValueError(
            f"{path}: the first line must name each column once, got {twice[0]} {names.count(twice[0])} times"
        )
    least = 1 + max(map(names.index, _COLUMNS))
    reader = csv.reader(io.StringIO(table, newline=""), delimiter=delimiter, strict=True)
    header, started = False, before + 1
    try:
        for cells in reader:
            where, started = f"line {started}", before + reader.line_num + 1
            if not any(cell.strip() for cell in cells):  # spreadsheets leave lines of empty cells below a table
                continue
            if not header:
                header = True
                continue
            while len(cells) > len(names) and not cells[-1].strip():  # and empty cells at its right
                cells.pop()
            if not least <= len(cells) <= len(names):
                rule = f"must have {len(names)} cells, as the first line, got {len(cells)}: put texts in quotes"
                yield TextEntry(where, _encodable(cells[0]), "", TextFault.MALFORMED, rule)
                continue
            object_id, text = (plain_cell(cells[names.index(name)]) for name in _COLUMNS)
            yield _checked(where, object_id, text)
    except csv.Error as error:
        raise ValueError(f"{path}: line {started} and those after it must be CSV: {error}") from error


def _names(table: str, delimiter: str) -> list[str]:
    """Return the names of the columns: the first line that has any cell."""
    try:
        for cells in csv.reader(io.StringIO(table, newline=""), delimiter=delimiter):
            if any(names := [cell.strip().lower() for cell in cells]):
                return names
    except (csv.Error, ValueError):  # ValueError: `sep=` names what cannot divide cells
        pass
    return []
