"""Entry test, hidden gold items, and the gate."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import groupby, islice
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, add_item, add_masklet, fill
from validation_ui.database import Database
from validation_ui.judging import fates, gold, item_views
from validation_ui.judging.team import advice, read_team
from validation_ui.problem import Problem
from validation_ui.schema import Decision, Gold, Standing, item, judgement, person, slot
from validation_ui.settings import Settings
from validation_ui.statistics.unstaffed import unstaffed

ENTRY = replace(SMALL, entry_items=4, entry_right_frac=0.75)
HIDDEN = replace(SMALL, gold_frac=0.5, gold_window=12)


def known(desk: Desk, slot_id: int, right: bool = True) -> str:
    """The right decision of a gold item, or a wrong one."""
    return "accept" if (desk.row(slot_id).gold == "good") == right else "reject"


def start(desk: Desk, who: str) -> None:
    desk.store.write(
        lambda c: (
            c.execute(
                update(person)
                .where(person.c.id == desk.ids[who])
                .values(standing=Standing.ENTRY, entry_round=person.c.entry_round + 1)
            ).rowcount
        )
    )


def project(store: Database, settings: Settings, **kwargs: Any) -> Desk:
    return Desk(store, store.write(lambda c: fill(c, settings=settings, **kwargs)))


@pytest.mark.parametrize(("wrong", "standing", "code"), [(1, "active", None), (2, "failed", "entry_failed")])
def test_entry(store: Database, wrong: int, standing: str, code: str | None) -> None:
    desk = project(store, ENTRY, gold=6)
    start(desk, "ann")
    had = set()
    for k in range(4):
        assert desk.standing("ann") == "entry"
        slot_id = desk.claim("ann", "blind")  # whatever is asked for, the test comes first
        assert desk.row(slot_id).gold
        had.add(desk.row(slot_id).public_id)
        desk.judge("ann", slot_id, known(desk, slot_id, right=k >= wrong))
    assert len(had) == 4
    assert desk.standing("ann") == standing
    why = desk.ask("ann", "sighted").why
    assert (why["code"] if why else None) == code
    if code is None:
        with pytest.raises(Problem, match="entry test"):
            desk.undo("ann")
    check(store)


def test_the_adjudicator_is_not_used_up_while_the_reviewers_are_in_their_entry_test(store: Database) -> None:
    """On the first day an adjudicator, who takes no test, may be there before everybody else."""
    desk = project(store, ENTRY, gold=6)
    reviewers = ("ann", "ben", "cy", "dan")
    for who in reviewers:
        start(desk, who)
    theirs = update(person).where(person.c.id.in_([desk.ids[who] for who in reviewers]))

    def give(account: str) -> None:
        store.write(lambda c: c.execute(theirs.values(account=account)).rowcount)

    for account in ("closed", "open"):  # nobody is there yet, and then they are in the test
        give(account)
        assert desk.why("eve", "sighted", "blind", "adjudicate")["code"] == "kept"
    for _ in range(4):
        slot_id = desk.claim("ann")
        desk.judge("ann", slot_id, known(desk, slot_id))
    assert desk.do("ann", "accept", "sighted").state == "blind"
    with store.read() as connection:
        team = read_team(connection)
        assert (len(team.reviewers), advice(team, ENTRY), unstaffed(connection, team)) == (4, None, [])


def test_a_second_try_gives_other_items_first(store: Database) -> None:
    desk = project(store, ENTRY, gold=6)
    rounds = []
    for _ in range(2):
        start(desk, "ann")
        had = []
        for _ in range(4):
            slot_id = desk.claim("ann")
            had.append(desk.row(slot_id).public_id)
            desk.judge("ann", slot_id, known(desk, slot_id, right=False))
        assert desk.standing("ann") == "failed"
        rounds.append(had)
    assert not set(rounds[0]) & set(rounds[1][:2])
    assert len(set(rounds[1])) == 4


def test_entry_without_gold_items_is_no_test(store: Database) -> None:
    desk = project(store, ENTRY)
    start(desk, "ann")
    assert desk.ask("ann").slot_id is not None
    assert desk.standing("ann") == "active"


def test_an_undone_answer_of_the_entry_test_is_asked_again(store: Database) -> None:
    desk = project(store, ENTRY, gold=6)
    start(desk, "ann")
    slot_id = desk.claim("ann")
    desk.judge("ann", slot_id, known(desk, slot_id, right=False))
    assert desk.undo("ann")[1] == slot_id
    with store.read() as connection:
        assert gold.entry_progress(connection, desk.ids["ann"], 1, ENTRY) == (0, 4)
    desk.judge("ann", slot_id, known(desk, slot_id))
    check(store)


def answers(desk: Desk, who: str, right: bool) -> Iterator[bool]:
    """Judge what comes, gold items right or wrong; whether each was gold."""
    while True:
        slot_id = desk.claim(who, "sighted")
        is_gold = bool(desk.row(slot_id).gold)
        desk.judge(who, slot_id, known(desk, slot_id, right) if is_gold else "accept")
        yield is_gold


def test_hidden_gold_comes_by_chance_and_never_twice(store: Database) -> None:
    desk = project(store, HIDDEN, videos=8, objects=2, gold=8)
    was = list(islice(answers(desk, "ann", right=True), 12))
    assert 2 <= sum(was) <= 8
    assert desk.standing("ann") == "active"
    with store.read() as connection:
        rows = connection.execute(
            select(judgement.c.gold_right, item.c.id, item.c.state).join_from(
                judgement, item, judgement.c.item_id == item.c.id
            )
        ).all()
    assert len({row.id for row in rows}) == 12
    assert [row.gold_right for row in rows if row.state == "gold"] == [True] * sum(was)
    check(store)


def test_who_falls_below_the_gate_is_stopped_and_their_judgements_are_asked_of_others(store: Database) -> None:
    desk = project(store, replace(HIDDEN, gold_frac=0.8), videos=6, objects=1, gold=16)
    golds = 0
    for is_gold in answers(desk, "ann", right=False):
        golds += is_gold
        if desk.standing("ann") != "active":
            break
    assert golds == gold.MIN_ANSWERS
    assert desk.standing("ann") == "stopped"
    with pytest.raises(Problem, match="stopped"):
        desk.undo("ann")
    with store.read() as connection:
        undone = connection.execute(select(judgement).where(judgement.c.undone_by == "gold_gate")).all()
        kept = connection.execute(
            select(judgement.c.gold_right).where(judgement.c.undone_at.is_(None), judgement.c.gold_right.is_not(None))
        ).all()
        reopened = connection.execute(select(slot.c.state).where(slot.c.id.in_([row.slot_id for row in undone]))).all()
        states = connection.execute(select(item.c.state).where(item.c.id.in_([row.item_id for row in undone]))).all()
    assert len(kept) == gold.MIN_ANSWERS
    assert undone
    assert {row.state for row in reopened} == {"open"}
    assert {row.state for row in states} == {"sighted"}
    check(store)
    desk.store.write(
        lambda c: (
            c.execute(update(person).where(person.c.id == desk.ids["ann"]).values(standing=Standing.ACTIVE)).rowcount
        )
    )
    theirs = {row.item_id for row in undone}
    while (slot_id := desk.ask("ann", "sighted").slot_id) is not None:
        assert desk.row(slot_id).item_id not in theirs
        desk.judge("ann", slot_id, known(desk, slot_id) if desk.row(slot_id).gold else "accept")
    while desk.row(next_id := desk.claim("ben", "sighted")).gold:
        desk.judge("ben", next_id, known(desk, next_id))
    assert desk.row(next_id).item_id in theirs
    assert desk.standing("ann") == "active"  # the count began anew
    check(store)


def test_a_retired_item_counts_no_more(store: Database) -> None:
    desk = project(store, ENTRY, gold=5)
    start(desk, "ann")
    first = desk.claim("ann")
    desk.judge("ann", first, known(desk, first, right=False))
    store.write(
        lambda c: c.execute(update(item).where(item.c.id == desk.row(first).item_id).values(retired=True)).rowcount
    )
    for _ in range(4):
        slot_id = desk.claim("ann")
        desk.judge("ann", slot_id, known(desk, slot_id))
    assert desk.standing("ann") == "active"


def test_a_gold_item_that_is_let_go_is_for_nobody_else(store: Database) -> None:
    desk = project(store, ENTRY, gold=6)
    start(desk, "ann")
    slot_id = desk.claim("ann")
    desk.release("ann", slot_id)
    assert desk.row(slot_id).state == "open"  # as of any item
    ben = desk.claim("ben")
    assert ben is not None
    assert ben != slot_id
    desk.heartbeat("ann", slot_id)  # the page was loaded again
    desk.release("ann", slot_id)
    assert desk.claim("ann") == slot_id


def test_to_skip_a_gold_item_counts_and_the_entry_test_ends(store: Database) -> None:
    desk = project(store, ENTRY, gold=4)
    for _ in range(2):  # the items of the first round come again
        start(desk, "ann")
        for _ in range(4):
            slot_id = desk.claim("ann")
            assert slot_id is not None
            desk.skip("ann", slot_id)
        assert desk.why("ann")["code"] == "entry_failed"


def test_who_skips_the_hidden_ones_is_stopped(store: Database) -> None:
    desk = project(store, replace(HIDDEN, gold_frac=1.0), videos=6, objects=1, gold=16)
    for _ in range(gold.MIN_ANSWERS + 1):  # the first is a real one
        desk.skip("ann", desk.claim("ann"))
    assert desk.why("ann")["code"] == "stopped"
    check(store)


def test_gold_slots_look_like_others(store: Database) -> None:
    desk = project(store, replace(HIDDEN, gold_frac=0.5), videos=20, objects=2, gold=30)
    had = []
    for _ in range(16):
        slot_id = desk.claim("ann", "sighted")
        with store.read() as connection:
            view = item_views.slot_view(connection, desk.ids["ann"], slot_id, 0.0)
        assert view is not None
        is_gold = bool(desk.row(slot_id).gold)
        had.append((is_gold, slot_id, view["slot"]["version"], view["item"]["version"]))
        desk.judge("ann", slot_id, known(desk, slot_id) if is_gold else "accept")
    assert {(slot_version, item_version) for _, _, slot_version, item_version in had} == {(2, 1)}
    first_ids = [slot_id for is_gold, slot_id, *_ in had if is_gold]
    assert first_ids
    assert min(first_ids) <= 40  # the project began with 40 slots


def test_gold_comes_in_the_blind_pass_too(store: Database) -> None:
    desk = project(store, HIDDEN, videos=8, objects=1, gold=12)
    for _ in range(8):
        slot_id = desk.claim("ben", "sighted")
        desk.judge("ben", slot_id, known(desk, slot_id) if desk.row(slot_id).gold else "accept")
    golds = []
    for _ in range(5):
        next_id = desk.ask("ann", "blind").slot_id
        if next_id is None:
            break
        row = desk.row(next_id)
        desk.point("ann", next_id, hit=row.gold != "swapped")
        desk.judge("ann", next_id, known(desk, next_id) if row.gold else "accept")
        golds += [row.kind] if row.gold else []
    assert set(golds) == {"blind"}
    with store.read() as connection:
        rights = connection.execute(
            select(judgement.c.gold_right).where(judgement.c.kind == "blind", judgement.c.gold_right.is_not(None))
        ).scalars()
        assert all(rights)
    assert not gold.is_right("good", Decision.ACCEPT, hit=False)


def together(store: Database, settings: Settings, mates: int, **kwargs: Any) -> Desk:
    """A project whose gold items are `mates` of a video, as an import makes them."""
    desk = project(store, settings, **kwargs)

    def add(c: Connection) -> None:
        videos = c.execute(select(item.c.video_id).where(item.c.state == "gold").distinct()).scalars().all()
        for video_id in videos:
            for n in range(1, mates):
                at = add_masklet(c, video_id, n)
                add_item(c, at, video_id, f"{video_id}_{n}", gold=Gold.GOOD if n % 2 else Gold.SWAPPED)

    store.write(add)
    return desk


def test_blind_gold_comes_together_as_real_items_do(store: Database) -> None:
    desk = together(store, SMALL, 3, videos=4, objects=2, gold=4)
    for _ in range(8):
        desk.do("ben", "accept", "sighted")
    store.write(replace(HIDDEN, gold_frac=1.0).save)
    sizes = {True: Counter[str](), False: Counter[str]()}
    for _ in range(10):
        next_id = desk.ask("ann", "blind").slot_id
        if next_id is None:
            break
        row = desk.row(next_id)
        sizes[bool(row.gold)][row.video_id] += 1
        with store.read() as connection:
            view = item_views.slot_view(connection, desk.ids["ann"], next_id, 0.0)
        assert view is not None
        if view["pointing"] is None:
            desk.point("ann", next_id)
        else:
            assert view["pointing"]["revealed"]
            sizes[bool(row.gold)][row.video_id] -= 1
            desk.judge("ann", next_id, known(desk, next_id) if row.gold else "accept")
    assert set(sizes[False].values()) == {2}
    assert set(sizes[True].values()) == {3}
    check(store)


def test_blind_gold_that_was_let_go_is_answered_before_the_reveal(store: Database) -> None:
    desk = together(store, SMALL, 2, videos=4, objects=1, gold=4)
    for _ in range(2):
        desk.do("ben", "accept", "sighted")
    store.write(replace(HIDDEN, gold_frac=1.0).save)
    desk.do("ann", "accept", "blind")  # a real one comes first
    first = desk.claim("ann", "blind")
    assert desk.row(first).gold
    desk.release("ann", first)  # the page is loaded again
    other = desk.claim("ann", "blind")
    assert desk.row(other).video_id == desk.row(first).video_id
    assert other != first
    desk.point("ann", other)
    with pytest.raises(Problem, match="other blind items|missing"):
        desk.judge("ann", other)
    assert desk.claim("ann", "blind") == first
    desk.point("ann", first)
    desk.judge("ann", other, known(desk, other))


@pytest.mark.parametrize("of_gold", [False, True])
def test_what_is_let_go_after_the_first_answer_is_still_answered_before_the_reveal(
    store: Database, of_gold: bool
) -> None:
    """The page gives back what it fetched ahead, and the reveal waits for it: gold items as real ones."""
    desk = together(store, SMALL, 2, videos=4, objects=2, gold=4)
    for _ in range(4):
        desk.do("ben", "accept", "sighted")
    if of_gold:
        store.write(replace(HIDDEN, gold_frac=1.0).save)
        while not desk.row(first := desk.claim("ann", "blind")).gold:
            desk.find("ann", first)
            if desk.claim("ann", "blind") == first:
                desk.judge("ann", first)
    first = desk.claim("ann", "blind")
    video_id = desk.row(first).video_id
    with store.read() as connection:
        mine = select(slot.c.id).join_from(slot, item).where(slot.c.state == "leased", item.c.video_id == video_id)
        [ahead] = set(connection.execute(mine.where(slot.c.holder_id == desk.ids["ann"])).scalars()) - {first}
    desk.release("ann", ahead)
    assert not desk.find("ann", first)
    assert desk.claim("ann", "blind") == ahead
    assert desk.find("ann", ahead)
    assert bool(desk.row(ahead).gold) is of_gold
    check(store)


def test_gold_follows_gold_of_its_video_in_the_sighted_pass(store: Database) -> None:
    desk = together(store, replace(HIDDEN, gold_frac=0.4), 4, videos=12, objects=3, gold=6)
    videos, golds = [], []
    for _ in range(30):
        slot_id = desk.claim("ann", "sighted")
        row = desk.row(slot_id)
        videos.append(row.video_id)
        golds.append(bool(row.gold))
        desk.claim("ann", "sighted", prefetch=True)
        desk.judge("ann", slot_id, known(desk, slot_id) if row.gold else "accept")
    runs = [(video, len(list(group))) for video, group in groupby(videos)]
    assert max(length for video, length in runs if video.startswith("g")) > 1
    assert {length for video, length in runs[:-1] if video.startswith("v")} == {3}  # never torn apart by a gold item
    assert sum(golds) / 30 == pytest.approx(0.4, abs=0.1)


def test_no_gold_where_no_real_item_waits(store: Database) -> None:
    desk = project(store, replace(HIDDEN, gold_frac=1.0), videos=2, objects=1, gold=8)
    desk.skip("ann", desk.claim("ann"))
    assert desk.why("ann", "blind")["code"] == "all_done"  # a blind item could only be gold


def test_an_entry_test_is_always_finished(store: Database) -> None:
    """Whatever somebody does with the items: let go, skip, take back, lose them; and whatever an admin retires."""
    desk = project(store, replace(ENTRY, entry_items=6), gold=9)
    rng = random.Random(1)

    def retire(connection: Connection) -> None:
        some = connection.execute(select(item.c.id).where(item.c.state == "gold").limit(4)).scalars().all()
        connection.execute(update(item).where(item.c.id.in_(some)).values(retired=True))

    for _ in range(3):
        start(desk, "ann")
        for turn in range(60):
            if desk.standing("ann") != "entry" or desk.ask("ann").why:
                break
            slot_id = desk.claim("ann")
            assert desk.row(slot_id).gold
            desk.claim("ann", prefetch=True) if desk.ask("ann", prefetch=True).slot_id else None
            act = rng.choice(["release", "skip", "judge", "judge", "undo"])
            if act == "judge":
                desk.judge("ann", slot_id, known(desk, slot_id, right=rng.random() < 0.5))
            elif act == "undo":
                with suppress(Problem):
                    desk.undo("ann")
            else:
                getattr(desk, act)("ann", slot_id)
            if turn == 3:
                store.write(retire)
        assert desk.standing("ann") in ("active", "failed")
    check(store)


def test_an_undo_gives_a_short_expression_back_also_of_a_gold_item(store: Database) -> None:
    """Of a real item it comes back, so a gold item that lost it could be told by an undo."""
    desk = project(store, replace(HIDDEN, gold_frac=0.5), videos=6, objects=1, gold=8, wants_short=True)
    store.write(lambda c: c.execute(update(item).values(wants_short=True)).rowcount)
    given: dict[bool, Any] = {}
    while len(given) < 2:
        slot_id = desk.claim("ann", "sighted")
        is_gold = bool(desk.row(slot_id).gold)
        decision = known(desk, slot_id) if is_gold else "accept"
        short = "the thing on the left" if decision == "accept" else None
        desk.judge("ann", slot_id, decision, short=short)
        if short:
            assert desk.undo("ann")[1] == slot_id
            with store.read() as connection:
                view = item_views.slot_view(connection, desk.ids["ann"], slot_id, 0.0)
            assert view is not None
            given[is_gold] = view["draft"]["body"]["short"], view["item"]["wants_short"]
            desk.judge("ann", slot_id, decision, short=short)
    assert given[True] == given[False] == ("the thing on the left", True)
    check(store)


def test_the_fate_of_a_gold_item_that_was_let_go_is_that_of_a_real_one(store: Database) -> None:
    desk = project(store, replace(HIDDEN, gold_frac=0.5), videos=8, objects=1, gold=12)
    told: dict[bool, dict[str, Any] | None] = {}
    while len(told) < 2:
        slot_id = desk.claim("ann", "sighted", prefetch=True)
        desk.ask("ann", "blind")  # what was prefetched of another pass is put back
        with store.read() as connection:
            found = fates.fate(connection, desk.ids["ann"], slot_id)
        told[bool(desk.row(slot_id).gold)] = found
        desk.do("ann", "accept", "sighted")
    assert told[True] == told[False]
    assert (told[True] or {})["code"] == "taken"
