"""Which rows a replay takes, which it leaves, and what it says when it can take none."""

import logging
from pathlib import Path

import pyarrow as pa
import pytest

import prompts
from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from pipeline import dead_letter
from pipeline.run import resume
from tests.pipeline import model_rows as made
from tests.pipeline import rows

OLD = "caption_crop@00000000"


def kept(position: int, **changes: object) -> AnnotationRow:
    return made.kept(0, position, **changes)


def rejected(position: int, stage: str, reason: Reason, asked: int = 6, **changes: object) -> AnnotationRow:
    calls = made.calls(f"sav_000000/manual/{position}", made.PASS[:asked])
    return made.lost(0, position, Status.REJECTED, stage, reason, calls, **changes)


ROWS = (
    kept(0),
    rejected(1, "compose_expression", Reason.MARKER_LEAK),
    rejected(2, "compose_expression", Reason.AMBIGUOUS),
    rejected(3, "check_consistency", Reason.INCONSISTENT, asked=3),
    made.lost(0, 4, Status.FAILED, "caption_object", Reason.ENGINE_ERROR, []),
    made.lost(0, 5, Status.POISONED, "caption_object", Reason.BAD_REPLY, [], attempts=3),
    rows.stopped(0, 6, 1),
    made.kept(1, 0, calls=[made.call("caption_crop", "old", prompt=OLD)], prompt_ids=[OLD]),
    made.lost(1, 1, Status.REJECTED, "caption_object", Reason.REFUSED, [made.call("caption_crop", "o", prompt=OLD)]),
)


@pytest.fixture
def out(tmp_path: Path) -> Folder:
    return run_of(tmp_path, *ROWS)


def run_of(path: Path, *found: AnnotationRow) -> Folder:
    out = Folder(str(path))
    for video_id in sorted({row.video_id for row in found}):
        part = [row for row in found if row.video_id == video_id]
        out.write_table(f"annotations/u_{video_id}-0.parquet", to_table(part, AnnotationRow))
        out.write_table(f"checkpoint/u_{video_id}.parquet", pa.table({"object_id": [row.object_id for row in part]}))
    return out


def replay(out: Folder, *conditions: str, prompt_changed: bool = False) -> set[str]:
    """Ends of the ids that were taken back."""
    before = set(resume.done_ids(out).to_pylist())
    count = dead_letter.take_back(out, dead_letter.parse(conditions), prompt_changed=prompt_changed)
    taken = before - set(resume.done_ids(out).to_pylist())
    assert len(taken) == count
    return {object_id.removeprefix("sav_00000").replace("/manual/", "/") for object_id in taken}


@pytest.mark.parametrize(
    ("conditions", "taken"),
    [
        (["reason=marker_leak"], {"0/1"}),
        (["stage=compose_expression"], {"0/1", "0/2"}),
        (["stage=compose_expression", "reason=ambiguous,inconsistent"], {"0/2"}),
        (["status=rejected"], {"0/1", "0/2", "0/3", "1/1"}),
        (["status=failed,rejected", "video_id=sav_000000"], {"0/1", "0/2", "0/3", "0/4"}),
        (["stage=caption_object"], {"0/4", "1/1"}),  # not the poisoned one
        (["status=poisoned"], {"0/5"}),
        (["object_id=sav_000000/manual/5,sav_000000/manual/0"], {"0/0", "0/5"}),
        (["status=kept", "video_id=sav_000000"], {"0/0"}),
    ],
)
def test_all_conditions_must_hold(out: Folder, conditions: list[str], taken: set[str]) -> None:
    assert replay(out, *conditions) == taken
    left = out.read_tables("annotations", to_table([], AnnotationRow).schema)["object_id"].to_pylist()
    assert len(left) == len(set(left)) == len(ROWS) - len(taken)


def test_only_what_a_changed_prompt_could_change(out: Folder) -> None:
    assert replay(out, "status=kept,rejected,failed", prompt_changed=True) == {"0/4", "1/0", "1/1"}
    with pytest.raises(ValueError, match="--prompt-changed chooses no row"):
        replay(out, prompt_changed=True)  # nothing left but rows with today's prompts


def test_a_prompt_that_is_edited_chooses_the_rows_that_were_asked_it(
    out: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = prompts.Prompt("compose_expression", "[system]\nNew.\n[user]\nText.", prompts.load("describe_scene").reply)
    load = prompts.load
    monkeypatch.setattr(prompts, "load", lambda name, **how: edited if name == edited.name else load(name, **how))
    assert replay(out, "video_id=sav_000000", "status=rejected", prompt_changed=True) == {"0/1", "0/2"}


def test_the_prompts_of_an_object_with_a_label_are_those_with_a_label(tmp_path: Path) -> None:
    asked = [prompts.load(name, labelled=True).id for name in made.ASKED] if hasattr(made, "ASKED") else []
    names = asked or [prompts.load(name, labelled=True).id for name in ("caption_crop", "caption_masked")]
    today = kept(0, prompt_ids=names, calls=[], source_label="dog")
    before = kept(1, prompt_ids=names, calls=[], source_label=None)
    assert replay(run_of(tmp_path, today, before), "status=kept", prompt_changed=True) == {"0/1"}


def test_rows_that_no_replay_could_change_are_left_and_told(out: Folder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert replay(out, "status=rejected", "reason=too_small,ambiguous") == {"0/2"}
    assert "1 rows that select_objects rejected are left" in caplog.text
    with pytest.raises(ValueError, match=r"only rows that select_objects rejected \(1\).*another --out"):
        replay(out, "reason=too_small")


def test_attempts_go_on_counting_for_those_without_an_answer_only(out: Folder) -> None:
    replay(out, "status=rejected,failed,poisoned")
    ids = {f"sav_000000/manual/{position}" for position in (1, 4, 5)} | {"sav_000001/manual/1"}
    tried = resume.take_back_failed(out)
    assert tried == dict.fromkeys(ids, 1) | {"sav_000000/manual/5": 3}


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        (["raeson=marker_leak"], "a name of reason, stage, status, object_id, video_id; got 'raeson=marker_leak'"),
        (["marker_leak"], "got 'marker_leak'"),
        (["reason=marker_leek"], "must be of .*marker_leak, .*; got marker_leek"),
        (["status=pending"], "must be of kept, rejected, failed, poisoned; got pending"),
        (["stage="], "got nothing"),
        (["stage=a", "stage=b"], "stage twice, .* give stage=value,value"),
    ],
)
def test_what_does_not_exist_is_told_with_what_does(conditions: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dead_letter.parse(conditions)


@pytest.mark.parametrize(
    ("conditions", "complaint"),
    [
        ([], "needs a condition"),
        (["stage=compose_expresion"], "no row of stage 'compose_expresion'; there is compose_expression"),
        (["video_id=nowhere"], "no row of video_id 'nowhere'; there is sav_000000, sav_000001"),
        (
            ["reason=ambiguous", "status=failed"],
            "--replay reason=ambiguous status=failed chooses no row; there are .*1 rejected at compose_expression: amb",
        ),
    ],
)
def test_nothing_chosen_says_what_there_is(out: Folder, conditions: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        replay(out, *conditions)
    assert out.names("attempts", ".parquet") == []


def test_a_replay_before_any_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are none"):
        replay(Folder(str(tmp_path)), "status=failed")
