"""Tells what became of every text of a file: each one ends in exactly one state, and the sums are checked.

`texts.csv` in the run's folder has a line for each text, in the order of the file.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import pyarrow as pa

from manifests.schema import GivenText, Reason, Status
from manifests.text_tables import safe_cell
from pipeline.audit.given_texts import GivenTexts, TextEntry, TextFault
from pipeline.export.annotations import Annotations
from stages.audit_texts import AuditTexts, undecided, why_failed
from stages.render_views import RenderViews
from stages.select_policy import STAGE as SELECT_OBJECTS

MANIFEST_COLUMNS = ("object_id", "video_id", "status", "stage", "reason", "detail", "given_texts")
_COLUMNS = ("object_id", "status", "stage", "reason", "detail", "expression", "given_texts")
_CSV_HEAD = (
    *("where", "object_id", "text", "state", "reason", "detail"),
    *("claims", "contradictions", "decision", "pick_rate", "confused_with", "new_text"),
)
_BEFORE_THE_AUDIT = (SELECT_OBJECTS, RenderViews.name, AuditTexts.name)  # what ends there says nothing of a text


class TextState(StrEnum):
    """What became of a text of the file."""

    PASSED = "passed"  # nothing contradicts it, and it singles out its object, or that is alone in its video
    REPAIRED = "repaired"  # it failed its checks, and a new text that passes them took its place
    REJECTED = "rejected"  # contradicted, ambiguous or not found
    UNDECIDED = (
        "undecided"  # by measurement alone: it says what kind of thing it means, and nothing else tells it apart
    )
    FAILED = "failed"  # its object ended by an error; the next call tries it again
    POISONED = "poisoned"  # the same, too often: no call tries it again
    LEFT_OUT = "left_out"  # not audited: something is wrong with the text, its object or the video; or not judged


@dataclass(frozen=True)
class TextEnd:
    """A text of the file, and what became of it.

    Attributes:
        entry: the text.
        state: one of TextState.
        reason: a TextFault, or a Reason; empty if it passed.
        detail: the rule and what was got.
        checked: the text with what its checks say; None if it was not audited.
        new_text: what took its place, if it was repaired.
        first: whether it is the first of its object, which is the one that a repair writes anew.
    """

    entry: TextEntry
    state: TextState
    reason: str = ""
    detail: str = ""
    checked: GivenText | None = None
    new_text: str | None = None
    first: bool = False


def text_ends(given: GivenTexts, manifest: pa.Table, annotations: Annotations) -> list[TextEnd]:
    """Return what became of every text, in the order of the file.

    Args:
        given: the texts.
        manifest: the columns MANIFEST_COLUMNS.
        annotations: the rows of the run.

    Raises:
        ValueError: the manifest has other texts than the file.
    """
    wanted = set(given.by_object())
    planned = {row["object_id"]: row for row in manifest.to_pylist()}
    videos = {row["video_id"] for row in planned.values()}
    rows = {row["object_id"]: row for row in annotations.rows(_COLUMNS) if row["object_id"] in wanted}
    seen: dict[str, int] = {}
    ends = []
    for entry in given.entries:
        if entry.fault is not None:
            ends.append(TextEnd(entry, TextState.LEFT_OUT, entry.fault, entry.detail))
            continue
        at = seen[entry.object_id] = seen.get(entry.object_id, -1) + 1
        if entry.object_id in planned:
            end = _end(entry, at, planned[entry.object_id], rows.get(entry.object_id))
            ends.append(replace(end, first=at == 0))
        else:
            ends.append(_elsewhere(entry, planned, videos))
    _assert_sums(given, planned, ends)
    return ends


def _elsewhere(entry: TextEntry, planned: Mapping[str, Mapping[str, Any]], videos: set[str]) -> TextEnd:
    """Return the end of a text whose object has no row."""
    video_id, masklet_type, _ = entry.object_id.split("/")
    if video_id not in videos:
        detail = f"video {video_id} is not in the shards of this run"
        return TextEnd(entry, TextState.LEFT_OUT, TextFault.NOT_IN_SHARD, detail)
    if (file := planned.get(f"{video_id}/{masklet_type}/file")) is not None:  # its mask file could not be read
        return TextEnd(entry, TextState.LEFT_OUT, file["reason"], file["detail"])
    detail = f"video {video_id} has no masklet {entry.object_id}"
    return TextEnd(entry, TextState.LEFT_OUT, TextFault.UNKNOWN_OBJECT, detail)


def _end(entry: TextEntry, at: int, planned: Mapping[str, Any], row: Mapping[str, Any] | None) -> TextEnd:
    """Return the end of a text, the `at`-th of an object that has a row."""
    if planned["status"] == Status.REJECTED:
        return TextEnd(entry, TextState.LEFT_OUT, planned["reason"], planned["detail"])
    if row is None:
        return TextEnd(entry, TextState.LEFT_OUT, TextFault.LEFT_BY_LIMIT, "the same command without it goes on")
    checked = GivenText.model_validate(row["given_texts"][at])
    in_audit = row["stage"] == AuditTexts.name and (checked.lineup or checked.unanswered)  # another text ended the row
    if row["stage"] in _BEFORE_THE_AUDIT and not in_audit:
        state = TextState.LEFT_OUT if row["status"] == Status.REJECTED else TextState(row["status"])
        return TextEnd(entry, state, row["reason"], row["detail"])
    lost = row["status"] in (Status.FAILED, Status.POISONED)
    if lost and at == 0 and not in_audit:  # while it was repaired
        return TextEnd(entry, TextState(row["status"]), row["reason"], row["detail"], checked)
    failed = why_failed(checked)
    if failed is None:
        return TextEnd(entry, TextState.PASSED, checked=checked)
    if at == 0 and row["status"] == Status.KEPT and row["expression"] != entry.text:
        return TextEnd(entry, TextState.REPAIRED, *failed, checked, row["expression"])
    if checked.unanswered == failed[0]:
        state = TextState(row["status"]) if lost and checked.unanswered is not Reason.REFUSED else TextState.LEFT_OUT
        return TextEnd(entry, state, *failed, checked)
    state = TextState.UNDECIDED if undecided(checked) else TextState.REJECTED
    return TextEnd(entry, state, *failed, checked)


def _assert_sums(given: GivenTexts, planned: Mapping[str, Mapping[str, Any]], ends: Sequence[TextEnd]) -> None:
    """Check that the texts of the manifest are those of the file, and that each text of the file has ended once."""
    in_file = {(one.object_id, one.where, one.text) for one in given.entries if one.fault is None}
    in_run = [(name, text["where"], text["text"]) for name, row in planned.items() for text in row["given_texts"]]
    with_row = {one for one in in_file if one[0] in planned}
    if len(in_run) != len(with_row) or set(in_run) != with_row or len(ends) != len(given.entries):
        raise ValueError(
            f"the manifest must have the {len(with_row):,} texts that {given.name} gives its objects, got "
            f"{len(in_run):,}, {len(with_row & set(in_run)):,} of them the same: this is a bug, please report it"
        )


def as_csv(ends: Sequence[TextEnd]) -> Iterator[str]:
    """Yield the lines of `texts.csv`; columns object_id and text are those that `--texts` reads."""
    yield _line(_CSV_HEAD)
    for end in ends:
        told: Sequence[object] = [""] * 5
        if end.checked:
            found = "; ".join(f"{one.kind}: {one.claim}" for one in end.checked.contradictions)
            lineup = end.checked.lineup
            judged = (lineup.decision, f"{lineup.pick_rate:.2f}", lineup.runner_up) if lineup else ("", "", "")
            told = ("; ".join(end.checked.claims), found, *judged)
        entry = end.entry
        yield _line((entry.where, entry.object_id, entry.text, end.state, end.reason, end.detail, *told, end.new_text))


def _line(cells: Sequence[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(["" if cell is None else safe_cell(str(cell)) for cell in cells])
    return buffer.getvalue()
