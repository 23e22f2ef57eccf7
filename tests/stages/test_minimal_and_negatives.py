"""Minimal texts, of which no claim can be dropped, and negatives, which fit no object or another: both with proof."""

from typing import Any

import pytest

from manifests.schema import Facts, Negative, Span
from stages.claims.listener import objects_that_fit, read_claims
from stages.claims.measurable import RULED_OUT, TRUE, judge
from stages.claims.minimal import minimal_texts
from stages.claims.negatives import negatives
from stages.make_negatives import MakeNegatives
from tests.pipeline.facts_factory import colours, make_facts, make_row, random_group

MOVES_RIGHT: dict[str, Any] = {"start": (0.2, 0.5), "end": (0.8, 0.5), "motion": "right"}
MOVES_LEFT: dict[str, Any] = {"start": (0.8, 0.5), "end": (0.2, 0.5), "motion": "left"}


def by_id(*group: Facts) -> dict[str, Facts]:
    return {facts.object_id: facts for facts in group}


def check_proof(object_id: str, group: dict[str, Facts]) -> int:
    """Every claim is true and needed, and the text is read back as what it claims."""
    found = minimal_texts(object_id, group)
    for made in found:
        assert objects_that_fit(made.claims, group) == [object_id]
        assert objects_that_fit(read_claims(made.text), group) == [object_id]
        assert 3 <= len(made.text.split()) <= 20
        for claim, dropped in zip(made.claims, made.proof, strict=True):
            rest = [one for one in made.claims if one is not claim]
            others = [other for other in objects_that_fit(rest, group) if other != object_id]
            assert dropped.then_fits == others
            assert others or len(group) == 1
    return len(found)


def test_no_claim_of_a_minimal_text_can_be_dropped() -> None:
    checked = sum(
        check_proof(facts.object_id, by_id(*group))
        for seed in range(12)
        for group in [random_group(seed)]
        for facts in group
    )
    assert checked > 40


def test_the_fewest_claims_are_taken_and_looks_before_the_rest() -> None:
    red, blue = make_facts(0, **MOVES_RIGHT), make_facts(1, colours=colours(blue=0.9), **MOVES_LEFT)
    (best, *_) = minimal_texts(red.object_id, by_id(red, blue))
    assert best.text == "the red object"
    other_red = make_facts(2, **MOVES_LEFT)
    (best, *_) = minimal_texts(red.object_id, by_id(red, blue, other_red))
    assert best.text == "the object on the left at first"
    third = make_facts(3, colours=colours(blue=0.9), **MOVES_RIGHT)
    (best, *_) = minimal_texts(red.object_id, by_id(red, blue, other_red, third))
    assert best.text == "the red object on the left at first"
    assert [dropped.then_fits for dropped in best.proof] == [[third.object_id], [other_red.object_id]]


def test_a_rank_is_among_those_of_a_colour_and_counts_only_what_is_sure() -> None:
    near = [make_facts(n, start=(x, 0.5)) for n, x in enumerate((0.44, 0.54, 0.64))]
    blue = [make_facts(n, colours=colours(blue=0.9), start=(x, 0.5)) for n, x in ((3, 0.34), (5, 0.74))]
    group = by_id(*near, *blue)
    assert [minimal_texts(one.object_id, group)[0].text for one in near] == [
        "of the red objects, the leftmost at first",
        "of the red objects, the second from the left at first",
        "of the red objects, the rightmost at first",
    ]
    unsure = make_facts(4, colours_known=False, start=(0.24, 0.5))
    assert "second" not in " ".join(made.text for made in minimal_texts(near[1].object_id, by_id(*near, unsure)))


def test_an_object_alone_gets_one_claim_and_twins_get_none() -> None:
    alone = make_facts(0)
    (best, *_) = minimal_texts(alone.object_id, by_id(alone))
    assert (best.text, best.proof[0].then_fits) == ("the red object", [])
    twins = by_id(make_facts(0), make_facts(1))
    assert [minimal_texts(one, twins) for one in twins] == [[], []]


def kinds(made: list[Negative]) -> set[tuple[str, str]]:
    return {(one.changed, one.kind) for one in made}


