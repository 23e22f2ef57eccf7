import itertools
from dataclasses import replace

import pytest

from validation_ui.judging.protocol import ItemFacts, Judgement, Outcome, derive
from validation_ui.schema import Decision, ItemState, SlotKind

HASHES = {0: "a", 1: "b", 2: "c", 3: "d", 4: "e", 10: "a", 11: "b"}  # 10 says what 0 says, 11 what 1 says
LONG, TWICE, SHORT, PAIR = ItemFacts(0, 1), ItemFacts(0, 2), ItemFacts(0, 0), ItemFacts(0, 1, blind=2)


def said(text: str) -> list[Judgement]:
    """Judgements from e.g. "S accept 0, B+ edit 0>1, B- accept 1, A reject 1": pass, hit, decision, text > new text."""
    result = []
    for each in filter(None, text.split(", ")):
        who, decision, on = each.split()
        old, _, new = on.partition(">")
        kind = {"S": SlotKind.SIGHTED, "B": SlotKind.BLIND, "A": SlotKind.ADJUDICATE}[who[0]]
        hit = {"+": True, "-": False, "": None}[who[1:]]
        result.append(Judgement(kind, int(old), Decision(decision), int(new) if new else None, hit))
    return result


@pytest.mark.parametrize(
    ("item", "judgements", "state", "text_id"),
    [
        (LONG, "", "sighted", 0),
        (LONG, "S accept 0", "blind", 0),
        (LONG, "S edit 0>1", "blind", 1),
        (LONG, "S reject 0", "dropped", 0),
        (LONG, "S flag 0", "adjudicate", 0),
        (SHORT, "", "blind", 0),
        (ItemFacts(0, 0, withdrawn=True), "B+ accept 0", "dropped", 0),
        # the overlap waits for both, and keeps the first text until then
        (TWICE, "S accept 0", "sighted", 0),
        (TWICE, "S edit 0>1", "sighted", 0),
        (TWICE, "S flag 0", "sighted", 0),
        (TWICE, "S accept 0, S accept 0", "blind", 0),
        (TWICE, "S accept 0, S edit 0>1", "blind", 1),
        (TWICE, "S edit 0>1, S edit 0>2", "adjudicate", 0),
        (TWICE, "S edit 0>1, S edit 0>11", "blind", 1),
        (TWICE, "S accept 0, S reject 0", "adjudicate", 0),
        (TWICE, "S edit 0>1, S reject 0", "adjudicate", 0),
        (TWICE, "S reject 0, S reject 0", "dropped", 0),
        (TWICE, "S reject 0, S flag 0", "adjudicate", 0),
        # blind: a hit and an accept, nothing less
        (LONG, "S accept 0, B+ accept 0", "accepted", 0),
        (LONG, "S accept 0, B- accept 0", "adjudicate", 0),
        (LONG, "S accept 0, B- edit 0>1", "adjudicate", 0),
        (LONG, "S accept 0, B+ reject 0", "adjudicate", 0),
        (LONG, "S accept 0, B+ flag 0", "adjudicate", 0),
        (SHORT, "B+ accept 0", "accepted", 0),
        # an edit voids what was said of the text before
        (LONG, "S accept 0, B+ edit 0>1", "blind", 1),
        (LONG, "S edit 0>1, B+ accept 0", "blind", 1),
        (LONG, "S accept 0, B+ edit 0>1, B+ accept 1", "accepted", 1),
        # two edits are followed, the third goes to the adjudicator
        (LONG, "S edit 0>1, B+ edit 1>2", "blind", 2),
        (LONG, "S edit 0>1, B+ edit 1>2, B+ edit 2>3", "adjudicate", 2),
        (LONG, "S edit 0>1, B+ edit 1>2, B+ edit 2>3, A edit 2>3", "blind", 3),
        (LONG, "S accept 0, B+ edit 0>1, B+ edit 1>2, B+ accept 2", "accepted", 2),
        # the overlap of the blind pass: two people find the first text; a later wording is found by one
        (PAIR, "S accept 0", "blind", 0),
        (PAIR, "S accept 0, B+ accept 0", "blind", 0),
        (PAIR, "S accept 0, B- reject 0", "blind", 0),
        (PAIR, "S accept 0, B+ accept 0, B+ accept 0", "accepted", 0),
        (PAIR, "S accept 0, B+ accept 0, B- accept 0", "adjudicate", 0),
        (PAIR, "S accept 0, B+ accept 0, B+ reject 0", "adjudicate", 0),
        (PAIR, "S accept 0, B+ accept 0, B+ edit 0>1", "blind", 1),
        (PAIR, "S accept 0, B+ accept 0, B+ edit 0>1, B+ accept 1", "accepted", 1),
        (PAIR, "S accept 0, B+ edit 0>1, B+ edit 0>2", "adjudicate", 0),
        (PAIR, "S accept 0, B+ edit 0>1, B+ edit 0>11", "blind", 1),
        (PAIR, "S accept 0, B- accept 0, B+ accept 0, A accept 0", "accepted", 0),
        (PAIR, "S accept 0, B- accept 0, B- accept 0, A accept 0", "blind", 0),
        # the adjudicator drops it, or leaves a text that must still be found by its final wording
        (LONG, "S flag 0, A reject 0", "dropped", 0),
        (LONG, "S flag 0, A accept 0", "blind", 0),
        (LONG, "S flag 0, A accept 0, B+ accept 0", "accepted", 0),
        (LONG, "S flag 0, A accept 0, B- accept 0", "dropped", 0),
        (LONG, "S flag 0, A edit 0>1", "blind", 1),
        (LONG, "S accept 0, B- accept 0, A accept 0", "blind", 0),
        (LONG, "S accept 0, B- accept 0, A accept 0, B+ accept 0", "accepted", 0),
        (LONG, "S accept 0, B- accept 0, A accept 0, B- accept 0", "dropped", 0),
        (LONG, "S accept 0, B- accept 0, A edit 0>1", "blind", 1),
        (LONG, "S accept 0, B- accept 0, A edit 0>1, B+ accept 1", "accepted", 1),
        (LONG, "S accept 0, B- accept 0, A edit 0>1, B- accept 1", "dropped", 1),
        (TWICE, "S accept 0, S reject 0, A accept 0", "blind", 0),
        (SHORT, "B- accept 0, A accept 0", "blind", 0),
        # a hit on this very wording is there already: whether the text is right is the adjudicator's word
        (LONG, "S accept 0, B+ reject 0, A accept 0", "accepted", 0),
        (LONG, "S accept 0, B+ flag 0, A accept 0", "accepted", 0),
        (LONG, "S accept 0, B- accept 0, A accept 0, B+ reject 0", "accepted", 0),
        (LONG, "S accept 0, B- accept 0, A accept 0, B+ edit 0>1", "accepted", 0),
        (LONG, "S edit 0>1, B+ edit 1>2, B+ edit 2>3, A accept 2", "accepted", 2),
        (LONG, "S accept 0, B+ reject 0, A edit 0>1", "blind", 1),
        (LONG, "S accept 0, B+ reject 0, A edit 0>10", "blind", 10),
        # a judgement holds for the text's words, not for its row, and is used once
        (LONG, "B+ accept 1, S edit 0>11", "accepted", 11),
        (LONG, "S accept 0, B+ edit 0>1, B+ edit 1>10", "blind", 10),
        (LONG, "S accept 0, B+ edit 0>1, B+ edit 1>10, B+ accept 10", "accepted", 10),
    ],
)
def test_derive(item: ItemFacts, judgements: str, state: str, text_id: int) -> None:
    outcome = derive(item, HASHES, said(judgements), max_edits=2)
    assert (outcome.state, outcome.text_id) == (state, text_id)
    settled = outcome.state in (ItemState.ACCEPTED, ItemState.DROPPED)
    asked = item.blind if item is PAIR and judgements == "S accept 0" else 1
    assert outcome.wanted == (0 if settled else item.sighted - len(said(judgements)) if state == "sighted" else asked)


