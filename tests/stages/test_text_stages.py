"""The stages that ask a writer: what they show it, what they make of its replies, and how rows fail alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

import prompts
from manifests.expression import marker_leak
from manifests.row_results import FatalError, RowError
from manifests.schema import Contradiction, Reason, Row, Status
from pipeline.run.run_stages import run_stages
from prompts import Prompt
from prompts.replies import Caption
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.repair_expression import RepairExpression
from stages.repair_object import RepairObject
from stages.writer import WriterStage
from tests.misbehaving import EXPRESSION
from tests.pipeline.facts_factory import make_facts, make_row


class Scripted:
    """Answers by prompt name; notes what it was shown and how many prompts were open at once."""

    name, pool = "scripted", "gpu"

    def __init__(self, answers: dict[str, dict[str, Any]] | None = None) -> None:
        self.answers = answers or {}
        self.seen: list[tuple[str, str, list[bytes]]] = []
        self.open = self.most_open = 0

    async def write(self, prompt: Prompt[Any], row: Row, images: Sequence[bytes]) -> Any:
        self.seen.append((prompt.name, row.object_id, list(images)))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            position = row.masklet_position or 0
            await asyncio.sleep(0.02 / (1 + position))  # later rows are done first
            return self.reply(prompt, row)
        finally:
            self.open -= 1

    def reply(self, prompt: Prompt[Any], row: Row) -> BaseModel:
        return prompt.reply.model_validate(self.answers[prompt.name])  # type: ignore[no-any-return]


class Failing(Scripted):
    """Says its row's id as a scene; raises the errors that it was given for some."""

    def __init__(self, errors: dict[int, BaseException]) -> None:
        super().__init__()
        self.errors = errors

    def reply(self, prompt: Prompt[Any], row: Row) -> BaseModel:
        if error := self.errors.get(row.masklet_position or 0):
            raise error
        return prompt.reply.model_validate({"description": row.object_id})  # type: ignore[no-any-return]


def rows(number: int) -> list[Row]:
    return [make_row(make_facts(position)) for position in range(number)]


def one(stage: type[WriterStage], row: Row, **answers: dict[str, Any]) -> Scripted:
    """Take `row` through the stage, in place."""
    writer = Scripted(answers)
    run_stages([stage(writer)], [row])
    return writer


def changed(row: Row, before: Row) -> dict[str, Any]:
    changed = {name: value for name, value in row if value != getattr(before, name)}
    changed.pop("seconds_s")
    return changed


TEXTS: dict[str, Any] = {
    "caption_crop": "A brown dog.",
    "caption_masked": "A leather bag.",
    "object_description": "The object is a dog.",
    "scene_description": "It is on a lawn.",
    "video_description": "Throughout the video, it runs.",
}


def test_captions_are_asked_separately_and_update_only_what_is_declared() -> None:
    (row,) = rows(1)
    writer = one(
        CaptionObject, row, caption_crop={"caption": "from the crop"}, caption_masked={"caption": "from the rest"}
    )
    assert changed(row, rows(1)[0]) == {
        "caption_crop": "from the crop",
        "caption_masked": "from the rest",
        "writer": "scripted",
        "prompt_ids": [prompts.load("caption_crop").id, prompts.load("caption_masked").id],
    }
    assert [(name, images) for name, _, images in writer.seen] == [
        ("caption_crop", [b"crop"]),
        ("caption_masked", [b"masked"]),
    ]


CONSISTENT = {"verdict": "consistent", "conflict": "", "object_description": "x"}


@pytest.mark.parametrize(
    ("stage", "prompt", "answer", "images", "written"),
    [
        (CheckConsistency, "check_consistency", CONSISTENT, [], {"verdict", "object_description"}),
        (DescribeScene, "describe_scene", {"description": "x"}, [b"scene"], {"scene_description"}),
        (DescribeVideo, "describe_video", {"description": "x"}, [b"1", b"2"], {"video_description"}),
        (
            ComposeExpression,
            "compose_expression",
            {"expression": "The object is a dog.", "ambiguous_with": []},
            [],
            {"expression"},
        ),
    ],
)
def test_each_stage_shows_its_images_and_writes_its_columns(
    stage: type[WriterStage], prompt: str, answer: dict[str, Any], images: list[bytes], written: set[str]
) -> None:
    row, before = (make_row(make_facts(), prompt_ids=["earlier@12345678"], **TEXTS) for _ in range(2))
    writer = one(stage, row, **{prompt: answer})
    assert set(changed(row, before)) == written | {"writer", "prompt_ids"}
    assert row.prompt_ids == ["earlier@12345678", prompts.load(prompt).id]
    assert writer.seen == [(prompt, "sav_000001/manual/0", images)]
    assert set(stage.writes) | set(stage.reads) <= set(Row.model_fields)
    assert stage(writer).pool == "gpu"