def of_kind(made: list[Negative], changed: str, kind: str = "no_target") -> Negative:
    (found,) = (one for one in made if (one.changed, one.kind) == (changed, kind))
    return found


RED = make_facts(0, **MOVES_RIGHT)


@pytest.mark.parametrize(
    ("changed", "texts"),
    [
        ("direction", {f"the red object that {way}" for way in ("moves to the left", "stays where it is")}),
        ("order", {"the red object that starts on the right and ends up on the left"}),
        ("side", {"the red object on the right at first", "the red object on the left in the end"}),
    ],
)
def test_one_claim_is_changed_and_every_object_is_ruled_out_by_a_fact(changed: str, texts: set[str]) -> None:
    group = by_id(RED, make_facts(1, colours=colours(blue=0.9), start=(0.5, 0.2)))
    made = of_kind(negatives(RED.object_id, group), changed)
    assert made.text in texts
    assert made.target is None
    assert [ruling.object_id for ruling in made.rulings] == [*group]
    assert {ruling.state for ruling in made.rulings} == {RULED_OUT}
    assert all(ruling.measured and ruling.times_s for ruling in made.rulings)
    assert made.claim in made.text
    assert made.claim not in made.instead_of


def test_a_text_that_fits_exactly_one_other_has_that_one_as_its_target() -> None:
    left = make_facts(1, **MOVES_LEFT)
    made = of_kind(negatives(RED.object_id, by_id(RED, left)), "direction", "wrong_target")
    assert made.text == "the red object that moves to the left"
    assert made.target == left.object_id
    assert {ruling.object_id: ruling.state for ruling in made.rulings} == {
        RED.object_id: RULED_OUT,
        left.object_id: TRUE,
    }


def test_what_may_be_true_of_any_object_is_no_negative() -> None:
    """Of a third one it is not known how it moves, and of a fourth what it did before it came into view."""
    unsure = make_facts(2, motion="unknown", start=(0.5, 0.5))
    assert "direction" not in {one.changed for one in negatives(RED.object_id, by_id(RED, unsure))}
    assert "direction" in {one.changed for one in negatives(RED.object_id, by_id(RED))}
    there = make_facts(3, start=(0.2, 0.5))
    late = make_facts(4, start=(0.2, 0.5), enters_s=3.0, visible_spans=[Span(start_s=3.0, end_s=10.0)])
    texts = [one.text for one in negatives(late.object_id, by_id(late))]
    assert not [text for text in texts if "at first" in text]
    assert [one for one in negatives(there.object_id, by_id(there)) if one.changed == "side"]


def test_colours_that_light_can_change_into_one_another_are_not_swapped() -> None:
    group = by_id(make_facts(0), make_facts(1, colours=colours(brown=0.9), start=(0.8, 0.5)))
    for seed in range(40):
        one = make_facts(seed + 10)
        made = of_kind(negatives(one.object_id, by_id(one, *group.values())), "colour")
        assert not {"orange", "pink", "brown", "purple", "red"} & set(made.claim.split())


def test_negatives_are_the_same_every_time_and_differ_between_objects() -> None:
    group = by_id(*random_group(4))
    first = [negatives(one, group) for one in group]
    assert first == [negatives(one, group) for one in group]
    claims = {made.claim for found in first for made in found}
    assert len(claims) > 4


def test_over_random_videos_no_negative_is_true_by_the_facts() -> None:
    count = 0
    for seed in range(25):
        group = by_id(*random_group(seed))
        for object_id in group:
            for made in negatives(object_id, group):
                count += 1
                claims = [one for one in read_claims(made.text) if one.kind != "rank"]
                fits = [o for o, facts in group.items() if all(judge(one, facts).state != RULED_OUT for one in claims)]
                assert fits == ([made.target] if made.target else [])
                assert len(made.text.split()) <= 20
    assert count > 60


def test_the_stage_fills_the_column_and_a_row_without_facts_fails_alone() -> None:
    rows = [make_row(RED, [RED]), make_row(None)]
    made, failed = MakeNegatives().process(rows)
    assert isinstance(made, dict)
    assert kinds(made["negatives"]) >= {("direction", "no_target"), ("colour", "no_target")}
    assert isinstance(failed, ValueError)
    assert "needs 'facts'" in str(failed)
