"""What an admin does with one item: ask again, withdraw, assign, correct gold; the project stays whole."""

import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, add_person, fill
from validation_ui.database import Database
from validation_ui.judging import interventions
from validation_ui.judging.interventions import Effect
from validation_ui.problem import Problem
from validation_ui.schema import Gold, Role, Standing, audit, item, judgement, person, seen, skipped
from validation_ui.settings import Settings


class Admin(Desk):
    """A project, and an admin who sends each step with what they saw."""

    def __init__(self, store: Database, settings: Settings = SMALL, **kwargs: Any) -> None:
        super().__init__(store, store.write(lambda c: fill(c, settings=settings, **kwargs)))
        self.ids["ada"] = store.write(lambda c: add_person(c, "ada", Role.ADMIN))

    def mark(self, name: str) -> str:
        with self.store.read() as connection:
            return interventions.mark(connection, interventions.find(connection, f"p_{name}"))

    def step(self, how: Any, name: str, mark: str = "", **more: Any) -> Effect:
        seen_mark = mark or self.mark(name)
        common = {"public_id": f"p_{name}", "seen_mark": seen_mark, "by": self.ids["ada"], "note": "why"}
        effect: Effect = self.store.write(lambda c: how(c, **common, now=self.store.now(), **more))
        check(self.store)
        return effect

    def accept(self, name: str, sighted: str = "ann", blind: str = "ben") -> None:
        """Take the first open item through both passes; it must be this one."""
        slot_id = self.claim(sighted, "sighted")
        assert self.row(slot_id).public_id == f"p_{name}"
        self.judge(sighted, slot_id)
        slot_id = self.claim(blind, "blind")
        self.point(blind, slot_id)
        self.judge(blind, slot_id)
        assert self.state(name) == "accepted"

    def state(self, name: str) -> str:
        return str(self.item(self.ids[name]).state)

    def last_step(self) -> tuple[str, str, dict[str, Any]]:
        with self.store.read() as connection:
            row = connection.execute(select(audit).order_by(audit.c.id.desc()).limit(1)).one()
        return row.action, row.subject, json.loads(row.body)


@pytest.fixture
def admin(store: Database) -> Admin:
    return Admin(store, videos=2, objects=1, gold=2)


def refused(code: str) -> Any:
    return pytest.raises(Problem, check=lambda problem: problem.code == code and problem.status == 409)


def test_the_last_judgement_is_asked_again_and_the_first_stays(admin: Admin) -> None:
    admin.accept("v0_o0")
    effect = admin.step(interventions.reopen, "v0_o0", since="last")
    assert effect.state == admin.state("v0_o0") == "blind"
    told = " ".join(effect.notes)
    assert "1 judgement set aside" in told
    assert "It goes to the blind pass." in told
    assert "Who may judge it then: ada, cy, dan, eve." in told  # ann and ben have seen the object
    assert admin.last_step()[:2] == ("reopen", "item:p_v0_o0")
    assert admin.last_step()[2]["note"] == "why"
    slot_id = admin.claim("cy", "blind")
    admin.point("cy", slot_id)
    admin.judge("cy", slot_id)
    assert admin.state("v0_o0") == "accepted"
    check(admin.store)


def test_all_judgements_are_asked_again_and_stay_in_the_record(admin: Admin) -> None:
    admin.accept("v0_o0")
    assert admin.step(interventions.reopen, "v0_o0", since="start").state == "sighted"
    with admin.store.read() as connection:
        undone = connection.execute(select(judgement.c.undone_by)).scalars().all()
    assert undone == ["reopened", "reopened"]
    admin.accept("v0_o0", "ann", "cy")  # who judged it may be asked again, but not blind


def test_asking_again_withdraws_the_short_expression_that_was_written_along(store: Database) -> None:
    admin = Admin(store, videos=1, objects=1, wants_short=True)
    admin.do("ann", "accept", "sighted", short="the bar that moves")
    effect = admin.step(interventions.reopen, "v0_o0", since="last")
    assert "short expression" in " ".join(effect.notes)
    with store.read() as connection:
        assert connection.execute(select(item.c.state).where(item.c.kind == "short")).scalars().all() == ["dropped"]


def test_nothing_to_ask_again_and_what_is_exported_stay(admin: Admin) -> None:
    with refused("nothing_judged"):
        admin.step(interventions.reopen, "v0_o0", since="start")
    with refused("is_gold"):
        admin.step(interventions.reopen, "gold_0", since="start")
    admin.accept("v0_o0")
    admin.store.write(
        lambda c: c.execute(update(item).where(item.c.state == "accepted").values(exported_at=1.0)).rowcount
    )
    with refused("exported"):
        admin.step(interventions.reopen, "v0_o0", since="last")


def test_a_step_on_what_changed_meanwhile_is_refused(admin: Admin) -> None:
    before = admin.mark("v0_o0")
    admin.do("ann", "accept", "sighted")
    for how, more in (
        (interventions.withdraw, {"withdrawn": True}),
        (interventions.reopen, {"since": "last"}),
        (interventions.assign, {"person_id": admin.ids["cy"]}),
    ):
        with refused("changed"):
            admin.step(how, "v0_o0", before, **more)
    assert admin.state("v0_o0") == "blind"


