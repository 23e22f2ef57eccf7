"""The table of all judgements, undone ones included; people are named r1, r2, … in the order in which they joined."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from validation_ui.schema import item, judgement, masklet, person, pointing, text_version

_TEXT = pa.map_(pa.string(), pa.string())
_POINT = pa.struct({"frame": pa.int64(), "x": pa.float64(), "y": pa.float64()})
_COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "judgement": (pa.int64(), "number of the judgement, in the order made"),
    "expression": (pa.string(), "number of the item: exp_id in meta_expressions_valid.json if it was accepted"),
    "video_id": (pa.string(), ""),
    "object_id": (pa.string(), "as in the annotation run"),
    "length": (pa.string(), "long: by the pipeline, short: by a person"),
    "gold": (pa.string(), "good or swapped: the answer was known; empty: a real item"),
    "source": (
        pa.string(),
        "of the text: kept by the run, rejected by a gate of it, no_target; the last two mixed in",
    ),
    "state": (pa.string(), "of the item"),
    "withdrawn": (pa.bool_(), "an admin took the item out"),
    "rater": (pa.string(), "pseudonym"),
    "pass": (pa.string(), "sighted, blind or adjudicate"),
    "text": (_TEXT, "that was judged, by part"),
    "text_sha256": (pa.string(), ""),
    "is_current": (pa.bool_(), "it is the wording that the item has now"),
    "decision": (pa.string(), "accept, edit, reject or flag"),
    "verdicts": (_TEXT, "part -> right, wrong or unsure"),
    "reasons": (pa.list_(pa.string()), ""),
    "note": (pa.string(), ""),
    "new_text": (_TEXT, "that an edit wrote; null: no edit"),
    "short_expression": (pa.string(), "number of the item written along the way"),
    "pointing": (pa.string(), "pointed, ambiguous or absent; null: not the blind pass"),
    "points": (pa.list_(_POINT), "source frame, x and y as fractions of the picture"),
    "candidates": (pa.int64(), "objects that fit, if ambiguous"),
    "extent": (pa.string(), "object_id that the person meant"),
    "hit": (pa.bool_(), "the object was found from the text alone"),
    "chance_frac": (pa.float64(), "share of the frame that the object covers where it was pointed at"),
    "answer_s": (pa.float64(), "from the claim to the pointing"),
    "gold_right": (pa.bool_(), "the answer to a gold item was the known one"),
    "spent_s": (pa.float64(), "from the claim, or from the reveal in the blind pass"),
    "watched_frac": (pa.float64(), "share of the visible span that was played"),
    "created_at": (pa.float64(), "seconds since 1970"),
    "undone_at": (pa.float64(), "seconds since 1970; null: it stands"),
    "undone_by": (
        pa.string(),
        "person, gold_gate, admin (their work is done again) or reopened (the item is asked again)",
    ),
}
SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": text} if text else None) for name, (kind, text) in _COLUMNS.items()]
)


def pseudonyms(connection: Connection) -> dict[int, str]:
    """Return person id -> pseudonym (r1, r2, …) for everybody who ever judged."""
    who = select(person.c.id).where(person.c.id.in_(select(judgement.c.person_id))).order_by(person.c.id)
    return {person_id: f"r{k}" for k, person_id in enumerate(connection.scalars(who), start=1)}


def judgements_table(connection: Connection, raters: Mapping[int, str]) -> pa.Table:
    """Return all judgements in the order in which they were made."""
    texts = {row.id: row for row in connection.execute(select(text_version))}
    objects = {row.id: row.object_id for row in connection.execute(select(masklet.c.id, masklet.c.object_id))}
    answers = {row.id: row for row in connection.execute(select(pointing))}
    query = (
        select(judgement, item.c.masklet_id, item.c.video_id, item.c.kind.label("length"), item.c.gold, item.c.state)
        .add_columns(item.c.source, item.c.retired, item.c.text_id.label("now_id"))
        .join(item, item.c.id == judgement.c.item_id)
        .order_by(judgement.c.id)
    )
    rows = [
        {
            "judgement": row.id,
            "expression": str(row.item_id),
            "object_id": objects[row.masklet_id],
            "rater": raters[row.person_id],
            "pass": row.kind,
            "text": _pairs(texts[row.text_id].parts),
            "text_sha256": texts[row.text_id].sha256,
            "is_current": texts[row.text_id].sha256 == texts[row.now_id].sha256,
            "withdrawn": bool(row.retired),
            "verdicts": _pairs(row.parts),
            "new_text": _pairs(texts[row.new_text_id].parts) if row.new_text_id else None,
            "short_expression": str(row.short_item_id) if row.short_item_id else None,
            **_answer(answers.get(row.pointing_id), objects),
            **{name: row._mapping[name] for name in SCHEMA.names if name in row._mapping},
        }
        for row in connection.execute(query)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _answer(row: Any, objects: Mapping[int, str]) -> dict[str, Any]:
    if row is None:
        return {}
    return {
        "pointing": row.answer,
        "extent": objects.get(row.extent_id),
        **{name: row._mapping[name] for name in ("points", "candidates", "hit", "chance_frac", "answer_s")},
    }


def _pairs(parts: Mapping[str, str]) -> list[tuple[str, str]]:
    return sorted(parts.items())
