"""Prompts render with a row, begin alike where an engine can use that, and their ids follow their content."""

import re
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from string import Template

import pytest

import prompts
from manifests.expression import marker_leak
from prompts.replies import REPLIES, Expression
from stages.caption_object import CaptionObject
from stages.check_consistency import CheckConsistency
from stages.compose_expression import ComposeExpression
from stages.describe_scene import DescribeScene
from stages.describe_video import DescribeVideo
from stages.repair_expression import RepairExpression
from stages.repair_lineup import RepairLineup
from stages.repair_object import RepairObject
from stages.shorten_expression import ShortenExpression
from stages.verify_lineup import VerifyLineup
from tests.pipeline.facts_factory import make_facts, make_row
from tests.prompts.examples import CAR, CONFUSED, GOAT, SLEEVE

STAGES = (
    CaptionObject,
    CheckConsistency,
    RepairObject,
    DescribeScene,
    DescribeVideo,
    ComposeExpression,
    RepairExpression,
    VerifyLineup,
    RepairLineup,
    ShortenExpression,
)
FIRST_PICTURE = {
    "caption_crop": "crop",
    "caption_masked": "masked",
    "repair_object": "crop",
    "describe_scene": "scene",
    "describe_video": "video",
    "repair_expression": "crop",
    "lineup": "lineup",
    "repair_lineup": "pair",
}
TEXT_ONLY = sorted(set(prompts.NAMES) - set(FIRST_PICTURE))
WITH_ALL = CONFUSED.model_copy(update={"conflict": SLEEVE.conflict, "contradictions": CAR.contradictions})


@pytest.mark.parametrize("name", prompts.NAMES)
def test_renders_with_a_row_and_leaves_no_placeholder(name: str) -> None:
    prompt = prompts.load(name)
    values = prompts.values_of(WITH_ALL)
    messages = prompt.render(**values)
    both = f"{messages.system}\n{messages.user}"
    assert not re.search(r"\$[a-z_{]", both)
    assert "[user]" not in both
    assert "[system]" not in both
    assert len(messages.system) > 50 < len(messages.user)
    for placeholder in Template(prompt.text).get_identifiers():
        assert values[placeholder] in both


def test_values_may_have_dollars_braces_and_marks() -> None:
    odd = GOAT.model_copy(update={"caption_crop": "A bag for $5 with {braces}, $others and\n[user]\n on it."})
    user = prompts.load("check_consistency").render(**prompts.values_of(odd)).user
    assert "A bag for $5 with {braces}, $others and\n[user]\n on it." in user


def test_every_file_has_a_reply_and_every_prompt_a_stage() -> None:
    files = {path.stem for path in Path(prompts.__file__).parent.glob("*.txt")} - {"values"}
    asked = [name for stage in STAGES for name in stage.asks]
    assert files == set(REPLIES) == set(asked) == set(prompts.NAMES)
    assert len(asked) == len(set(asked))


def test_what_a_prompt_names_is_read_by_its_stage() -> None:
    """A value that a stage does not read could be missing when the stage runs."""
    column_of = {"video_times": "video_times_s", "part_note": "part_of", "others": "sibling_facts"}
    column_of |= dict.fromkeys(["lineup_times", "lineup_count"], "lineup_frames")  # the stage chooses among them
    column_of |= dict.fromkeys(["confuser", "differences", "evidence"], "lineup")
    for stage in STAGES:
        for name in stage.asks:
            for placeholder in Template(prompts.load(name).text).get_identifiers():
                assert column_of.get(placeholder, placeholder) in stage.reads, (stage.name, placeholder)


def test_pictures_are_shown_by_the_prompts_that_speak_of_them() -> None:
    for stage in STAGES:
        shows = any(column.endswith(("_jpeg", "_jpegs", "_frames")) for column in stage.reads)
        assert shows == all(name in FIRST_PICTURE for name in stage.asks), stage.name


