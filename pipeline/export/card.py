"""Writes the dataset card of a run: README.md, in the form that the Hugging Face hub reads."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import Status
from manifests.text_tables import markdown_table, yaml_value
from pipeline.export import outcomes
from pipeline.export.annotations import Annotations
from pipeline.export.card_text import (
    ASKED,
    BODY,
    FILES,
    GIVEN,
    GIVEN_LIMIT,
    HEAD,
    JUDGED,
    LINEUP,
    MACHINE_MADE,
    MEASURED_LIMIT,
    MODEL_LIMIT,
    NO_LINEUP,
    UNREAD_LIMIT,
    VERIFIED,
    WRITTEN,
)
from pipeline.export.cost import ENDED_HEAD, PROMPT_HEAD, Cost, ended_lines, prompt_lines, summary
from pipeline.export.properties import PROPERTIES, measured_objects
from pipeline.run.run_json import RunInfo
from pipeline.verification.summary import Findings

# (name, videos, objects, expressions, masks, mean words), as the Sa2VA paper prints them
PAPER_TABLE_4 = (
    ("Ref-YouTube-VOS", "3,978", "7,451", "15,009", "131k", "9.68"),
    ("MeViS", "2,006", "8,171", "28,570", "443k", "7.07"),
    ("ReVOS", "1,042", "9,084", "35,074", "273k", "10.5"),
    ("Ref-SAV train (paper)", "37,311", "72,509", "72,509", "6.0M", "83.6"),
)
_COUNTED = (
    *("status", "video_id", "video_path", "writer", "prompt_ids", "areas_px"),
    *("expression", "facts", "width_px", "height_px"),
)
_SIZES = (("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6), ("1M<n<10M", 10**7))


@dataclass
class _Sums:
    """Counts over the rows of a run; shares and means are computed from them."""

    kept: int = 0
    writers: set[str] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)
    videos: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)  # folders of the shards, below SAV_ROOT
    expressions: int = 0
    words: int = 0
    masks: int = 0
    measured: int = 0
    having: Counter[str] = field(default_factory=Counter)  # kept objects by property
    unknown: Counter[str] = field(default_factory=Counter)  # kept objects of which the property is unknown

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table with the columns _COUNTED."""
        self.prompts.update(pc.list_flatten(table["prompt_ids"]).to_pylist())
        kept = table.filter(pc.equal(table["status"], Status.KEPT.value))
        texts = kept["expression"].drop_null().to_pylist()
        self.kept += kept.num_rows
        self.folders.update(path.rpartition("/")[0] for path in table["video_path"].to_pylist())
        self.writers.update(kept["writer"].drop_null().to_pylist())
        self.videos.update(kept["video_id"].to_pylist())
        self.expressions += len(texts)
        self.words += sum(len(text.split()) for text in texts)
        self.masks += pc.sum(pc.greater(pc.list_flatten(kept["areas_px"]), 0)).as_py() or 0
        measured = measured_objects(kept)
        self.measured += len(measured)
        for name, _, has in PROPERTIES:
            answers = [has(sample) for sample in measured]
            self.having[name] += answers.count(True)
            self.unknown[name] += answers.count(None)


def card(
    annotations: Annotations,
    run: RunInfo,
    stages: Sequence[str],
    bill: Cost | None,
    verified: Findings | None = None,
) -> str:
    """Return the card: Markdown after the YAML header of the hub.

    Args:
        annotations: the rows of the run.
        run: the content of run.json.
        stages: names of the run's stages, in their order.
        bill: what the models cost; None if none was asked.
        verified: what the line-ups came to; None if there was none.
    """
    return (HEAD + FILES + BODY).format(**values(annotations, run, stages, bill, verified))


def values(
    annotations: Annotations,
    run: RunInfo,
    stages: Sequence[str],
    bill: Cost | None,
    verified: Findings | None = None,
) -> dict[str, object]:
    """Return what the placeholders of HEAD and BODY stand for; the arguments are those of `card`."""
    counted = outcomes.count_parts(annotations.tables(["status", "stage", "reason"]))
    rows = sum(outcome.rows for outcome in counted)
    sums = _Sums()
    for part in annotations.tables(_COUNTED):
        sums.add(part)
    writers = sorted(sums.writers or {run["writer"]})
    shards = ", ".join(run["shards"])
    return {
        "shards": shards,
        "pretty_name": yaml_value(f"Ref-SAV ({shards})"),
        "size": next((name for name, limit in _SIZES if rows < limit), "10M<n<100M"),
        "rows": rows,
        "places": " and ".join(f"`sam_v_full/{folder}/`" for folder in sorted(sums.folders)),
        "kept": sums.kept,
        "writers": ", ".join(writers),
        "seconds": run["seconds"],
        "commit": run["git_commit"] or "not a git checkout",
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
        "prompts": ", ".join(f"`{prompt}`" for prompt in sorted(sums.prompts)) or "none",
        "made": _made(run),
        "example": _example(annotations),
        "outcome_table": markdown_table(
            ("stage", "in", "out", "reason", "state", "rows"), _outcome_lines(counted, stages)
        ),
        "totals": outcomes.as_text(counted, stages).splitlines()[-1] + ".",
        "table_4": markdown_table(
            ("", "videos", "objects", "expressions", "masks", "mean words"), [*PAPER_TABLE_4, _run_line(sums)]
        ),
        "verified": _verified(verified, run),
        "asked": _asked(bill, run),
        "measured": sums.measured,
        "table_3": markdown_table(
            ("property", "counted here as", "Ref-SAV (paper)", "this run"),
            (
                (name, rule, "yes", _share(sums.having[name], sums.unknown[name], sums.measured))
                for name, rule, _ in PROPERTIES
            ),
        ),
        "limits": (GIVEN_LIMIT if _is_audit(run) else UNREAD_LIMIT)
        + (MEASURED_LIMIT if "measured" in writers else "")
        + (MODEL_LIMIT if run.get("models") else ""),
        "columns": markdown_table(("column", "type", "meaning"), _column_lines(annotations.schema)),
    }


