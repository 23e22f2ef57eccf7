"""The server is killed in the middle of its work, ten times: whatever it acknowledged is there."""

import multiprocessing
import os
import random
import threading
import time
from pathlib import Path

from sqlalchemy import select

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import fill
from validation_ui.database import Database
from validation_ui.schema import judgement

PEOPLE = tuple(f"p{k}" for k in range(8))


def serve(path: Path, ids: dict[str, int], out: int) -> None:
    """Several people judge at once; each judgement's id is written out when, and only when, it was acknowledged."""
    desk = Desk(Database(f"sqlite:///{path}"), ids)

    def work(who: str) -> None:
        while (slot_id := desk.ask(who).slot_id) is not None:
            row = desk.row(slot_id)
            if row.kind == "blind":
                desk.point(who, slot_id)
            decision = random.choice(("accept", "edit", "reject"))
            judgement_id = desk.judge(who, slot_id, decision, key=os.urandom(8).hex())
            os.write(out, f"{judgement_id} {decision}\n".encode())

    threads = [threading.Thread(target=work, args=(who,)) for who in PEOPLE]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite3"
    store = Database(f"sqlite:///{path}")
    store.create()
    ids = store.write(lambda c: fill(c, videos=40, objects=3, reviewers=PEOPLE))
    store.close()
    acknowledged: dict[int, str] = {}
    for _ in range(10):
        end, start = os.pipe()
        child = multiprocessing.get_context("fork").Process(target=serve, args=(path, ids, start))
        child.start()
        os.close(start)
        said, enough = b"", random.randint(1, 10)
        while said.count(b"\n") < enough:
            said += os.read(end, 1 << 16)
        time.sleep(random.uniform(0, 0.01))  # anywhere in the next piece of work
        child.kill()
        child.join()
        while more := os.read(end, 1 << 16):
            said += more
        os.close(end)
        whole = said[: said.rfind(b"\n") + 1].decode().splitlines()
        acknowledged |= {int(line.split()[0]): line.split()[1] for line in whole}
        store = Database(f"sqlite:///{path}")
        check(store)
        with store.read() as connection:
            kept = {row.id: row.decision for row in connection.execute(select(judgement))}
        store.close()
        assert acknowledged.items() <= kept.items()
