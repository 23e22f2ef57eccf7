"""The queue on both kinds of database: leases, who is given what, and why not."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, fill
from validation_ui.database import Database
from validation_ui.judging import leases
from validation_ui.judging.items import promote
from validation_ui.judging.leases import mark_seen
from validation_ui.problem import Problem
from validation_ui.schema import audit, item, person, seen, slot


@pytest.fixture
def desk(store: Database) -> Desk:
    return Desk(store, store.write(lambda c: fill(c, videos=2, objects=2)))


def test_a_claim_gives_the_first_item_and_again_the_same_one(desk: Desk) -> None:
    first = desk.claim("ann")
    assert first == desk.claim("ann")
    assert desk.row(first).public_id == "p_v0_o0"
    assert desk.row(first).holder_id == desk.ids["ann"]
    assert desk.claim("ben") != first


def test_a_lease_that_ran_out_is_kept_until_somebody_else_claims(desk: Desk, clock: Clock) -> None:
    slot_id = desk.claim("ann")
    clock.now += SMALL.lease_s + 1
    assert desk.heartbeat("ann", slot_id) == clock.now + SMALL.lease_s
    clock.now += SMALL.lease_s + 1
    assert desk.claim("ben") == slot_id
    with pytest.raises(Problem) as lost:
        desk.heartbeat("ann", slot_id)
    assert (lost.value.status, lost.value.code) == (409, "lease_lost")
    with pytest.raises(Problem, match="no longer yours"):
        desk.judge("ann", slot_id)
    desk.judge("ben", slot_id)
    check(desk.store)


def test_a_late_answer_counts_if_nobody_took_the_slot(desk: Desk, clock: Clock) -> None:
    slot_id = desk.claim("ann")
    clock.now += 10 * SMALL.lease_s
    desk.judge("ann", slot_id)
    released = desk.claim("ann", "sighted")
    desk.release("ann", released)
    desk.judge("ann", released)  # sent by the outbox after the page was closed
    check(desk.store)


def test_a_draft_outlives_the_lease(desk: Desk, clock: Clock) -> None:
    slot_id, ann = desk.claim("ann"), desk.ids["ann"]

    def save(version: int, text: str) -> int:
        return desk.store.write(
            lambda c: leases.save_draft(
                c, person_id=ann, slot_id=slot_id, body={"note": text}, version=version, now=clock.now
            )
        )

    assert save(0, "one") == 1
    clock.now += SMALL.lease_s + 1
    assert desk.claim("ben") == slot_id
    assert save(1, "two") == 2
    with pytest.raises(Problem) as conflict:
        save(1, "other tab")
    assert (conflict.value.status, conflict.value.extra["theirs"]) == (412, {"body": {"note": "two"}, "version": 2})
    with pytest.raises(Problem, match="no longer yours"):
        desk.store.write(
            lambda c: leases.save_draft(c, person_id=desk.ids["cy"], slot_id=slot_id, body={}, version=0, now=clock.now)
        )


def test_skip_gives_it_to_others_and_never_to_me(desk: Desk) -> None:
    slot_id = desk.claim("ann")
    desk.skip("ann", slot_id)
    for _ in range(3):
        assert desk.row(desk.claim("ann", "sighted")).public_id != "p_v0_o0"
        desk.do("ann", "accept", "sighted")
    assert desk.why("ann", "sighted")["code"] == "all_done"
    assert desk.claim("ben", "sighted") == slot_id


def test_one_item_is_prefetched_for_a_short_time(desk: Desk, clock: Clock) -> None:
    first = desk.claim("ann")
    ahead = desk.claim("ann", prefetch=True)
    assert ahead != first
    assert desk.claim("ann", prefetch=True) == ahead
    assert desk.claim("ann") == first
    row = desk.row(ahead)
    assert (row.claimed_at, row.lease_until) == (None, clock.now + SMALL.prefetch_lease_s)
    clock.now += 30
    desk.judge("ann", first)
    assert desk.claim("ann", "sighted") == ahead
    row = desk.row(ahead)
    assert (row.claimed_at, row.lease_until) == (clock.now, clock.now + SMALL.lease_s)


def test_a_prefetched_item_goes_to_others_soon(desk: Desk, clock: Clock) -> None:
    desk.claim("ann")
    ahead = desk.claim("ann", prefetch=True)
    clock.now += SMALL.prefetch_lease_s + 1
    assert desk.claim("ben") == ahead


def test_blind_only_for_those_who_saw_no_mask_of_the_video(desk: Desk) -> None:
    desk.do("ann", "accept", "sighted")  # v0_o0
    desk.do("ben", "accept", "sighted")  # v0_o1
    assert desk.why("ann", "blind")["code"] == "not_for_you"
    assert desk.why("ben", "blind")["code"] == "not_for_you"
    assert desk.row(desk.claim("cy")).kind == "blind"  # started items come first


def test_no_mask_of_a_video_while_something_in_it_is_to_be_found(desk: Desk) -> None:
    desk.do("ann", "accept", "sighted")
    blind = desk.claim("cy", "blind")
    ahead = desk.claim("cy", "sighted", prefetch=True)
    assert desk.row(blind).video_id == "v0"
    assert desk.row(ahead).video_id == "v1"


def test_a_blind_item_whose_video_was_seen_meanwhile_goes_to_others(desk: Desk, clock: Clock) -> None:
    desk.do("ann", "accept", "sighted")
    blind = desk.claim("cy", "blind")
    desk.store.write(lambda c: mark_seen(c, desk.ids["cy"], "v0", clock.now))
    with pytest.raises(Problem) as seen:
        desk.point("cy", blind)
    assert seen.value.code == "already_seen"
    assert desk.ask("cy", "blind").slot_id is None
    assert desk.claim("dan", "blind") == blind


def test_only_adjudicators_who_did_not_judge_it_adjudicate(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=2, adjudicators=("eve", "fay"))))
    desk.do("eve", "flag", "sighted")
    assert desk.why("ben", "adjudicate")["code"] == "all_done"
    assert desk.why("eve", "adjudicate")["code"] == "all_done"
    assert desk.do("fay", "accept", "adjudicate").public_id == "p_v0_o0"


def test_a_single_adjudicator_is_kept_for_adjudication(desk: Desk) -> None:
    assert desk.why("eve", "sighted")["code"] == "kept"
    desk.do("ann", "flag", "sighted")
    assert desk.do("eve", "reject").state == "dropped"
    desk.do("ann", "accept", "sighted")
    assert desk.why("eve", "blind")["code"] == "kept"
    for who in ("ben", "cy", "dan"):  # nobody else can find it any more
        desk.store.write(partial(leases.mark_seen, person_id=desk.ids[who], video_id="v0", now=1.0))
    desk.store.write(lambda c: c.execute(seen.delete().where(seen.c.person_id == desk.ids["eve"])).rowcount)
    assert desk.do("eve", "accept", "blind").state == "accepted"
    check(desk.store)


@pytest.mark.parametrize("change", [{"account": "paused"}, {"standing": "stopped"}])
def test_who_takes_no_part_is_nobody_to_keep_a_video_for(store: Database, change: dict[str, str]) -> None:
    """Only what one more of the team could find is begun; eve could, and dan does not count on either side."""
    desk = Desk(store, store.write(lambda c: fill(c, videos=1, objects=1)))
    for who in ("ben", "cy", "dan"):
        store.write(partial(leases.mark_seen, person_id=desk.ids[who], video_id="v0", now=1.0))
    store.write(lambda c: c.execute(update(person).where(person.c.name == "dan").values(**change)).rowcount)
    desk.release("ann", desk.claim("ann", "sighted"))
    store.write(partial(leases.mark_seen, person_id=desk.ids["eve"], video_id="v0", now=1.0))
    assert desk.why("cy", "sighted")["code"] == "not_for_you", "ann, ben and eve have seen it, so nobody could find it"


def test_a_prefetch_is_no_sight_and_work_is_one(desk: Desk) -> None:
    desk.claim("ann")
    ahead = desk.claim("ann", prefetch=True)
    desk.skip("ann", desk.claim("ann"))
    with desk.store.read() as connection:
        assert not leases.has_seen(connection, desk.ids["ann"], "v1")
    other = desk.claim("ben", prefetch=True)
    with desk.store.read() as connection:
        assert not leases.has_seen(connection, desk.ids["ben"], desk.row(other).video_id)
    desk.heartbeat("ben", other)  # the page shows it now
    with desk.store.read() as connection:
        assert leases.has_seen(connection, desk.ids["ben"], desk.row(other).video_id)
    assert ahead != other


def test_sighted_work_comes_first_from_videos_that_the_person_has_seen(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c, videos=3, objects=2)))
    rounds = ["v0_o0", "v1_o0", "v2_o0", "v0_o1", "v1_o1", "v2_o1"]

    def order(connection: Connection) -> int:
        for priority, name in enumerate(rounds):
            connection.execute(update(item).where(item.c.id == desk.ids[name]).values(priority=priority))
            connection.execute(update(slot).where(slot.c.item_id == desk.ids[name]).values(priority=priority))
        return 0

    store.write(order)
    assert [desk.do("ann", "accept", "sighted").video_id for _ in range(4)] == ["v0", "v0", "v1", "v1"]


def test_new_items_stop_at_the_quota(store: Database) -> None:
    settings = replace(SMALL, long=1)
    desk = Desk(store, store.write(lambda c: fill(c, videos=3, objects=1, settings=settings)))
    desk.do("ann", "accept", "sighted")
    desk.do("ann", "accept", "sighted")
    assert desk.do("ben", "accept", "blind").state == "accepted"
    assert desk.do("ben", "accept", "blind").state == "surplus"
    assert desk.why("cy", "sighted")["code"] == "quota_reached"
    check(store)


@pytest.mark.parametrize(("changes", "left"), [({"per_video": 1}, "p_v1_o0"), ({"videos": 1}, "p_v0_o1")])
def test_new_items_come_from_videos_with_room(store: Database, changes: dict[str, int], left: str) -> None:
    settings = replace(SMALL, **changes)
    desk = Desk(store, store.write(lambda c: fill(c, videos=2, objects=2, settings=settings)))
    desk.do("ann", "accept", "sighted")
    desk.do("ben", "accept", "blind")
    assert desk.row(desk.claim("cy", "sighted")).public_id == left


def test_why_there_is_nothing_is_told(desk: Desk, clock: Clock) -> None:
    assert desk.why("ann", "blind")["code"] == "all_done"
    for who in ("ann", "ben", "cy", "dan"):
        desk.claim(who, "sighted")
    why = desk.why("eve", "sighted")
    assert why["code"] == "held"
    assert why["counts"] == {"open": 0, "held": 4, "next_free_at": clock.now + SMALL.lease_s}

    def stand(standing: str) -> None:
        change = update(person).where(person.c.id == desk.ids["ann"]).values(standing=standing)
        desk.store.write(lambda c: c.execute(change).rowcount)

    for standing, code in (("failed", "entry_failed"), ("stopped", "stopped")):
        stand(standing)
        assert desk.why("ann")["code"] == code


def test_what_others_hold_is_nobody_elses(desk: Desk) -> None:
    slot_id = desk.claim("ann")
    actions: tuple[Callable[[str, int], object], ...] = (desk.heartbeat, desk.release, desk.skip, desk.judge)
    for action in actions:
        with pytest.raises(Problem, match="no longer yours"):
            action("ben", slot_id)
    with desk.store.read() as connection:
        assert connection.execute(select(slot.c.holder_id).where(slot.c.id == slot_id)).scalar() == desk.ids["ann"]
        done = connection.execute(select(audit.c.action).order_by(audit.c.id)).scalars().all()
    assert done == ["claim"]


def test_a_raised_quota_takes_surplus_items_in_order_of_priority(store: Database) -> None:
    settings = replace(SMALL, long=1)
    desk = Desk(store, store.write(lambda c: fill(c, videos=3, objects=1, settings=settings)))
    for _ in range(3):
        desk.do("ann", "accept", "sighted")
    for _ in range(3):
        desk.do("ben", "accept", "blind")
    assert [desk.item(desk.ids[f"v{n}_o0"]).state for n in range(3)] == ["accepted", "surplus", "surplus"]
    assert store.write(lambda c: promote(c, replace(settings, long=2), now=1.0)) == 1
    assert [desk.item(desk.ids[f"v{n}_o0"]).state for n in range(3)] == ["accepted", "accepted", "surplus"]
