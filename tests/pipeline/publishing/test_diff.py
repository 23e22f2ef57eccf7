"""What changed between two runs or datasets: each cause by itself, sums, order, rows that only one side has."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.arrow import to_table
from manifests.schema import AnnotationRow, Reason, Status
from pipeline.diff import main
from pipeline.publishing.diff_page import EvenSample, marked
from pipeline.publishing.row_changes import _IGNORED, CAUSES, ChangedRow, RunDifference, _cause, compare
from tests.pipeline import model_rows, rows
from tests.pipeline.publishing.made_runs import info, read_json, shard_rows, write_run


def held(*made: AnnotationRow) -> rows.Held:
    return rows.Held(to_table(made, AnnotationRow), files=1)


def compared(a: list[AnnotationRow], b: list[AnnotationRow]) -> tuple[RunDifference, list[ChangedRow]]:
    difference = RunDifference()
    return difference, list(compare(held(*a), held(*b), difference, ("expression", "status")))


BASE = model_rows.kept(0, 0, preview_jpeg=b"one")
NEW_PROMPT = "compose_expression@00000000"
REJECTED: dict[str, Any] = {"status": Status.REJECTED, "expression": None}


def renewed(**changes: Any) -> list[Any]:
    return [call.model_copy(update=changes) for call in BASE.calls]


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("source", {"areas_px": [1] * 24}),
    ("source", {"anno_path": "elsewhere.json"}),
    ("selection", {"siblings": ["sav_000000/manual/9"]}),
    (
        "selection",
        {**REJECTED, "stage": "select_objects", "reason": Reason.PART, "facts": None, "calls": [], "writer": None},
    ),
    ("facts", {"facts": rows.facts("sav_000000/manual/0", size="small"), "expression": "The object is new."}),
    ("prompt", {"prompt_ids": ["caption_crop@00000000", *BASE.prompt_ids[1:]], "expression": "The object is new."}),
    ("model", {"calls": renewed(revision="new"), "expression": "The object is new."}),
    ("model", {"writer": "measured"}),
    ("text", {"expression": "The object is new."}),
    ("text", {"caption_crop": "new"}),
    ("text", {"short_expression": "the new one"}),
    ("gate", {**REJECTED, "stage": "compose_expression", "reason": Reason.AMBIGUOUS}),
    ("gate", {**REJECTED, "stage": "render_views", "reason": Reason.DECODE_ERROR, "facts": None, "calls": []}),
    ("gate", {"verdict": "repaired", "repairs": ["object"]}),
    ("images", {"preview_jpeg": b"two"}),
]
SAME: list[dict[str, Any]] = [
    {"seconds_s": 9.0, "attempts": 3},
    {"calls": renewed(tokens_out=1, seconds_s=0.1, key="other", stored=True)},
    {"calls": []},
]


@pytest.mark.parametrize(("cause", "changes"), CHANGES)
def test_a_row_changes_by_its_first_cause(cause: str, changes: dict[str, Any]) -> None:
    after = BASE.model_copy(update=changes)
    for pair in ((BASE, after), (after, BASE)):
        difference, changed = compared([pair[0]], [pair[1]])
        assert [row.cause for row in changed] == [cause]
        assert difference.changed == {cause: 1}
        assert difference.unchanged == 0


@pytest.mark.parametrize("changes", SAME)
def test_what_differs_from_run_to_run_is_no_change(changes: dict[str, Any]) -> None:
    difference, changed = compared([BASE], [BASE.model_copy(update=changes)])
    assert (changed, difference.unchanged) == ([], 1)


def test_a_number_that_is_none_is_the_same_inside_a_struct() -> None:
    facts = rows.facts("sav_000000/manual/0", size_ratio=float("nan"))
    before = BASE.model_copy(update={"facts": facts})
    assert compared([before], [before.model_copy(update={"repairs": ["object"]})])[0].changed == {"gate": 1}


def test_every_column_stands_for_a_cause() -> None:
    """`other` is for columns of other versions only."""
    others = {name for name in AnnotationRow.model_fields if _cause(name) == "other"}
    assert others - _IGNORED == {"object_id"}, "put the column into a set of pipeline/publishing/row_changes.py"


def test_every_cause_is_tried_here_but_other() -> None:
    assert {cause for cause, _ in CHANGES} | {"other"} == set(CAUSES)


def test_a_column_that_one_side_has_not_is_another_cause() -> None:
    table = to_table([BASE], AnnotationRow)
    more = table.append_column("pick_rate_frac", pa.array([0.5]))
    newer = rows.Held(table, files=1)
    newer._held = {"0": more}
    newer._schema = more.schema
    difference = RunDifference()
    (row,) = compare(held(BASE), newer, difference, ("expression",))
    assert (row.cause, row.columns) == ("other", ("pick_rate_frac",))


def test_rows_of_one_side_are_told_by_the_largest_thing_that_is_new() -> None:
    a = [rows.row(0, 0), rows.row(1, 0)]
    b = [rows.row(0, 0), rows.row(0, 1), rows.row(2, 0), rows.row(3, 0, shard="sav_001")]
    difference, _ = compared(a, b)
    assert difference.added == {"object": 1, "video": 1, "shard": 1}
    assert difference.removed == {"video": 1}
    assert difference.unchanged == 1


def test_lost_and_won_objects_are_counted_by_their_gates() -> None:
    gone = rows.row(0, 0, **REJECTED, stage="check_facts", reason=Reason.CONTRADICTED)
    back = rows.row(0, 1, **REJECTED, stage="compose_expression", reason=Reason.AMBIGUOUS)
    difference, _ = compared([rows.row(0, 0), back], [gone, rows.row(0, 1)])
    assert difference.lost == {("check_facts", "contradicted"): 1}
    assert difference.won == {("compose_expression", "ambiguous"): 1}
    assert difference.fates == {("kept", "rejected"): 1, ("rejected", "kept"): 1}


IDS = st.sets(st.tuples(st.sampled_from(["a", "a-b", "a.b", "a0", "b", "bb"]), st.integers(0, 3)), max_size=20)


@pytest.mark.long
@given(IDS, IDS)
def test_any_two_sets_of_rows_are_aligned(left: set[tuple[str, int]], right: set[tuple[str, int]]) -> None:
    """Names of videos sort otherwise than ids of their objects: `a-b/…` comes before `a/…`."""

    def made(ids: set[tuple[str, int]]) -> list[AnnotationRow]:
        return [rows.row(0, n, object_id=f"{video}/manual/{n}", video_id=video, facts=None) for video, n in sorted(ids)]

    difference = RunDifference()
    sides = [rows.Held(to_table(made(ids), AnnotationRow), files=2) for ids in (left, right)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.publishing.row_changes.BATCH_ROWS", 3)
        assert list(compare(sides[0], sides[1], difference, ())) == []
    assert difference.unchanged == len(left & right)
    assert difference.added.total() == len(right - left)
    assert difference.removed.total() == len(left - right)


@given(st.integers(0, 100), st.integers(1, 10))
def test_a_sample_is_even_and_bounded(count: int, limit: int) -> None:
    sample = EvenSample(limit)
    for number in range(count):
        sample.add(number)
    assert len(sample.kept) <= limit
    steps = {after - before for before, after in zip(sample.kept, sample.kept[1:], strict=False)}
    assert len(steps) <= 1
    assert len(sample.kept) > min(count, limit) // 2 or count == 0


def test_texts_are_marked_word_by_word() -> None:
    before, after = marked("a red ball.", "a blue ball, too.")
    assert "".join(str(text) for text, _ in before) == "a red ball."
    assert "".join(str(text) for text, _ in after) == "a blue ball, too."
    assert [text for text, differs in before if differs] == ["red"]
    assert [text for text, differs in after if differs] == ["blue", ", too"]


def test_the_command_compares_a_dataset_with_a_run(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [
        row.model_copy(
            update={"prompt_ids": [*row.prompt_ids[:-1], "compose_expression@00000000"], "expression": "new"}
        )
        if row.status == Status.KEPT
        else row
        for row in shard_rows("sav_000", 0, 4)
    ]
    run = write_run(tmp_path / "run", changed, info("sav_000"))
    assert main([str(dataset), str(run), "--out", str(tmp_path / "out")]) == 0
    assert "24 and 12 rows: 0 added, 12 removed, 8 changed, 4 unchanged" in capsys.readouterr().out
    told = read_json(tmp_path / "out/diff.json")
    assert told["changed"] == {"prompt": 8}
    assert told["removed"] == {"shard": 12}
    table = pq.read_table(tmp_path / "out/changed.parquet").to_pylist()
    assert len(table) == 8
    assert {row["expression_b"] for row in table} == {"new"}
    assert table[0]["expression_a"].startswith("The object is")
    page = (tmp_path / "out/diff.html").read_text()
    assert NEW_PROMPT in page
    assert main([str(dataset), str(dataset), "--out", str(tmp_path / "same")]) == 0
    assert "0 changed, 24 unchanged" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["nowhere", "runs"])
def test_what_is_neither_is_told(given: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert main([str(tmp_path / given), str(tmp_path / "b"), "--out", str(tmp_path / "out")]) == 2
    assert "without run.json" in caplog.text
