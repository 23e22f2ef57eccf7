"""Catch texts: what is said to be true of them is true by the exact listener, whatever the scene."""

import pytest

from manifests.lineup import DROPPED, NO_TARGET, UNIQUE
from manifests.schema import Facts
from stages.catch_texts import CatchText, catch_texts
from stages.claims.listener import objects_that_fit, read_claims
from tests.pipeline.facts_factory import colours, make_facts, random_group


def heard(text: CatchText, group: list[Facts]) -> list[str]:
    return objects_that_fit(read_claims(text.text), {facts.object_id: facts for facts in group})


@pytest.mark.parametrize("seed", range(40))
def test_the_exact_listener_finds_what_is_said_to_be_right(seed: int) -> None:
    group = random_group(seed)
    for facts in group:
        for text in catch_texts(facts, group):
            found = heard(text, group)
            if text.kind == UNIQUE:
                assert text.truth == [facts.object_id] == found, text
            elif text.kind == DROPPED:
                assert {facts.object_id} < {*text.truth} <= {*found}, text
            else:
                assert (text.kind, text.truth, found) == (NO_TARGET, [], []), text


def test_every_kind_can_be_made() -> None:
    groups = [random_group(seed) for seed in range(40)]
    kinds = [text.kind for group in groups for text in catch_texts(group[0], group)]
    assert all(kinds.count(kind) >= 15 for kind in (UNIQUE, DROPPED, NO_TARGET))


def test_what_nothing_singles_out_has_no_catch_text() -> None:
    twins = [make_facts(number, colours=colours(red=0.9)) for number in range(2)]
    assert catch_texts(twins[0], twins) == []


def test_an_object_alone_has_no_text_that_fits_several() -> None:
    alone = make_facts(0, colours=colours(red=0.9))
    assert DROPPED not in [text.kind for text in catch_texts(alone, [alone])]
