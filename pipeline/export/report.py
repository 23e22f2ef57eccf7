"""One self-contained page of a run: `report.html` with everything in it, readable with thousands of objects.

The page makes no request. Data travel as JSON in inert script blocks, which the page's own script reads and inserts as
text only; a preview is turned into an image only while its page of objects is shown. The content security policy
names the hashes of the one script and the one style sheet, so nothing that came with the data can run.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic_core import to_json

from manifests.schema import Facts, Status
from pipeline.export import outcomes
from pipeline.export.cost import ENDED_HEAD, PROMPT_HEAD, cost, ended_lines, prompt_lines, summary
from pipeline.export.run_info import RunInfo

Indices: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]  # row numbers of the table

MAX_OBJECTS = 20_000  # listed; about 60 MB of text, which a browser still opens within seconds
MAX_PREVIEWS = 2_000  # embedded; about 150 MB of pictures, the kept objects of one whole SA-V shard
_MAX_BINS = 14  # bars of a histogram
_AREA_EDGES_PCT = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # areas spread over orders of magnitude
_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "height_px", "width_px", "frame_count", "video_fps", "part_of"),
    *("status", "stage", "reason", "detail", "attempts", "facts", "video_times_s"),
    *("caption_crop", "caption_masked", "verdict", "conflict"),
    *("object_description", "scene_description", "video_description", "expression", "contradictions", "repairs"),
    *("writer", "prompt_ids", "calls", "seconds_s"),
)
_CALL_NUMBERS = ("temperature", "seed", "tokens_in", "tokens_cached", "tokens_out", "seconds_s", "resent")
_FAULT_CHARACTERS = 300


def report(
    table: pa.Table,
    run: RunInfo,
    stages: Sequence[str],
    *,
    max_objects: int = MAX_OBJECTS,
    max_previews: int = MAX_PREVIEWS,
) -> str:
    """The page as HTML.

    Args:
        table: the annotations, one `AnnotationRow` per masklet.
        run: how the run came about.
        stages: names of the run's stages, in their order.
        max_objects: objects to list; of more, this many are taken evenly from the table, and the page says so.
        max_previews: objects to show pictures of, kept ones first, evenly; the page says so.
    """
    listed = _spread(np.arange(table.num_rows), max_objects)
    seen = _with_preview(table, listed, max_previews)
    rows = table.select(_COLUMNS).take(listed).to_pylist()
    names: dict[str, int] = {}
    for index, row in zip(listed, rows, strict=True):
        row["preview"] = int(index) if index in seen else None
        row["calls"] = [_call(call, names) for call in row["calls"]]
    data = {
        "run": run,
        "total": table.num_rows,
        "with_preview": table.num_rows - table["preview_jpeg"].null_count,
        "previews": len(seen),
        "videos": pc.count_distinct(table["video_id"]).as_py(),
        "funnel": [_funnel_step(step) for step in outcomes.flow(table, stages)],
        "histograms": _histograms(table),
        "cost": _cost(table, run),
        "call_names": list(names),
        "call_numbers": _CALL_NUMBERS,
        "fact_meanings": {name: field.description for name, field in Facts.model_fields.items()},
        "rows": rows,
    }
    previews = (
        f'<script type="text/plain" id="preview-{index}">'
        f"{base64.b64encode(table['preview_jpeg'][index].as_py()).decode()}</script>"
        for index in sorted(seen)
    )
    return _fill(
        files(__package__).joinpath("report.html").read_text(encoding="utf-8"),
        # an escaped "<" can neither close the block nor open a comment in it
        data=to_json(data, inf_nan_mode="null").decode().replace("<", "\\u003c"),
        previews="\n".join(previews),
    )


def _fill(template: str, *, data: str, previews: str) -> str:
    """Put the data into the template in one pass, so that a text that looks like a slot stays a text."""
    slots = {"data": data, "previews": previews}
    for tag in ("script", "style"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", template, flags=re.DOTALL)
        slots[f"{tag}_sha256"] = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], template)


def _spread(indices: Indices, limit: int) -> Indices:
    """At most `limit` of `indices`, evenly spaced, in their order."""
    if len(indices) <= limit:
        return indices
    picks: Indices = indices[np.linspace(0, len(indices) - 1, limit).astype(int)]
    return picks


def _with_preview(table: pa.Table, listed: Indices, limit: int) -> set[int]:
    """Row numbers of at most `limit` of the listed rows whose previews to embed: kept rows first."""
    has = table["preview_jpeg"].is_valid().to_numpy()[listed]
    kept = pc.equal(table["status"], Status.KEPT.value).to_numpy()[listed]
    first = _spread(listed[has & kept], limit)
    then = _spread(listed[has & ~kept], limit - len(first))
    return {int(index) for index in (*first, *then)}


def _funnel_step(step: outcomes.StageFlow) -> dict[str, Any]:
    return {
        "stage": step.stage,
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "stops": [stop._asdict() for stop in step.stops],
    }


def _cost(table: pa.Table, run: RunInfo) -> dict[str, Any] | None:
    bill = cost(table, run)
    if bill is None:
        return None
    return {
        "summary": summary(bill),
        "tables": [[PROMPT_HEAD, *prompt_lines(bill)], [ENDED_HEAD, *ended_lines(bill)]],
    }


def _call(call: dict[str, Any], names: dict[str, int]) -> list[Any]:
    """A call as a short list: [prompt, model, fault, stored, *numbers], the first two by their place in `names`.

    A page may list 200,000 of them.
    """
    name = [names.setdefault(text, len(names)) for text in (call["prompt"], f"{call['model']}@{call['revision']}")]
    fault = call["fault"] and call["fault"][:_FAULT_CHARACTERS]
    return [*name, fault, call["stored"], *(call[number] for number in _CALL_NUMBERS)]


def _histograms(table: pa.Table) -> list[dict[str, Any]]:
    kept = table.filter(pc.equal(table["status"], Status.KEPT.value))
    facts = [row for row in kept["facts"].to_pylist() if row]
    texts = kept["expression"].drop_null().to_pylist()
    seen_s = [sum(span["end_s"] - span["start_s"] for span in row["visible_spans"]) for row in facts]
    return [
        _histogram("Words per expression", "words", [len(text.split()) for text in texts]),
        _histogram("Area", "% of frame", [100 * row["area_median_frac"] for row in facts], _AREA_EDGES_PCT),
        _histogram("Time in sight", "s", seen_s),
        _histogram("Objects per video", "objects", pc.value_counts(kept["video_id"]).field("counts").to_pylist()),
    ]


def _histogram(title: str, unit: str, values: list[float], edges: Sequence[float] | None = None) -> dict[str, Any]:
    """Counts between `edges`; without any, bins of a round width from zero."""
    if edges is None:
        top = max(values, default=0)
        step = next(m * 10**e for e in range(9) for m in (1, 2, 5) if top < m * 10**e * _MAX_BINS)
        edges = [step * k for k in range(int(top // step) + 2)]
    counts, _ = np.histogram(values, bins=edges)
    return {
        "title": title,
        "unit": unit,
        "edges": list(edges),
        "counts": counts.tolist(),
        "median": float(np.median(values)) if values else None,
    }
