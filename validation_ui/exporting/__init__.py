"""Exports the benchmark split: files for the official evaluation, all judgements, the agreement, held-out videos.

The same judgements give the same bytes. An export is built in a temporary folder beside its destination and renamed, so
it is there completely or not at all. Judgements of exported items cannot be undone any more.
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

from manifests.outputs import SPLIT_EXPRESSIONS, SPLIT_INFO, SPLIT_JUDGEMENTS, SPLIT_MASKS
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.exporting.agreement_report import Gate, as_csv, gates, markdown
from validation_ui.exporting.benchmark import (
    BenchmarkClip,
    BenchmarkExpression,
    ExportError,
    meta_expressions,
    named,
    read_chosen,
    read_clips,
    write_masks,
)
from validation_ui.exporting.jpegs import write_frames
from validation_ui.exporting.judgements import judgements_table, pseudonyms
from validation_ui.exporting.training_file import check_train, held_out
from validation_ui.schema import ItemState, item
from validation_ui.settings import Settings
from validation_ui.statistics.agreement import agreement, no_target_answers
from validation_ui.statistics.progress import progress, reviewers

__all__ = ["ExportError", "ExportReport", "agreement_texts", "export"]

_TOGETHER = 500  # ids in one statement


@dataclass(frozen=True)
class ExportReport:
    """The counts, gates and warnings of an export."""

    out: Path
    videos: int
    long: int
    short: int
    frames: int
    gates: list[Gate]
    warnings: list[str]
    no_target: int = 0

    def __str__(self) -> str:
        """Format the report for people, as lines of text."""
        return "\n".join(
            [
                f"{self.out}: {self.long} long and {self.short} short expressions of {self.videos} videos, "
                f"{self.frames} frames" + (f", {self.no_target} texts without a target" if self.no_target else ""),
                *(
                    f"{'pass' if gate.passed else 'FAIL'}: {gate.name} {gate.rule}, got {gate.got}"
                    for gate in self.gates
                ),
                *(f"note: {warning}" for warning in self.warnings),
            ]
        )


def export(
    database: Database,
    sav_root: Path,
    out: Path,
    *,
    train: Path | None,
    rewrite_train: bool,
    now: float,
    final: bool = True,
    no_target: bool = False,
    actor: str = "cli",
) -> ExportReport:
    """Write the accepted expressions as a split and, if it is final, mark them as exported.

    Args:
        database: the project's database.
        sav_root: the folder of the source videos.
        out: the folder to make, or an earlier export to replace.
        train: the `Ref-SAV.json` that the split must not overlap with; None = there is none.
        rewrite_train: also write that file without the videos of the split.
        now: seconds since 1970; it goes into the audit log only, not into the files.
        final: whether the judgements of these expressions are fixed from now on; the files are the same.
        no_target: whether the split also has texts that fit nothing in their video; the official evaluation has none.
        actor: who exports, for the log.

    Raises:
        ExportError: a rule is broken; nothing was written or marked.
    """
    out = out.resolve()
    check_out(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        build = Path(scratch, "build")
        build.mkdir()
        with database.read() as connection:
            settings = Settings.load(connection)
            chosen = read_chosen(connection, no_target=no_target)
            check_chosen(chosen, settings)
            clips = read_clips(connection, chosen)
            warnings = check_train(connection, clips, train, build if rewrite_train else None)
            checks = _write_texts(connection, settings, clips, chosen, build, warnings)
        frames = write_frames(clips, sav_root, build / "videos")
        _write_sums(build)
        build.chmod(0o755)
        database.write(lambda connection: _mark(connection, chosen, out, now, final=final, actor=actor))
        if out.exists():
            out.rename(Path(scratch, "old"))
        build.rename(out)
    kinds = Counter("no_target" if expression.no_target else expression.kind for expression in chosen)
    return ExportReport(
        out, len(clips), kinds["long"], kinds["short"], frames, checks, warnings, no_target=kinds["no_target"]
    )


def _write_texts(
    connection: Connection,
    settings: Settings,
    clips: Sequence[BenchmarkClip],
    chosen: Sequence[BenchmarkExpression],
    build: Path,
    warnings: Sequence[str],
) -> list[Gate]:
    """Write all files but the frames and the checksums; return the gates."""
    raters = pseudonyms(connection)
    real = [expression for expression in chosen if not expression.no_target]
    checks, text, table = agreement_texts(connection, settings, real, warnings)
    _write_json(build / SPLIT_EXPRESSIONS, meta_expressions(clips, chosen))
    write_masks(connection, clips, chosen, build / SPLIT_MASKS)
    pq.write_table(judgements_table(connection, raters), build / SPLIT_JUDGEMENTS, compression="zstd")
    (build / "agreement.md").write_text(text, encoding="utf-8")
    (build / "agreement.csv").write_text(table, encoding="utf-8")
    _write_json(build / SPLIT_INFO, _split(connection, settings, clips, real, len(chosen) - len(real)))
    return checks


def agreement_texts(
    connection: Connection, settings: Settings, chosen: Sequence[BenchmarkExpression], notes: Sequence[str]
) -> tuple[list[Gate], str, str]:
    """Return the gates, and the texts of `agreement.md` and `agreement.csv`, of the expressions in `chosen`."""
    raters, people, figures = pseudonyms(connection), reviewers(connection), agreement(connection)
    checks = gates(figures, people, raters, settings.gold_right_frac)
    project = progress(connection, 0.0)
    return (
        checks,
        markdown(figures, people, raters, project, checks, notes, chosen, no_target_answers(connection)),
        as_csv(figures, people, raters),
    )


def _split(
    connection: Connection,
    settings: Settings,
    clips: Sequence[BenchmarkClip],
    chosen: Sequence[BenchmarkExpression],
    no_targets: int,
) -> dict[str, Any]:
    """Return the content of `split.json`: the videos that training must leave out, and the strata of the split."""
    strata: dict[str, Counter[str]] = defaultdict(Counter)
    strata_of: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)  # the kind is type_id in meta_expressions
    for expression in chosen:
        levels = {name: str(value) for name, value in sorted(expression.strata.items())}
        strata_of[expression.video_id][str(expression.item_id)] = levels
        for name, level in {"kind": expression.kind, **levels}.items():
            strata[name][level] += 1
    return {
        "seed": settings.seed,
        "videos": [clip.id for clip in clips],
        "held_out": held_out(connection),
        "expressions": len(chosen),
        "strata": {name: dict(sorted(counts.items())) for name, counts in sorted(strata.items())},
        "strata_of": strata_of,
        **({"no_target": no_targets} if no_targets else {}),
    }


def _mark(
    connection: Connection,
    chosen: Sequence[BenchmarkExpression],
    out: Path,
    now: float,
    *,
    final: bool,
    actor: str,
) -> None:
    """Mark the expressions as exported; raise ExportError if one was undone while the files were written."""
    accepted = select(item.c.id, item.c.text_id).where(item.c.state == ItemState.ACCEPTED).order_by(item.c.id)
    accepted = accepted.with_for_update()  # PostgreSQL: nobody takes one back between this and the update below
    still = {(row.id, row.text_id) for row in connection.execute(accepted)}
    gone = [str(one.item_id) for one in chosen if (one.item_id, one.text_id) not in still]
    if gone:
        raise ExportError(
            f"what is exported stays as it is, got {len(gone)} changed meanwhile: {named(gone)}; try again"
        )
    ids = [expression.item_id for expression in chosen]
    marked = 0
    for first in range(0, len(ids) if final else 0, _TOGETHER):
        some = item.c.id.in_(ids[first : first + _TOGETHER])
        marked += connection.execute(
            update(item).where(some, item.c.exported_at.is_(None)).values(exported_at=now)
        ).rowcount
    body = {"expressions": len(ids), "first_time": marked, "folder": out.name}
    action = "export" if final else "export_partial"
    audit.append(connection, at=now, actor=actor, action=action, subject="project", body=body)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_sums(folder: Path) -> None:
    """Write the checksums of all files, to be checked by `sha256sum -c SHA256SUMS`."""
    lines = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / SUMS).write_text("".join(lines), encoding="ascii")


SUMS = "SHA256SUMS"  # a folder with this file and SPLIT_INFO is an export of ours, and may be replaced


def check_out(out: Path) -> None:
    """Check that the destination is absent, an empty folder, or an earlier export, which may be replaced.

    Raises:
        ExportError: something else is there.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not all((out / name).is_file() for name in (SPLIT_INFO, SUMS)):
        raise ExportError(
            f"an export replaces nothing but an earlier export, got {out}, which has no {SPLIT_INFO} and {SUMS}; name "
            "a new folder"
        )


