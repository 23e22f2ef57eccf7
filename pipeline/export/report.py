"""Makes `report.html`, one page with everything about a run, usable with thousands of objects.

How the page carries its data and images is said in `static_page.py`. A preview becomes an image only while the page of
objects that it belongs to is shown.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import Facts, GivenText, Status
from pipeline.export import outcomes
from pipeline.export.annotations import Annotations, Indices
from pipeline.export.card import question
from pipeline.export.cost import ENDED_HEAD, PROMPT_HEAD, Cost, ended_lines, prompt_lines, summary
from pipeline.export.static_page import image_block, json_object, render_page
from pipeline.run.run_json import RunInfo
from pipeline.verification.summary import Findings
from stages.audit_texts import why_failed

MAX_OBJECTS = 20_000  # most objects listed: about 60 MB of text, which a browser opens within seconds
MAX_PREVIEWS = 2_000  # most images embedded: about 150 MB, the kept objects of one SA-V shard
_MAX_BINS = 14  # bars of a histogram
_AREA_EDGES_PCT = (0, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)  # uneven, because areas differ by orders of magnitude
_COLUMNS = (
    *("object_id", "video_id", "masklet_type", "height_px", "width_px", "frame_count", "video_fps", "part_of"),
    *("status", "stage", "reason", "detail", "attempts", "facts", "video_times_s"),
    *("caption_crop", "caption_masked", "verdict", "conflict"),
    *("object_description", "scene_description", "video_description", "expression", "contradictions", "repairs"),
    *("lineup", "lineup_before", "catch_trials", "short_expression", "short_texts", "minimal", "negatives"),
    "given_texts",
    *("writer", "prompt_ids", "calls", "seconds_s"),
)
_CALL_NUMBERS = ("temperature", "seed", "tokens_in", "tokens_cached", "tokens_out", "seconds_s", "resent")
_FAULT_CHARACTERS, _MEASURED_CHARACTERS = 300, 120
_MAX_NEGATIVES = 4  # of an object in the page; all are in negatives.json


def report(
    annotations: Annotations,
    run: RunInfo,
    stages: Sequence[str],
    bill: Cost | None,
    *,
    verified: Findings | None = None,
    max_objects: int = MAX_OBJECTS,
    max_previews: int = MAX_PREVIEWS,
) -> Iterator[str]:
    """Return the page as HTML, in parts.

    Args:
        annotations: the rows of the run.
        run: the content of run.json.
        stages: names of the run's stages, in their order.
        bill: what the models cost; None if none was asked.
        verified: what the line-ups came to; None if there was none.
        max_objects: most objects to list, kept ones first; of more, so many are chosen evenly, and the page says so.
        max_previews: most objects to show an image of, chosen in the same way.
    """
    table = annotations.select(["video_id", "status", "stage", "reason"])
    kept = pc.equal(table["status"], Status.KEPT.value).to_numpy()
    has_preview = annotations.valid("preview_jpeg")
    listed = kept_first(np.arange(table.num_rows), kept, max_objects)
    shown = np.sort(kept_first(np.sort(listed[has_preview[listed]]), kept, max_previews))
    head = {
        "run": run,
        "total": table.num_rows,
        "with_preview": int(has_preview.sum()),
        "previews": len(shown),
        "videos": pc.count_distinct(table["video_id"]).as_py(),
        "funnel": [_funnel_step(step) for step in outcomes.flow(table, stages)],
        "histograms": _histograms(annotations, table),
        "cost": bill
        and {
            "summary": summary(bill),
            "tables": [[PROMPT_HEAD, *prompt_lines(bill)], [ENDED_HEAD, *ended_lines(bill)]],
        },
        "verified": verified
        and {
            "title": question(run),
            **{"summary": verified.lines(), "remarks": verified.remarks(), "tables": verified.tables()},
        },
        "call_numbers": _CALL_NUMBERS,
        "fact_meanings": {name: field.description for name, field in Facts.model_fields.items()},
    }
    slots = {
        "data": json_object(_data(annotations, head, listed, {int(at) for at in shown})),
        "previews": _previews(annotations, shown),
    }
    return render_page("report.html", slots)


def _data(
    annotations: Annotations, head: dict[str, Any], listed: Indices, shown_rows: set[int]
) -> Iterator[tuple[str, object]]:
    """Yield the fields of the page's data: those of `head`, the listed rows, and the names that their calls use."""
    names: dict[str, int] = {}
    yield from head.items()
    yield "rows", _rows(annotations, listed, shown_rows, names)
    yield "call_names", list(names)


