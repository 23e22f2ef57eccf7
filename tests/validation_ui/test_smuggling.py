"""Everybody tries everything over HTTP and by commands: no text gets into an export without a blind hit on it.

What counts as a hit is kept here, by what the test itself saw and pointed at, and not read from the server.
"""

import atexit
import copy
import json
import random
import re
import shutil
import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection

from manifests.io import Folder
from tests.validation_ui.desk import check
from tests.validation_ui.rows import SMALL, WIDTH_PX, add_person, fill
from tests.validation_ui.test_exporting import write_source
from validation_ui.__main__ import main
from validation_ui.exporting import ExportError, export
from validation_ui.people import access
from validation_ui.project import Project
from validation_ui.schema import Role, item, meta, slot
from validation_ui.serving import Serving
from validation_ui.web.app import create_app

PEOPLE = ("ann", "ben", "cy", "dan", "eve", "fay", "ada")
WHO = st.sampled_from(PEOPLE)
SERVING = Serving(bytes(range(32)))
VIDEOS, OBJECTS = 2, 2
ITEMS = VIDEOS * OBJECTS + 3  # and some of the short expressions
SLOT = st.integers(1, 40)
DECISIONS = ["accept"] * 6 + ["edit", "edit", "reject", "flag"]
ANSWERS = ["hit"] * 6 + ["miss", "ambiguous", "absent"]
WORDINGS = ["a first new wording", "a second new wording", "as it was"]
SEED = st.integers(0, 2**32)  # what hypothesis draws itself is small most of the time, and too little happens in it
QUOTAS = st.fixed_dictionaries(
    {},
    optional={
        "long": st.sampled_from([1, 3, 100]),
        "short": st.sampled_from([0, 1, 100]),
        "videos": st.sampled_from([1, 2, 100]),
        "per_video": st.sampled_from([1, 3]),
        "max_edits": st.sampled_from([0, 1, 2]),
        "overlap_frac": st.sampled_from([0.0, 0.5, 1.0]),
        "blind_overlap_frac": st.sampled_from([0.0, 0.5, 1.0]),
    },
)

pytestmark = pytest.mark.long

_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None
_RUN: list[Path] = []  # OUT of a run with a project, to copy; made once


def _run() -> Path:
    if not _RUN:
        out = Path(tempfile.mkdtemp(dir=_FAST))
        atexit.register(shutil.rmtree, out, ignore_errors=True)
        for number in range(VIDEOS):
            write_source(out / f"sav_train/sav_000/v{number}.mp4", number)
        (out / "run.json").write_text(json.dumps({"config": {"sav_root": str(out)}}))
        store = Project(Folder(str(out)), out / "validation").open()

        def rows(c: Connection) -> None:
            fill(c, videos=VIDEOS, objects=OBJECTS, wants_short=True, reviewers=PEOPLE[:4], adjudicators=PEOPLE[4:6])
            add_person(c, "ada", Role.ADMIN)
            c.execute(item.update().where(item.c.id % 3 == 1).values(overlap=True))
            c.execute(item.update().where(item.c.id % 3 == 2).values(blind_overlap=True))
            twice = {"kind": "sighted", "n": 2, "state": "open", "priority": 0}
            c.execute(slot.insert(), [{"item_id": n, **twice} for n in range(1, VIDEOS * OBJECTS + 1) if n % 3 == 1])
            c.execute(meta.insert().values(key="run", value={"out": Folder(str(out)).url}))

        store.write(rows)
        store.close()
        _RUN.append(out)
    return _RUN[0]


