"""Makes the page of a comparison: figures of both sides, what changed by what, and changed texts side by side."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.export.static_page import json_object, render_page
from pipeline.publishing.row_changes import TEXTS, ChangedRow

MAX_SHOWN = 2_000  # changed rows on the page, taken evenly: about 6 MB
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


class EvenSample:
    """Keeps at most `limit` of the things that it is given, evenly spaced, without knowing how many will come."""

    def __init__(self, limit: int) -> None:
        self._limit, self._step, self._seen = limit, 1, 0
        self.kept: list[Any] = []

    def add(self, thing: object) -> None:
        """Take one thing, or not."""
        if self._seen % self._step == 0:
            self.kept.append(thing)
            if len(self.kept) > self._limit:
                self.kept, self._step = self.kept[::2], 2 * self._step
        self._seen += 1


def diff_page(head: Mapping[str, object], rows: Iterable[ChangedRow]) -> Iterator[str]:
    """Return the page as HTML, in parts.

    Args:
        head: names of both sides, tables and counts, as the page's script reads them.
        rows: the changed rows to show.
    """
    fields = [*head.items(), ("rows", (_shown(row) for row in rows))]
    return render_page("diff.html", {"data": json_object(fields)}, __package__)


def _shown(row: ChangedRow) -> dict[str, object]:
    texts = []
    for name in TEXTS:
        before, after = row.before.get(name), row.after.get(name)
        if before != after:
            texts.append([name, *marked(before or "", after or "")])
    fates = [
        " ".join(str(side[name]) for name in ("status", "stage", "reason") if side.get(name))
        for side in (row.before, row.after)
    ]
    details = [side.get("detail") or "" for side in (row.before, row.after)]
    return {
        "object_id": row.object_id,
        "cause": row.cause,
        "columns": row.columns,
        "texts": texts,
        "fates": fates,
        "details": details if details[0] != details[1] else ["", ""],
        "prompts": _prompts(row),
    }


def _prompts(row: ChangedRow) -> list[str]:
    before, after = (set(side.get("prompt_ids") or ()) for side in (row.before, row.after))
    names = {one.partition("@")[0] for one in before} & {one.partition("@")[0] for one in after}
    ids = ({one.partition("@")[0]: one for one in side} for side in (before, after))
    old, new = ids
    return [f"{old[name]} → {new[name]}" for name in sorted(names) if old[name] != new[name]]


def marked(before: str, after: str) -> tuple[list[list[object]], list[list[object]]]:
    """Split two texts into pieces [text, whether the other lacks it], by words."""
    left, right = _PIECES.findall(before), _PIECES.findall(after)
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    sides: tuple[list[list[object]], list[list[object]]] = ([], [])
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        for side, pieces in zip(sides, (left[start:end], right[other_start:other_end]), strict=True):
            if pieces:
                side.append(["".join(pieces), kind != "equal"])
    return sides
