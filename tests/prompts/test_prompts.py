"""Prompts render with a row, their ids follow their content, replies parse what their schema asks for."""

import re
from dataclasses import replace
from pathlib import Path
from string import Template

import pydantic
import pytest

import prompts
from manifests.schema import Row
from prompts.replies import REPLIES, Caption, Consistency, Expression, Scene, Video
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression, marker_leak
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from tests.pipeline.facts_factory import make_facts, make_row

STAGES = (CaptionObject, CheckConsistency, DescribeScene, DescribeVideo, ComposeExpression)
TEXTS = {
    "caption_crop": "A brown dog with a red collar that costs $5.",
    "caption_masked": "A brown dog.",
    "object_description": "The object is a brown dog with a red collar.",
    "scene_description": "It is on a lawn, to the left of a woman in white.",
    "video_description": "Throughout the video, it runs to the right.",
}


def worked_row() -> Row:
    facts, other = make_facts(0), make_facts(1, start=(0.9, 0.1))
    return make_row(facts, [facts, other], **TEXTS)


@pytest.mark.parametrize("name", prompts.NAMES)
def test_renders_with_a_row_and_leaves_no_placeholder(name: str) -> None:
    prompt = prompts.load(name)
    placeholders = Template(prompt.text).get_identifiers()
    messages = prompt.render(**prompts.values_of(worked_row()))
    both = f"{messages.system}\n{messages.user}"
    assert not re.search(r"\$[a-z_{]", both)
    assert "[user]" not in both
    assert "[system]" not in both
    assert len(messages.system) > 50 < len(messages.user)
    for placeholder in placeholders:
        assert prompts.values_of(worked_row())[placeholder] in both


def test_every_file_has_a_reply_and_every_prompt_a_stage() -> None:
    files = {path.stem for path in Path(prompts.__file__).parent.glob("*.txt")}
    asked = [name for stage in STAGES for name in stage.asks]
    assert files == set(REPLIES) == set(asked) == set(prompts.NAMES)
    assert len(asked) == len(set(asked))


def test_what_a_prompt_names_is_read_by_its_stage() -> None:
    """A value that a stage does not read could be missing when the stage runs."""
    column_of = {"video_times": "video_times_s", "part_note": "part_of", "others": "sibling_facts"}
    for stage in STAGES:
        for name in stage.asks:
            for placeholder in Template(prompts.load(name).text).get_identifiers():
                assert column_of.get(placeholder, placeholder) in stage.reads, (stage.name, placeholder)


def test_a_missing_value_is_an_error_that_names_it() -> None:
    bare = make_row(make_facts())
    with pytest.raises(ValueError, match=r"compose_expression.*object_description"):
        prompts.load("compose_expression").render(**prompts.values_of(bare))


def test_the_id_follows_text_and_reply() -> None:
    prompt = prompts.load("describe_scene")
    assert re.fullmatch(r"describe_scene@[0-9a-f]{8}", prompt.id)
    assert replace(prompt, text=prompt.text + " ").id != prompt.id
    assert replace(prompt, reply=Expression).id != prompt.id
    assert replace(prompt).id == prompt.id
    assert len({prompts.load(name).id for name in prompts.NAMES}) == len(prompts.NAMES)


def test_parts_and_others_are_told() -> None:
    row = worked_row()
    part = row.model_copy(update={"part_of": "sav_000001/manual/4"})
    crop = prompts.load("caption_crop")
    assert "part of a larger thing" in crop.render(**prompts.values_of(part)).user
    assert "part of a larger thing" not in crop.render(**prompts.values_of(row)).user
    text = prompts.load("compose_expression").render(**prompts.values_of(row)).user
    assert "sav_000001/manual/1: red, small, at first top right" in text
    assert "sav_000001/manual/0:" not in text
    alone = make_row(row.facts, **TEXTS)
    assert "no other object" in prompts.load("compose_expression").render(**prompts.values_of(alone)).user


def test_times_are_told_in_order() -> None:
    user = prompts.load("describe_video").render(**prompts.values_of(worked_row())).user
    assert "0.0 s, 9.5 s" in user


@pytest.mark.parametrize("name", ["describe_scene", "describe_video", "compose_expression"])
def test_prompts_forbid_what_would_leak(name: str) -> None:
    assert marker_leak(prompts.load(name).text), "the prompt must say which words are not wanted"


EXAMPLES = [
    Caption(caption="A brown dog."),
    Consistency(verdict="consistent", conflict="", object_description="The object is a brown dog."),
    Consistency(verdict="inconsistent", conflict='A says "dog", B says "bag"', object_description=""),
    Scene(description="It is on a lawn."),
    Video(description="Throughout the video, it runs."),
    Expression(expression="The object is a dog.", ambiguous_with=["sav_000001/manual/2"]),
]


@pytest.mark.parametrize("reply", EXAMPLES)
def test_replies_round_trip(reply: pydantic.BaseModel) -> None:
    assert type(reply).model_validate_json(reply.model_dump_json()) == reply
    assert set(type(reply).model_json_schema()["properties"]) == set(type(reply).model_fields)
    assert type(reply).model_json_schema()["additionalProperties"] is False


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (Caption, '{"caption": "  "}'),
        (Caption, '{"caption": "a dog", "mood": "glad"}'),
        (Caption, "A brown dog."),
        (Consistency, '{"verdict": "maybe", "conflict": "", "object_description": ""}'),
        (Expression, '{"ambiguous_with": []}'),
    ],
)
def test_unusable_replies_do_not_parse(reply: type[pydantic.BaseModel], text: str) -> None:
    with pytest.raises(pydantic.ValidationError):
        reply.model_validate_json(text)
