"""Compares the rows of two runs or datasets, in order of object_id, some hundred at a time: what differs, and by what.

A row that is in both is *changed* if any column differs but those that differ from run to run anyway: times spent,
attempts, the keys and tokens of requests, the commit. What it differs by is one cause, the first that applies in the
order in which a row comes about:

- *source*: other files, masks, sizes, or other notes of where it comes from;
- *selection*: another fate at the choice of objects, or other separate objects around it;
- *facts*: other measurements;
- *prompt*: other ids of prompts;
- *model*: another writer, model or revision;
- *text*: other words by the same prompts and models (another seed, or a reply that was asked again);
- *gate*: the same words, but another fate, or another judgement of a check;
- *images*: other views of the same object;
- *other*: a column that none of these names, such as one that only one side has.

The sums are asserted: rows of A = removed + unchanged + changed, rows of B = added + unchanged + changed, and changed =
the sum over causes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.schema import Status
from manifests.versions import ROW_DEFAULTS, plain_type
from pipeline.export.annotations import Annotations
from pipeline.publishing.features import IMAGES
from stages.select_policy import STAGE as SELECT_OBJECTS

BATCH_ROWS = 500
CAUSES = ("source", "selection", "facts", "prompt", "model", "text", "gate", "images", "other")
TEXTS = (
    *("expression", "object_description", "scene_description", "video_description"),
    *("caption_crop", "caption_masked", "short_expression"),
)
_MORE_TEXTS = frozenset({"short_texts", "minimal", "negatives"})  # of several texts, with their proofs
_IGNORED = frozenset({"seconds_s", "attempts", "commit", "recipe", "models"})
_SOURCE = frozenset(
    {
        *("video_id", "shard", "masklet_type", "masklet_position", "masklet_id", "video_path", "anno_path"),
        *("height_px", "width_px", "frame_count", "video_fps", "areas_px", "boxes_px", "best_index"),
        *("source", "source_id", "source_label"),
    }
)
_SELECTION = frozenset({"part_of", "siblings"})
_GATE = frozenset({"status", "stage", "reason", "detail", "verdict", "conflict", "contradictions", "repairs"})
_GATE |= {"lineup", "lineup_before", "catch_trials", "given_texts"}
_MODEL = frozenset({"writer", "calls"})
_IMAGES = frozenset({*IMAGES, "video_times_s"})
_PLACE = {name: place for place, name in enumerate(CAUSES)}


@dataclass
class RunDifference:
    """Holds the counts of a comparison.

    Attributes:
        rows: (of A, of B).
        added: rows that only B has, by what is new: shard, video or object.
        removed: rows that only A has, by what is gone.
        unchanged: rows that are in both and the same.
        changed: rows that are in both and differ, by their first cause.
        columns: of the changed rows, how many differ in a column.
        fates: (status in A, status in B) -> rows that are in both.
        lost: kept in A and not in B -> (stage, reason) in B.
        won: not kept in A and kept in B -> (stage, reason) in A.
    """

    rows: tuple[int, int] = (0, 0)
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    columns: Counter[str] = field(default_factory=Counter)
    fates: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    won: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)

    def assert_sums(self) -> None:
        """Check that every row of both sides is counted exactly once.

        Raises:
            AssertionError: the sums do not agree.
        """
        both = self.unchanged + self.changed.total()
        assert self.rows == (self.removed.total() + both, self.added.total() + both), self
        assert self.fates.total() == both, self


@dataclass(frozen=True)
class ChangedRow:
    """Holds a changed row for the page: its id, cause, columns that differ, and the shown columns of both sides."""

    object_id: str
    cause: str
    columns: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]


def compare(a: Annotations, b: Annotations, difference: RunDifference, shown: Sequence[str]) -> Iterator[ChangedRow]:
    """Compare two sides; yields the changed rows in order, and fills `difference` as it goes.

    Args:
        a: the rows before.
        b: the rows after.
        difference: an empty one; it is complete, and its sums are checked, when all changed rows were taken.
        shown: columns of the changed rows to yield; one that a side does not have is None there.
    """
    known = _shards(a), _shards(b)
    difference.rows = (a.num_rows, b.num_rows)
    for part_a, part_b in _aligned(a, b):
        ids_a, ids_b = part_a["object_id"], part_b["object_id"]
        in_b, in_a = pc.is_in(ids_a, value_set=ids_b), pc.is_in(ids_b, value_set=ids_a)
        _count_alone(part_a.filter(pc.invert(in_b)), part_b, known[1], difference.removed)
        _count_alone(part_b.filter(pc.invert(in_a)), part_a, known[0], difference.added)
        both = part_a.filter(in_b).combine_chunks(), part_b.filter(in_a).combine_chunks()
        yield from _changed(*both, difference, shown)
    difference.assert_sums()


def _shards(annotations: Annotations) -> set[str]:
    return {shard for part in annotations.tables(["shard"]) for shard in pc.unique(part["shard"]).to_pylist()}


class _Side:
    """The rows of one side that were read and not compared yet."""

    def __init__(self, own: Annotations) -> None:
        columns = _columns(own)
        self._batches = own.batches(columns, BATCH_ROWS)
        # Files of runs and of datasets have other null rules; columns are equal only if their types are.
        self._schema = pa.schema([pa.field(name, plain_type(own.schema.field(name).type)) for name in columns])
        self.rows = self._schema.empty_table()
        self.ended = False

    def read(self) -> None:
        """Read the next rows.

        Raises:
            ValueError: an object_id does not begin with its video_id: rows are aligned in the order of both.
        """
        following = next(self._batches, None)
        if following is None:
            self.ended = True
        else:
            for object_id, video_id in zip(
                following["object_id"].to_pylist(), following["video_id"].to_pylist(), strict=True
            ):
                if not object_id.startswith(f"{video_id}/"):
                    raise ValueError(
                        f"{object_id}: an object_id must begin with its video_id, got the video_id {video_id}"
                    )
            self.rows = pa.concat_tables([self.rows, following.cast(self._schema)])

    def keys(self) -> pa.ChunkedArray:
        """Return the video ids in the order of the object_ids, which go on with a slash."""
        return pc.binary_join_element_wise(self.rows["video_id"], "", "/")

    def take(self, count: int) -> pa.Table:
        """Return the first rows, which are then gone from here."""
        taken, self.rows = self.rows.slice(0, count), self.rows.slice(count)
        return taken


def _aligned(a: Annotations, b: Annotations) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield parts of both sides that cover the same range of ids, whole videos only."""
    sides = (_Side(a), _Side(b))
    while True:
        for side in sides:
            if len(side.rows) < BATCH_ROWS and not side.ended:
                side.read()
        going_on = [side for side in sides if not side.ended]
        if not going_on:
            yield sides[0].rows, sides[1].rows
            return
        # The last video of what was read may go on, so it and all after it wait.
        limit = min(side.keys()[-1].as_py() for side in going_on)
        ready = [pc.sum(pc.less(side.keys(), limit)).as_py() or 0 for side in sides]
        if any(ready):
            yield sides[0].take(ready[0]), sides[1].take(ready[1])
        else:
            for side in going_on:
                if side.keys()[-1].as_py() == limit:
                    side.read()


