"""The exact listener: whom claims and texts leave, what never rules out, and texts read back claim by claim."""

import asyncio
from typing import Any

import pytest

import prompts
from manifests.schema import Claim, Facts, Neighbour, Span
from pipeline.writers.measured import MeasuredWriter
from stages.claims.listener import hear, objects_that_fit, read_claims
from stages.claims.measurable import HIDDEN, RULED_OUT, TRUE, UNKNOWN, VALUES, claim, every_claim, judge, true_claims
from stages.claims.minimal import minimal_texts, sharpest
from stages.claims.short_form import as_sentences, phrase, read_phrase
from tests.pipeline.facts_factory import colours, make_facts, make_row, random_group


def by_id(*group: Facts) -> dict[str, Facts]:
    return {facts.object_id: facts for facts in group}


def balls(*starts: tuple[float, float], **given: Any) -> dict[str, Facts]:
    return by_id(*(make_facts(n, start=start, **given) for n, start in enumerate(starts)))


def states(of: Claim, group: dict[str, Facts]) -> list[str]:
    return [rulings[0].state for rulings in hear([of], group).values()]


def test_three_equal_balls_are_told_apart_by_place_and_not_by_looks() -> None:
    group = balls((0.1, 0.5), (0.5, 0.5), (0.9, 0.5))
    first, second, third = group
    assert objects_that_fit([claim("colour", "all red")], group) == [first, second, third]
    assert objects_that_fit([claim("side", "left")], group) == [first, second], "the middle one is not clearly right"
    assert objects_that_fit(read_claims("of the red objects, the leftmost at first"), group) == [first]
    assert objects_that_fit(read_claims("of the red objects, the second from the left at first"), group) == [second]
    assert objects_that_fit(read_claims("of the red objects, the rightmost at first"), group) == [third]


def test_two_that_move_alike_are_left_together() -> None:
    moving: dict[str, Any] = {"start": (0.2, 0.5), "end": (0.7, 0.5), "motion": "right"}
    group = by_id(make_facts(0, **moving), make_facts(1, **moving), make_facts(2, start=(0.5, 0.5)))
    text = (
        "The object is red, and it is small. It is on the left of the view to begin with. "
        "Throughout the video, it moves to the right."
    )
    assert objects_that_fit(read_claims(text), group) == [*group][:2]
    assert objects_that_fit([claim("direction", "right")], group) == [*group][:2]
    assert minimal_texts([*group][0], group) == []


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"colours_known": False}, ("colour", "all blue")),
        ({"colours": colours(red=0.3, blue=0.2)}, ("colour", "all green")),
        ({"motion": "unknown", "start": (0.1, 0.5), "end": (0.9, 0.5)}, ("direction", "left")),
        ({"occluded_spans": [Span(start_s=1, end_s=2)]}, ("visibility", "hidden")),
        ({"size_change": "shrinks", "size_ratio": 0.4, "start": (0.05, 0.5)}, ("size", "grows")),
        (
            {
                "size_change": "shrinks",
                "size_ratio": 0.4,
                "neighbours": [Neighbour(object_id="x", relation="above", gap_frac=0.0, together_frac=1.0)],
            },
            ("size", "grows"),
        ),
    ],
)
def test_what_is_not_known_never_rules_out_and_is_said_so(given: dict[str, Any], value: tuple[str, str]) -> None:
    group = by_id(make_facts(0, **given), make_facts(1))
    first = [*group][0]
    of = claim(*value)
    assert hear([of], group)[first][0].state == UNKNOWN
    assert first in objects_that_fit([of], group)


def test_hidden_then_is_not_ruled_out() -> None:
    """It comes into view on the right: whether it was on the left before that, nobody saw."""
    late = make_facts(0, start=(0.9, 0.5), enters_s=3.0, visible_spans=[Span(start_s=3.0, end_s=10.0)])
    there = make_facts(1, start=(0.9, 0.5))
    gone = make_facts(2, start=(0.9, 0.5), leaves_s=6.0, visible_spans=[Span(start_s=0.0, end_s=6.0)])
    assert states(claim("side", "left at first"), by_id(late, there, gone)) == [HIDDEN, RULED_OUT, RULED_OUT]
    assert states(claim("side", "left in the end"), by_id(late, there, gone)) == [RULED_OUT, RULED_OUT, HIDDEN]
    assert judge(claim("side", "left at first"), late).times_s == [0.0]
    assert late.object_id in objects_that_fit([claim("side", "left at first")], by_id(late, there, gone))


