"""Progress, figures of reviewers and agreement, against numbers worked out by hand from a few judgements."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from sqlalchemy import Connection, select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.judged import RIGHT, accept, judge, settle
from tests.validation_ui.rows import SMALL, add_person, fill
from validation_ui.database import Database
from validation_ui.judging.leases import mark_seen
from validation_ui.judging.team import read_team
from validation_ui.people.access import Caller, caller_of
from validation_ui.problem import Problem
from validation_ui.schema import Decision, ItemState, Role, SlotKind, SlotState, Standing, item, judgement, slot
from validation_ui.statistics.agreement import agreement
from validation_ui.statistics.coefficients import cohen_kappa, gwet_ac1, krippendorff_alpha
from validation_ui.statistics.progress import progress, reviewers, work_of
from validation_ui.statistics.unstaffed import unstaffed
from validation_ui.web.stats import SNAPSHOT_S, router

ACCEPT, EDIT, REJECT, FLAG = Decision
AsRole = Callable[..., TestClient]


def test_progress_counts_items_and_slots(store: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("validation_ui.statistics.progress.TOO_FEW", 5)
    ids = store.write(lambda c: fill(c, videos=4, objects=2, gold=2, settings=replace(SMALL, long=10, short=0)))

    def work(c: Connection) -> int:
        accept(c, ids["v0_o0"], ids["ann"], ids["ben"], at=clock.now - 7200)
        accept(c, ids["v0_o1"], ids["ann"], ids["ben"], at=clock.now - 3660)
        accept(c, ids["v1_o0"], ids["ann"], ids["ben"], at=clock.now - 60)
        settle(c, ids["v1_o1"], ItemState.DROPPED)
        settle(c, ids["v2_o0"], ItemState.SURPLUS)
        settle(c, ids["v2_o1"], ItemState.BLIND)
        open_slots = (
            c.execute(select(slot.c.id).where(slot.c.state == SlotState.OPEN).order_by(slot.c.id)).scalars().all()
        )
        for slot_id, until in zip(open_slots, (clock.now + 1, clock.now - 1), strict=False):
            c.execute(update(slot).where(slot.c.id == slot_id).values(state=SlotState.LEASED, lease_until=until))
        return len(open_slots)

    wanted = store.write(work)
    with store.read() as connection:
        found = progress(connection, clock.now)
    assert {name: (q.accepted, q.quota, q.surplus) for name, q in found.quotas.items()} == {
        "videos": (2, 100, 0),
        "long": (3, 10, 1),
        "short": (0, 0, 0),
    }
    assert found.states == {
        "long": {
            "sighted": 2,
            "blind": 1,
            "adjudicate": 0,
            "accepted": 3,
            "surplus": 1,
            "dropped": 1,
            "no_person_left": 0,
        },
        "short": dict.fromkeys(
            ("sighted", "blind", "adjudicate", "accepted", "surplus", "dropped", "no_person_left"), 0
        ),
    }
    # the lease that ran out counts as open; gold has no slots that wait
    assert found.slots == {
        "sighted": {"open": wanted - 1, "leased": 1},
        "blind": {"open": 0, "leased": 0},
        "adjudicate": {"open": 0, "leased": 0},
    }
    hours = (7200 - 60) / 3600  # since the first was accepted
    assert found.per_h == pytest.approx(3 / hours)
    # 7 are wanted, but only 3 items are open, and 5 have ended so far
    assert found.quotas["long"].reachable == 6
    assert found.eta_s == pytest.approx(3 / 5 * hours * 3600)
    monkeypatch.setattr("validation_ui.statistics.progress.TOO_FEW", 6)
    with store.read() as connection:
        few = progress(connection, clock.now)
    assert (few.ended, few.per_h, few.eta_s) == (5, None, None)


def test_what_can_be_reached_keeps_to_the_limits_of_a_video_and_of_all_videos(store: Database) -> None:
    settings = replace(SMALL, per_video=2, videos=3, short=9)
    ids = store.write(lambda c: fill(c, videos=4, objects=3, settings=settings, wants_short=True))
    store.write(lambda c: accept(c, ids["v3_o0"], ids["ann"], ids["ben"], at=1.0))
    store.write(lambda c: settle(c, ids["v0_o0"], ItemState.DROPPED))
    store.write(lambda c: settle(c, ids["v0_o1"], ItemState.DROPPED))
    with store.read() as connection:
        quotas = progress(connection, 1.0).quotas
    # of v3, which is in the split, and of two of the others: two objects each; v0 has one left
    assert {name: quota.reachable for name, quota in quotas.items()} == {"videos": 3, "long": 6, "short": 6}


def test_items_that_nobody_may_judge_are_counted_and_the_team_is_told_what_it_lacks(store: Database) -> None:
    ids = store.write(lambda c: fill(c, videos=2, objects=1, reviewers=("ann", "ben")))

    def work(c: Connection) -> int:
        judge(c, ids["v0_o0"], ids["ann"])
        settle(c, ids["v0_o0"], ItemState.BLIND)
        c.execute(update(slot).where(slot.c.item_id == ids["v0_o0"], slot.c.state == "open").values(kind="blind"))
        for who in ("ann", "ben"):
            mark_seen(c, ids[who], "v0", 1.0)
        return 0

    store.write(work)
    with store.read() as connection:
        assert unstaffed(connection, read_team(connection)) == []  # eve could find it
        assert "3 reviewers and 1 adjudicator, and has 2 and 1" in str(progress(connection, 0.0).team.advice)
    store.write(lambda c: mark_seen(c, ids["eve"], "v0", 1.0))
    with store.read() as connection:
        [left] = unstaffed(connection, read_team(connection))
        found = progress(connection, 0.0)
    assert (left.public_id, left.state) == ("p_v0_o0", "blind")
    assert "invite one more reviewer" in left.way_out
    assert found.states is not None
    assert (found.states["long"]["no_person_left"], found.states["long"]["blind"]) == (1, 0)
    assert found.quotas["long"].reachable == 1
    store.write(lambda c: add_person(c, "cy"))  # a newcomer opens it again
    with store.read() as connection:
        assert unstaffed(connection, read_team(connection)) == []
        assert progress(connection, 0.0).team.advice is None


def test_an_untouched_project_has_no_estimate(store: Database, clock: Clock) -> None:
    store.write(fill)
    with store.read() as connection:
        found = progress(connection, clock.now)
        assert (found.ended, found.per_h, found.eta_s) == (0, None, None)
        assert reviewers(connection) == []
        assert work_of(connection, 1).per_h is None


def test_a_break_is_no_work(store: Database) -> None:
    ids = store.write(lambda c: fill(c, videos=4))

    def work(c: Connection) -> None:
        for name, at in (("v0_o0", 1000.0), ("v0_o1", 1100.0), ("v1_o0", 1400.0), ("v1_o1", 9000.0)):
            judge(c, ids[name], ids["ann"], at=at, spent_s=50.0)
        judge(c, ids["v2_o0"], ids["ann"], SlotKind.BLIND, at=9030.0, spent_s=5.0, hit=True)  # found in 20 s

    store.write(work)
    with store.read() as connection:
        found = work_of(connection, ids["ann"])
    # 50 s of the first, 100 and 300 s in a row, a break, 50 s and 30 s
    assert found.per_h == pytest.approx(5 / 530 * 3600)
    assert found.median_s == {"sighted": 50.0, "blind": 25.0}


def test_reviewers(store: Database) -> None:
    ids = store.write(lambda c: fill(c, videos=6, gold=3, settings=replace(SMALL, gold_window=4)))
    ann, ben, cy, eve = (ids[name] for name in ("ann", "ben", "cy", "eve"))

    def work(c: Connection) -> None:
        accept(c, ids["v0_o0"], ann, ben)
        accept(c, ids["v0_o1"], ann, ben)
        judge(c, ids["v1_o0"], ann, decision=REJECT)
        judge(c, ids["v1_o1"], ann, decision=EDIT)
        judge(c, ids["v2_o0"], ann, undone_at=1.0, undone_by="person")
        judge(c, ids["v2_o1"], cy)
        judge(c, ids["v2_o1"], ben, SlotKind.BLIND, hit=False)
        judge(c, ids["v2_o1"], eve, SlotKind.ADJUDICATE)
        settle(c, ids["v2_o1"])
        for n, right in enumerate((False, False, True, True, True)):  # the window is 4: the first no longer counts
            judge(c, ids[f"gold_{n % 2}"], ann, gold_right=right, at=1e6 + 10 * n)
        judge(c, ids["gold_2"], ann, gold_right=False, at=2e6)
        c.execute(update(item).where(item.c.id == ids["gold_2"]).values(retired=True))

    store.write(work)
    with store.read() as connection:
        found = {each.name: each for each in reviewers(connection)}
    assert list(found) == ["ann", "ben", "cy", "eve"]
    assert (found["ann"].judged, found["ann"].work.judged) == (4, 10)  # 6 gold ones only count as work
    assert (found["ann"].accept_frac, found["ann"].edit_frac) == (0.5, 0.25)
    assert (found["ann"].gold.hits, found["ann"].gold.n) == (3, 4)
    assert found["ann"].blind_hit.frac is None
    assert (found["ben"].blind_hit.hits, found["ben"].blind_hit.n) == (2, 3)
    assert {name: each.final_accepts for name, each in found.items()} == {"ann": 0, "ben": 2, "cy": 0, "eve": 1}
    assert found["ben"].final_frac == pytest.approx(2 / 3)


def test_agreement_of_the_sighted_pass(store: Database) -> None:
    """Six overlapping items, one still with a single answer, one flagged; one item that is not of the overlap."""
    ids = store.write(lambda c: fill(c, videos=4, overlap=True, gold=1))
    ann, ben = ids["ann"], ids["ben"]
    pairs = {
        "v0_o0": (ACCEPT, ACCEPT),
        "v0_o1": (ACCEPT, EDIT),  # an edit keeps the item
        "v1_o0": (REJECT, REJECT),
        "v1_o1": (REJECT, ACCEPT),
        "v2_o0": (ACCEPT, FLAG),  # no verdict
        "v2_o1": (REJECT, None),
    }

    def work(c: Connection) -> None:
        for name, (first, second) in pairs.items():
            judge(c, ids[name], ann, decision=first, parts=RIGHT | {"scene": "wrong"})
            if second:
                judge(c, ids[name], ben, decision=second, parts=RIGHT | {"scene": "unsure"})
        judge(c, ids["v1_o0"], ids["cy"], decision=ACCEPT, undone_at=5.0)
        judge(c, ids["gold_0"], ann, decision=REJECT)
        judge(c, ids["gold_0"], ben, decision=ACCEPT)
        judge(c, ids["v3_o0"], ann, decision=REJECT)
        c.execute(update(item).where(item.c.id == ids["v3_o0"]).values(overlap=False))

    store.write(work)
    with store.read() as connection:
        found = agreement(connection)
        again = agreement(connection)
    assert found == again  # seeded
    decision = found.sighted["decision"]
    ratings = np.array([(1, 1), (1, 1), (0, 0), (0, 1), (1, -1), (0, -1)])
    assert (decision.n, decision.videos) == (4, 2)
    assert decision.figures["raw"].value == pytest.approx(3 / 4)
    assert decision.figures["kappa"].value == pytest.approx(cohen_kappa(ratings))
    assert decision.figures["alpha"].value == pytest.approx(krippendorff_alpha(ratings))
    assert decision.figures["ac1"].value == pytest.approx(gwet_ac1(ratings, 2))
    assert decision.figures["raw"].low is not None
    assert found.sighted["object"].figures["raw"].value == 1
    assert found.sighted["object"].figures["kappa"].value is None  # one answer throughout
    assert found.sighted["scene"].figures["raw"].value == 0
    assert found.sighted["short"].n == 0
    whole = found.strata["kind"]["long"]
    assert (whole.items, whole.accepted.hits) == (7, 3)
    assert whole.sighted == decision
    assert found.strata["size"]["medium"] == whole


def test_the_blind_pass(store: Database) -> None:
    ids = store.write(lambda c: fill(c, videos=3, objects=2))
    ann, ben, cy = ids["ann"], ids["ben"], ids["cy"]

    def work(c: Connection) -> None:
        accept(c, ids["v0_o0"], ann, ben)
        judge(c, ids["v0_o1"], ann)
        judge(c, ids["v0_o1"], ben, SlotKind.BLIND, REJECT, hit=False)
        judge(c, ids["v0_o1"], cy, SlotKind.BLIND, hit=True)  # after the adjudicator's edit: not the first answer
        other = judge(c, ids["v1_o0"], ann, decision=EDIT)
        c.execute(update(judgement).where(judgement.c.id == other).values(text_id=1))  # another text than the blind one
        judge(c, ids["v1_o0"], ben, SlotKind.BLIND, hit=True)

    store.write(work)
    with store.read() as connection:
        found = agreement(connection)
    assert (found.blind.hit.hits, found.blind.hit.n) == (2, 3)
    assert found.blind.chance_area_frac == pytest.approx(0.04)
    assert found.blind.chance_object_frac == pytest.approx(1 / 2)
    assert found.sighted_blind["decision"].n == 2
    assert found.sighted_blind["decision"].figures["raw"].value == pytest.approx(1 / 2)


@pytest.fixture
def as_role(store: Database) -> AsRole:
    """The routes with a caller of a role; who is who is tested where sessions are."""

    def client(role: Role, person_id: int = 1) -> TestClient:
        app = FastAPI()
        app.include_router(router)

        @app.exception_handler(Problem)
        async def tell(_request: Request, problem: Problem) -> JSONResponse:
            return JSONResponse({"error": {"code": problem.code}}, problem.status)

        app.state.database = store
        app.dependency_overrides[caller_of] = lambda: Caller(person_id, "x", role, Standing.ACTIVE, "")
        return TestClient(app)

    return client


@pytest.mark.parametrize("role", list(Role))
def test_who_sees_which_figures(store: Database, as_role: AsRole, role: Role) -> None:
    store.write(fill)
    client = as_role(role)
    watches = 403 if role == Role.REVIEWER else 200
    assert client.get("/api/progress").status_code == 200
    assert client.get("/api/stats").status_code == watches
    assert client.get("/api/agreement").status_code == watches


def test_nothing_a_reviewer_is_told_differs_for_gold(store: Database, as_role: AsRole) -> None:
    """The same answer to a real item and to a gold one moves the same numbers."""
    ids = store.write(lambda c: fill(c, videos=2, gold=1))

    def told_now() -> Any:
        return as_role(Role.REVIEWER, ids["ann"]).get("/api/progress").json()

    def before_and_after(name: str) -> tuple[Any, Any]:
        before = told_now()
        made = store.write(lambda c: judge(c, ids[name], ids["ann"], gold_right=name == "gold_0" or None))
        after = told_now()
        store.write(lambda c: c.execute(update(judgement).where(judgement.c.id == made).values(undone_at=1.0)))
        return before, after

    told = [before_and_after(name) for name in ("v0_o0", "gold_0")]
    assert told[0] == told[1]
    assert told[0][0] != told[0][1]
    assert told[0][0]["project"]["states"] is None


def test_a_reader_sees_the_states(store: Database, as_role: AsRole) -> None:
    store.write(fill)
    project = as_role(Role.READER).get("/api/progress").json()["project"]
    assert project["states"]["long"]["sighted"] == 6
    assert project["slots"]["sighted"] == {"open": 6, "leased": 0}


@pytest.mark.parametrize("role", [Role.REVIEWER, Role.ADJUDICATOR])
def test_who_judges_sees_figures_that_do_not_move_with_an_answer(
    store: Database, as_role: AsRole, clock: Clock, role: Role
) -> None:
    """Else a blind accept that moves the quota was no gold item."""
    ids = store.write(fill)
    judge_, admin = as_role(role, ids["ann"]), as_role(Role.ADMIN)

    def accepted(client: TestClient) -> int:
        return int(client.get("/api/progress").json()["project"]["quotas"]["long"]["accepted"])

    assert (accepted(judge_), accepted(admin)) == (0, 0)
    store.write(lambda c: accept(c, ids["v0_o0"], ids["ann"], ids["ben"], at=clock.now))
    assert (accepted(judge_), accepted(admin)) == (0, 1)
    if role == Role.ADJUDICATOR:
        before = judge_.get("/api/stats").json()
        store.write(lambda c: judge(c, ids["v1_o0"], ids["ann"]))
        assert judge_.get("/api/stats").json() == before
    clock.now += SNAPSHOT_S
    assert accepted(judge_) == 1
