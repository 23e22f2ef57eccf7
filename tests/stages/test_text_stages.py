"""The stages that ask a writer: what they show it, what they make of its replies, and how rows fail alone."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

import prompts
from manifests.schema import Reason, Row
from prompts import Prompt
from stages.base import FatalError, Reject, Result, RowError
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression, marker_leak
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.writer import WriterStage
from tests.pipeline.facts_factory import make_facts, make_row


class Scripted:
    """Answers by prompt name; notes what it was shown and how many prompts were open at once."""

    name, pool = "scripted", "gpu"

    def __init__(self, answers: dict[str, dict[str, Any]] | None = None, max_in_flight: int = 4) -> None:
        self.answers, self.max_in_flight = answers or {}, max_in_flight
        self.seen: list[tuple[str, str, list[bytes]]] = []
        self.open = self.most_open = 0

    async def write(self, prompt: Prompt[Any], row: Row, pictures: Sequence[bytes]) -> Any:
        self.seen.append((prompt.name, row.object_id, list(pictures)))
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
    """Says its row's id as a scene; raises what it was told to raise for some."""

    def __init__(self, errors: dict[int, BaseException], max_in_flight: int = 4) -> None:
        super().__init__(max_in_flight=max_in_flight)
        self.errors = errors

    def reply(self, prompt: Prompt[Any], row: Row) -> BaseModel:
        if error := self.errors.get(row.masklet_position or 0):
            raise error
        return prompt.reply.model_validate({"description": row.object_id})  # type: ignore[no-any-return]


def rows(number: int) -> list[Row]:
    return [make_row(make_facts(position)) for position in range(number)]


def one(stage: type[WriterStage], row: Row, **answers: dict[str, Any]) -> tuple[Result, Scripted]:
    writer = Scripted(answers)
    (result,) = stage(writer).process([row])
    return result, writer


TEXTS = {
    "caption_crop": "A brown dog.",
    "caption_masked": "A leather bag.",
    "object_description": "The object is a dog.",
    "scene_description": "It is on a lawn.",
    "video_description": "Throughout the video, it runs.",
}


def test_captions_are_asked_separately_and_update_only_what_is_declared() -> None:
    result, writer = one(
        CaptionObject,
        rows(1)[0],
        caption_crop={"caption": "from the crop"},
        caption_masked={"caption": "from the rest"},
    )
    assert result == {
        "caption_crop": "from the crop",
        "caption_masked": "from the rest",
        "writer": "scripted",
        "prompt_ids": [prompts.load("caption_crop").id, prompts.load("caption_masked").id],
    }
    assert [(name, pictures) for name, _, pictures in writer.seen] == [
        ("caption_crop", [b"crop"]),
        ("caption_masked", [b"masked"]),
    ]


@pytest.mark.parametrize(
    ("stage", "prompt", "answer", "pictures"),
    [
        (
            CheckConsistency,
            "check_consistency",
            {"verdict": "consistent", "conflict": "", "object_description": "x"},
            [],
        ),
        (DescribeScene, "describe_scene", {"description": "x"}, [b"scene"]),
        (DescribeVideo, "describe_video", {"description": "x"}, [b"1", b"2"]),
        (ComposeExpression, "compose_expression", {"expression": "The object is a dog."}, []),
    ],
)
def test_each_stage_shows_its_pictures_and_writes_its_columns(
    stage: type[WriterStage], prompt: str, answer: dict[str, Any], pictures: list[bytes]
) -> None:
    result, writer = one(stage, make_row(make_facts(), prompt_ids=["earlier@12345678"], **TEXTS), **{prompt: answer})
    assert isinstance(result, dict)
    assert set(result) == set(stage.writes)
    assert result["prompt_ids"] == ["earlier@12345678", prompts.load(prompt).id]
    assert writer.seen == [(prompt, "sav_000001/manual/0", pictures)]
    assert set(stage.writes) | set(stage.reads) <= set(Row.model_fields)
    assert stage(writer).pool == "gpu"