def figures(annotations: Annotations) -> list[tuple[str, str]]:
    """Return the figures of tables 3 and 4 for these rows: names and values."""
    sums = _Sums()
    for part in annotations.tables(_COUNTED):
        sums.add(part)
    names = ("videos with kept objects", "kept objects", "expressions", "masks", "mean words")
    shares = [(name, _share(sums.having[name], sums.unknown[name], sums.measured)) for name, _, _ in PROPERTIES]
    return [*zip(names, _run_line(sums)[1:], strict=True), *shares]


def _is_audit(run: RunInfo) -> bool:
    """Return whether the texts were given, and not written by the run."""
    return bool(run["config"].get("texts_sha256"))


def _made(run: RunInfo) -> str:
    """Say where the texts come from."""
    config = run["config"]
    if not _is_audit(run):
        return WRITTEN
    repaired = "Rows whose `repairs` is not empty have a new text; all others have theirs as it was given."
    return GIVEN.format(
        texts_file=config["texts_file"],
        texts_sha256=config["texts_sha256"],
        judged="" if _without_lineup(run) else ", and put to a judge",
        repair=repaired if config["repair"] else "None was changed.",
    )


def question(run: RunInfo) -> str:
    """Return what the findings of a run answer: the title of their section, here and in the report."""
    return "Are the texts right?" if _without_lineup(run) else "Do the texts single out their objects?"


def _without_lineup(run: RunInfo) -> bool:
    return _is_audit(run) and not run["config"].get("lineup")


def _verified(verified: Findings | None, run: RunInfo) -> str:
    """Write the section on the checks of texts; empty if there was nothing to tell."""
    if verified is None:
        return ""
    return VERIFIED.format(
        question=question(run),
        method=NO_LINEUP if _without_lineup(run) else LINEUP,
        summary=markdown_table(("", "this run"), verified.lines()),
        remarks="\n".join(f"- {remark}" for remark in verified.remarks()),
        tables="\n\n".join(markdown_table(head, lines) for head, *lines in verified.tables()),
    )


def _asked(bill: Cost | None, run: RunInfo) -> str:
    """Write the section on models; empty if none was asked."""
    if bill is None:
        return ""
    roles: dict[str, list[str]] = {_name(f"{asked.model}@{asked.revision}"): [] for asked in bill.prompts}
    for role, name in (run["models"] or {}).items():
        roles.setdefault(_name(name), []).append(role)
    sampling = run["config"].get("sampling") or {}
    return ASKED.format(
        origin=JUDGED if _is_audit(run) else MACHINE_MADE,
        models=", ".join(f"`{name}`" + f" ({' and '.join(role)})" * bool(role) for name, role in roles.items()),
        sampling="; ".join(f"{name} {_plain(value)}" for name, value in sampling.items()) or "not known",
        summary=markdown_table(("", "this run"), summary(bill)),
        prompts=markdown_table(PROMPT_HEAD, prompt_lines(bill)),
        ended=markdown_table(ENDED_HEAD, ended_lines(bill)),
    )


def _name(model: str) -> str:
    return f"{model}unknown" if model.endswith("@") else model


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _run_line(sums: _Sums) -> tuple[str, ...]:
    mean_words = f"{sums.words / sums.expressions:.1f}" if sums.expressions else "none"
    counts = (len(sums.videos), sums.kept, sums.expressions, sums.masks)
    return ("**this run**", *(f"{count:,}" for count in counts), mean_words)


def _share(having: int, unknown: int, of: int) -> str:
    known = of - unknown
    share = f"{having / known:.1%} ({having:,})" if known else "none known" if of else "no kept object"
    return f"{share}, {unknown:,} unknown" if unknown else share


def _outcome_lines(counted: Sequence[outcomes.OutcomeCount], stages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for step in outcomes.flow(counted, stages):
        yield (step.stage, f"{step.rows_in:,}", f"{step.rows_out:,}", "", "", "")
        for stop in step.stops:
            yield ("", "", "", str(stop.reason), stop.status, f"{stop.rows:,}")


def _column_lines(columns: Iterable[pa.Field], above: str = "") -> Iterator[tuple[str, ...]]:
    for column in columns:
        meaning = (column.metadata or {}).get(b"description", b"").decode()
        kind, inner = _kind(column.type)
        yield (f"`{above}{column.name}`", kind + "?" * column.nullable, meaning)
        if pa.types.is_struct(inner):
            yield from _column_lines(inner, f"{above}{column.name}.")


def _kind(data_type: pa.DataType) -> tuple[str, pa.DataType]:
    """Return the name of a type, and the type inside its lists."""
    if pa.types.is_list(data_type):
        kind, inner = _kind(data_type.value_type)
        return f"list of {kind}", inner
    return "struct" if pa.types.is_struct(data_type) else str(data_type), data_type


def _example(annotations: Annotations) -> str:
    columns = ["object_id", "object_description", "scene_description", "video_description", "expression"]
    status = (row["status"] for row in annotations.rows(["status"]))
    first = next((number for number, one in enumerate(status) if one == Status.KEPT), None)
    if first is None:
        return "No masklet of this run was kept."
    (row,) = annotations.rows(columns, np.array([first]))
    # An escaped backtick cannot close the fence.
    text = json.dumps(row, indent=2, ensure_ascii=False).replace("`", "\\u0060")
    return f"The first kept row:\n\n```json\n{text}\n```"
