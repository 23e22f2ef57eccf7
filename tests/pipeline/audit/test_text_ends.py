"""Every text of a file ends in exactly one state, and the figures say how many are wrong, with intervals by video."""

import csv
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from manifests.arrow import to_table
from manifests.lineup import ALONE, AMBIGUOUS, NOT_FOUND, SINGLED_OUT, Lineup, LineupHeat, LineupTrial
from manifests.schema import AnnotationRow, Contradiction, GivenText, ManifestRow, Reason, Status
from pipeline.audit.figures import Audit
from pipeline.audit.given_texts import GivenTexts, TextEntry, TextFault
from pipeline.audit.text_ends import MANIFEST_COLUMNS, TextState, as_csv, text_ends
from pipeline.export.annotations import Annotations
from pipeline.export.card import _verified
from pipeline.verification.summary import verify
from tests.pipeline.rows import Held, row

WRONG = Contradiction(kind="side", claim="on the left", measured="on the right")


def lineup(text: str, decision: str, judge: str = "measured") -> Lineup:
    picked = {SINGLED_OUT: ["a"], AMBIGUOUS: ["a", "b"], NOT_FOUND: [], ALONE: ["a"]}[decision]
    heats = [LineupHeat(shown=["a", "b"], picked=picked, evidence="")]
    trials = [] if decision == ALONE else [LineupTrial(heats=heats, picked=picked)]
    return Lineup(
        expression=text,
        candidates=["a", "b"],
        places=["middle left", "middle right"],
        times_s=[0.0],
        trials=trials,
        pick_rate=float(decision in (SINGLED_OUT, ALONE)),
        runner_up="b" if decision == AMBIGUOUS else None,
        runner_up_rate=float(decision == AMBIGUOUS),
        decision=decision,
        judge=judge,
        revision="",
    )


def checked(text: str, where: str, decision: str = SINGLED_OUT, wrong: bool = False) -> GivenText:
    contradictions = [WRONG] if wrong else []
    return GivenText(
        text=text, where=where, claims=["side"], contradictions=contradictions, lineup=lineup(text, decision)
    )


def audited(video: int, position: int, *given: GivenText, **changes: Any) -> AnnotationRow:
    return row(video, position, given_texts=list(given), expression=given[0].text, lineup=given[0].lineup, **changes)


def rejected(video: int, position: int, reason: Reason, stage: str, *given: GivenText) -> AnnotationRow:
    state: dict[str, Any] = {"status": Status.REJECTED, "stage": stage, "reason": reason, "detail": "so it is"}
    return row(video, position, given_texts=list(given), **state)


def manifest_of(rows: Sequence[AnnotationRow]) -> pa.Table:
    planned = []
    for one in rows:
        values = {name: getattr(one, name) for name in ManifestRow.model_fields}
        values["given_texts"] = [GivenText(text=text.text, where=text.where) for text in one.given_texts]
        if one.stage != "select_objects":
            values |= {"status": Status.PENDING, "stage": None, "reason": None, "detail": None}
        planned.append(ManifestRow.model_validate(values))
    return to_table(planned, ManifestRow).select(list(MANIFEST_COLUMNS))


def file_of(rows: Sequence[AnnotationRow], *others: TextEntry) -> GivenTexts:
    entries = [TextEntry(text.where, one.object_id, text.text) for one in rows for text in one.given_texts]
    return GivenTexts("texts.csv", "ab" * 32, [*others, *entries])