def test_a_second_attempt_does_not_note_a_prompt_twice() -> None:
    row = make_row(make_facts(), prompt_ids=[prompts.load("describe_scene").id])
    one(DescribeScene, row, describe_scene={"description": "x"})
    assert row.prompt_ids == [prompts.load("describe_scene").id]


@pytest.mark.parametrize(
    ("verdict", "reason"), [("inconsistent", Reason.INCONSISTENT), ("unrecognizable", Reason.UNRECOGNIZABLE)]
)
def test_verdicts_reject_and_quote_the_conflict(verdict: str, reason: Reason) -> None:
    answer = {"verdict": verdict, "conflict": "a dog is no bag", "object_description": ""}
    row = make_row(make_facts(), **TEXTS)
    one(CheckConsistency, row, check_consistency=answer)
    assert (row.status, row.reason, row.verdict) == (Status.REJECTED, reason, verdict)
    for part in ("a dog is no bag", "A brown dog.", "A leather bag."):
        assert part in (row.detail or "")


def test_an_inconsistent_row_goes_on_to_its_repair() -> None:
    row = make_row(make_facts(), **TEXTS | {"object_description": None})
    writer = Scripted(
        {
            "check_consistency": {"verdict": "inconsistent", "conflict": "", "object_description": ""},
            "repair_object": CONSISTENT,
        }
    )
    run_stages([CheckConsistency(writer, repair=True), RepairObject(writer)], [row])
    assert (row.status, row.verdict, row.object_description, row.repairs) == (
        Status.PENDING,
        "repaired",
        "x",
        ["object"],
    )
    text = prompts.load("repair_object").render(**prompts.values_of(row)).user
    assert text.endswith(prompts._filled("no_conflict")), "words for what the model left open are prompt text"
    assert writer.seen[1] == ("repair_object", row.object_id, [b"crop", b"masked"])


@pytest.mark.parametrize(
    ("verdict", "reason"), [("inconsistent", Reason.INCONSISTENT), ("unrecognizable", Reason.UNRECOGNIZABLE)]
)
def test_a_second_look_that_settles_nothing_rejects(verdict: str, reason: Reason) -> None:
    row = make_row(make_facts(), verdict="inconsistent", conflict="a dog is no bag", **TEXTS)
    one(RepairObject, row, repair_object={"verdict": verdict, "conflict": "", "object_description": ""})
    assert (row.status, row.reason, row.repairs) == (Status.REJECTED, reason, [])
    assert "a dog is no bag" in (row.detail or "")


@pytest.mark.parametrize("stage", [RepairObject, lambda writer: RepairExpression(writer, "reject")])
def test_what_needs_no_repair_is_not_asked_about(stage: Any) -> None:
    row = make_row(make_facts(), verdict="consistent", expression=EXPRESSION, **TEXTS)
    before, writer = row.model_copy(), Scripted()
    run_stages([stage(writer)], [row])
    assert (changed(row, before), writer.seen) == ({}, [])


def test_a_contradicted_expression_is_written_anew() -> None:
    wrong = [Contradiction(kind="colour", claim="blue", measured="red 0.90")]
    row = make_row(make_facts(), expression="The object is blue.", contradictions=wrong, **TEXTS)
    writer = Scripted({"repair_expression": {"expression": EXPRESSION, "ambiguous_with": []}})
    run_stages([RepairExpression(writer, "reject")], [row])
    assert (row.status, row.expression, row.contradictions, row.repairs) == (
        Status.PENDING,
        EXPRESSION,
        [],
        ["expression"],
    )
    assert writer.seen == [("repair_expression", row.object_id, [b"crop", b"masked"])]


def test_an_ambiguous_expression_is_rejected_naming_the_others() -> None:
    answer = {"expression": "The object is red.", "ambiguous_with": ["v/manual/3", "v/auto/1"]}
    row = make_row(make_facts(), **TEXTS)
    one(ComposeExpression, row, compose_expression=answer)
    assert (row.status, row.reason) == (Status.REJECTED, Reason.AMBIGUOUS)
    assert "v/manual/3, v/auto/1" in (row.detail or "")


def test_a_leaking_expression_is_rejected_quoting_the_word() -> None:
    row = make_row(make_facts(), **TEXTS)
    one(
        ComposeExpression,
        row,
        compose_expression={"expression": "The object is a dog with a yellow contour.", "ambiguous_with": []},
    )
    assert (row.status, row.reason) == (Status.REJECTED, Reason.MARKER_LEAK)
    assert (row.detail or "").startswith("'contour' in: The object is a dog")