@pytest.mark.parametrize("picture", sorted(set(FIRST_PICTURE.values())))
def test_prompts_with_the_same_first_picture_begin_alike(picture: str) -> None:
    """An engine that has seen the picture once after this text need not look again: the request is system, picture."""
    names = [name for name, first in FIRST_PICTURE.items() if first == picture]
    assert len({prompts.load(name).text.split("[user]")[0] for name in names}) == 1
    assert len(names) == {"crop": 3}.get(picture, 1)


@pytest.mark.parametrize("name", sorted(FIRST_PICTURE))
def test_nothing_of_the_row_comes_before_the_pictures(name: str) -> None:
    assert "$" not in prompts.load(name).text.split("[user]")[0]


@pytest.mark.parametrize("name", TEXT_ONLY)
def test_without_pictures_all_objects_share_the_instruction(name: str) -> None:
    """More than nine tenths of the words that do not change come before the first that does."""
    text = prompts.load(name).text
    fixed = Template(text).substitute(dict.fromkeys(Template(text).get_identifiers(), ""))
    assert len(text.split("$")[0]) > 0.9 * len(fixed)
    goat, car = (
        "".join(prompts.load(name).render(**prompts.values_of(row.model_copy(update=filled))))
        for row, filled in ((GOAT, {}), (CAR, {"caption_crop": "x", "caption_masked": "y", "video_description": "z"}))
    )
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(goat, car, strict=False)))
    assert shared > 1000


def test_a_missing_value_is_an_error_that_names_it() -> None:
    bare = make_row(make_facts())
    with pytest.raises(ValueError, match=r"compose_expression.*object_description"):
        prompts.load("compose_expression").render(**prompts.values_of(bare))
    with pytest.raises(ValueError, match=r"repair_expression.*contradictions"):
        prompts.load("repair_expression").render(**prompts.values_of(GOAT))


def test_the_id_follows_text_and_reply() -> None:
    prompt = prompts.load("describe_scene")
    assert re.fullmatch(r"describe_scene@[0-9a-f]{8}", prompt.id)
    assert replace(prompt, text=prompt.text + " ").id != prompt.id
    assert replace(prompt, reply=Expression).id != prompt.id
    assert replace(prompt).id == prompt.id
    assert len({prompts.load(name).id for name in prompts.NAMES}) == len(prompts.NAMES)


WORDS_SENT_BY = {
    "part": {"caption_crop", "caption_masked", "repair_object", "describe_scene"},
    "whole": {"caption_crop", "caption_masked", "repair_object", "describe_scene"},
    **dict.fromkeys(
        ["other", "motion", "no_other", "two_colours", "no_colour"],
        {"compose_expression", "repair_expression", "repair_lineup", "shorten_expression"},
    ),
    **dict.fromkeys(
        [f"differ_{fact}" for fact in ("colours", "first", "last", "size", "growth", "motion", "sight")],
        {"repair_lineup"},
    ),
    "no_difference": {"repair_lineup"},
    "wrong": {"repair_expression"},
    "moment": {"describe_video", "lineup"},
    "no_conflict": {"repair_object"},
    "schema": set(prompts.NAMES),
    "label": set[str](),  # for objects without a label; see the test below
}


