"""Given texts are checked and put to the judge, all of them; nothing is written that was not asked for."""

from pathlib import Path
from typing import Any

import pytest

from manifests.lineup import AMBIGUOUS, NOT_FOUND, SINGLED_OUT
from manifests.schema import GivenText, Reason, Row, Status
from pipeline.run import graph
from pipeline.run.recipes import RECIPES
from pipeline.run.run_config import RunConfig
from pipeline.run.run_stages import run_stages
from pipeline.writers.measured import MeasuredWriter
from pipeline.writers.model_writer import ModelWriter
from stages.audit_texts import GIVEN, undecided, why_failed
from stages.claims.recognized import recognized
from stages.claims.short_form import as_sentences
from stages.lineup_trials import LineupConfig
from stages.writer import JudgeWriter, Model
from tests.misbehaving import EXPRESSION, Rule, good, reply, serve
from tests.pipeline.facts_factory import colours, make_facts, make_row
from tests.pipeline.writers.asking import writer_of
from tests.stages.lineup_scene import frame
from tests.stages.test_verify_lineup import balls


def audited(row: Row, texts: list[str], writer: JudgeWriter, *, repair: bool = False, lineup: bool = True) -> Row:
    """Run the stages of an audit, from the rendered row on."""
    row.given_texts = [GivenText(text=text, where=f"line {at + 2}") for at, text in enumerate(texts)]
    row.expression = row.object_description = None
    config = RunConfig(
        recipe="audit", repair=repair, lineup=LineupConfig() if lineup else None, texts_file="x", texts_sha256="x"
    )
    graph.check(stages := graph.build(config, None, writer))  # type: ignore[arg-type]
    run_stages(stages[1:], [row])
    return row


def red_and_blue() -> Row:
    """A red thing on the left, which is the row, and a blue one on the right."""
    group = [make_facts(0, start=(0.1, 0.5)), make_facts(1, start=(0.9, 0.5), colours=colours(blue=0.9))]
    ids = [facts.object_id for facts in group]
    return make_row(group[0], group, siblings=ids, lineup_frames=[frame([(64, 180, 20), (576, 180, 20)], ids=ids)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("the red thing", None),
        ("the object on the left", None),
        ("The object is a red thing. It is on the left.", None),
        ("the blue thing", Reason.CONTRADICTED),
        ("the object on the right", Reason.CONTRADICTED),
        ("a thing", Reason.AMBIGUOUS),
        ("a person in a hat", Reason.AMBIGUOUS),
    ],
)
def test_measured_facts_judge_any_text(text: str, reason: Reason | None) -> None:
    row = audited(red_and_blue(), [text], MeasuredWriter())
    assert (row.status, row.reason) == (Status.REJECTED if reason else Status.PENDING, reason)
    assert (row.expression, row.writer, row.calls) == (text, GIVEN, [])
    assert {asked.partition("@")[0] for asked in row.prompt_ids} == {"lineup"}


def test_every_text_of_an_object_is_checked_whatever_the_others_are_like() -> None:
    texts = ["the blue thing", "the red thing", "a thing", "the red thing that moves to the right"]
    row = audited(red_and_blue(), texts, MeasuredWriter())
    assert row.reason is Reason.CONTRADICTED, "the first one decides on the row"
    assert [given.text for given in row.given_texts] == texts
    assert [len(given.contradictions) for given in row.given_texts] == [1, 0, 0, 1]
    assert [given.claims for given in row.given_texts] == [["colour"], ["colour"], [], ["colour", "direction"]]
    decisions = [given.lineup.decision for given in row.given_texts if given.lineup]
    assert decisions == [AMBIGUOUS, SINGLED_OUT, AMBIGUOUS, NOT_FOUND], "the blue one is what the first text fits"