def test_no_edits_are_followed_if_none_are_allowed() -> None:
    assert derive(LONG, HASHES, said("S accept 0, B+ edit 0>1"), max_edits=0) == Outcome(ItemState.ADJUDICATE, 0, 1)


@pytest.mark.parametrize("first", ["S accept 0", "S edit 0>1", "S flag 0", "S accept 0, S accept 0"])
@pytest.mark.parametrize("asked", [1, 2])
def test_nothing_is_accepted_without_a_hit_on_its_final_wording(first: str, asked: int) -> None:
    """Every sequence of four later judgements: whatever is accepted was found by exactly its last text."""
    later = ["B- accept", "B- edit", "B+ accept", "B+ edit", "B+ reject", "A accept", "A edit", "A reject"]
    item = replace(TWICE if first.count("S") == 2 else LONG, blind=asked)
    accepted = 0
    for steps in itertools.product(later, repeat=4):
        judgements = said(first)
        for step in steps:
            outcome = derive(item, HASHES, judgements, max_edits=2)
            if not outcome.wanted or {"B": "blind", "A": "adjudicate"}[step[0]] != outcome.state:
                break
            new = f">{outcome.text_id + 1}" if step.endswith("edit") else ""
            judgements += said(f"{step} {outcome.text_id}{new}")
        outcome = derive(item, HASHES, judgements, max_edits=2)
        if outcome.state is ItemState.ACCEPTED:
            accepted += 1
            assert any(one.hit and one.text_id == outcome.text_id for one in judgements), (first, steps)
    assert accepted