def _columns(annotations: Annotations) -> list[str]:
    return [name for name in annotations.schema.names if name not in _IGNORED]


def _count_alone(alone: pa.Table, other: pa.Table, shards: set[str], counts: Counter[str]) -> None:
    """Count rows that the other side lacks, by the largest thing that it lacks."""
    videos = set(pc.unique(other["video_id"]).to_pylist())
    for shard, video in zip(alone["shard"].to_pylist(), alone["video_id"].to_pylist(), strict=True):
        counts["object" if video in videos else "video" if shard in shards else "shard"] += 1


def _changed(a: pa.Table, b: pa.Table, difference: RunDifference, shown: Sequence[str]) -> Iterator[ChangedRow]:
    """Compare two tables of the same ids in the same order."""
    if not len(a):
        return
    assert a["object_id"].equals(b["object_id"])
    fates = list(zip(a["status"].to_pylist(), b["status"].to_pylist(), strict=True))
    difference.fates.update(fates)
    for row, (before, after) in enumerate(fates):
        if (before == Status.KEPT) != (after == Status.KEPT):
            side, counts = (b, difference.lost) if before == Status.KEPT else (a, difference.won)
            counts[side["stage"][row].as_py(), side["reason"][row].as_py()] += 1
    at_choice = [
        pc.fill_null(pc.equal(side["stage"], SELECT_OBJECTS), False).to_numpy(zero_copy_only=False) for side in (a, b)
    ]
    elsewhere = _unequal("status", a, b)[0] | _unequal("stage", a, b)[0]
    gate = np.where(at_choice[0] | at_choice[1], _PLACE["selection"], _PLACE["gate"])
    first = np.full(len(a), len(CAUSES))
    differing: dict[str, NDArray[np.bool_]] = {}
    for name in dict.fromkeys((*a.column_names, *b.column_names)):
        unequal, one_sided = _unequal(name, a, b)
        if unequal.any():
            differing[name] = unequal
            cause = _cause(name)
            # What only one side wrote is not there on the other because the row ended before, if it ended elsewhere.
            ended = (
                (one_sided & elsewhere) | (cause == "gate") if cause not in ("source", "selection", "other") else False
            )
            first = np.where(unequal, np.minimum(first, np.where(ended, gate, _PLACE[cause])), first)
    changed = np.flatnonzero(first < len(CAUSES))
    difference.unchanged += len(a) - len(changed)
    for name, unequal in differing.items():
        difference.columns[name] += int(unequal.sum())
    if not len(changed):
        return
    rows = [side.select([name for name in shown if name in side.column_names]).take(changed) for side in (a, b)]
    for row, before, after in zip(changed.tolist(), rows[0].to_pylist(), rows[1].to_pylist(), strict=True):
        cause_name = CAUSES[int(first[row])]
        difference.changed[cause_name] += 1
        columns = tuple(name for name, unequal in differing.items() if unequal[row])
        yield ChangedRow(a["object_id"][row].as_py(), cause_name, columns, before, after)