def check_chosen(chosen: Sequence[BenchmarkExpression], settings: Settings) -> None:
    """Check that there is something to export, and no more than the quotas allow.

    Raises:
        ExportError: nothing was accepted, or a quota was lowered below the number that was accepted before.
    """
    if not chosen:
        raise ExportError("a split has at least one accepted expression, got none; the progress page tells what waits")
    unfound = [str(expression.item_id) for expression in chosen if not expression.blind_hits]
    if unfound:
        raise ExportError(
            f"every exported text was found from its final wording in the blind pass, got {len(unfound)} that nobody "
            f"found: items {named(unfound)}; they go back to the blind pass when a judgement of them changes"
        )
    objects: dict[str, set[int]] = defaultdict(set)
    chosen = [expression for expression in chosen if not expression.no_target]  # these count for no quota
    for expression in chosen:
        objects[expression.video_id].add(expression.masklet_id)
    kinds = Counter(expression.kind for expression in chosen)
    got = {"videos": len(objects), "long": kinds["long"], "short": kinds["short"]}
    for name, count in got.items():
        if count > getattr(settings, name):
            raise ExportError(
                f"a split keeps to its quotas, got {count} accepted for {name}={getattr(settings, name)}; raise it "
                "with `python -m validation_ui set`"
            )
    full = sorted(video_id for video_id, ids in objects.items() if len(ids) > settings.per_video)
    if full:
        raise ExportError(
            f"a video has at most per_video={settings.per_video} objects in the split, got more in {named(full)}; "
            "raise it with `python -m validation_ui set`"
        )
