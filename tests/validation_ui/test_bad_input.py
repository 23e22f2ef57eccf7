"""What is sent that cannot be kept: refused with a sentence, and nobody's queue breaks afterwards."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert

from tests.validation_ui.desk import Desk, check
from tests.validation_ui.rows import SMALL, fill
from validation_ui.database import Database
from validation_ui.judging.verdict import clean, clean_short
from validation_ui.people import access
from validation_ui.schema import draft
from validation_ui.serving import Serving
from validation_ui.settings import MAX_TEXT_CHARS
from validation_ui.strict_json import MAX_DEPTH, fault, parse
from validation_ui.web.app import create_app

DEEP = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
BAD = {
    "nan": "NaN",
    "infinity": "-Infinity",
    "overflow": "1e400",
    "half a pair": '"\\ud83d"',
    "half a pair in a name": '{"a\\udc00": 1}',
    "nul": '"a\\u0000b"',
    "deep": DEEP,
    "very deep": "[" * 30_000,
    "long number": "9" * 5000,
    "large number": str(2**60),
    "no json": "{",
    "byte order mark": "\ufeff{}",
    "utf-16": '{"a": 1}'.encode("utf-16-le"),
    "not utf-8": b'"\xff"',
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD)
def test_only_json_that_can_be_sent_again_is_parsed(sent: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        parse(sent if isinstance(sent, bytes) else sent.encode())


def test_good_json_is_parsed_as_it_is() -> None:
    value = {"a": [1, -2.5, True, None, "é 😀\n"], "b": {"c": {}}}
    assert parse(json.dumps(value).encode()) == value
    assert fault(value) is None
    assert fault({"a": [float("nan")]}) == "a number must be finite, got nan at a[0]; leave it out"


@pytest.mark.parametrize(
    "newline", ["\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
def test_a_pasted_newline_becomes_a_blank(newline: str) -> None:
    assert clean(f"the left{newline}red  bar{newline}") == "the left red bar"
    assert clean_short(f"the left{newline}\tbar", SMALL) == "the left bar"
    assert clean(f" a{newline}b", lines=True) == "a\nb"


@pytest.mark.parametrize("hidden", "\x00\x07\x1b\x7f\u200b\u202e\u2066\ufeff\ue000\u034f\u1160\u2800\u3164\uffa0")
def test_what_cannot_be_seen_is_refused(hidden: str) -> None:
    for lines in (False, True):
        with pytest.raises(ValueError, match=f"got U\\+{ord(hidden):04X}; remove it"):
            clean(f"a{hidden}b", lines=lines)


@pytest.mark.parametrize("nothing", ["", " \n", "\ufe0f \ufe0f \ufe0f", "\u0301 \u0301 \u0301"])
def test_a_text_of_nothing_that_is_drawn_is_empty(nothing: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        clean(nothing)
    assert clean("a red \u2764\ufe0f") == "a red \u2764\ufe0f"


def test_the_limit_is_of_the_text_as_it_is_kept() -> None:
    assert len(clean("a" * MAX_TEXT_CHARS + "\n")) == MAX_TEXT_CHARS
    with pytest.raises(ValueError, match=f"at most {MAX_TEXT_CHARS} characters, got {MAX_TEXT_CHARS + 1}"):
        clean("a" * (MAX_TEXT_CHARS + 1))


class Project(Desk):
    def __init__(self, store: Database, folder: Path) -> None:
        super().__init__(store, store.write(lambda c: fill(c, videos=2, objects=2)))
        self.serving = Serving(secret=os.urandom(32))
        self.app = create_app(store, folder, folder, self.serving)

    def client(self, who: str) -> TestClient:
        token = self.store.write(lambda c: access.open_session(c, self.ids[who], self.store.now()))
        client = TestClient(self.app, base_url="http://127.0.0.1:8300", raise_server_exceptions=False)
        client.cookies.set(access.cookie_name(self.serving), token)
        client.headers.update({"X-CSRF-Token": access.csrf_token(self.serving, access.hash_token(token))})
        return client


@pytest.fixture
def project(store: Database, tmp_path: Path) -> Project:
    return Project(store, tmp_path)


def send(client: TestClient, method: str, address: str, body: str | bytes) -> Any:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "key-00001", "If-Match": '"1"'}
    content = body if isinstance(body, bytes) else body.encode(errors="surrogatepass")
    return client.request(method, address, content=content, headers=headers)


def test_every_route_refuses_it_and_the_queue_goes_on(project: Project) -> None:
    ann = project.client("ann")
    slot_id = ann.post("/api/claim", json={"kinds": ["sighted"]}).json()["slot"]["id"]
    here = f"/api/slots/{slot_id}"
    shapes = [
        ("PUT", f"{here}/draft", '{"body": {"note": %s}, "version": 0}'),
        ("POST", f"{here}/submit", '{"decision": "reject", "reasons": ["other"], "note": %s}'),
        ("POST", f"{here}/submit", '{"decision": "edit", "text": {"object": %s}, "watched_frac": 1}'),
        ("POST", f"{here}/submit", '{"decision": "accept", "parts": {}, "watched_frac": %s}'),
        ("POST", f"{here}/pointing", '{"answer": "pointed", "points": [{"frame": %s, "x": 0, "y": 0}]}'),
        ("POST", f"{here}/pointing", '{"answer": "ambiguous", "candidates": %s}'),
        ("POST", f"{here}/extent", '{"choice": %s}'),
        ("POST", f"{here}/skip", '{"reason": %s}'),
        ("POST", "/api/claim", '{"kinds": [%s]}'),
        ("POST", "/api/login", '{"name": %s, "password": "x"}'),
        ("PATCH", "/api/me", '{"hotkeys": {"play": %s}}'),
    ]
    wrong_types = ["null", "[]", "{}", '"x"', "-1", "0.5", "true", "[[1]]", '{"a": 1}']
    for method, address, shape in shapes:
        for value in BAD.values():
            if isinstance(value, str):
                answer = send(ann, method, address, shape.replace("%s", value))
                assert answer.status_code == 400, (address, shape, value[:40], answer.text)
                message = answer.json()["error"]["message"]
                assert message.endswith(".")
                assert message[0].isupper()
        if "draft" not in address:  # there any JSON is kept
            for value in wrong_types:
                assert send(ann, method, address, shape.replace("%s", value)).status_code < 500
    whole = {"frame": "0", "x": "0", "y": "0"}
    for value in ("true", '"0"', '" 0 "', "null"):
        for name in whole:
            point = json.dumps(whole | {name: "?"}).replace('"0"', "0").replace('"?"', value)
            body = f'{{"answer": "pointed", "brief": true, "points": [{point}]}}'
            assert send(ann, "POST", f"{here}/pointing", body).status_code == 422, body
        assert send(ann, "PUT", f"{here}/draft", f'{{"body": {{}}, "version": {value}}}').status_code == 422
        assert send(ann, "POST", f"{here}/extent", f'{{"choice": {value}}}').status_code == 422
    for value in ("1", "0", '"yes"'):
        assert send(ann, "POST", "/api/claim", f'{{"kinds": ["sighted"], "prefetch": {value}}}').status_code == 422
    assert send(ann, "POST", f"{here}/skip", '{"reason": "a\u202eb"}').status_code == 422
    for value in ("NaN", "1", '"x"', "[]", "null"):
        assert 400 <= send(ann, "PUT", f"{here}/draft", f'{{"body": {value}, "version": 0}}').status_code < 500
    assert ann.get("/api/items/%00/history").status_code == 404
    assert ann.get("/media/videos/a%00").status_code == 404
    assert ann.post("/api/claim", json={"kinds": ["sighted"]}).status_code == 200
    check(project.store)


def test_a_bad_draft_of_an_earlier_release_does_not_break_the_queue(project: Project) -> None:
    ann = project.client("ann")
    slot_id = ann.post("/api/claim", json={"kinds": ["sighted"]}).json()["slot"]["id"]
    row = {"slot_id": slot_id, "person_id": project.ids["ann"], "body": {"note": "\ud800"}, "version": 3, "saved_at": 1}
    project.store.write(lambda c: c.execute(insert(draft).values(**row)).rowcount)
    answer = ann.post("/api/claim", json={"kinds": ["sighted"]})
    assert answer.status_code == 200
    assert answer.json()["draft"] == {"body": {}, "version": 3, "saved_at": 1.0}
    assert ann.put(f"/api/slots/{slot_id}/draft", json={"body": {"note": "new"}, "version": 3}).json() == {"version": 4}