def test_beside_a_red_one_an_orange_one_is_not_the_red_one() -> None:
    red, orange = make_facts(0, colours=colours(red=0.9)), make_facts(1, colours=colours(orange=0.9))
    assert judge(claim("colour", "all red"), orange).state == UNKNOWN, "by itself it may be called red"
    assert objects_that_fit([claim("colour", "all red")], by_id(red, orange)) == [red.object_id]
    assert objects_that_fit([claim("colour", "all red")], by_id(orange)) == [orange.object_id]
    for text in ("The object is red, and it is small.", "the red object"):
        assert objects_that_fit(read_claims(text), by_id(red, orange)) == [red.object_id]
    unsure = orange.model_copy(update={"colours_known": False})
    assert len(objects_that_fit([claim("colour", "all red")], by_id(red, unsure))) == 2
    assert len(objects_that_fit(read_claims("The object is a small red car with a roof."), by_id(red, orange))) == 2


def test_claims_of_the_same_words_and_other_kinds_are_kept_apart() -> None:
    """`left` is a side and a direction: one says nothing of the other."""
    goes = make_facts(0, start=(0.9, 0.5), end=(0.65, 0.5), motion="left")
    stays = make_facts(1, start=(0.9, 0.8))
    found = sharpest(true_claims(goes))
    assert ("direction", "left") in {(made.kind, made.value) for made in found}
    for made in minimal_texts(goes.object_id, by_id(goes, stays)):
        assert objects_that_fit(made.claims, by_id(goes, stays)) == [goes.object_id]


def test_every_claim_has_other_words_and_is_read_back() -> None:
    made = list(every_claim())
    assert len({one.words for one in made}) == len(made) == sum(map(len, VALUES.values()))
    for one in made:
        assert read_phrase(phrase([one])) == [one]
    colour_claims = [claim("colour", "mostly red"), claim("colour", "partly blue")]
    both = [*colour_claims, claim("side", "top"), claim("order", "left then right")]
    text = (
        "the mostly red and partly blue object at the top of the scene that starts on the left and ends up on the right"
    )
    assert phrase(both) == text
    assert read_phrase(text) == both
    assert read_phrase("the red ball that moves to the left") is None
    with pytest.raises(ValueError, match="got 'side': 'inside'"):
        claim("side", "inside")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "the man on the left who walks to the right",
            "The object is the man. It is on the left. It walks to the right.",
        ),
        ("the red ball moving to the left.", "The object is the red ball. It is moving to the left."),
        ("the cup at the top right of the scene", "The object is the cup. It is at the top right of the scene."),
        (
            "of the red objects, the smallest, which is big",
            "The object is a red object. It is the smallest. It is big.",
        ),
        ("The object is red. It is small.", "The object is red. It is small."),
    ],
)
def test_a_phrase_becomes_sentences_in_which_claims_are_found(text: str, sentences: str) -> None:
    assert as_sentences(text) == sentences


def test_what_a_phrase_of_a_model_claims_is_compared_with_the_facts() -> None:
    left, right = make_facts(0, start=(0.1, 0.5)), make_facts(1, start=(0.9, 0.5))
    group = by_id(left, right)
    assert objects_that_fit(read_claims("the mug on the left"), group) == [left.object_id]
    assert objects_that_fit(read_claims("the mug that gets larger"), group) == [*group]
    goes = make_facts(2, start=(0.8, 0.5), end=(0.3, 0.5), motion="left")
    assert goes.object_id not in objects_that_fit(read_claims("the mug that moves to the right"), by_id(goes, left))


