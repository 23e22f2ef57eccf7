"""The split as files: what the official evaluation reads, all judgements, the agreement, what train must leave out.

The same judgements give the same bytes. An export is built in a folder beside its place and renamed: all of it is
there, or nothing. What was exported can no longer be undone.
"""

import hashlib
import json
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from sqlalchemy import Connection, select, update

from validation_ui import audit
from validation_ui.comparisons import agreement
from validation_ui.exporting.benchmark import Clip, Expression, meta_expressions, read_chosen, read_clips, write_masks
from validation_ui.exporting.checks import MARK, SUMS, check_chosen, check_out
from validation_ui.exporting.errors import ExportError, named
from validation_ui.exporting.gates import Gate, gates
from validation_ui.exporting.jpegs import write_frames
from validation_ui.exporting.judgements import judgements_table, pseudonyms
from validation_ui.exporting.report import as_csv, markdown
from validation_ui.exporting.train import check_train, held_out
from validation_ui.schema import ItemState, item
from validation_ui.settings import Settings
from validation_ui.stats import progress, reviewers
from validation_ui.store import Store

__all__ = ["ExportError", "ExportReport", "export"]

_TOGETHER = 500  # ids in a statement


@dataclass(frozen=True)
class ExportReport:
    """What was written."""

    out: Path
    videos: int
    long: int
    short: int
    frames: int
    gates: list[Gate]
    warnings: list[str]

    def __str__(self) -> str:
        """For people, a line each."""
        return "\n".join(
            [
                f"{self.out}: {self.long} long and {self.short} short expressions of {self.videos} videos, "
                f"{self.frames} frames",
                *(
                    f"{'pass' if gate.passed else 'FAIL'}: {gate.name} {gate.rule}, got {gate.got}"
                    for gate in self.gates
                ),
                *(f"note: {warning}" for warning in self.warnings),
            ]
        )


def export(
    store: Store, sav_root: Path, out: Path, *, train: Path | None, rewrite_train: bool, now: float
) -> ExportReport:
    """Write the accepted expressions as a split, and mark them as exported.

    Args:
        store: the project's database.
        sav_root: where the sources are.
        out: folder to make, or an earlier export to replace.
        train: the `Ref-SAV.json` to compare with; None = there is none.
        rewrite_train: also write that file without the videos of the split.
        now: seconds since 1970; goes into the audit log, never into the files.

    Raises:
        ExportError: a rule is broken; nothing was written or marked.
    """
    out = out.resolve()
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        build = Path(scratch, "build")
        build.mkdir()
        with store.read() as connection:
            settings = Settings.load(connection)
            chosen = read_chosen(connection)
            check_chosen(chosen, settings)
            clips = read_clips(connection, chosen)
            warnings = check_train(connection, clips, train, build if rewrite_train else None)
            checks = _write_texts(connection, settings, clips, chosen, build, warnings)
        frames = write_frames(clips, sav_root, build / "videos")
        _write_sums(build)
        build.chmod(0o755)
        store.write(lambda connection: _mark(connection, chosen, out, now))
        if out.exists():
            out.rename(Path(scratch, "old"))
        build.rename(out)
    kinds = Counter(each.kind for each in chosen)
    return ExportReport(out, len(clips), kinds["long"], kinds["short"], frames, checks, warnings)


def _write_texts(
    connection: Connection,
    settings: Settings,
    clips: Sequence[Clip],
    chosen: Sequence[Expression],
    build: Path,
    warnings: Sequence[str],
) -> list[Gate]:
    """Everything but the frames."""
    raters, people, found = pseudonyms(connection), reviewers(connection), agreement(connection)
    checks = gates(found, people, raters, settings.gold_right_frac)
    project = progress(connection, 0.0)
    _write_json(build / "meta_expressions_valid.json", meta_expressions(clips, chosen))
    write_masks(connection, clips, chosen, build / "mask_dict.json")
    pq.write_table(judgements_table(connection, raters), build / "judgements.parquet", compression="zstd")
    text = markdown(found, people, raters, project, checks, warnings)
    (build / "agreement.md").write_text(text, encoding="utf-8")
    (build / "agreement.csv").write_text(as_csv(found, people, raters), encoding="utf-8")
    _write_json(build / MARK, _split(connection, settings, clips, chosen))
    return checks


def _split(
    connection: Connection, settings: Settings, clips: Sequence[Clip], chosen: Sequence[Expression]
) -> dict[str, Any]:
    """What a training set must leave out, and how the split is made up."""
    strata: dict[str, Counter[str]] = defaultdict(Counter)
    strata_of: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)  # without the kind, that is type_id there
    for each in chosen:
        levels = {name: str(value) for name, value in sorted(each.strata.items())}
        strata_of[each.video_id][str(each.item_id)] = levels
        for name, level in {"kind": each.kind, **levels}.items():
            strata[name][level] += 1
    return {
        "seed": settings.seed,
        "videos": [clip.id for clip in clips],
        "held_out": held_out(connection),
        "expressions": len(chosen),
        "strata": {name: dict(sorted(counts.items())) for name, counts in sorted(strata.items())},
        "strata_of": strata_of,
    }


def _mark(connection: Connection, chosen: Sequence[Expression], out: Path, now: float) -> None:
    """Note that the expressions are out, unless one was undone while the files were written."""
    accepted = select(item.c.id, item.c.text_id).where(item.c.state == ItemState.ACCEPTED)
    still = {(row.id, row.text_id) for row in connection.execute(accepted)}
    gone = [str(each.item_id) for each in chosen if (each.item_id, each.text_id) not in still]
    if gone:
        raise ExportError(
            f"what is exported stays as it is, got {len(gone)} changed meanwhile: {named(gone)}; try again"
        )
    ids = [each.item_id for each in chosen]
    marked = 0
    for first in range(0, len(ids), _TOGETHER):
        some = item.c.id.in_(ids[first : first + _TOGETHER])
        marked += connection.execute(
            update(item).where(some, item.c.exported_at.is_(None)).values(exported_at=now)
        ).rowcount
    body = {"expressions": len(ids), "first_time": marked, "folder": out.name}
    audit.append(connection, at=now, actor="cli", action="export", subject="project", body=body)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_sums(folder: Path) -> None:
    """`sha256sum -c SHA256SUMS` checks the export."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / SUMS).write_text("".join(lines), encoding="ascii")
