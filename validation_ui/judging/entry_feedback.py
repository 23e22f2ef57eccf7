"""What a person is told of their entry test when it is over: every item with their answer and the right one.

A gold item that the person may still meet is never shown. Whoever works gets none of these items again (`lease_gold`).
Whoever may take the test again meets them only when the others are used up; so they are shown only while enough others
are left for a whole test.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select

from validation_ui.judging import gold
from validation_ui.judging.interventions import ANSWERS
from validation_ui.judging.items import text_parts
from validation_ui.schema import Gold, ItemState, Standing, item, judgement, person, skipped
from validation_ui.settings import PARTS, Settings


@dataclass(frozen=True)
class AnsweredItem:
    """One item of a test that is over.

    Attributes:
        public_id: the item's name in links.
        parts: its text, [{"name", "text"}].
        answer: the person's decision; None if they skipped it.
        verdicts: their verdicts, part -> right | wrong | unsure.
        reasons: the reasons that they gave.
        known: the right answer, accept or reject.
        right: whether theirs was right.
        counts: False if the item was taken out of use since, so that it counts for nobody.
        why: why the known answer is right, and what the person's answer missed.
    """

    public_id: str
    parts: list[dict[str, str]]
    answer: str | None
    verdicts: dict[str, str]
    reasons: list[str]
    known: str
    right: bool
    counts: bool
    why: str


@dataclass(frozen=True)
class Feedback:
    """The result of an entry test; `items` is None if they may come again, so that only the figures are shown."""

    passed: bool
    right: int
    of: int
    needed_frac: float
    items: list[AnsweredItem] | None


def feedback(connection: Connection, person_id: int) -> Feedback | None:
    """Return the result of the person's last entry test that is over, or None if there is none."""
    me = connection.execute(select(person).where(person.c.id == person_id)).one()
    settings = Settings.load(connection)
    entry_round = _last_round(connection, me)
    if entry_round is None:
        return None
    answers = _answers(connection, person_id, entry_round)
    counted = [answer for answer in answers if answer.counts]
    return Feedback(
        passed=me.standing in (Standing.ACTIVE, Standing.STOPPED),
        right=sum(answer.right for answer in counted),
        of=len(counted),
        needed_frac=settings.entry_right_frac,
        items=_safe(connection, me, answers) if _stay_away(connection, me, settings) else None,
    )


def shown_item(connection: Connection, person_id: int, public_id: str) -> Row[Any] | None:
    """Return the row of an item that the person's feedback shows, or None if it does not."""
    told = feedback(connection, person_id)
    if told is None or public_id not in {answer.public_id for answer in told.items or ()}:
        return None
    return connection.execute(select(item).where(item.c.public_id == public_id)).one()


def _last_round(connection: Connection, me: Row[Any]) -> int | None:
    """Return the number of the last test that is over: an earlier one while the person takes the test."""
    rounds = select(func.max(judgement.c.entry_round)).where(
        judgement.c.person_id == me.id, judgement.c.undone_at.is_(None)
    )
    if me.standing == Standing.ENTRY:
        rounds = rounds.where(judgement.c.entry_round < me.entry_round)
    found: int | None = connection.execute(rounds).scalar()
    return found


def _stay_away(connection: Connection, me: Row[Any], settings: Settings) -> bool:
    """Return whether the person will not meet the items of their last test again."""
    if me.standing == Standing.ACTIVE:
        return True
    had = select(judgement.c.id).where(judgement.c.item_id == item.c.id, judgement.c.person_id == me.id)
    fresh = connection.execute(
        select(item.c.video_id).where(item.c.state == ItemState.GOLD, item.c.retired.is_(False), ~had.exists())
    ).scalars()
    by_video = Counter(fresh)
    done = 0
    if me.standing == Standing.ENTRY:
        done, _ = gold.entry_progress(connection, me.id, me.entry_round, settings)
    # an item is not given out while the person holds another one of its video
    return sum(by_video.values()) >= settings.entry_items - done + max(by_video.values(), default=0)


def _answers(connection: Connection, person_id: int, entry_round: int) -> list[AnsweredItem]:
    judged = connection.execute(
        select(judgement, item.c.public_id, item.c.kind.label("item_kind"), item.c.gold, item.c.retired)
        .join_from(judgement, item, item.c.id == judgement.c.item_id)
        .where(judgement.c.person_id == person_id, judgement.c.entry_round == entry_round)
        .where(judgement.c.undone_at.is_(None), judgement.c.gold_right.is_not(None))
        .order_by(judgement.c.id)
    ).all()
    found = [
        (
            row.created_at,
            AnsweredItem(
                public_id=row.public_id,
                parts=_parts(connection, row.text_id, row.item_kind),
                answer=row.decision,
                verdicts=row.parts,
                reasons=row.reasons,
                known=ANSWERS[Gold(row.gold)],
                right=bool(row.gold_right),
                counts=not row.retired,
                why=_why(Gold(row.gold), row.decision, right=bool(row.gold_right)),
            ),
        )
        for row in judged
    ]
    passed = connection.execute(
        select(skipped.c.at, item)
        .join_from(skipped, item, item.c.id == skipped.c.item_id)
        .where(skipped.c.person_id == person_id, skipped.c.entry_round == entry_round, item.c.gold != Gold.NONE)
    ).all()
    found += [
        (
            row.at,
            AnsweredItem(
                public_id=row.public_id,
                parts=_parts(connection, row.text_id, row.kind),
                answer=None,
                verdicts={},
                reasons=[],
                known=ANSWERS[Gold(row.gold)],
                right=False,
                counts=not row.retired,
                why=_why(Gold(row.gold), None, right=False),
            ),
        )
        for row in passed
    ]
    return [answer for _, answer in sorted(found, key=lambda one: one[0])]


def _safe(connection: Connection, me: Row[Any], answers: list[AnsweredItem]) -> list[AnsweredItem]:
    """Leave out what the person skipped, if another test may follow: there it counts as an item that they never had."""
    if me.standing == Standing.ACTIVE:
        return answers
    had = (
        select(item.c.public_id)
        .join_from(judgement, item, item.c.id == judgement.c.item_id)
        .where(judgement.c.person_id == me.id, judgement.c.gold_right.is_not(None))
    )
    judged = set(connection.execute(had).scalars())
    return [answer for answer in answers if answer.public_id in judged]


def _parts(connection: Connection, text_id: int, kind: str) -> list[dict[str, str]]:
    parts = text_parts(connection, text_id)
    return [{"name": name, "text": parts[name]} for name in PARTS[kind]]


_TRUE_TEXT = "The text was written for the marked object and is true of it."
_OTHER_TEXT = (
    "The text was written for another object of this video. Some words may fit the marked one too, but not all do: "
    "compare every part with what is marked."
)


def _why(known: Gold, answer: str | None, *, right: bool) -> str:
    """Return sentences that say why the known answer is right, and what to do another time."""
    reason = _TRUE_TEXT if known == Gold.GOOD else _OTHER_TEXT
    if right:
        return reason
    if answer is None:
        return f"{reason} You skipped it, which counts as a wrong answer in the test."
    if answer == "flag":
        return f"{reason} You flagged it. A flag leaves it to an adjudicator; here an answer was possible."
    if known == Gold.GOOD:
        return f"{reason} You rejected it. Small slips of style are no reason to reject."
    return f"{reason} You kept it. One wrong part is enough: an edit would have to write it anew, so it is rejected."