def some_rows() -> tuple[list[AnnotationRow], AnnotationRow, tuple[TextEntry, ...]]:
    """Rows of all kinds, one that was not taken, and texts that have no row."""
    failed: dict[str, Any] = {"status": Status.FAILED, "stage": "audit_texts", "reason": Reason.BAD_REPLY}
    repaired: dict[str, Any] = {"expression": "a new text", "repairs": ["expression"]}
    rows = [
        audited(1, 0, checked("good", "1"), checked("a thing", "2", AMBIGUOUS), checked("wrong", "3", wrong=True)),
        rejected(1, 1, Reason.CONTRADICTED, "check_facts", checked("wrong", "4", wrong=True), checked("good", "5")),
        rejected(1, 2, Reason.NOT_FOUND, "verify_lineup", checked("lost", "6", NOT_FOUND)),
        row(2, 0, given_texts=[checked("wrong", "7", wrong=True)], **repaired),
        rejected(2, 1, Reason.DUPLICATE, "select_objects", GivenText(text="twin", where="8")),
        rejected(2, 2, Reason.NO_TEXT, "select_objects"),
        rejected(2, 3, Reason.FRAME_COUNT_MISMATCH, "render_views", GivenText(text="cut", where="9")),
        audited(3, 0, checked("alone", "10", ALONE)),
        row(3, 1, given_texts=[GivenText(text="no reply", where="11")], detail="nonsense", **failed),
        rejected(4, 0, Reason.JSON_MISSING, "select_objects").model_copy(
            update={"object_id": "sav_000004/auto/file", "masklet_type": "auto"}
        ),
    ]
    left = row(5, 0, given_texts=[GivenText(text="later", where="12")])
    others = (
        TextEntry("20", "sav_000009/manual/0", "elsewhere"),
        TextEntry("21", "sav_000001/manual/9", "nobody"),
        TextEntry("22", "sav_000004/auto/0", "no masks"),
        TextEntry("23", "nonsense", "x", TextFault.MALFORMED, "object_id must be …"),
    )
    return rows, left, others


def held(rows: Sequence[AnnotationRow]) -> Annotations:
    return Held(to_table(rows, AnnotationRow))


def test_every_text_ends_in_one_state_with_its_reason() -> None:
    rows, left, others = some_rows()
    given = file_of([*rows, left], *others)
    ends = text_ends(given, manifest_of([*rows, left]), held(rows))
    assert len(ends) == len(given.entries) == 12 + 4
    assert {end.entry.where: (end.state, end.reason) for end in ends} == {
        "1": (TextState.PASSED, ""),
        "2": (TextState.REJECTED, Reason.AMBIGUOUS),
        "3": (TextState.REJECTED, Reason.CONTRADICTED),
        "4": (TextState.REJECTED, Reason.CONTRADICTED),
        "5": (TextState.PASSED, ""),
        "6": (TextState.REJECTED, Reason.NOT_FOUND),
        "7": (TextState.REPAIRED, Reason.CONTRADICTED),
        "8": (TextState.LEFT_OUT, Reason.DUPLICATE),
        "9": (TextState.LEFT_OUT, Reason.FRAME_COUNT_MISMATCH),
        "10": (TextState.PASSED, ""),
        "11": (TextState.FAILED, Reason.BAD_REPLY),
        "12": (TextState.LEFT_OUT, TextFault.LEFT_BY_LIMIT),
        "20": (TextState.LEFT_OUT, TextFault.NOT_IN_SHARD),
        "21": (TextState.LEFT_OUT, TextFault.UNKNOWN_OBJECT),
        "22": (TextState.LEFT_OUT, Reason.JSON_MISSING),
        "23": (TextState.LEFT_OUT, TextFault.MALFORMED),
    }
    told = dict(Audit(given, ends, verify(held(rows)), repair=True).lines())
    assert told["texts"].startswith("16 in texts.csv (sha256 abababababab): 3 passed, 1 repaired, 4 rejected, 1 failed")
    assert told["texts"].endswith("7 left out")
    assert told["contradicted"].startswith("3 of 8 contradict")
    assert told["single out"].startswith("5 of 7 single out"), "one is alone in its video"
    assert told["texts repaired"] == "1 of 2", "the second text of an object is not written anew"


def test_a_manifest_with_other_texts_is_a_bug_that_is_said() -> None:
    rows = [audited(1, 0, checked("good", "1"))]
    other = [audited(1, 0, checked("another", "1"))]
    with pytest.raises(ValueError, match="this is a bug"):
        text_ends(file_of(rows), manifest_of(other), held(other))


