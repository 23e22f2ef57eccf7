"""Chooses rows that were not kept, by their columns, and takes them back so that the next call tries them again.

`--replay reason=marker_leak stage=compose_expression` chooses the rows for which all conditions hold; a condition may
have several values, separated by commas. Kept and poisoned rows are chosen only by status or by object_id.
"""

import difflib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

import prompts
from manifests.arrow import arrow_schema, conform
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from pipeline.run import graph, resume
from stages.select_policy import STAGE as SELECT_OBJECTS

logger = logging.getLogger(__name__)

_BY_DEFAULT = (Status.FAILED, Status.REJECTED)
_SHOWN = 8  # values in an error message
_COLUMNS = ("object_id", "video_id", "status", "stage", "reason", "prompt_ids", "calls", "source_label")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Values that the chosen rows have, by column; an empty set allows any value."""

    reason: frozenset[str] = frozenset()
    stage: frozenset[str] = frozenset()
    status: frozenset[str] = frozenset()
    object_id: frozenset[str] = frozenset()
    video_id: frozenset[str] = frozenset()

    def takes(self, row: dict[str, Any]) -> bool:
        """Tell whether all conditions hold for an annotation row."""
        if row["status"] not in (self.status or _BY_DEFAULT) and row["object_id"] not in self.object_id:
            return False
        return all(not wanted or row[name] in wanted for name in NAMES if (wanted := getattr(self, name)))


NAMES = tuple(field.name for field in fields(Selection))
_POSSIBLE = {"reason": tuple(Reason), "status": tuple(status for status in Status if status is not Status.PENDING)}


def parse(conditions: Sequence[str]) -> Selection:
    """Read the conditions `name=value[,value…]` of `--replay`.

    Raises:
        ValueError: a name or value does not exist; the message lists those that do.
    """
    chosen: dict[str, frozenset[str]] = {}
    for condition in conditions:
        name, equals, values = condition.partition("=")
        if name not in NAMES or not equals:
            raise ValueError(f"--replay takes name=value[,value] with a name of {', '.join(NAMES)}; got {condition!r}")
        if name in chosen:
            raise ValueError(f"--replay names {name} twice, but all conditions must hold: give {name}=value,value")
        chosen[name] = frozenset(value for value in values.split(",") if value)
        possible = _POSSIBLE.get(name, chosen[name])
        if not chosen[name] or (unknown := chosen[name] - set(possible)):
            given = f"{', '.join(sorted(unknown))}" if chosen[name] else "nothing"
            raise ValueError(f"--replay {name}=… must be of {', '.join(possible) or 'the run'}; got {given}")
    return Selection(**chosen)


def take_back(out: Folder, selection: Selection, *, prompt_changed: bool = False) -> int:
    """Take back the chosen rows, so that the next call runs them again; returns how many.

    Args:
        out: folder of the run.
        selection: which rows.
        prompt_changed: of these, only rows that were asked a prompt which has changed since.

    Raises:
        ValueError: no row is chosen, or only rows that `select_objects` rejected, which no further call changes.
    """
    if selection == Selection() and not prompt_changed:
        raise ValueError(
            "--replay needs a condition, such as status=rejected or reason=marker_leak, or --prompt-changed"
        )
    _check_known(out, selection)
    chosen: list[str] = []
    fixed = 0
    for row in _rows(out, _COLUMNS):
        if selection.takes(row) and (not prompt_changed or _prompt_changed(row)):
            if row["stage"] == SELECT_OBJECTS:
                fixed += 1
            else:
                chosen.append(row["object_id"])
    if not chosen:
        raise ValueError(_nothing(out, fixed, selection, prompt_changed=prompt_changed))
    if fixed:
        logger.info("%d rows that %s rejected are left as they are: they need another --out", fixed, SELECT_OBJECTS)
    resume.take_back(out, chosen)
    return len(chosen)


def _rows(out: Folder, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield some columns of all rows, with one file in memory at a time."""
    schema = pa.schema([arrow_schema(AnnotationRow).field(column) for column in columns])
    for name in out.names("annotations", ".parquet"):
        yield from conform(out.read_table(name, columns), schema).to_pylist()


def _check_known(out: Folder, selection: Selection) -> None:
    for name in ("stage", "object_id", "video_id"):
        if not getattr(selection, name):
            continue
        there = {row[name] for row in _rows(out, [name]) if row[name]}
        for value in sorted(getattr(selection, name) - there):
            near = difflib.get_close_matches(value, there, _SHOWN) or sorted(there)[:_SHOWN]
            raise ValueError(f"--replay: no row of {name} {value!r}; there is {', '.join(near) or 'none'}")


def _prompt_changed(row: dict[str, Any]) -> bool:
    asked = {*row["prompt_ids"], *(call["prompt"] for call in row["calls"])}
    names = {prompt_id.partition("@")[0] for prompt_id in asked}
    labelled = row["source_label"] is not None
    if any(name not in prompts.NAMES for name in names) or asked != {
        prompts.load(name, labelled=labelled).id for name in names
    }:
        return True
    # A row that failed before its first reply does not say what it was asked: count it as changed.
    stopped_at = graph.prompts_by_stage().get(row["stage"], ())
    return bool(stopped_at) and not names & set(stopped_at)


def _nothing(out: Folder, fixed: int, selection: Selection, *, prompt_changed: bool) -> str:
    if fixed:
        return (
            f"--replay chooses only rows that {SELECT_OBJECTS} rejected ({fixed}): the manifest of a run stays as "
            "it is. To choose objects otherwise give another --out (make: OUT=…)"
        )
    rows = _rows(out, ["status", "stage", "reason"])
    ends = (f"{row['status']} at {row['stage']}: {row['reason']}" if row["stage"] else row["status"] for row in rows)
    there = [f"{count} {end}" for end, count in Counter(ends).most_common()]
    given = " ".join(f"{name}={','.join(sorted(values))}" for name in NAMES if (values := getattr(selection, name)))
    asked = f"{given}{' --prompt-changed' if prompt_changed else ''}".strip()
    return f"--replay {asked} chooses no row; there are {'; '.join(there) or 'none'}"
