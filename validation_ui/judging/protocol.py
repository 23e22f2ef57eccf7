"""Derives from the judgements of one item its state, its text, and how many more judgements it needs.

This is a pure function, so an undo has no rules of its own: it removes a judgement, and the state is derived again from
those that are left. The rules (docs/validation.md, "What is asked of people"):

- Sighted pass: one person sees the mask, two if the item is in the overlap. If all reject, the item is dropped. If they
  disagree or one of them flags, it goes to the adjudicator. Otherwise the edit, if there is one, becomes the text and
  the blind pass begins.
- Blind pass: another person finds the object from the text alone, two if the item is in the overlap of this pass and it
  is the first text that comes here. The item is accepted only if they hit the object and accept. An edit after a hit
  makes a new text, to which earlier judgements do not apply. Everything else goes to the adjudicator, and so does the
  edit after `max_edits`.
- Adjudication, at most once: drop, or accept or edit. The text that the adjudicator leaves is right by their word, but
  it is accepted only with a blind hit on exactly this wording: an earlier one, or that of a new person in the blind
  pass. If the new person misses, the item is dropped.

So no item is ever accepted without a blind hit on its final wording.

- A text without a target has the blind pass alone: it is accepted if everybody who is asked says that the object is
  absent, and does not accept the text after the reveal. Else it is dropped.

A judgement applies to every text with the same hash as the one it was made on, and is used once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from validation_ui.schema import Decision, ItemState, SlotKind

_FOR = (Decision.ACCEPT, Decision.EDIT)


@dataclass(frozen=True, slots=True)
class ItemFacts:
    """Holds what is known of an item apart from its judgements.

    Attributes:
        first_text_id: id of the text that the item started with.
        sighted: how many sighted judgements it needs: 0 (short expression), 1, or 2 (overlap).
        withdrawn: an admin took it out, or it is a short expression whose author undid the judgement that it was
            written with.
        blind: how many people find the first text that comes to the blind pass: 1, or 2 (overlap of this pass).
        no_target: its text fits nothing in the video.
        waits: it comes to the blind pass with the long expression of its object, which is not there yet.
    """

    first_text_id: int
    sighted: int
    withdrawn: bool = False
    blind: int = 1
    no_target: bool = False
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """Holds one live judgement.

    Of the blind pass, `hit` tells whether the person found the object, and `absent` whether they said it is not there.
    """

    kind: SlotKind
    text_id: int
    decision: Decision
    new_text_id: int | None = None
    hit: bool | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Holds the state that was derived for an item.

    Attributes:
        state: never SURPLUS: whether ACCEPTED becomes SURPLUS depends on the quotas (`items.settle`).
        text_id: id of the current text.
        wanted: how many more judgements the item needs, in the pass that the state is named after.
    """

    state: ItemState
    text_id: int
    wanted: int = 0


def derive(item: ItemFacts, hashes: Mapping[int, str], judgements: Sequence[Judgement], *, max_edits: int) -> Outcome:
    """Derive the state of one item from its judgements.

    Args:
        item: what is known of it apart from its judgements.
        hashes: text id -> sha256, of every text of the item.
        judgements: its live judgements, first to last.
        max_edits: the next edit after this many sends the item to the adjudicator.
    """
    if item.withdrawn:
        return Outcome(ItemState.DROPPED, item.first_text_id)
    if item.waits:
        return Outcome(ItemState.BLIND, item.first_text_id)
    if item.no_target:
        return _no_target(item, judgements)
    sighted = [one for one in judgements if one.kind == SlotKind.SIGHTED]
    if len(sighted) < item.sighted:
        return Outcome(ItemState.SIGHTED, item.first_text_id, item.sighted - len(sighted))
    later = [one for one in judgements if one.kind != SlotKind.SIGHTED]

    def take(kind: SlotKind) -> Judgement | None:
        """Remove and return the first unused judgement of this kind on the current text."""
        for one in later:
            if one.kind == kind and hashes[one.text_id] == hashes[text_id]:
                later.remove(one)
                return one
        return None

    state, text_id = _sighted(item, hashes, sighted)
    edits, asked = int(text_id != item.first_text_id), item.blind
    is_found = False  # whether there is a blind hit on the current text
    while state is ItemState.BLIND:
        blind = [one for _ in range(asked) if (one := take(SlotKind.BLIND)) is not None]
        if len(blind) < asked:
            return Outcome(ItemState.BLIND, text_id, asked - len(blind))
        asked, is_found = 1, any(one.hit for one in blind)
        is_kept = all(one.hit and one.decision in _FOR for one in blind)
        # of equal wordings the first
        new = {hashes[one.new_text_id]: one.new_text_id for one in reversed(blind) if one.new_text_id is not None}
        if is_kept and not new:
            return Outcome(ItemState.ACCEPTED, text_id)
        if is_kept and len(new) == 1 and edits < max_edits:
            [text_id] = new.values()
            edits, is_found = edits + 1, False
        else:
            state = ItemState.ADJUDICATE
    if state is ItemState.DROPPED:
        return Outcome(ItemState.DROPPED, text_id)
    verdict = take(SlotKind.ADJUDICATE)
    if verdict is None:
        return Outcome(ItemState.ADJUDICATE, text_id, 1)
    if verdict.new_text_id is not None:
        text_id, is_found = verdict.new_text_id, False
    elif verdict.decision != Decision.ACCEPT:
        return Outcome(ItemState.DROPPED, text_id)
    if not is_found:
        found = take(SlotKind.BLIND)
        if found is None:
            return Outcome(ItemState.BLIND, text_id, 1)
        is_found = bool(found.hit)
    return Outcome(ItemState.ACCEPTED if is_found else ItemState.DROPPED, text_id)


def _no_target(item: ItemFacts, judgements: Sequence[Judgement]) -> Outcome:
    if len(judgements) < item.blind:
        return Outcome(ItemState.BLIND, item.first_text_id, item.blind - len(judgements))
    right = all(one.absent and one.decision != Decision.ACCEPT for one in judgements)
    return Outcome(ItemState.ACCEPTED if right else ItemState.DROPPED, item.first_text_id)


def _sighted(item: ItemFacts, hashes: Mapping[int, str], sighted: Sequence[Judgement]) -> tuple[ItemState, int]:
    """Return the state and the text id after the sighted pass."""
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