def _unequal(name: str, a: pa.Table, b: pa.Table) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell for every row whether a column differs, and whether it does because one side has nothing there."""
    nothing = np.zeros(len(a), bool)
    if name in a.column_names and name in b.column_names and a[name].equals(b[name]):
        return nothing, nothing
    left, right = (side[name].to_pylist() if name in side.column_names else [None] * len(side) for side in (a, b))
    empty: tuple[object, ...] = (None, [], "", ROW_DEFAULTS.get((name,)))
    pairs = [(None if x in empty else x, None if y in empty else y) for x, y in zip(left, right, strict=True)]
    one_sided = np.array([(x is None) != (y is None) for x, y in pairs], bool)
    same = _SAME.get(name, _same)
    unequal = np.array([not same(x, y) if x is not None and y is not None else False for x, y in pairs], bool)
    if name in _SAME or name == "writer":  # fewer requests are no other requests
        return unequal, nothing
    return unequal | one_sided, one_sided


def _same(x: object, y: object) -> bool:
    if isinstance(x, dict) and isinstance(y, dict):
        return all(_same(x.get(name), y.get(name)) for name in x.keys() | y.keys())
    if isinstance(x, list) and isinstance(y, list):
        return len(x) == len(y) and all(map(_same, x, y))
    return bool(x == y or (x != x and y != y))  # NaN is the same as NaN


def _same_prompts(x: list[str], y: list[str]) -> bool:
    """Tell whether prompts that were answered for both rows have the same ids."""
    ids_x, ids_y = ({one.partition("@")[0]: one for one in ids} for ids in (x, y))
    return all(ids_x[name] == ids_y[name] for name in ids_x.keys() & ids_y.keys())


def _same_models(x: list[dict[str, Any]], y: list[dict[str, Any]]) -> bool:
    """Tell whether prompts that were sent for both rows went to the same models; the rest of a call always differs."""
    asked_x, asked_y = (
        {call["prompt"].partition("@")[0]: (call["model"], call["revision"]) for call in calls} for calls in (x, y)
    )
    return all(asked_x[name] == asked_y[name] for name in asked_x.keys() & asked_y.keys())


_SAME: dict[str, Callable[[Any, Any], bool]] = {"prompt_ids": _same_prompts, "calls": _same_models}


def _cause(name: str) -> str:
    """Return the cause that a column stands for."""
    if name in _SOURCE:
        return "source"
    if name in _SELECTION:
        return "selection"
    if name == "prompt_ids":
        return "prompt"
    if name in _MODEL:
        return "model"
    if name in TEXTS or name in _MORE_TEXTS:
        return "text"
    if name in _GATE:
        return "gate"
    if name in _IMAGES:
        return "images"
    return "facts" if name == "facts" else "other"