@pytest.mark.parametrize(
    "text",
    [
        "It has a yellow contour.",
        "It is outlined in yellow.",
        "The Border around it is thin.",
        "It is bordered by yellow.",
        "The highlighted object is a dog.",
        "It leaves the frame.",
        "It is framed by a line.",
        "In the image it is on the left.",
        "It is at the left of the picture.",
        "It is cropped at the top.",
        "The crop shows a dog.",
        "It stands before a black background.",
        "The mask covers a dog.",
        "The masked object is a dog.",
        "A yellow line runs around it.",
        "It is inside a bounding box.",
        "A mirror image, and in the image too.",
    ],
)
def test_words_that_leak(text: str) -> None:
    assert marker_leak(text)


@pytest.mark.parametrize(
    "text",
    [
        "It hangs to the left of a wooden picture frame.",
        "It leans on the window frame below a framed poster.",
        "The object is a woman who wears a face mask and a crop top.",
        "The object is a border collie on a lawn.",
        "It holds a picture of a house.",
        "It has cropped hair and stands by a door frame.",
        "The object is in the middle of the scene against a dark wall.",
        "Throughout the video, it moves to the right, with the camera following.",
        "It is unmasking nothing; a highlander, microphone and imagery of acrobats.",
    ],
)
def test_words_that_do_not_leak(text: str) -> None:
    assert marker_leak(text) is None


def test_each_row_gets_its_own_answer_though_later_ones_are_done_first() -> None:
    given = rows(12)
    run_stages([DescribeScene(Failing({}))], given)
    assert [row.scene_description for row in given] == [row.object_id for row in given]


def test_an_exception_fails_its_row_alone() -> None:
    errors: dict[int, BaseException] = {1: ValueError("odd"), 3: RowError(Reason.BAD_REPLY, "no reply")}
    given = rows(5)
    run_stages([DescribeScene(Failing(errors))], given)
    assert [row.reason for row in given] == [None, Reason.UNEXPECTED_ERROR, None, Reason.BAD_REPLY, None]
    assert "ValueError: odd" in (given[1].detail or "")
    assert given[3].detail == "no reply"


@pytest.mark.parametrize("reason", [Reason.REFUSED, Reason.MARKER_LEAK])
def test_what_every_attempt_ended_in_is_rejected_by_design(reason: Reason) -> None:
    given = rows(2)
    run_stages([DescribeScene(Failing({1: RowError(reason, "four times")}))], given)
    assert (given[1].status, given[1].reason, given[1].detail) == (Status.REJECTED, reason, "four times")
    assert [row.prompt_ids for row in given] == [[prompts.load("describe_scene").id], []]


def test_prompt_ids_name_only_prompts_that_were_answered() -> None:
    """Of two captions the second is refused; of a row that fails, what was answered before it is named too."""

    class SecondFails(Failing):
        async def write(self, prompt: Prompt[Any], row: Row, images: Sequence[bytes]) -> Any:
            if prompt.name == "caption_masked":
                return await super().write(prompt, row, images)
            return Caption(caption="A bird.")

    errors: dict[int, BaseException] = {0: RowError(Reason.REFUSED, "no"), 1: RowError(Reason.BAD_REPLY, "no")}
    given = rows(2)
    run_stages([CaptionObject(SecondFails(errors))], given)
    assert [row.status for row in given] == [Status.REJECTED, Status.FAILED]
    assert [row.prompt_ids for row in given] == [[prompts.load("caption_crop").id]] * 2


def test_what_must_stop_the_run_is_raised() -> None:
    with pytest.raises(FatalError, match="engine is gone"):
        run_stages([DescribeScene(Failing({2: FatalError("engine is gone"), 1: ValueError("odd")}))], rows(5))


def test_a_row_waits_for_no_other() -> None:
    """How many questions are open at a time is bounded by who sends them."""
    writer = Failing({})
    run_stages([DescribeScene(writer)], rows(10))
    assert writer.most_open == len(writer.seen) == 10


def test_a_stage_can_be_asked_again() -> None:
    """A writer's connections outlive a batch: all batches of a process share a loop."""
    stage = DescribeScene(Failing({}))
    for _ in range(3):
        given = rows(3)
        run_stages([stage], given)
        assert all(row.scene_description for row in given)
    run_stages([stage], [])


def test_a_missing_picture_fails_the_row() -> None:
    row = make_row(make_facts(), scene_jpeg=None)
    writer = one(DescribeScene, row, describe_scene={"description": "x"})
    assert (row.status, row.reason) == (Status.FAILED, Reason.UNEXPECTED_ERROR)
    assert "render_views" in (row.detail or "")
    assert writer.seen == []
