"""What follows from what people said of one item: its state, its text, and how many judgements are still wanted.

A pure function of the facts, so that an undo needs no undoing of its own: the judgement is taken out and the rest is
read again. The rules are those of facts/validation.md, section 5:

- Sighted (5.2): one person sees the mask, two if the item is in the overlap (5.6). All reject: dropped. They clash, or
  one of them flags: to the adjudicator. Otherwise the edit, if there is one, becomes the text; the blind pass begins.
- Blind (5.3): another person finds the object by the text alone. Accepted only if they hit it and accept (5.4). An
  edit after a hit makes a new text, which voids what was said of the old one; all else goes to the adjudicator, and so
  does the edit after `max_edits` (5.5).
- Adjudicator (5.5): accept, drop, or edit, which goes back to a fresh blind person.

A judgement holds for every text with the hash of the one it was said of, and is used once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validation_ui.schema import Decision, ItemState, SlotKind

_FOR = (Decision.ACCEPT, Decision.EDIT)


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """What of an item never changes.

    Attributes:
        first_text_id: the text it started with.
        sighted: how many sighted judgements it wants: 0 (short), 1, or 2 (overlap).
        withdrawn: a short expression whose author undid the judgement that it came with.
    """

    first_text_id: int
    sighted: int
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One live judgement; `hit` is of the blind pass, None elsewhere."""

    kind: SlotKind
    text_id: int
    decision: Decision
    new_text_id: int | None = None
    hit: bool | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where the item is.

    Attributes:
        state: ACCEPTED stands for SURPLUS too; which of them depends on the quotas, not on the item.
        text_id: the current text.
        wanted: judgements still wanted; they are of the kind that the state is named after.
    """

    state: ItemState
    text_id: int
    wanted: int = 0


def derive(item: ItemFacts, hashes: Mapping[int, str], said: Sequence[Said], *, max_edits: int) -> Outcome:
    """Read the judgements of one item.

    Args:
        item: what of it never changes.
        hashes: sha256 of each of its texts, by id.
        said: its live judgements, first to last.
        max_edits: so many edits are followed; the next goes to the adjudicator.
    """
    if item.withdrawn:
        return Outcome(ItemState.DROPPED, item.first_text_id)
    sighted = [one for one in said if one.kind == SlotKind.SIGHTED]
    if len(sighted) < item.sighted:
        return Outcome(ItemState.SIGHTED, item.first_text_id, item.sighted - len(sighted))
    later = [one for one in said if one.kind != SlotKind.SIGHTED]

    def take(kind: SlotKind) -> Said | None:
        """The first judgement of the current text that was not used yet."""
        for one in later:
            if one.kind == kind and hashes[one.text_id] == hashes[text_id]:
                later.remove(one)
                return one
        return None

    state, text_id = _sighted(item, hashes, sighted)
    edits = int(text_id != item.first_text_id)
    while state is not ItemState.DROPPED:
        if state is ItemState.BLIND:
            blind = take(SlotKind.BLIND)
            if blind is None:
                return Outcome(ItemState.BLIND, text_id, 1)
            if blind.hit and blind.decision == Decision.ACCEPT:
                return Outcome(ItemState.ACCEPTED, text_id)
            if blind.hit and blind.new_text_id is not None and edits < max_edits:
                text_id, edits = blind.new_text_id, edits + 1
                continue
        verdict = take(SlotKind.ADJUDICATE)
        if verdict is None:
            return Outcome(ItemState.ADJUDICATE, text_id, 1)
        if verdict.decision == Decision.ACCEPT:
            return Outcome(ItemState.ACCEPTED, text_id)
        if verdict.new_text_id is None:
            return Outcome(ItemState.DROPPED, text_id)
        state, text_id, edits = ItemState.BLIND, verdict.new_text_id, edits + 1
    return Outcome(ItemState.DROPPED, text_id)


def _sighted(item: ItemFacts, hashes: Mapping[int, str], sighted: Sequence[Said]) -> tuple[ItemState, int]:
    """State and text after the sighted pass."""
    decisions = {one.decision for one in sighted}
    edits: dict[str, int] = {}
    for one in sighted:
        if one.new_text_id is not None:
            edits.setdefault(hashes[one.new_text_id], one.new_text_id)
    if decisions == {Decision.REJECT}:
        return ItemState.DROPPED, item.first_text_id
    if not decisions <= set(_FOR) or len(edits) > 1:
        return ItemState.ADJUDICATE, item.first_text_id
    return ItemState.BLIND, next(iter(edits.values()), item.first_text_id)