def test_texts_that_single_out_their_object_are_heard_so() -> None:
    """The measured writer's long texts, over random videos with many look-alikes."""
    counts = {"only": 0, "more": 0, "lost": 0}
    for seed in range(30):
        group = random_group(seed)
        for facts in group:
            text = composed(facts, group)
            if text:
                fits = objects_that_fit(read_claims(text), by_id(*group))
                only, lost = fits == [facts.object_id], facts.object_id not in fits
                counts["only" if only else "lost" if lost else "more"] += 1
    assert counts["lost"] == 0
    assert counts["only"] > 0.96 * sum(counts.values()) > 60


def composed(facts: Facts, group: list[Facts]) -> str | None:
    """The measured writer's long text, or None for an object that it does not describe."""
    row = make_row(facts, group)
    writer = MeasuredWriter()

    def ask(name: str) -> Any:
        return asyncio.run(writer.write(prompts.load(name), row, []))

    row.object_description = ask("check_consistency").object_description
    row.scene_description, row.video_description = ask("describe_scene").description, ask("describe_video").description
    reply = ask("compose_expression")
    return None if reply.ambiguous_with or not row.object_description else str(reply.expression)


UNKNOWN_COLOURS: dict[str, dict[str, Any]] = {
    "in glare": {"colours": colours(white=0.9)},
    "in the dark": {"colours": colours(black=0.9)},
    "of too many colours": {"colours": [], "colours_best": []},
    "first a red thing, then a green one": {
        "colours": colours(red=0.5, green=0.5),
        "colours_best": colours(red=0.9),
        "colour_drift_frac": 0.5,
    },
}


@pytest.mark.parametrize("kind", UNKNOWN_COLOURS)
def test_a_text_beside_an_object_of_unknown_colours_fits_its_own_alone(kind: str) -> None:
    """Colours do not tell it from that one, so the text must say more; masks of two things show none that is orange."""
    unsure = make_facts(1, start=(0.5, 0.8), colours_known=False, **UNKNOWN_COLOURS[kind])
    facts = make_facts(0, start=(0.5, 0.2), colours=colours(orange=0.96))
    group = [facts, unsure]
    assert [*by_id(*group)] == objects_that_fit(read_claims("The object is a small thing."), by_id(*group))
    text = composed(facts, group)
    assert text
    assert objects_that_fit(read_claims(text), by_id(*group)) == [facts.object_id], text
    assert ("the upper one" in text) == (kind != "first a red thing, then a green one")


def test_what_cannot_be_told_from_an_object_of_unknown_colours_is_ambiguous() -> None:
    for kind, given in UNKNOWN_COLOURS.items():
        unsure = make_facts(1, colours_known=False, **given)
        facts = make_facts(0, colours=colours(orange=0.96))
        assert (composed(facts, [facts, unsure]) is None) == (not unsure.colour_drift_frac), kind
    patch = make_facts(1, colours=colours(white=0.9), colours_known=False, camouflage_frac=0.95)
    assert composed(facts, [facts, patch]), "a patch of sky is no thing that a text can mean"


@pytest.mark.parametrize("seen", [{"orange": 0.5, "green": 0.5}, {"white": 0.6, "green": 0.4}, {"black": 0.9}])
def test_a_mask_of_two_things_stays_where_one_may_be_meant(seen: dict[str, float]) -> None:
    """It has the colour for a while, or perhaps had it in better light."""
    both = make_facts(1, colours=colours(**seen), colours_known=False, colour_drift_frac=0.5)
    facts = make_facts(0, colours=colours(orange=0.96))
    assert objects_that_fit(read_claims("The object is an orange thing."), by_id(facts, both)) == [*by_id(facts, both)]


def test_true_claims_are_true_and_a_claim_and_its_opposite_never_both() -> None:
    for seed in range(30):
        for facts in random_group(seed):
            held = {(made.kind, made.value) for made in true_claims(facts)}
            assert all(judge(claim(*pair), facts).state == TRUE for pair in held)
            assert not {("side", "left"), ("side", "right")} <= held
            assert not {("direction", "left"), ("direction", "right")} <= held
            assert not {("visibility", "always"), ("visibility", "hidden")} <= held
            assert not {("size", "grows"), ("size", "shrinks")} <= held