def test_a_second_attempt_does_not_note_a_prompt_twice() -> None:
    done = prompts.load("describe_scene").id
    result, _ = one(DescribeScene, make_row(make_facts(), prompt_ids=[done]), describe_scene={"description": "x"})
    assert isinstance(result, dict)
    assert result["prompt_ids"] == [done]


@pytest.mark.parametrize(
    ("verdict", "reason"), [("inconsistent", Reason.INCONSISTENT), ("unrecognizable", Reason.UNRECOGNIZABLE)]
)
def test_verdicts_reject_and_quote_the_conflict(verdict: str, reason: Reason) -> None:
    answer = {"verdict": verdict, "conflict": "a dog is no bag", "object_description": ""}
    result, _ = one(CheckConsistency, make_row(make_facts(), **TEXTS), check_consistency=answer)
    assert isinstance(result, Reject)
    assert result.reason == reason
    for part in ("a dog is no bag", "A brown dog.", "A leather bag."):
        assert part in result.detail


def test_consistent_without_a_description_fails_the_row() -> None:
    answer = {"verdict": "consistent", "conflict": "", "object_description": " "}
    result, _ = one(CheckConsistency, make_row(make_facts(), **TEXTS), check_consistency=answer)
    assert isinstance(result, ValueError)
    assert "sav_000001/manual/0" in str(result)


def test_an_ambiguous_expression_is_rejected_naming_the_others() -> None:
    answer = {"expression": "The object is red.", "ambiguous_with": ["v/manual/3", "v/auto/1"]}
    result, _ = one(ComposeExpression, make_row(make_facts(), **TEXTS), compose_expression=answer)
    assert isinstance(result, Reject)
    assert result.reason == Reason.AMBIGUOUS
    assert "v/manual/3, v/auto/1" in result.detail


def test_a_leaking_expression_is_rejected_quoting_the_word() -> None:
    answer = {"expression": "The object is a dog with a yellow contour."}
    result, _ = one(ComposeExpression, make_row(make_facts(), **TEXTS), compose_expression=answer)
    assert isinstance(result, Reject)
    assert result.reason == Reason.MARKER_LEAK
    assert result.detail.startswith("'contour' in: The object is a dog")


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


def test_order_is_kept_though_later_rows_are_done_first() -> None:
    given = rows(12)
    results = DescribeScene(Failing({})).process(given)
    assert [result["scene_description"] for result in results if isinstance(result, dict)] == [
        row.object_id for row in given
    ]


def test_an_exception_fails_its_row_alone() -> None:
    errors: dict[int, BaseException] = {1: ValueError("odd"), 3: RowError(Reason.UNEXPECTED_ERROR, "no reply")}
    results = DescribeScene(Failing(errors)).process(rows(5))
    assert [type(result) for result in results] == [dict, ValueError, dict, RowError, dict]
    assert results[1] is errors[1]


@pytest.mark.parametrize("error", [FatalError("engine is gone"), asyncio.CancelledError()])
def test_what_must_stop_the_run_is_raised(error: BaseException) -> None:
    with pytest.raises(type(error)):
        DescribeScene(Failing({2: error, 1: ValueError("odd")})).process(rows(5))


@pytest.mark.parametrize("limit", [1, 3])
def test_the_number_in_flight_is_bounded_and_used(limit: int) -> None:
    writer = Failing({}, max_in_flight=limit)
    DescribeScene(writer).process(rows(10))
    assert writer.most_open == limit
    assert len(writer.seen) == 10


def test_a_stage_can_be_asked_again() -> None:
    """Each batch has an event loop of its own; nothing of the last one may linger."""
    stage = DescribeScene(Failing({}, max_in_flight=1))
    assert [len(stage.process(rows(3))) for _ in range(3)] == [3, 3, 3]
    assert stage.process([]) == []


def test_a_missing_picture_fails_the_row() -> None:
    row = make_row(make_facts(), scene_jpeg=None)
    result, writer = one(DescribeScene, row, describe_scene={"description": "x"})
    assert isinstance(result, ValueError)
    assert "render_views" in str(result)
    assert writer.seen == []