def test_a_withdrawn_item_is_dropped_and_comes_back_as_it_was(admin: Admin) -> None:
    admin.accept("v0_o0")
    assert admin.step(interventions.withdraw, "v0_o0", withdrawn=True).state == "dropped"
    with refused("withdrawn"):
        admin.step(interventions.withdraw, "v0_o0", withdrawn=True)
    with refused("withdrawn"):
        admin.step(interventions.reopen, "v0_o0", since="last")
    assert admin.step(interventions.withdraw, "v0_o0", withdrawn=False).state == "accepted"
    held = admin.claim("cy", "sighted")
    admin.step(interventions.withdraw, "v1_o0", withdrawn=True)
    with pytest.raises(Problem, match="no longer yours"):
        admin.judge("cy", held)
    check(admin.store)


def test_a_withdrawn_item_makes_room_for_a_surplus_one(store: Database) -> None:
    admin = Admin(store, replace(SMALL, long=1), videos=2, objects=1)
    admin.accept("v0_o0")
    raised = replace(SMALL, long=2)
    store.write(raised.save)
    slot_id = admin.claim("ann", "sighted")
    store.write(replace(SMALL, long=1).save)
    admin.judge("ann", slot_id)
    slot_id = admin.claim("ben", "blind")
    admin.point("ben", slot_id)
    admin.judge("ben", slot_id)
    assert admin.state("v1_o0") == "surplus"
    effect = admin.step(interventions.withdraw, "v0_o0", withdrawn=True)
    assert admin.state("v1_o0") == "accepted"
    assert "1 surplus item take its place" in " ".join(effect.notes)


def test_an_assigned_item_waits_for_its_person_whatever_else_they_do(admin: Admin, clock: Clock) -> None:
    admin.step(interventions.assign, "v1_o0", person_id=admin.ids["cy"])
    for who in ("ann", "ben"):  # to others it is taken
        slot = admin.row(admin.claim(who, "sighted")) if who == "ann" else None
        assert slot is None or slot.public_id == "p_v0_o0"
    with refused("taken"):
        admin.step(interventions.assign, "v1_o0", person_id=admin.ids["ann"])
    admin.why("cy", "blind")  # asks for another pass
    clock.now += 24 * 3600
    assert admin.row(admin.claim("cy", "sighted")).public_id == "p_v1_o0"
    check(admin.store)


def test_an_assigned_item_is_free_again_after_two_days(admin: Admin, clock: Clock) -> None:
    admin.step(interventions.assign, "v0_o0", person_id=admin.ids["cy"])
    clock.now += interventions.ASSIGNED_S + 1
    assert admin.row(admin.claim("ann", "sighted")).public_id == "p_v0_o0"


def test_nobody_is_given_what_they_may_not_judge(admin: Admin) -> None:
    admin.do("ann", "accept", "sighted")
    admin.store.write(
        lambda c: c.execute(update(person).where(person.c.name == "dan").values(standing=Standing.STOPPED)).rowcount
    )
    with admin.store.read() as connection:
        row = interventions.find(connection, "p_v0_o0")
        said = {one.name: one.why_not for one in interventions.candidates(connection, row, admin.store.now())}
    assert said == {"ada": None, "ann": "judged it", "ben": None, "cy": None, "eve": None,
                    "dan": "is not at work (standing: stopped)"}  # fmt: skip
    with pytest.raises(Problem, match="no such person"):
        admin.step(interventions.assign, "v0_o0", person_id=999)
    with pytest.raises(Problem, match="who judged it"):
        admin.step(interventions.assign, "v0_o0", person_id=admin.ids["ann"])
    admin.step(interventions.assign, "v0_o0", person_id=admin.ids["cy"])
    assert admin.row(admin.claim("cy", "blind")).public_id == "p_v0_o0"


def test_a_blind_item_is_not_given_to_who_is_at_work_in_its_video(store: Database) -> None:
    admin = Admin(store, videos=1, objects=2)
    admin.do("ann", "accept", "sighted")
    admin.claim("ben", "sighted")
    with refused("barred"):
        admin.step(interventions.assign, "v0_o0", person_id=admin.ids["ben"])


def test_the_corrected_answer_of_a_gold_item_corrects_what_people_said(store: Database) -> None:
    admin = Admin(store, replace(SMALL, gold_frac=1.0), objects=1, gold=1)
    admin.do("ann", "accept", "sighted")  # a real one comes first
    slot_id = admin.claim("ann", "sighted")
    assert admin.row(slot_id).gold == Gold.GOOD
    admin.judge("ann", slot_id, "reject")
    effect = admin.step(interventions.correct_gold, "gold_0", answer=Gold.SWAPPED)
    assert "Of 1 answer 0 counted as right, and 1 will." in " ".join(effect.notes)
    with store.read() as connection:
        answers = select(judgement.c.gold_right).where(judgement.c.gold_right.is_not(None))
        assert connection.execute(answers).scalars().all() == [True]
    with refused("same_answer"):
        admin.step(interventions.correct_gold, "gold_0", answer=Gold.SWAPPED)
    with refused("not_gold"):
        admin.step(interventions.correct_gold, "v0_o0", answer=Gold.SWAPPED)


def test_who_looked_as_admin_is_never_asked(admin: Admin) -> None:
    admin.do("ann", "accept", "sighted")
    for _ in range(2):
        admin.store.write(
            lambda c: interventions.look(c, public_id="p_v0_o0", by=admin.ids["ada"], now=admin.store.now())
        )
    admin.why("ada", "blind")
    admin.store.write(lambda c: interventions.look(c, public_id="p_gold_0", by=admin.ids["ada"], now=1.0))
    with admin.store.read() as connection:
        assert connection.execute(select(skipped.c.item_id)).scalars().all() == [admin.ids["v0_o0"]]  # no gold item
        assert set(
            connection.execute(select(seen.c.video_id).where(seen.c.person_id == admin.ids["ada"])).scalars()
        ) == {
            "v0",
            "g0",
        }
