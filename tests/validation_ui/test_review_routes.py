"""The review routes over HTTP: what a page is told, and what it is not."""

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.desk import Desk
from tests.validation_ui.rows import ANNOTATED, SMALL, bar, fill
from validation_ui.database import Database
from validation_ui.people import access
from validation_ui.schema import Gold, Role, item, masklet, person, slot, video
from validation_ui.serving import Serving
from validation_ui.web.app import create_app

ORIGIN = "http://127.0.0.1:8000"
RIGHT = {"object": "right", "scene": "right", "video": "right"}
ON_0 = [{"frame": 0, "x": 10 / 160, "y": 0.5}, {"frame": 24, "x": 16 / 160, "y": 0.5}]


class Project(Desk):
    """A served project; `client(who)` is somebody's browser."""

    def __init__(self, store: Database, folder: Path) -> None:
        super().__init__(store, store.write(lambda c: fill(c, videos=2, objects=2, gold=2)))
        self.serving = Serving(secret=os.urandom(32))
        self.app = create_app(store, folder, folder, self.serving)

    def client(self, who: str) -> TestClient:
        token = self.store.write(lambda c: access.open_session(c, self.ids[who], self.store.now()))
        client = TestClient(self.app, base_url=ORIGIN)
        client.cookies.set(access.cookie_name(self.serving), token)
        csrf = access.csrf_token(self.serving, access.hash_token(token))
        client.headers.update({"X-CSRF-Token": csrf, "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"})
        return client

    def change(self, statement: Any) -> None:
        self.store.write(lambda c: c.execute(statement).rowcount)


@pytest.fixture
def project(tmp_path: Path, clock: Clock) -> Iterator[Project]:
    store = Database(f"sqlite:///{tmp_path}/v.sqlite3", now=clock)
    store.create()
    yield Project(store, tmp_path)
    store.close()


def claim(client: TestClient, *kinds: str) -> dict[str, Any]:
    answer = client.post("/api/claim", json={"kinds": kinds or ["sighted", "blind", "adjudicate"]})
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def submit(client: TestClient, view: dict[str, Any], *, key: str = "key-00001", **body: Any) -> Any:
    said = {"decision": "accept", "parts": RIGHT, "watched_frac": 1} | body
    headers = {"Idempotency-Key": key, "If-Match": f'"{view["item"]["version"]}"'}
    return client.post(f"/api/slots/{view['slot']['id']}/submit", json=said, headers=headers)


def test_an_item_from_the_claim_to_the_split(project: Project) -> None:
    ann, ben = project.client("ann"), project.client("ben")
    view = claim(ann)
    url = f"/api/slots/{view['slot']['id']}"
    assert view["video"]["annotated"] == list(range(0, 48, 4))
    assert ann.get(view["masks"]).json() == {"size": [90, 160], "annotated": view["video"]["annotated"], "rles": bar(0)}
    assert ann.post(f"{url}/heartbeat", json={}).json()["lease_until"] == view["slot"]["lease_until"]
    assert ann.put(f"{url}/draft", json={"body": {"note": "so far"}, "version": 0}).json() == {"version": 1}
    assert ann.get(url).json()["draft"]["body"] == {"note": "so far"}
    answer = submit(ann, view)
    assert answer.json() == {"judgement": 1, "undo": 1}
    assert submit(ann, view).json() == answer.json()
    assert submit(ann, view, key="key-00002").status_code == 409

    view = claim(ben, "blind")
    url = f"/api/slots/{view['slot']['id']}"
    assert (view["slot"]["kind"], view["masks"], view["pointing"]) == ("blind", None, None)
    assert ben.get(f"{url}/masks").status_code == 404
    pointed = ben.post(f"{url}/pointing", json={"answer": "pointed", "points": ON_0}).json()
    assert pointed == {"answer": "pointed", "needs_extent": False, "outlines": [], "revealed": True} | {
        "waits": False,
        "hit": True,
        "next": None,
    }
    assert len(ben.get(ben.get(url).json()["masks"]).json()["rles"]) == ANNOTATED
    assert submit(ben, view).status_code == 200
    assert [row["can_undo"] for row in ben.get("/api/mine").json()] == [True]
    undone = ben.post("/api/undo", json={}).json()
    assert (undone["undone"], undone["slot"]["draft"]["body"]["decision"]) == (2, "accept")
    for _ in range(2):  # after the reveal it stays ben's: nobody else is asked for what ben answered
        assert ben.post(f"{url}/release", json={}).status_code == 204
        assert ben.get(url).status_code == 200
    view = claim(project.client("cy"), "sighted")
    url = f"/api/slots/{view['slot']['id']}"
    cy = project.client("cy")
    assert cy.post(f"{url}/release", json={}).status_code == 204
    assert cy.post(f"{url}/release", json={}).status_code == 409
    assert cy.get(url).status_code == 404