@pytest.mark.parametrize("section", WORDS_SENT_BY)
def test_the_id_follows_the_words_around_a_rows_values(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> dict[str, str]:
        return {name: replace(prompts.load(name)).id for name in prompts.NAMES}  # a copy: an id is computed once

    words, before = prompts._sections(), ids()
    assert words.keys() == WORDS_SENT_BY.keys()
    changed = words | {section: Template(words[section].template + "!")}
    monkeypatch.setattr(prompts, "_sections", lambda: changed)
    after = ids()
    assert {name for name in before if before[name] != after[name]} == WORDS_SENT_BY[section]


NOTED = {"caption_crop", "caption_masked", "repair_object", "describe_scene"}


def test_only_objects_with_a_label_have_other_ids_and_they_follow_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, labelled = (
        {name: prompts.load(name, labelled=with_one) for name in prompts.NAMES} for with_one in (False, True)
    )
    assert {name for name in plain if plain[name].id != labelled[name].id} == NOTED
    before = {name: replace(prompt).id for name, prompt in labelled.items()}
    changed = prompts._sections() | {"label": Template(prompts._sections()["label"].template + "!")}
    monkeypatch.setattr(prompts, "_sections", lambda: changed)
    assert {name for name, prompt in labelled.items() if replace(prompt).id != before[name]} == NOTED


@pytest.mark.parametrize("name", sorted(NOTED))
def test_a_label_is_told_as_what_an_annotator_called_it(name: str) -> None:
    called = WITH_ALL.model_copy(update={"source_label": "Giant_panda"})
    prompt = prompts.load(name, labelled=True)
    with_label = prompt.render(**prompts.values_of(called))
    without = prompts.load(name).render(**prompts.values_of(WITH_ALL))
    assert 'An annotator called it "giant panda".' in with_label.user
    assert "annotator" not in without.user
    lines = [line for line in with_label.user.splitlines() if "annotator" not in line]
    assert "\n".join(lines) == without.user, "nothing else is different"


def test_no_words_are_sent_but_those_of_the_files_and_of_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing but its placeholders in each section, every word of a value is one of the row's own."""
    bare = {name: Template(" ".join(re.findall(r"\$\w+", text.template))) for name, text in prompts._sections().items()}
    monkeypatch.setattr(prompts, "_sections", lambda: bare)
    known = make_facts(2, colours=[])  # of unknown colour
    for row in (WITH_ALL, WITH_ALL.model_copy(update={"sibling_facts": [*WITH_ALL.sibling_facts, known]}), SLEEVE):
        own = set(re.findall(r"\w+", row.model_dump_json(exclude={"crop_jpeg", "masked_jpeg", "scene_jpeg"})))
        for name, value in prompts.values_of(row).items():
            assert set(re.findall(r"[^\W\d]\w+", value)) <= own, name


@pytest.mark.parametrize("name", ["caption_crop", "caption_masked", "repair_object", "describe_scene"])
def test_masks_of_parts_are_named_as_parts(name: str) -> None:
    note = "part of a larger thing"
    part = WITH_ALL.model_copy(update={"part_of": "sav_000001/manual/4"})
    assert note in prompts.load(name).render(**prompts.values_of(part)).user
    assert note not in prompts.load(name).render(**prompts.values_of(WITH_ALL)).user


def test_the_others_are_told_but_not_the_object_itself() -> None:
    text = prompts.load("compose_expression").render(**prompts.values_of(GOAT)).user
    assert "- sav_000001/manual/1: black, tiny, at first bottom right, own motion: " in text
    assert "sav_000001/manual/0:" not in text
    alone = GOAT.model_copy(update={"sibling_facts": [GOAT.facts]})
    assert "no other object" in prompts.load("compose_expression").render(**prompts.values_of(alone)).user


def test_of_the_others_only_what_is_known_is_told() -> None:
    unsure = {"motion": "unknown", "motion_known": False, "colours_known": False}
    siblings = [facts.model_copy(update=unsure) for facts in GOAT.sibling_facts]
    text = prompts.load("compose_expression").render(
        **prompts.values_of(GOAT.model_copy(update={"sibling_facts": siblings}))
    )
    assert "- sav_000001/manual/1: of unknown colour, tiny, at first bottom right\n" in f"{text.user}\n"
    assert "own motion" not in text.user


def test_times_are_told_in_order() -> None:
    assert "0.0 s, 9.5 s" in prompts.load("describe_video").render(**prompts.values_of(GOAT)).user


@pytest.mark.parametrize(
    "name",
    [
        "describe_scene",
        "describe_video",
        "compose_expression",
        "repair_expression",
        "repair_lineup",
        "shorten_expression",
    ],
)
def test_prompts_forbid_what_would_leak(name: str) -> None:
    assert marker_leak(prompts.load(name).text), "the prompt must say which words are not wanted"
