"""What is refused as an answer, and what must not be: good objects are lost by a rule that is too greedy."""

import asyncio
import json
from typing import Any

import pytest

import prompts
from manifests.schema import Reason
from pipeline.engines.reading import ChatReply
from pipeline.writers.measured import MeasuredWriter
from pipeline.writers.model_writer import FaultError, parse_reply
from prompts import Prompt
from tests.misbehaving import EXPRESSION, good_text
from tests.pipeline.facts_factory import make_row, random_group


def answer(text: str, **given: Any) -> ChatReply:
    return ChatReply(text=text, **({"finish_reason": "stop"} | given))


def judged(name: str, **fields: str) -> Any:
    prompt: Prompt[Any] = prompts.load(name)
    whole = json.loads(good_text(name, prompt.reply.model_json_schema())) | fields
    return parse_reply(prompt, answer(json.dumps(whole)))


def caption(text: str) -> Any:
    return judged("caption_crop", caption=text).caption


@pytest.mark.parametrize("name", prompts.NAMES)
def test_good_replies_are_taken(name: str) -> None:
    assert isinstance(judged(name), prompts.load(name).reply)


@pytest.mark.parametrize(
    "text",
    [
        "A poster reading 'I'm sorry' above a shop door.",
        'A child holds a sign: "I cannot help it. I won\'t go."',
        "A robot, being an AI assistant on wheels, greets guests.",
        "A person who seems unable to help lifting a box.",
        "No, a white board with the words I can.",
        "Sorry is written on the shirt of a man.",
        "A stop sign that says stop stop stop.",
        "Ein Café-Schild mit „Grüß Gott“, 中文, العربية and 👩‍👩‍👧 on it.",
        "A hand.\nIt holds a cup.",
        "I-beams of steel on a lorry.",
        "An icon of a cannon.",
    ],
)
def test_captions_that_are_no_fault(text: str) -> None:
    assert caption(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m unable to describe persons.",
        "Sorry, I cannot do this.",
        "Unfortunately, I won't describe it.",
        "I apologize, but no.",
        "As an AI, I have no eyes.",
        "As a language model I do not see.",
        "I am really sorry.",
        "  **I cannot** say.",
        "Cannot assist with this request.",
    ],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_refusals(text: str, as_json: bool) -> None:
    with pytest.raises(FaultError) as fault:
        parse_reply(prompts.load("caption_crop"), answer(json.dumps({"caption": text}) if as_json else text))
    assert fault.value.reason is Reason.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "The dog runs and jumps high. " * 5,
        "ha " * 8,
        "a dog near a tree and " * 4,
        "x" * 200,
        "A dog with a collar on grass near a house by the road. " + "o" * 300,
        "狗在跑步。" * 20,
    ],
)
def test_loops(text: str) -> None:
    with pytest.raises(FaultError, match="repeats itself") as fault:
        caption(text)
    assert fault.value.reason is Reason.BAD_REPLY


def test_real_texts_are_no_loops() -> None:
    """Some 500 texts of the other writer, whose sentences are built alike."""
    writer, number = MeasuredWriter(), 0
    for seed in range(100):
        group = random_group(seed)
        for facts in group:
            row = make_row(facts, group)
            for name in ("describe_scene", "describe_video"):
                reply = asyncio.run(writer.write(prompts.load(name), row, []))
                assert parse_reply(prompts.load(name), answer(reply.model_dump_json())) == reply
                number += 1
    assert number > 400


@pytest.mark.parametrize("odd", ["\x00", "\x07", "\ufffd", "\ue000", "\x9f"])
@pytest.mark.parametrize("field", ["caption", "conflict"])
def test_characters_that_are_no_text(odd: str, field: str) -> None:
    name = "caption_crop" if field == "caption" else "check_consistency"
    with pytest.raises(FaultError, match=f"U\\+{ord(odd):04X}"):
        judged(name, **{field: f"A dog{odd} runs."})


@pytest.mark.parametrize(("words", "fine"), [(59, False), (60, True), (110, True), (111, False)])
def test_an_expression_has_60_to_110_words(words: int, fine: bool) -> None:
    text = " ".join(["The object is", *(f"w{number}" for number in range(words - 3))])
    if fine:
        assert judged("compose_expression", expression=text).expression == text
    else:
        with pytest.raises(FaultError, match=f"has {words}"):
            judged("compose_expression", expression=text)


@pytest.mark.parametrize("verdict", ["inconsistent", "unrecognizable"])
def test_what_is_not_used_is_not_judged(verdict: str) -> None:
    """A row that is to be rejected for its verdict is not asked about again for the words of a quotation."""
    given = {"verdict": verdict, "conflict": "'I cannot see it' against 'a black background' " * 4}
    assert judged("check_consistency", object_description="The image is black.", **given).verdict == verdict


def test_a_description_that_is_used_may_not_leak() -> None:
    with pytest.raises(FaultError, match="object_description") as fault:
        judged("check_consistency", object_description="The object is a dog in a yellow contour.")
    assert fault.value.reason is Reason.MARKER_LEAK


@pytest.mark.parametrize("verdict", ["consistent"])
@pytest.mark.parametrize("name", ["check_consistency", "repair_object"])
def test_consistent_without_a_description_is_a_fault(name: str, verdict: str) -> None:
    with pytest.raises(FaultError, match="object_description") as fault:
        judged(name, verdict=verdict, object_description="  ")
    assert fault.value.reason is Reason.BAD_REPLY


def test_captions_may_speak_of_black_backgrounds() -> None:
    assert caption("A dog before a black background.")


@pytest.mark.parametrize("name", ["describe_scene", "describe_video", "compose_expression", "repair_expression"])
def test_what_others_will_read_may_not_leak(name: str) -> None:
    field = "expression" if name.endswith("expression") else "description"
    text = EXPRESSION if name.endswith("expression") else "It runs."
    with pytest.raises(FaultError, match="'frame'") as fault:
        judged(name, **{field: f"{text} It leaves the frame."})
    assert fault.value.reason is Reason.MARKER_LEAK


@pytest.mark.parametrize("given", [{"finish_reason": "content_filter"}, {"refusal": "no " * 10_000}])
def test_a_fault_is_told_in_a_few_words(given: dict[str, str]) -> None:
    with pytest.raises(FaultError) as fault:
        parse_reply(prompts.load("caption_crop"), answer("blocked " * 10_000, **given))
    assert len(str(fault.value)) <= 300
    assert fault.value.reason is Reason.REFUSED