def test_a_blind_answer_brings_the_next_item_to_pages_that_ask_for_it(project: Project) -> None:
    for _ in range(2):
        project.do("dan", "accept", "sighted")
    ben = project.client("ben")
    first = claim(ben, "blind")
    url, absent = f"/api/slots/{first['slot']['id']}/pointing", {"answer": "absent"}
    told = ben.post(url, json=absent).json()
    assert (told["waits"], told["next"]) == (True, None)
    asked = [ben.post(url, json=absent | {"next_kinds": ["sighted", "blind"]}) for _ in range(2)]
    assert asked[0].json() == asked[1].json() == told | {"next": claim(ben)}
    other = asked[0].json()["next"]
    assert other["slot"]["id"] != first["slot"]["id"]
    assert {answer.headers["cache-control"] for answer in asked} == {"no-store"}
    last = ben.post(f"/api/slots/{other['slot']['id']}/pointing", json=absent | {"next_kinds": ["blind"]}).json()
    assert (last["revealed"], last["next"]) == (True, None)


def test_nothing_before_the_click_tells_the_object(project: Project) -> None:
    """The views of two objects of one video differ in ids and text alone, whatever their masks are."""
    project.change(update(video).values(chunks=[{"first": 0, "key": "a.bin", "rest": "b.bin"}]))
    counts = zlib.compress(json.dumps(bar(1, visible=[7])).encode())
    project.change(
        update(masklet)
        .where(masklet.c.object_id == "v0/manual/1")
        .values(rles=counts, areas_px=[0] * 7 + [600] + [0] * 4)
    )
    project.change(update(item).where(item.c.id == project.ids["v0_o1"]).values(wants_short=True, overlap=False))
    ann = project.client("ann")
    for key in ("key-00001", "key-00002"):
        view = claim(ann, "sighted")
        assert view["video"]["media_id"] == "m_v0"
        short = {"short": "a red bar"} if view["item"]["wants_short"] else {}
        assert submit(ann, view, key=key, **short).status_code == 200
    seen, names = [], set()
    for who in ("ben", "cy"):
        client = project.client(who)
        view = claim(client, "blind")
        while view["item"]["kind"] == "short" or view["item"]["public_id"] in names:
            client.post(f"/api/slots/{view['slot']['id']}/skip", json={"reason": ""})
            view = claim(client, "blind")
        url = f"/api/slots/{view['slot']['id']}"
        raw = client.get(url)
        assert raw.json() == view
        words = raw.text.replace(view["item"]["public_id"], "ITEM").replace(f'"id":{view["slot"]["id"]}', '"id":0')
        for part in view["item"]["parts"]:
            words = words.replace(part["text"], "TEXT")
        headers = {name: value for name, value in raw.headers.items() if name not in ("content-length", "date")}
        hidden = client.get(f"{url}/masks"), client.get(f"/api/items/{view['item']['public_id']}/masks")
        seen.append((words, headers, [(answer.status_code, answer.text) for answer in hidden]))
        assert [answer.status_code for answer in hidden] == [404, 404]
        names.add(view["item"]["public_id"])
        freed = {"state": "open", "holder_id": None, "lease_until": None, "claimed_at": None, "version": 1}
        project.change(update(slot).where(slot.c.kind == "blind").values(freed))
    assert len({words for words, _, _ in seen}) == 1
    assert seen[0] == seen[1]


def test_gold_items_look_like_any_other(project: Project) -> None:
    real = claim(project.client("ann"))
    project.change(update(item).where(item.c.gold == Gold.NONE).values(state="dropped"))
    project.change(update(person).where(person.c.name == "ben").values(standing="entry"))
    project.store.write(replace(SMALL, entry_items=2).save)
    ben = project.client("ben")
    known = claim(ben)
    assert known["slot"].pop("entry") == {"done": 0, "of": 2}
    assert real["slot"].pop("entry") is None

    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: shape(inner) for name, inner in value.items()}
        return [shape(inner) for inner in value] if isinstance(value, list) else type(value)

    assert shape(known) == shape(real)
    assert "gold" not in ben.get(f"/api/slots/{known['slot']['id']}").text.replace("gold_0", "").replace("gold_1", "")
    assert submit(ben, known).json()["undo"] == 1
    public_id = known["item"]["public_id"]
    assert set(ben.get(f"/api/items/{public_id}").json()["item"]) == {"public_id", "kind", "version", "parts"}