class Attackers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.out = _run()
        self.folder = Path(tempfile.mkdtemp(dir=_FAST))
        self.data = self.folder / "validation"
        shutil.copytree(self.out / "validation", self.data)
        self.late_s = 0.0
        self.keys = 0
        self.edits_as_before = True
        self.saw: set[tuple[str, str]] = set()  # (who, video): a mask of it
        self.found: set[tuple[str, str, str]] = set()  # (who, item, text): pointed at before any mask of the video
        self.backup: tuple[Path, Any, Any] | None = None
        self._open()

    def _open(self) -> None:
        self.store = Project(Folder(str(self.out)), self.data).open()
        self.store.now = lambda: time.time() + self.late_s
        self.ids = {row[1]: row[0] for row in self.sql("SELECT id, name FROM person")}
        self.app = create_app(self.store, self.data, self.out, SERVING)
        self.clients: dict[str, TestClient] = {}
        for who in PEOPLE:
            self._sign_in(who)

    def _sign_in(self, who: str) -> None:
        token = self.store.write(partial(access.open_session, person_id=self.ids[who], now=self.store.now()))
        client = self.clients[who] = TestClient(self.app, "http://127.0.0.1:8300")
        client.cookies.set(access.cookie_name(SERVING), token, domain="127.0.0.1", path="/")
        client.headers["x-csrf-token"] = access.csrf_token(SERVING, access.hash_token(token))

    def teardown(self) -> None:
        self.store.write(SMALL.save)  # so that quotas hide nothing
        self.export(final=True)
        self.store.close()
        shutil.rmtree(self.folder)

    def sql(self, query: str, *values: Any) -> list[Any]:
        with sqlite3.connect(self.data / "validation.sqlite3") as connection:
            return connection.execute(query, values).fetchall()

    def ask(self, who: str, method: str, path: str, **more: Any) -> Any:
        answer = self.clients[who].request(method, path, **more)
        assert answer.status_code < 500, answer.text
        return answer

    def command(self, *words: str) -> int:
        name, *more = words
        return main([name, str(self.out), "--data", str(self.data), *more])

    def work(self, who: str, decision: str, answer: str, wording: str) -> None:
        """Claim something and do it as the page does, or leave it."""
        kinds = ["adjudicate", "sighted", "blind"]
        view = self.ask(who, "POST", "/api/claim", json={"kinds": kinds}).json()
        if view["slot"] is None:
            return
        video = view["video"]["media_id"]
        url = f"/api/slots/{view['slot']['id']}"
        if view["slot"]["kind"] != "blind":
            self.saw.add((who, video))
        if answer == "left":
            return
        if view["slot"]["kind"] == "blind" and view["pointing"] is None:
            self.point(who, view, answer)
            again = self.ask(who, "GET", url)
            if again.status_code != 200:
                return  # they saw a mask since they were given it, and cannot answer it any more
            view = again.json()
        if "pointing" in view and view["pointing"] is not None:
            if view["pointing"]["needs_extent"]:
                self.ask(who, "POST", f"{url}/extent", json={"choice": 0})
            if view["pointing"]["revealed"]:
                self.saw.add((who, video))
        self.submit(who, view, view["item"]["version"], decision, wording)

    def point(self, who: str, view: dict[str, Any], answer: str) -> None:
        """Answer the blind question; only a hit at an object whose mask they never saw is honest."""
        name, number = view["item"]["public_id"], view["slot"]["id"]
        [[object_id]] = self.sql(
            "SELECT object_id FROM masklet JOIN item ON masklet.id = masklet_id WHERE public_id = ?", name
        )
        x = 20 * int(object_id.rpartition("/")[2]) + 10
        points = [{"frame": 4 * k, "x": (x + k if answer == "hit" else 159) / WIDTH_PX, "y": 0.5} for k in (0, 6)]
        said = {"answer": "pointed", "points": points} if answer in ("hit", "miss") else {"answer": answer}
        kinds = {"next_kinds": ["adjudicate", "sighted", "blind"]}
        told = self.ask(who, "POST", f"/api/slots/{number}/pointing", json=said | kinds)
        if told.status_code == 200 and view["pointing"] is not None:  # the first answer holds
            assert view["pointing"]["hit"] in (None, told.json()["hit"])
        elif told.status_code == 200 and answer == "hit":
            assert (who, view["video"]["media_id"]) not in self.saw, "asked blind about a video whose mask they saw"
            self.found.add((who, name, _text(view)))
        brought = told.json()["next"] if told.status_code == 200 else None
        if brought and brought["slot"] and brought["masks"]:
            self.saw.add((who, brought["video"]["media_id"]))

    def submit(self, who: str, view: dict[str, Any], version: int, decision: str, wording: str) -> None:
        self.keys += 1
        parts = [part["name"] for part in view["item"]["parts"]]
        body: dict[str, Any] = {"decision": decision, "watched_frac": 1.0, "reasons": []}
        if decision == "accept":
            body["parts"] = dict.fromkeys(parts, "right")
        elif decision == "edit":
            text = wording if wording != "as it was" else f"The {parts[0]} text of {view['item']['public_id'][2:]}."
            body["text"] = {parts[0]: text}
        else:
            body["reasons"] = ["other"]
        if view["item"]["wants_short"] and decision in ("accept", "edit"):
            body["short"] = "the one on the left"
        headers = {"Idempotency-Key": f"key-{self.keys:08}", "If-Match": f'"{version}"'}
        self.ask(who, "POST", f"/api/slots/{view['slot']['id']}/submit", json=body, headers=headers)

    @initialize(seed=SEED)
    def first_days(self, seed: int) -> None:
        self.a_day(seed, 60)

    @rule(seed=SEED, deeds=st.integers(3, 12))
    def a_day(self, seed: int, deeds: int) -> None:
        """Many people take what comes, and do it as the page does."""
        rng = random.Random(seed)
        for _ in range(deeds):
            who, chance = rng.choice(PEOPLE), rng.random()
            if chance < 0.1:
                self.undo(who)
            elif chance < 0.15:
                self.look_at_a_link(who, rng.randrange(ITEMS))
            elif chance < 0.2:
                self.point_unasked(who, rng.choice(ANSWERS))
            elif chance < 0.25:
                self.peek(who)
            else:
                self.work(who, rng.choice(DECISIONS), rng.choice([*ANSWERS, "left"]), rng.choice(WORDINGS))

    @rule(who=WHO, slot_id=SLOT, version=st.integers(1, 4), seed=SEED)
    def submit_unasked(self, who: str, slot_id: int, version: int, seed: int) -> None:
        """Judge any slot, held or not, of any version."""
        rng = random.Random(seed)
        rows = self.sql("SELECT public_id, kind FROM item WHERE id = (SELECT item_id FROM slot WHERE id = ?)", slot_id)
        if rows:
            names = ("short",) if rows[0][1] == "short" else ("object", "scene", "video")
            about = {"public_id": rows[0][0], "parts": [{"name": name} for name in names], "wants_short": False}
            view = {"slot": {"id": slot_id}, "item": about}
            self.submit(who, view, version, rng.choice(DECISIONS), rng.choice(WORDINGS))

    @rule(who=WHO, slot_id=SLOT, verb=st.sampled_from(["heartbeat", "release", "skip"]))
    def touch(self, who: str, slot_id: int, verb: str) -> None:
        self.ask(who, "POST", f"/api/slots/{slot_id}/{verb}", json={})

    @rule(who=WHO, answer=st.sampled_from(ANSWERS))
    def point_unasked(self, who: str, answer: str) -> None:
        """Answer a blind item that they were given some time ago, whatever they saw since."""
        held = self.sql("SELECT id FROM slot WHERE holder_id = ? AND kind = 'blind' ORDER BY id DESC", self.ids[who])
        for [slot_id] in held[:1]:
            view = self.ask(who, "GET", f"/api/slots/{slot_id}")
            if view.status_code == 200:
                self.point(who, view.json(), answer)

    @rule(who=WHO)
    def peek(self, who: str) -> None:
        """Look at the links of the video of a blind item before pointing."""
        view = self.ask(who, "POST", "/api/claim", json={"kinds": ["blind"]}).json()
        if view["slot"] is None or view["pointing"] is not None:
            return
        video = view["video"]["media_id"]
        for [name] in self.sql("SELECT public_id FROM item WHERE video_id = ?", video[2:]):
            if self.ask(who, "GET", f"/api/items/{name}/masks").status_code == 200:
                self.saw.add((who, video))
        self.point(who, view, "hit")

    @rule(who=WHO)
    def undo(self, who: str) -> None:
        view = self.ask(who, "POST", "/api/undo", json={}).json().get("slot")
        if view and view["masks"]:
            self.saw.add((who, view["video"]["media_id"]))

    @rule(who=WHO, n=st.integers(0, ITEMS))
    def look_at_a_link(self, who: str, n: int) -> None:
        names = self.sql("SELECT public_id, video_id FROM item ORDER BY id")
        name, video = names[n % len(names)]
        if self.ask(who, "GET", f"/api/items/{name}/masks").status_code == 200:
            self.saw.add((who, f"m_{video}"))

    @rule(
        n=st.integers(0, ITEMS),
        step=st.sampled_from(
            [
                ("reopen", {"since": "last"}),
                ("reopen", {"since": "start"}),
                ("withdraw", {"withdrawn": True}),
                ("withdraw", {"withdrawn": False}),
                ("assign", {}),
            ]
        ),
        who=WHO,
    )
    def steer(self, n: int, step: tuple[str, dict[str, Any]], who: str) -> None:
        verb, body = step
        names = self.sql("SELECT public_id FROM item ORDER BY id")
        name = names[n % len(names)][0]
        mark = self.ask("ada", "GET", f"/api/items/{name}/desk").json()["admin"]["mark"]
        body = body | {"mark": mark, "note": ""} | ({"person_id": self.ids[who]} if verb == "assign" else {})
        told = self.ask("ada", "POST", f"/api/items/{name}/{verb}", json=body)
        assert told.status_code in (200, 409), told.text

    @rule(
        who=st.sampled_from(PEOPLE[:-1]),
        change=st.sampled_from(
            [
                {"account": "paused"},
                {"account": "open"},
                {"account": "open"},
                {"role": "adjudicator"},
                {"role": "reviewer"},
                {"standing": "active"},
                "redo",
            ]
        ),
    )
    def manage(self, who: str, change: Any) -> None:
        at = f"/api/people/{self.ids[who]}"
        if change == "redo":
            self.ask("ada", "POST", f"{at}/redo", json={"since": 0})
        else:
            self.ask("ada", "PATCH", at, json=change)
            self._sign_in(who)  # a new role signs people out

    @rule(values=QUOTAS, by_page=st.booleans())
    def change_settings(self, values: dict[str, float], by_page: bool) -> None:
        self.edits_as_before &= "max_edits" not in values
        if by_page:
            tag = self.ask("ada", "GET", "/api/settings").json()["tag"]
            told = self.ask("ada", "PUT", "/api/settings", json={"values": values}, headers={"if-match": f'"{tag}"'})
            assert told.status_code == 200, told.text
        elif values:
            assert self.command("set", *(f"{name}={value}" for name, value in values.items())) == 0

    @rule()
    def import_with_other_settings(self) -> None:
        before = self.sql("SELECT value FROM meta WHERE key = 'settings'")
        assert self.command("import", "--set", "long=77") == 2
        assert self.sql("SELECT value FROM meta WHERE key = 'settings'") == before

    @rule()
    def make_a_backup(self) -> None:
        to = self.folder / "backup"
        to.unlink(missing_ok=True)
        assert self.command("backup", str(to)) == 0
        self.backup = to, copy.copy(self.saw), copy.copy(self.found)

    @precondition(lambda self: self.backup is not None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self.store.close()
        at, saw, found = self.backup
        assert self.command("restore", str(at)) == 0
        self.saw, self.found = copy.copy(saw), copy.copy(found)
        self._open()

    @rule(seconds=st.sampled_from([1.0, 130.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.late_s += seconds

    @rule(final=st.booleans())
    def export(self, final: bool) -> None:
        """Export, and look at each text of it."""
        to = self.folder / "split"
        refused = ""
        try:
            export(self.store, self.out, to, train=None, rewrite_train=False, now=self.store.now(), final=final)
        except ExportError as error:
            refused = str(error)
        if refused:
            assert re.match("a split (has at least one|keeps to its quotas)|a video has at most per_video", refused)
            return
        live = self.sql(
            """SELECT judgement.item_id, public_id, name, text_version.parts FROM judgement
            JOIN item ON item.id = judgement.item_id JOIN person ON person.id = judgement.person_id
            JOIN text_version ON text_version.id = judgement.text_id
            WHERE judgement.kind = 'blind' AND undone_at IS NULL"""
        )
        hits = {
            (item_id, " ".join(json.loads(parts).values()))
            for item_id, name, who, parts in live
            if (who, name, " ".join(json.loads(parts).values())) in self.found
        }
        for clip in json.loads((to / "meta_expressions_valid.json").read_text())["videos"].values():
            for item_id, expression in clip["expressions"].items():
                assert (int(item_id), expression["exp"]) in hits, expression

    @invariant()
    def holds(self) -> None:
        check(self.store, quotas=False, edits=self.edits_as_before)


def _text(view: dict[str, Any]) -> str:
    return " ".join(part["text"] for part in view["item"]["parts"])


TestAttackers = Attackers.TestCase
TestAttackers.settings = settings(
    max_examples=4,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.reuse, Phase.generate),
)