@pytest.mark.parametrize(
    ("text", "known"), [("a dog", True), ("The object is a red dog.", True), ("a thing", False), ("the red one", False)]
)
def test_a_measurement_leaves_a_text_undecided_that_says_what_kind_of_thing_it_means(text: str, known: bool) -> None:
    group = [make_facts(number, start=(0.4, 0.5)) for number in range(2)]
    given = audited(make_row(group[0], group), [text], MeasuredWriter()).given_texts[0]
    assert given.lineup is not None
    assert given.lineup.decision == AMBIGUOUS
    assert undecided(given) is known
    by_model = given.lineup.model_copy(update={"judge": "gemma"})
    assert not undecided(given.model_copy(update={"lineup": by_model})), "a judge that sees has decided"


def test_without_a_line_up_texts_are_compared_with_the_facts_alone() -> None:
    row = audited(red_and_blue(), ["a thing", "the blue thing"], MeasuredWriter(), lineup=False)
    assert row.status is Status.PENDING
    assert [given.lineup for given in row.given_texts] == [None, None]
    assert [len(given.contradictions) for given in row.given_texts] == [0, 1]


def test_measured_repairs_replace_what_failed_and_keep_what_was_given() -> None:
    row = audited(red_and_blue(), ["a thing"], MeasuredWriter(), repair=True)
    assert (row.status, row.repairs, row.writer) == (Status.PENDING, ["lineup"], "measured")
    assert row.expression is not None
    assert row.expression.startswith("The object is")
    assert "red" in row.expression
    assert row.lineup_before is not None
    assert row.given_texts[0].text == "a thing"
    assert row.given_texts[0].lineup == row.lineup_before
    row = audited(red_and_blue(), ["the blue thing"], MeasuredWriter(), repair=True)
    assert (row.status, row.repairs, row.contradictions) == (Status.PENDING, ["expression"], [])
    assert row.lineup is not None
    assert (row.lineup.expression, row.lineup.decision) == (row.expression, SINGLED_OUT), "the new text was judged anew"
    assert len(row.given_texts[0].contradictions) == 1


def judged_by(url: str, out: Path) -> ModelWriter:
    writer = writer_of(url, out)
    return ModelWriter(
        writer._endpoint, writer._vlm, writer._llm, writer._sampling, writer._store._out, judge=Model("judge", "j1")
    )


def test_a_model_is_asked_for_its_judgement_and_for_nothing_else(tmp_path: Path) -> None:
    """All requests that reach the server are counted: two trials for each of two texts."""
    with serve(Rule(do=good(numbers=[])), models=("vlm", "llm", "judge")) as server:
        row = audited(balls(3), ["the ball on the left", "a ball"], judged_by(server.url, tmp_path))
        asked = [(one.model, one.prompt) for one in server.requests]
    assert asked == [("judge", "lineup")] * 4
    assert row.reason is Reason.NOT_FOUND
    assert [given.lineup.decision for given in row.given_texts if given.lineup] == [NOT_FOUND, NOT_FOUND]
    assert row.writer == GIVEN


def test_a_text_that_the_judge_declines_to_find_costs_no_other_text(tmp_path: Path) -> None:
    texts = ["the ball on the left", "a rude thing", "a rude thing on the right"]
    declined = Rule(do=reply(None, refusal="No."), prompt="lineup", telling="rude")
    with serve(declined, Rule(do=good(numbers=[])), models=("vlm", "llm", "judge")) as server:
        row = audited(balls(3), texts, judged_by(server.url, tmp_path))
        assert row.reason is Reason.NOT_FOUND, "as the first one says"
        first = audited(balls(3), texts[1:], judged_by(server.url, tmp_path))
    found, declined_one, wrong = row.given_texts
    assert (found.lineup and found.lineup.decision, found.unanswered) == (NOT_FOUND, None)
    assert (declined_one.lineup, wrong.lineup) == (None, None)
    failed = [why_failed(one) for one in row.given_texts]
    assert [one and one[0] for one in failed] == [Reason.NOT_FOUND, Reason.REFUSED, Reason.CONTRADICTED]
    assert (first.status, first.reason) == (Status.REJECTED, Reason.REFUSED)
    assert [bool(one.contradictions) for one in first.given_texts] == [False, True]


