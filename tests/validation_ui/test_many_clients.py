"""Two hundred people at once: no item twice, no overshoot, nothing lost."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from sqlalchemy import Connection, func, insert, select

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, fill
from validation_ui.database import Database
from validation_ui.judging import leases
from validation_ui.problem import Problem
from validation_ui.schema import Role, Standing, item, judgement, person, slot

CLIENTS, VIDEOS, OBJECTS = 200, 12, 3
SETTINGS = replace(SMALL, long=15, videos=10, per_video=2)  # all three run out while many are at work


def test_many_clients(store: Database) -> None:
    names = [f"p{k}" for k in range(CLIENTS)]

    def project(connection: Connection) -> dict[str, int]:
        ids = fill(
            connection, videos=VIDEOS, objects=OBJECTS, reviewers=(), adjudicators=(), overlap=True, settings=SETTINGS
        )
        rows = [
            {
                "id": 100 + k,
                "name": name,
                "name_key": name,
                "role": Role.REVIEWER,
                "standing": Standing.ACTIVE,
                "password_hash": "!",
                "created_at": 0.0,
            }
            for k, name in enumerate(names)
        ]
        connection.execute(insert(person), rows)
        return ids | {name: 100 + k for k, name in enumerate(names)}

    desk = Desk(store, store.write(project))
    given: list[tuple[int, str]] = []
    kept: list[int] = []
    ready = threading.Barrier(CLIENTS)

    def client(who: str) -> None:
        ready.wait()
        while (slot_id := desk.ask(who).slot_id) is not None:
            given.append((slot_id, who))
            if desk.row(slot_id).kind == "blind" and not desk.find(who, slot_id):
                continue  # the other texts of the video come first
            kept.append(desk.judge(who, slot_id))

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, name) for name in names]:
            done.result()

    check(store)
    assert max(Counter(slot_id for slot_id, _ in set(given)).values()) == 1
    assert len(set(given)) == len(kept) == len(set(kept))
    with store.read() as connection:
        assert sorted(kept) == sorted(connection.execute(select(judgement.c.id)).scalars())
        states = Counter(connection.execute(select(item.c.state)).scalars())
        assert connection.execute(select(func.count()).where(slot.c.state == "leased")).scalar_one() == 0
    assert sum(states.values()) == VIDEOS * OBJECTS
    assert 0 < states["accepted"] <= SETTINGS.long


def test_one_person_in_many_tabs_is_given_one_item(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c)))
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(lambda _: desk.claim("ann"), range(16)))) == 1


def test_one_submit_sent_many_times_is_kept_once(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c)))
    slot_id = desk.claim("ann")
    with ThreadPoolExecutor(16) as pool:
        same = set(pool.map(lambda _: desk.judge("ann", slot_id, key="the-same-key", version=1), range(16)))
    assert len(same) == 1
    check(store)


def test_the_same_row_from_many_tabs_is_written_once(store: Database) -> None:
    """Two requests that both find it missing both insert it; PostgreSQL refuses one, which is tried again."""
    desk = Desk(store, store.write(lambda c: fill(c, videos=4)))
    slot_id, ann = desk.claim("ann"), desk.ids["ann"]
    ready = threading.Barrier(8)

    def send(video_id: str) -> int:
        def work(connection: Connection) -> None:
            leases.mark_seen(connection, ann, video_id, 1.0)

        ready.wait()
        store.write(work)
        with suppress(Problem):  # another tab has written a newer draft
            return store.write(
                lambda c: leases.save_draft(c, person_id=ann, slot_id=slot_id, body={}, version=0, now=1.0)
            )
        return 0

    with ThreadPoolExecutor(8) as pool:
        for video_id in ("v1", "v2", "v3"):
            assert sum(pool.map(send, [video_id] * 8)) == (video_id == "v1")


def test_one_slot_is_answered_once(store: Database) -> None:
    desk = Desk(store, store.write(lambda c: fill(c)))
    slot_id = desk.claim("ann")

    def send(k: int) -> int:
        with suppress(Problem):
            return desk.judge("ann", slot_id, key=f"key-number-{k}", version=1)
        return 0

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(send, range(16)))[-2:] == [0, 1]
    check(store)