@pytest.mark.parametrize("status", [Status.FAILED, Status.POISONED])
def test_a_text_that_got_no_answer_ends_as_its_row_and_the_others_by_themselves(status: Status) -> None:
    silly, rude, wrong = (
        checked(text, at).model_copy(update={"lineup": None, "unanswered": reason})
        for text, at, reason in (
            ("silly", "1", Reason.BAD_REPLY),
            ("rude", "2", Reason.REFUSED),
            ("wrong", "3", Reason.BAD_REPLY),
        )
    )
    wrong = wrong.model_copy(update={"contradictions": [WRONG]})
    given = (silly, rude, wrong, checked("good", "4"), checked("a thing", "5", AMBIGUOUS))
    failed: dict[str, Any] = {"status": status, "stage": "audit_texts", "reason": Reason.BAD_REPLY, "detail": "no JSON"}
    rows = [row(1, 0, given_texts=list(given), expression=None, **failed)]
    ends = text_ends(file_of(rows), manifest_of(rows), held(rows))
    assert [(end.state, end.reason) for end in ends] == [
        (TextState(status), "bad_reply"),
        (TextState.LEFT_OUT, "refused"),
        (TextState.REJECTED, "contradicted"),
        (TextState.PASSED, ""),
        (TextState.REJECTED, "ambiguous"),
    ]
    assert all(end.checked for end in ends)


def test_the_table_of_texts_can_be_audited_again_and_holds_no_formula() -> None:
    rows = [audited(1, 0, checked("=1+1", "1", wrong=True), checked('the "red", ball\nthere', "2"))]
    table = "".join(as_csv(text_ends(file_of(rows), manifest_of(rows), held(rows))))
    lines = list(csv.DictReader(table.splitlines(keepends=True)))
    assert [line["text"] for line in lines] == ["'=1+1", 'the "red", ball\nthere']
    assert (lines[0]["object_id"], lines[0]["state"]) == ("sav_000001/manual/0", "rejected")
    assert (lines[0]["contradictions"], lines[0]["reason"]) == ("side: on the left", "contradicted")


def test_shares_have_intervals_by_video_where_the_counts_carry_one() -> None:
    """60 texts in 12 videos, of which every fifth is wrong, once spread over all and once in few of the videos."""
    widths = []
    for spread in (True, False):
        rows = [
            audited(
                number // 5, number % 5, checked("x", f"{number}", wrong=(number % 5 == 0 if spread else number < 12))
            )
            for number in range(60)
        ]
        given = file_of(rows)
        told = dict(Audit(given, text_ends(given, manifest_of(rows), held(rows)), None, repair=False).lines())
        assert told["contradicted"].startswith("12 of 60 contradict what was measured: 20.0% (")
        low, high = (float(end.strip(" %)")) for end in told["contradicted"].split("(")[1].split(")")[0].split(" to "))
        assert low < 20 < high
        widths.append(high - low)
    assert widths[0] < widths[1], "texts of one video share its fate"
    few = [audited(1, 0, checked("x", "1"))]
    told = dict(Audit(file_of(few), text_ends(file_of(few), manifest_of(few), held(few)), None, repair=False).lines())
    assert "too few for an interval" in told["contradicted"]


def test_the_judge_of_given_texts_is_counted_on_all_of_them_as_they_were_given() -> None:
    rows, _, _ = some_rows()
    found = verify(held(rows))
    assert found is not None
    decisions = Counter(text.lineup.decision for one in rows for text in one.given_texts if text.lineup)
    assert found.counts.decisions == dict(decisions)
    assert int(found.counts.judged.texts.sum()) == decisions.total() - decisions[ALONE]


def test_the_card_of_an_audit_without_a_line_up_describes_none() -> None:
    rows = [audited(1, 0, checked("good", "1"))]
    audit = Audit(file_of(rows), text_ends(file_of(rows), manifest_of(rows), held(rows)), None, repair=False)
    settings: dict[str, Any] = {"texts_sha256": "ab", "lineup": None}
    run: Any = {"config": settings}
    section = _verified(audit, run)
    assert section.startswith("\n## Are the texts right?\n\nEach text was compared with what was measured")
    assert "In a line-up a judge saw" not in section
    settings["lineup"] = {"trials": 2}
    assert "## Do the texts single out their objects?\n\nIn a line-up a judge saw" in _verified(audit, run)
