"""People who pause, leave, or whose work is done again; on both databases."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.judged import accept
from tests.validation_ui.rows import SMALL, add_person, fill
from validation_ui.database import Database
from validation_ui.judging import interventions, undoing
from validation_ui.judging.team import read_team
from validation_ui.people import access, accounts
from validation_ui.people.access import Caller
from validation_ui.problem import Problem
from validation_ui.schema import Account, Role, Standing, audit, item, judgement, session, slot


@pytest.fixture
def desk(store: Database) -> Desk:
    ids = store.write(lambda c: fill(c, videos=3, objects=1, wants_short=False))
    return Desk(store, ids | {"ada": store.write(lambda c: add_person(c, "ada", Role.ADMIN))})


def redo(desk: Desk, who: str, since: float = 0.0) -> undoing.Redone:
    ids, now = desk.ids, desk.store.now()
    return desk.store.write(lambda c: undoing.redo(c, person_id=ids[who], since=since, by=ids["ada"], now=now))


def change(desk: Desk, who: str, **values: Any) -> None:
    by = Caller(desk.ids["ada"], "ada", Role.ADMIN, Standing.ACTIVE, "")
    desk.store.write(lambda c: accounts.change(c, desk.ids[who], by=by, now=desk.store.now(), **values))


def last_row(store: Database) -> Any:
    with store.read() as connection:
        return connection.execute(select(audit).order_by(audit.c.id.desc())).first()


def test_what_somebody_judged_since_a_time_goes_back_to_others(desk: Desk, clock: Clock) -> None:
    first = desk.do("ann", "accept", "sighted")
    clock.now += 100
    since = clock.now
    second = desk.do("ann", "reject", "sighted")
    assert second.state == "dropped"
    redone = redo(desk, "ann", since)
    assert (len(redone.judgements), redone.items, redone.exported) == (1, 1, [])
    assert (desk.item(first.id).state, desk.item(second.id).state) == ("blind", "sighted")
    check(desk.store)
    row = last_row(desk.store)
    assert (row.actor, row.action, row.subject) == (f"person:{desk.ids['ada']}", "redo", f"person:{desk.ids['ann']}")
    assert json.loads(row.body) == {"since": since, "judgements": redone.judgements, "exported": []}
    with desk.store.read() as connection:
        undone = connection.execute(select(judgement).where(judgement.c.undone_at.is_not(None))).one()
    assert (undone.id, undone.undone_by, undone.undone_at) == (redone.judgements[0], "admin", clock.now)
    taken = {desk.row(desk.claim("ann", "sighted")).item_id for _ in range(1)}
    assert second.id not in taken, "never again to the same person"
    assert desk.row(desk.claim("ben", "sighted")).item_id == second.id
    assert redo(desk, "ann", since).judgements == []


def test_exported_texts_that_rest_on_it_are_named_and_no_others(desk: Desk, clock: Clock) -> None:
    done = desk.do("ann", "accept", "sighted")
    assert desk.do("ben", "accept", "blind").state == "accepted"
    other = desk.do("cy", "accept", "sighted")
    exported = update(item).where(item.c.id == done.id).values(exported_at=clock.now)
    desk.store.write(lambda c: c.execute(exported).rowcount)
    with pytest.raises(Problem, match="it was exported"):
        desk.undo("ben")
    assert redo(desk, "cy").exported == []
    assert redo(desk, "ben").exported == [done.public_id]
    again = desk.item(done.id)
    assert (again.state, again.exported_at, again.settled_at) == ("blind", None, None)
    check(desk.store)
    assert desk.item(other.id).state == "sighted"


def test_an_adjudicators_word_on_the_same_text_still_counts(desk: Desk) -> None:
    flagged = desk.do("ann", "flag", "sighted")
    assert desk.do("eve", "accept", "adjudicate").state == "blind"
    redo(desk, "ann")
    assert desk.item(flagged.id).state == "sighted"
    check(desk.store)
    assert desk.row(slot_id := desk.claim("ben", "sighted")).item_id == flagged.id
    desk.judge("ben", slot_id, "flag")
    assert desk.item(flagged.id).state == "blind", "it was adjudicated already"
    check(desk.store)


def test_an_edit_and_the_short_text_written_with_it_go_too(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, wants_short=True)))
    desk.ids["ada"] = store.write(lambda c: add_person(c, "ada", Role.ADMIN))
    done = desk.do("ann", "edit", "sighted", short="the small one there")
    assert done.version == 2
    redo(desk, "ann")
    again = desk.item(done.id)
    assert (again.state, again.version) == ("sighted", 3)
    with store.read() as connection:
        short = connection.execute(select(item).where(item.c.kind == "short")).one()
    assert short.state == "dropped"
    check(store)


@pytest.mark.parametrize("account", [Account.PAUSED, Account.CLOSED])
def test_who_pauses_or_leaves_holds_nothing_and_counts_for_no_team(desk: Desk, account: Account) -> None:
    done = desk.do("ann", "accept", "sighted")
    held = desk.claim("ann", "sighted")
    desk.store.write(lambda c: access.open_session(c, desk.ids["ann"], desk.store.now()))
    change(desk, "ann", account=account)
    with desk.store.read() as connection:
        assert desk.ids["ann"] not in read_team(connection).reviewers
        assert connection.execute(select(slot.c.state).where(slot.c.id == held)).scalar_one() == "open"
        sessions = len(connection.execute(select(session)).all())
    assert sessions == (account is Account.PAUSED)
    assert desk.why("ann", "sighted")["code"] == "paused"
    with pytest.raises(Problem, match="stopped"):
        desk.judge("ann", held)
    with pytest.raises(Problem, match="stopped"):
        desk.undo("ann")
    assert desk.item(done.id).state == "blind", "what they judged counts"
    assert json.loads(last_row(desk.store).body) == {"from": {"account": "open"}, "to": {"account": account}}
    check(desk.store)
    change(desk, "ann", account=Account.OPEN)
    assert desk.claim("ann", "sighted")
    assert desk.standing("ann") == "active"


def test_a_pause_does_not_take_back_what_was_answered_before_the_reveal(desk: Desk) -> None:
    done = desk.do("ann", "accept", "sighted")
    held = desk.claim("ben", "blind")
    desk.point("ben", held, hit=False)
    change(desk, "ben", account=Account.PAUSED)
    assert desk.item(done.id).state == "adjudicate"
    with desk.store.read() as connection:
        said = connection.execute(select(judgement).where(judgement.c.slot_id == held)).one()
    assert (said.decision, said.note) == ("flag", "left after the reveal: an admin took them off the work")
    check(desk.store)


def test_who_is_stopped_holds_nothing(desk: Desk) -> None:
    held = desk.claim("ann", "sighted")
    change(desk, "ann", standing=Standing.STOPPED)
    assert desk.row(held).state == "open"
    check(desk.store)


def test_who_may_not_judge_any_more_holds_nothing(desk: Desk) -> None:
    """A reader judges nothing, a reviewer does not adjudicate, and who takes the entry test gets no real items."""
    desk.do("ann", "flag", "sighted")
    for who, kind, now in (
        ("eve", "adjudicate", {"role": Role.REVIEWER}),
        ("ben", "sighted", {"role": Role.READER}),
        ("cy", "sighted", {"standing": Standing.ENTRY}),
    ):
        held = desk.claim(who, kind)
        change(desk, who, **now)
        assert (desk.row(held).state, desk.row(held).holder_id) == ("open", None)
    kept = desk.claim("dan", "sighted")
    change(desk, "dan", role=Role.ADJUDICATOR)
    assert desk.row(kept).state == "leased"
    check(desk.store)


def test_what_was_exported_withdrawn_and_done_again_comes_back_as_new(desk: Desk, clock: Clock) -> None:
    """It has other judgements when it comes back, which can be undone until it is exported again."""
    done = desk.do("ann", "accept", "sighted")
    desk.do("ben", "accept", "blind")
    exported = update(item).where(item.c.id == done.id).values(exported_at=clock.now)
    desk.store.write(lambda c: c.execute(exported).rowcount)

    def withdraw(withdrawn: bool) -> None:
        with desk.store.read() as connection:
            seen_mark = interventions.mark(connection, interventions.find(connection, done.public_id))
        common = {"public_id": done.public_id, "seen_mark": seen_mark, "by": desk.ids["ada"], "note": ""}
        desk.store.write(lambda c: interventions.withdraw(c, **common, withdrawn=withdrawn, now=clock.now))

    withdraw(True)
    assert redo(desk, "ann").exported == [done.public_id]
    withdraw(False)
    assert (desk.item(done.id).state, desk.item(done.id).exported_at) == ("sighted", None)
    check(desk.store)


def test_nobody_closes_their_own_account(desk: Desk) -> None:
    with pytest.raises(Problem, match="their own"):
        change(desk, "ada", account=Account.CLOSED)


def test_surplus_takes_the_place_of_what_leaves_the_split(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=1, settings=replace(SMALL, long=1))))
    desk.ids["ada"] = store.write(lambda c: add_person(c, "ada", Role.ADMIN))
    store.write(lambda c: accept(c, desk.ids["v0_o0"], desk.ids["ann"], desk.ids["ben"]))
    store.write(lambda c: accept(c, desk.ids["v1_o0"], desk.ids["cy"], desk.ids["dan"]))
    store.write(
        lambda c: c.execute(update(item).where(item.c.id == desk.ids["v1_o0"]).values(state="surplus")).rowcount
    )
    redo(desk, "ben")
    assert [desk.item(desk.ids[name]).state for name in ("v0_o0", "v1_o0")] == ["blind", "accepted"]