def test_a_text_of_which_the_judge_talks_nonsense_fails_the_row_and_leaves_what_is_known(tmp_path: Path) -> None:
    nonsense = Rule(do=reply("bla bla"), prompt="lineup", telling="silly")
    with serve(nonsense, Rule(do=good(numbers=[])), models=("vlm", "llm", "judge")) as server:
        row = audited(balls(3), ["a silly thing", "the ball on the left"], judged_by(server.url, tmp_path))
        sent = len(server.requests)
        audited(balls(3), ["a silly thing", "the ball on the left"], judged_by(server.url, tmp_path))
        assert {("silly" in one.text) for one in server.requests[sent:]} <= {True}, "nothing else is asked for again"
    assert (row.status, row.reason) == (Status.FAILED, Reason.BAD_REPLY)
    silly, known = row.given_texts
    assert (silly.lineup, silly.unanswered) == (None, Reason.BAD_REPLY)
    assert (known.lineup and known.lineup.decision, known.unanswered) == (NOT_FOUND, None)


def test_on_request_a_model_repairs_the_first_text_and_the_judge_is_asked_anew(tmp_path: Path) -> None:
    confused = Rule(do=good(numbers=[1, 2]), prompt="lineup", telling="a ball")
    rules = (confused, Rule(do=good(numbers=[1, 2, 3]), prompt="lineup"), Rule(do=good()))
    with serve(*rules, models=("vlm", "llm", "judge")) as server:
        row = audited(balls(3), ["a ball"], judged_by(server.url, tmp_path), repair=True)
        asked = [(one.model, one.prompt) for one in server.requests]
    assert {one for one in asked if one[1] != "lineup"} == {("vlm", "repair_lineup")}
    assert asked.count(("vlm", "repair_lineup")) == 1
    assert row.lineup_before is not None
    assert (row.lineup_before.expression, row.expression) == ("a ball", EXPRESSION)
    assert row.reason is Reason.AMBIGUOUS, "the judge names all of them again"


@pytest.mark.parametrize(
    ("changes", "roles"),
    [
        ({}, {"judge"}),
        ({"repair": True}, {"vlm", "judge"}),
        ({"repair": True, "lineup": None}, {"vlm"}),
    ],
)
def test_only_models_that_are_asked_are_started(changes: dict[str, Any], roles: set[str]) -> None:
    recipe = RECIPES["modern"]()
    given: dict[str, Any] = {"engine": "vllm", "texts_sha256": "x", "repair": False, **changes}
    values = {name: getattr(recipe, name) for name in ("vlm", "llm", "judge", "lineup")}
    assert set(RunConfig(recipe="x", **(values | given)).models) == roles


def test_an_engine_that_nobody_would_ask_is_refused() -> None:
    recipe = RECIPES["modern"]()
    with pytest.raises(ValueError, match="leave the engine out"):
        RunConfig(recipe="x", engine="vllm", vlm=recipe.vlm, llm=recipe.llm, texts_sha256="x")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a dog", []),
        ("someone eating a banana", []),
        ("the red ball", ["colour"]),
        ("the ball on the left", ["side"]),
        ("the ball moving to the left", ["direction"]),
        ("the mug that gets larger", ["size"]),
        ("the object that never goes out of sight", ["visibility"]),
        ("of all objects, the leftmost at first", ["rank"]),
        ("The object is a red dog. It is on the left. Throughout the video, it runs to the right.", None),
    ],
)
def test_a_claim_is_recognized_whether_it_is_true_or_not(text: str, kinds: list[str] | None) -> None:
    assert recognized(text) == (kinds if kinds is not None else ["colour", "direction", "side"])


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("the man next to the red car that turns left", "The object is the man next to the red car."),
        ("the girl holding a dog running to the left", "The object is the girl holding a dog."),
        ("A man throws a red ball. It flies to the left.", "The object is A man throws."),
        ("a ball. The object is on the left.", "The object is a ball. The object is on the left."),
        (
            "the man in a red shirt who walks to the left",
            "The object is the man in a red shirt. It walks to the left.",
        ),
        ("the woman with a man who walks to the left", "The object is the woman with a man."),
    ],
)
def test_what_may_be_said_of_another_thing_is_no_claim(text: str, sentences: str) -> None:
    assert as_sentences(text) == sentences
