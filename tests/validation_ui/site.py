"""A whole app for tests of its shell: one person of each role, an item each of them may or may not see."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection, insert, select, update

from tests.validation_ui.judged import judge
from tests.validation_ui.rows import add_person, fill
from validation_ui.database import Database
from validation_ui.people import access
from validation_ui.schema import ItemState, Role, SlotKind, SlotState, item, slot
from validation_ui.serving import Serving
from validation_ui.web.app import create_app
from validation_ui.web.connections import server_options

SECRET = bytes(range(7, 39))
BASE = "http://127.0.0.1:8300"
CHUNK = "ab" * 32
ROLES = {"reader": "rea", "reviewer": "ann", "other": "ben", "adjudicator": "eve", "admin": "ada"}


@dataclass
class Site:
    """An app and its rows. `ann` holds a sighted slot of v0_o0 and a blind one of v1_o0, and has judged v2_o0."""

    app: FastAPI
    store: Database
    serving: Serving
    ids: dict[str, int]
    slots: dict[str, int]
    tokens: dict[str, str] = field(default_factory=dict)

    def session(self, name: str) -> str:
        """Cookie of a new session."""
        return self.store.write(lambda c: access.open_session(c, self.ids[name], self.store.now()))

    def client(self, name: str | None = None, *, token: str | None = None, csrf: bool = True) -> TestClient:
        """A browser in which `name` is signed in (all of theirs share a session), or that has the cookie `token`."""
        if name:
            token = self.tokens.get(name) or self.tokens.setdefault(name, self.session(name))
        client = TestClient(self.app, BASE, follow_redirects=False, raise_server_exceptions=False)
        if token:
            client.cookies.set(access.cookie_name(self.serving), token, domain="127.0.0.1", path="/")
            if csrf:
                client.headers["x-csrf-token"] = access.csrf_token(self.serving, access.hash_token(token))
        return client


def make_site(folder: Path, clock: Callable[[], float] = time.time, serving: Serving | None = None) -> Site:
    """The app on a new database in `folder`, with rows, a chunk of pictures and a source video. Close its store."""
    serving = serving or Serving(SECRET)
    store = Database(f"sqlite:///{folder}/validation.sqlite3", now=clock)
    store.create()
    (folder / "frames").mkdir()
    (folder / "frames" / f"{CHUNK}.bin").write_bytes(b"pictures")
    (folder / "sav_train" / "sav_000").mkdir(parents=True)
    (folder / "sav_train" / "sav_000" / "v0.mp4").write_bytes(b"video")

    def rows(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
        ids = fill(connection, gold=2)
        ids["rea"] = add_person(connection, "rea", Role.READER)
        ids["ada"] = add_person(connection, "ada", Role.ADMIN)
        judge(connection, ids["v2_o0"], ids["ann"], at=store.now())
        connection.execute(update(item).where(item.c.id == ids["v1_o0"]).values(state=ItemState.BLIND))
        held = {
            "state": SlotState.LEASED,
            "holder_id": ids["ann"],
            "lease_until": store.now() + 900,
            "claimed_at": store.now(),
        }
        sighted = connection.execute(select(slot.c.id).where(slot.c.item_id == ids["v0_o0"])).scalar_one()
        connection.execute(update(slot).where(slot.c.id == sighted).values(**held))
        row = {"item_id": ids["v1_o0"], "kind": SlotKind.BLIND, "n": 1, "priority": 0, **held}
        blind = connection.execute(insert(slot).returning(slot.c.id), row).scalar_one()
        return ids, {"sighted": sighted, "blind": blind}

    ids, slots = store.write(rows)
    return Site(create_app(store, folder, folder, serving), store, serving, ids, slots)


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The app behind a real server; its address."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, **server_options(), lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()
