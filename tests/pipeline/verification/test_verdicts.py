"""What people said of a text is read from the table of judgements: right, wrong, or nothing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.verification.run_texts import KEPT, SHORT, RunText
from pipeline.verification.verdicts import Verdicts, read_verdicts

OBJECT = "v0/manual/0"
PARTS = {"object": "The object is  red.", "scene": "It is left.", "video": "Throughout the video it stays."}
TEXT = "The object is red. It is left. Throughout the video it stays."
_PAIRS = pa.map_(pa.string(), pa.string())
_TYPES = {
    "text": _PAIRS,
    "new_text": _PAIRS,
    "reasons": pa.list_(pa.string()),
    "hit": pa.bool_(),
    "undone_at": pa.float64(),
    "short_expression": pa.string(),
}


def judgement(**columns: Any) -> dict[str, Any]:
    """A sighted accept of an accepted long text, but for `columns`."""
    return {
        **{"judgement": 1, "expression": "7", "object_id": OBJECT, "length": "long", "gold": "", "source": "kept"},
        **{"state": "accepted", "withdrawn": False, "pass": "sighted", "text": list(PARTS.items()), "is_current": True},
        **{"decision": "accept", "reasons": [], "new_text": None, "short_expression": None, "hit": None},
        "undone_at": None,
        **columns,
    }


def read(folder: Path, *rows: dict[str, Any], texts: tuple[RunText, ...] = ()) -> Verdicts:
    columns = {name: pa.array([row[name] for row in rows], _TYPES.get(name)) for name in judgement()}
    pq.write_table(pa.table(columns), folder / "judgements.parquet")
    return read_verdicts(folder, texts)


SHORT_TEXT = {"length": SHORT, "text": [("short", "a red thing")], "pass": "blind", "hit": True}
OTHER = [("object", "Another."), ("scene", "It is."), ("video", "It was.")]


@pytest.mark.parametrize(
    ("rows", "right"),
    [
        ([{}], True),
        ([{"state": "surplus", "source": "rejected"}], True),
        ([{"decision": "edit", "new_text": OTHER, "is_current": False}, {"text": OTHER}], False),
        ([{"state": "dropped", "decision": "reject", "reasons": ["wrong_attribute"]}], False),
        ([{"state": "dropped"}, {"state": "dropped", "pass": "blind", "hit": False}], False),
        ([{"state": "dropped", "decision": "reject", "reasons": ["mask_bad", "language"]}], False),
        ([{"decision": "edit", "new_text": OTHER, "is_current": True, "undone_at": 3.0}, {}], True),
    ],
)
def test_right_and_wrong(tmp_path: Path, rows: list[dict[str, Any]], right: bool) -> None:
    found = read(tmp_path, *(judgement(judgement=n, **row) for n, row in enumerate(rows)))
    assert found.right == {(OBJECT, "long", TEXT): right}
    assert not found.left_out


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"state": "blind"}, "still open"),
        ({"state": "adjudicate", "decision": "reject"}, "still open"),
        ({"state": "dropped", "withdrawn": True}, "withdrawn"),
        ({"state": "dropped"}, "still open"),  # a short text whose author took it back
        ({"state": "dropped", "decision": "reject", "reasons": ["mask_bad"]}, "rejected for the mask alone"),
        ({"gold": "good"}, None),
        ({"source": "no_target"}, None),
    ],
)
def test_what_says_nothing_of_a_text_is_left_out(tmp_path: Path, row: dict[str, Any], why: str | None) -> None:
    found = read(tmp_path, judgement(**row))
    assert found.right == {}
    assert dict(found.left_out) == ({why: 1} if why else {})


def test_a_suggested_short_text_is_right_if_it_was_confirmed_and_found(tmp_path: Path) -> None:
    suggested = RunText(OBJECT, "v0", SHORT, "a red thing", KEPT, {SHORT: True})
    key = (OBJECT, SHORT, "a red thing")
    confirmed = judgement(**SHORT_TEXT)
    assert read(tmp_path, confirmed, texts=(suggested,)).right == {key: True}
    missed = judgement(**SHORT_TEXT | {"hit": False, "state": "dropped"})
    assert read(tmp_path, missed, texts=(suggested,)).right == {key: False}
    replaced = judgement(**SHORT_TEXT | {"text": [("short", "the red thing on the left")]})
    assert read(tmp_path, replaced, texts=(suggested,)).right == {key: False}
    rejected = judgement(**SHORT_TEXT | {"text": [("short", "a thing")], "source": "rejected"})
    assert read(tmp_path, rejected, texts=(suggested,)).right == {(OBJECT, SHORT, "a thing"): True}
    assert read(tmp_path, replaced).right == {(OBJECT, SHORT, "the red thing on the left"): True}


def test_verdicts_on_other_texts_are_refused(tmp_path: Path) -> None:
    of_other = RunText(OBJECT, "v0", "long", "written anew since", KEPT, {})
    with pytest.raises(ValueError, match="must be of texts of the run, got 1 on other texts or objects: give the run"):
        read(tmp_path, judgement()).of([of_other])
    with pytest.raises(ValueError, match="no text was judged to its end yet, got 1 still open: judge first"):
        read(tmp_path, judgement(state="blind")).of([of_other])


@pytest.mark.parametrize("damage", ["gone", "cut", "older"])
def test_a_file_that_is_no_export_is_refused_in_a_sentence(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "judgements.parquet"
    read(tmp_path, judgement())
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    else:
        pq.write_table(pq.read_table(file).drop_columns(["source", "is_current"]), file)
    with pytest.raises(ValueError, match=r"judgements\.parquet.*export"):
        read_verdicts(tmp_path, ())