def test_a_changed_text_is_answered_with_both(project: Project) -> None:
    ann, ben = project.client("ann"), project.client("ben")
    submit(ann, claim(ann), decision="edit", text={"object": "Ann's."})
    view = claim(ben, "blind")
    ann.post("/api/undo", json={})
    answer = submit(ben, view)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["version"]) == (412, "text_changed", 3)
    assert (error["base"]["object"], error["theirs"]["object"]) == ("Ann's.", "The object text of v0_o0.")


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "/api/claim", {"kinds": []}),
        ("POST", "/api/claim", {"kinds": ["gold"]}),
        ("POST", "/api/claim", {"kinds": ["sighted"], "person_id": 1}),
        ("POST", "/api/slots/1/heartbeat", {"lease_s": 1e9}),
        ("POST", "/api/slots/0/heartbeat", {}),
        ("POST", "/api/slots/1/submit", {"decision": "accept"}),  # no key
        ("PUT", "/api/slots/1/draft", {"body": [], "version": 0}),
        ("POST", "/api/slots/1/skip", {"reason": "x" * 41}),
        ("POST", "/api/slots/1/pointing", {"answer": "pointed", "points": [{"frame": 0, "x": 2, "y": 0}]}),
        ("POST", "/api/slots/1/extent", {"choice": -1}),
        ("POST", "/api/slots/1/extent", {"choice": 0, "next_kinds": ["blind"] * 4}),
        ("POST", "/api/slots/1/pointing", {"answer": "absent", "next_kinds": ["gold"]}),
        ("GET", "/api/items/..%2f..%2fsecret", None),
    ],
)
def test_bodies_are_as_they_must_be(project: Project, method: str, url: str, body: Any) -> None:
    answer = project.client("ann").request(method, url, json=body)
    assert answer.status_code in (404, 422)
    assert answer.json()["error"]["code"] in ("invalid", "not_found")


def test_links_open_for_those_who_may_know(project: Project) -> None:
    project.do("ann", "accept", "sighted")
    project.change(update(person).where(person.c.name == "dan").values(role=Role.READER))
    url = "/api/items/p_v0_o0"
    expected = {"ann": 200, "ben": 404, "eve": 404, "dan": 200}  # an adjudicator sees what waits for one, or is settled
    assert {who: project.client(who).get(url).status_code for who in expected} == expected
    assert {who: project.client(who).get(f"{url}/masks").status_code for who in expected} == expected
    assert {who: project.client(who).get("/api/items/p_gold_0").status_code for who in expected} == dict.fromkeys(
        expected, 404
    )
    assert project.client("dan").post("/api/claim", json={"kinds": ["sighted"]}).status_code == 403


def test_opinions_have_no_names(project: Project) -> None:
    project.do("ann", "accept", "sighted")
    blind = project.claim("ben", "blind")
    project.point("ben", blind, hit=False)
    project.judge("ben", blind, "edit", text={"object": "Another."}, note="I saw two")
    raw = project.client("eve").post("/api/claim", json={"kinds": ["adjudicate"]})
    first, second = raw.json()["opinions"]
    assert (first["label"], first["kind"], first["decision"], first["pointing"]) == ("A", "sighted", "accept", None)
    assert (second["label"], second["text"]["object"], second["note"]) == ("B", "Another.", "I saw two")
    assert (second["pointing"]["answer"], second["pointing"]["hit"]) == ("pointed", False)
    assert not any(name in raw.text for name in ('"ann"', '"ben"', "person"))
    assert "opinions" in claim(project.client("cy"))
    assert claim(project.client("cy"))["opinions"] == []


def test_a_link_does_not_tell_gold_items_to_an_adjudicator(project: Project) -> None:
    """Whatever is done with an item, its link answers as that of a real item does."""
    eve = project.client("eve")
    told: dict[bool, list[Any]] = {True: [], False: []}
    for name, is_gold in (("v0_o0", False), ("gold_0", True)):
        item_id, public_id = project.ids[name], f"p_{name}"
        held = {"item_id": item_id, "kind": "sighted", "n": 9, "state": "leased", "holder_id": project.ids["eve"]}
        row = {"priority": 0, "version": 2, "lease_until": project.store.now() + 900, "claimed_at": project.store.now()}
        project.change(insert(slot).values(**held, **row))
        with project.store.read() as connection:
            slot_id = connection.execute(select(slot.c.id).where(slot.c.item_id == item_id, slot.c.n == 9)).scalar_one()
        if not is_gold:
            project.change(update(slot).where(slot.c.item_id == item_id, slot.c.n == 1).values(state="void"))
        link = f"/api/items/{public_id}"
        told[is_gold].append(eve.get(link).status_code)  # before the answer
        body = {"decision": "edit", "text": {"object": "New words."}, "watched_frac": 1.0}
        headers = {"Idempotency-Key": f"key-{item_id:06}", "If-Match": '"1"'}
        assert eve.post(f"/api/slots/{slot_id}/submit", json=body, headers=headers).status_code == 200
        shown = eve.get(link).json()["item"]
        told[is_gold] += [sorted(shown), shown["version"], shown["parts"][0]["text"]]
        history = eve.get(f"{link}/history").json()["judgements"]
        told[is_gold] += [[(one["mine"], one["decision"]) for one in history]]
    assert told[True] == told[False]
    assert told[True][:1] == [404]