def _rows(
    annotations: Annotations, listed: Indices, shown_rows: set[int], names: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the rows to list, in order; add to `names` the prompts and models that their calls name."""
    lineup, confuser = annotations.valid("lineup_jpeg"), annotations.valid("confuser_jpeg")
    for index, row in zip(listed, annotations.rows(_COLUMNS, listed), strict=True):
        row["preview"] = int(index) if int(index) in shown_rows else None
        row["has_lineup"], row["has_confuser"] = bool(lineup[index]), bool(confuser[index])
        row["calls"] = [_call(call, names) for call in row["calls"]]
        row["catch_trials"] = [_catch(catch) for catch in row["catch_trials"]]
        row["short_texts"] = [_short_text(short) for short in row["short_texts"]]
        row["minimal"] = row["minimal"] and row["minimal"]["proof"]
        row["negative_count"] = len(row["negatives"])
        row["negatives"] = [_negative(negative) for negative in row["negatives"][:_MAX_NEGATIVES]]
        row["given_texts"] = [_given(given) for given in row["given_texts"] if _is_checked(given)]
        yield row


def _catch(catch: dict[str, Any]) -> dict[str, Any]:
    """Shorten a catch trial to what the page tells of it."""
    held = catch["lineup"]
    return {"kind": catch["kind"], "expression": held["expression"], "truth": catch["truth"], **_ended(held)}


def _short_text(short: dict[str, Any]) -> dict[str, Any]:
    """Shorten a short text to what the page tells of it."""
    fault = short["fault"] and short["fault"][:_FAULT_CHARACTERS]
    return {"text": short["text"], "fault": fault, "lineup": short["lineup"] and _ended(short["lineup"])}


def _ended(held: dict[str, Any]) -> dict[str, Any]:
    return {"trials": len(held["trials"]), "pick_rate": held["pick_rate"], "decision": held["decision"]}


def _negative(negative: dict[str, Any]) -> dict[str, Any]:
    """Shorten a negative to what the page tells of it."""
    rulings = [
        [one["object_id"], one["claim"], one["state"], one["measured"][:_MEASURED_CHARACTERS]]
        for one in negative["rulings"]
    ]
    kept = ("text", "claim", "instead_of", "target", "unseen_twin_possible")
    return {name: negative[name] for name in kept} | {"rulings": rulings}


def _is_checked(given: dict[str, Any]) -> bool:
    return bool(given["claims"] or given["lineup"] or given["unanswered"])


def _given(given: dict[str, Any]) -> dict[str, Any]:
    """Shorten a checked text that was given to what the page tells of it."""
    failed = why_failed(GivenText.model_validate(given))
    return {"text": given["text"], "failed": ": ".join(failed) if failed else None}


def _previews(annotations: Annotations, shown: Indices) -> Iterator[str]:
    columns = ("preview_jpeg", "lineup_jpeg", "confuser_jpeg")
    for index, row in zip(shown, annotations.rows(columns, shown), strict=True):
        for column in columns:
            if row[column]:
                yield image_block(f"{column.removesuffix('_jpeg')}-{index}", row[column])


def kept_first(indices: Indices, kept: np.ndarray[tuple[int], np.dtype[np.bool_]], limit: int) -> Indices:
    """Choose at most `limit` of `indices`: those of kept rows, then others while they fit, both evenly spaced."""
    first = _spread(indices[kept[indices]], limit)
    return np.concatenate([first, _spread(indices[~kept[indices]], limit - len(first))])


def _spread(indices: Indices, limit: int) -> Indices:
    """Choose at most `limit` of `indices`, evenly spaced, in their order."""
    if len(indices) <= limit:
        return indices
    picks: Indices = indices[np.linspace(0, len(indices) - 1, limit).astype(int)]
    return picks


def _funnel_step(step: outcomes.StageFlow) -> dict[str, Any]:
    return {
        "stage": step.stage,
        "rows_in": step.rows_in,
        "rows_out": step.rows_out,
        "stops": [stop._asdict() for stop in step.stops],
    }


def _call(call: dict[str, Any], names: dict[str, int]) -> list[Any]:
    """Write a call as a short list, because a page may have 200,000: [prompt, model, fault, stored, *_CALL_NUMBERS].

    Prompt and model are places in `names`, to which new ones are added.
    """
    name = [names.setdefault(text, len(names)) for text in (call["prompt"], f"{call['model']}@{call['revision']}")]
    fault = call["fault"] and call["fault"][:_FAULT_CHARACTERS]
    return [*name, fault, call["stored"], *(call[number] for number in _CALL_NUMBERS)]


def _histograms(annotations: Annotations, table: pa.Table) -> list[dict[str, Any]]:
    words, areas_pct, seen_s = (array("d") for _ in range(3))
    for part in annotations.tables(["status", "expression", "facts"]):
        kept = part.filter(pc.equal(part["status"], Status.KEPT.value))
        facts = [row for row in kept["facts"].to_pylist() if row]
        words.extend(len(text.split()) for text in kept["expression"].drop_null().to_pylist())
        areas_pct.extend(100 * row["area_median_frac"] for row in facts)
        seen_s.extend(sum(span["end_s"] - span["start_s"] for span in row["visible_spans"]) for row in facts)
    videos = table.filter(pc.equal(table["status"], Status.KEPT.value))["video_id"]
    return [
        _histogram("Words per expression", "words", words),
        _histogram("Area", "% of frame", areas_pct, _AREA_EDGES_PCT),
        _histogram("Time in sight", "s", seen_s),
        _histogram("Objects per video", "objects", pc.value_counts(videos).field("counts").to_pylist()),
    ]


def _histogram(title: str, unit: str, values: Sequence[float], edges: Sequence[float] | None = None) -> dict[str, Any]:
    """Count the values between `edges`; without edges, in bins of a round width that start from 0."""
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
        "median": float(np.median(values)) if len(values) else None,
    }
