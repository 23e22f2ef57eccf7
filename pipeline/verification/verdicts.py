"""What people said of the texts of a run, from the judgements of the validation app (`judgements.parquet`).

A text is right if it was accepted as the run wrote it: seen to be true by one person, and found by another from the
text alone. It is wrong if it was dropped, or changed before it was accepted; a suggested short text also if its
reviewer wrote another. Left out is what says nothing of the text: items that are still open or that an admin withdrew,
and texts that were rejected for their mask alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.outputs import SPLIT_JUDGEMENTS, brief
from pipeline.verification.run_texts import KEPT, SHORT, RunText, plain

_COLUMNS = (
    *("judgement", "expression", "object_id", "length", "gold", "source", "state", "withdrawn", "pass", "text"),
    *("is_current", "decision", "reasons", "new_text", "short_expression", "hit", "undone_at"),
)
_PARTS = ("object", "scene", "video", "short")  # in the order in which they make up a text
_MASK_REASONS = {"mask_bad", "mask_part_or_whole"}
_ACCEPTED, _DROPPED = ("accepted", "surplus"), "dropped"

Key = tuple[str, str, str]  # object_id, long or short, text


@dataclass
class Verdicts:
    """Holds the verdicts on texts, and how many items say nothing.

    Attributes:
        right: object, kind and text -> whether people found it right.
        left_out: why an item says nothing -> number of such items.
    """

    right: dict[Key, bool] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def of(self, texts: Sequence[RunText]) -> list[bool | None]:
        """Return the verdict on every text of a run, None where there is none.

        Raises:
            ValueError: there is none on any of them, or none at all.
        """
        if not self.right:
            open_ones = ", ".join(f"{count} {why}" for why, count in sorted(self.left_out.items())) or "no item"
            raise ValueError(f"no text was judged to its end yet, got {open_ones}: judge first, then export again")
        found = [self.right.get((one.object_id, one.kind, one.text)) for one in texts]
        if not any(verdict is not None for verdict in found):
            raise ValueError(
                f"the verdicts must be of texts of the run, got {len(self.right)} on other texts or objects: give the "
                "run that was imported into the validation app, and its export"
            )
        return found


def read_verdicts(split: Path, texts: Iterable[RunText]) -> Verdicts:
    """Read people's verdicts on texts from an export of the validation app.

    Args:
        split: the folder of the export, or its `judgements.parquet`.
        texts: those of the run; tells which short texts it suggested.

    Raises:
        ValueError: the file is not there, or is not what this release exports.
    """
    file = split / SPLIT_JUDGEMENTS if split.is_dir() else split
    try:
        table = pq.read_table(file, columns=list(_COLUMNS))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise ValueError(
            f"verdicts are read from {SPLIT_JUDGEMENTS} of an export of this release, got {file}: {brief(error)}; "
            "make it by `python -m validation_ui export`"
        ) from error
    if missing := [name for name in _COLUMNS if name not in table.column_names]:
        raise ValueError(f"{file} must have the columns of this release, and lacks {', '.join(missing)}: export again")
    items: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(table.to_pylist(), key=lambda row: int(row["judgement"])):
        if not row["gold"] and row["source"] != "no_target":
            items[row["expression"]].append(row)
    verdicts = Verdicts()
    suggested = {one.object_id: one.text for one in texts if one.kind == SHORT and one.end == KEPT}
    for rows in items.values():
        _read_item(verdicts, rows, suggested)
    return verdicts


def _read_item(verdicts: Verdicts, rows: Sequence[dict[str, Any]], suggested: Mapping[str, str]) -> None:
    """Read the verdict on one item; `rows` are its judgements, first to last, the first one on its first text."""
    first, live = rows[0], [row for row in rows if row["undone_at"] is None]
    object_id, text = first["object_id"], _text(first["text"])
    is_offered = first["length"] == SHORT and first["source"] == KEPT and object_id in suggested
    if is_offered and text != suggested[object_id]:  # the reviewer wrote another in its place
        if live:
            verdicts.right.setdefault((object_id, SHORT, suggested[object_id]), False)
    elif first["withdrawn"]:
        verdicts.left_out["withdrawn"] += 1
    elif first["state"] in _ACCEPTED:
        verdicts.right[object_id, first["length"], text] = any(
            row["is_current"] and _text(row["text"]) == text for row in live
        )
    elif first["state"] != _DROPPED or not any(_is_against(row) for row in live):
        verdicts.left_out["still open"] += 1
    elif all(set(row["reasons"]) <= _MASK_REASONS and row["reasons"] for row in live if _is_against(row)):
        verdicts.left_out["rejected for the mask alone"] += 1
    else:
        verdicts.right[object_id, first["length"], text] = False


def _is_against(row: Mapping[str, Any]) -> bool:
    return row["decision"] != "accept" or row["hit"] is False


def _text(parts: Sequence[tuple[str, str]]) -> str:
    by_name = dict(parts)
    return plain(" ".join(by_name[name] for name in _PARTS if name in by_name))
