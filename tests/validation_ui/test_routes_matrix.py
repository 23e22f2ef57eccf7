"""Every route with every identity: whoever adds a route must say here who may use it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from tests.validation_ui.conftest import Clock
from tests.validation_ui.site import BASE, CHUNK, ROLES, SECRET, Site, make_site
from validation_ui.serving import Serving
from validation_ui.web.app import create_app

EVERYBODY = frozenset(ROLES)
NOBODY_TOO = EVERYBODY | {"none"}
JUDGES = EVERYBODY - {"reader"}
WATCHERS = frozenset({"reader", "adjudicator", "admin"})
ADMIN = frozenset({"admin"})
SHOWN = EVERYBODY - {"other", "adjudicator"}  # who may open an item that ann judged and that waits in the sighted pass
PARTS = dict.fromkeys(("object", "scene", "video"), "right")
VERDICT: dict[str, Any] = {"decision": "accept", "parts": PARTS, "reasons": [], "note": "", "text": None, "short": None,
                           "watched_frac": 1.0}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """Who passes the door of a route, and for whose things it is there; to others these do not exist (404, 409)."""

    allowed: frozenset[str]
    body: Any = None
    owners: frozenset[str] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    statuses: frozenset[int] = frozenset({200, 201, 204})


ANN = frozenset({"reviewer"})
SUBMIT = {"Idempotency-Key": "0123456789abcdef", "If-Match": '"1"'}
STEP = {"mark": "as it was long ago"}
CONFLICT = frozenset({409})
OLD = {"If-Match": f'"{"0" * 32}"'}
RULES = {
    ("POST", "/api/login"): Rule(NOBODY_TOO, {"name": "ann", "password": "wrong"}, statuses=frozenset({401, 429})),
    ("POST", "/api/logout"): Rule(EVERYBODY),
    ("POST", "/api/invites/accept"): Rule(
        NOBODY_TOO, {"token": "x", "name": "Zoe", "password": "a lake in spring"}, statuses=frozenset({410})
    ),
    ("GET", "/api/me"): Rule(EVERYBODY),
    ("PATCH", "/api/me"): Rule(EVERYBODY, {"preferences": {"theme": "dark"}}),
    ("POST", "/api/me/password"): Rule(
        EVERYBODY, {"old": "no", "new": "a lake in spring"}, statuses=frozenset({403, 429})
    ),
    ("GET", "/api/people"): Rule(ADMIN),
    ("PATCH", "/api/people/{person_id}"): Rule(ADMIN, {"role": "reader"}),
    ("POST", "/api/people/{person_id}/sessions/revoke"): Rule(ADMIN),
    ("POST", "/api/people/{person_id}/reset"): Rule(ADMIN),
    ("GET", "/api/people/{person_id}/redo"): Rule(ADMIN),
    ("POST", "/api/people/{person_id}/redo"): Rule(ADMIN, {"since": 0}),
    ("GET", "/api/judgements"): Rule(ADMIN),
    ("POST", "/api/reset"): Rule(NOBODY_TOO, {"token": "x", "password": "a lake in spring"}, statuses=frozenset({410})),
    ("GET", "/api/invites"): Rule(ADMIN),
    ("POST", "/api/invites"): Rule(ADMIN, {"role": "reviewer"}),
    ("DELETE", "/api/invites/{invite_id}"): Rule(ADMIN, statuses=frozenset({404})),
    ("GET", "/api/gold"): Rule(ADMIN),
    ("PATCH", "/api/gold/{gold_id}"): Rule(ADMIN, {"retired": True}),
    ("GET", "/api/audit"): Rule(ADMIN),
    ("GET", "/api/audit/verify"): Rule(ADMIN),
    ("POST", "/api/claim"): Rule(JUDGES, {"kinds": ["sighted"], "prefetch": False}),
    ("GET", "/api/slots/{slot_id}"): Rule(JUDGES, owners=ANN),
    ("GET", "/api/slots/{slot_id}/fate"): Rule(JUDGES),
    ("GET", "/api/slots/{slot_id}/masks"): Rule(JUDGES, owners=ANN),
    ("POST", "/api/slots/{slot_id}/heartbeat"): Rule(JUDGES, {}, owners=ANN),
    ("POST", "/api/slots/{slot_id}/release"): Rule(JUDGES, {}, owners=ANN),
    ("POST", "/api/slots/{slot_id}/skip"): Rule(JUDGES, {"reason": ""}, owners=ANN),
    ("PUT", "/api/slots/{slot_id}/draft"): Rule(JUDGES, {"body": {}, "version": 0}, owners=ANN),
    ("POST", "/api/slots/{blind_id}/pointing"): Rule(
        JUDGES, {"answer": "absent", "points": [], "candidates": None, "brief": False}, owners=ANN
    ),
    ("POST", "/api/slots/{slot_id}/extent"): Rule(JUDGES, {"choice": 0}, ANN, statuses=frozenset({404, 409, 422})),
    ("POST", "/api/slots/{slot_id}/submit"): Rule(JUDGES, VERDICT, owners=ANN, headers=SUBMIT),
    ("POST", "/api/undo"): Rule(JUDGES, {}, owners=ANN),
    ("GET", "/api/mine"): Rule(JUDGES),
    ("GET", "/api/items/{public_id}"): Rule(EVERYBODY, owners=SHOWN),
    ("GET", "/api/items/{public_id}/masks"): Rule(EVERYBODY, owners=SHOWN),
    ("GET", "/api/items/{public_id}/history"): Rule(EVERYBODY),
    ("GET", "/api/items"): Rule(WATCHERS),
    ("GET", "/api/items/{public_id}/desk"): Rule(WATCHERS, owners=WATCHERS - {"adjudicator"}),
    ("POST", "/api/items/{public_id}/look"): Rule(ADMIN, {}),
    ("POST", "/api/items/{public_id}/reopen"): Rule(ADMIN, STEP | {"since": "last"}, statuses=CONFLICT),
    ("POST", "/api/items/{public_id}/withdraw"): Rule(ADMIN, STEP | {"withdrawn": True}, statuses=CONFLICT),
    ("POST", "/api/items/{public_id}/assign"): Rule(ADMIN, STEP | {"person_id": 1}, statuses=CONFLICT),
    ("POST", "/api/items/{public_id}/answer"): Rule(ADMIN, STEP | {"answer": "reject"}, statuses=CONFLICT),
    ("GET", "/api/settings"): Rule(ADMIN),
    ("PUT", "/api/settings"): Rule(ADMIN, {"values": {"long": 5}}, headers=OLD, statuses=frozenset({412})),
    ("GET", "/api/exports"): Rule(ADMIN),
    ("POST", "/api/exports"): Rule(ADMIN, {"final": False}, statuses=frozenset({202})),
    ("GET", "/api/exports/split.zip"): Rule(ADMIN, statuses=frozenset({404})),
    ("GET", "/api/judgements.csv"): Rule(ADMIN),
    ("GET", "/api/agreement.md"): Rule(WATCHERS),
    ("POST", "/api/guide/read"): Rule(EVERYBODY, {}),
    ("GET", "/api/entry"): Rule(JUDGES),
    ("GET", "/api/entry/{public_id}/picture.jpg"): Rule(JUDGES, statuses=frozenset({404})),
    ("GET", "/media/frames/{name}.bin"): Rule(EVERYBODY),
    ("GET", "/media/videos/{media_id}"): Rule(EVERYBODY),
    ("GET", "/api/progress"): Rule(EVERYBODY),
    ("GET", "/api/stats"): Rule(WATCHERS),
    ("GET", "/api/unstaffed"): Rule(ADMIN),
    ("GET", "/api/agreement"): Rule(WATCHERS),
    ("GET", "/login"): Rule(NOBODY_TOO),
    ("GET", "/invite/{token}"): Rule(NOBODY_TOO),
    ("GET", "/reset/{token}"): Rule(NOBODY_TOO),
    ("GET", "/"): Rule(EVERYBODY),
    ("GET", "/review"): Rule(JUDGES),
    ("GET", "/i/{public_id}"): Rule(EVERYBODY),
    ("GET", "/guide"): Rule(EVERYBODY),
    ("GET", "/me"): Rule(EVERYBODY),
    ("GET", "/dashboard"): Rule(WATCHERS),
    ("GET", "/people"): Rule(ADMIN),
    ("GET", "/entry"): Rule(JUDGES),
    ("GET", "/items"): Rule(WATCHERS),
    ("POST", "/api/settings/draw"): Rule(ADMIN, {}, statuses=frozenset({409})),
    ("GET", "/settings"): Rule(ADMIN),
    ("GET", "/export"): Rule(ADMIN),
    ("GET", "/gold"): Rule(ADMIN),
    ("GET", "/log"): Rule(ADMIN),
    ("GET", "/static/{name:path}"): Rule(NOBODY_TOO),
}
# the same route, where another parameter of the test stands in its path
NAMES = {
    "/api/gold/{public_id}": "/api/gold/{gold_id}",
    "/api/slots/{slot_id}/pointing": "/api/slots/{blind_id}/pointing",
}


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that no test changes."""
    site = make_site(tmp_path_factory.mktemp("site"))
    yield site
    site.store.close()


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    site = make_site(tmp_path, clock)
    yield site
    site.store.close()


def routes(app: FastAPI | APIRouter) -> set[tuple[str, str]]:
    found = set()
    for route in app.routes:
        if router := getattr(route, "original_router", None):  # FastAPI since 0.140 or so keeps routers as they are
            found |= routes(router)
            continue
        path, methods = getattr(route, "path", None), getattr(route, "methods", None)
        assert path, f"{route!r} is no plain route: say in this test who may use it"
        assert methods, f"{route!r} has no methods: say in this test who may use it"
        found |= {(method, NAMES.get(path, path)) for method in methods - {"HEAD"}}
    return found


def test_every_route_stands_in_the_table(site: Site) -> None:
    assert routes(site.app) == RULES.keys()


def url_of(site: Site, path: str) -> str:
    if path == "/static/{name:path}":
        return "/static/css/base.css"
    return path.format(
        person_id=site.ids["cy"],
        invite_id=99,
        public_id="p_v2_o0",
        gold_id="p_gold_0",
        slot_id=site.slots["sighted"],
        blind_id=site.slots["blind"],
        token="x",
        name=CHUNK,
        media_id="m_v0",
    )


def try_all(site: Site, method: str, path: str) -> None:
    rule = RULES[method, path]
    # the owner comes last: their request may use the thing up
    for who in sorted(NOBODY_TOO, key=lambda who: (who in (rule.owners or ()), who)):
        answer = site.client(ROLES.get(who)).request(method, url_of(site, path), json=rule.body, headers=rule.headers)
        got = f"{method} {path} by {who}: {answer.status_code} {answer.text[:200]}"
        if who == "none" and who not in rule.allowed:
            assert answer.status_code == (401 if path.startswith(("/api", "/media")) else 303), got
        elif who not in rule.allowed:
            assert answer.status_code == 403, got
        elif rule.owners is not None and who not in rule.owners:
            assert answer.status_code in (404, 409), got
        else:
            assert answer.status_code in rule.statuses, got


READS = [pair for pair in RULES if pair[0] == "GET"]
WRITES = [pair for pair in RULES if pair[0] != "GET"]


def test_reading_routes_by_role_by_identity(lasting: Site) -> None:
    for method, path in READS:
        try_all(lasting, method, path)


@pytest.mark.parametrize(("method", "path"), WRITES, ids=[f"{method} {path}" for method, path in WRITES])
def test_writing_route_by_role_by_identity(site: Site, method: str, path: str) -> None:
    try_all(site, method, path)


def test_no_write_without_the_token_of_the_page(lasting: Site) -> None:
    """CSRF: what a signed-in admin's browser can be made to send by another page changes nothing."""
    for method, path in WRITES:
        rule = RULES[method, path]
        for headers in ({}, {"x-csrf-token": "0" * 64}):
            client = lasting.client("ada", csrf=False)
            answer = client.request(method, url_of(lasting, path), json=rule.body, headers=rule.headers | headers)
            got = f"{method} {path}: {answer.status_code} {answer.text[:200]}"
            if "none" in rule.allowed:
                assert answer.status_code in rule.statuses, got  # there is no session whose token could be shown
            else:
                assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf"), got


def test_the_token_of_one_session_is_none_for_another(lasting: Site) -> None:
    theirs = lasting.client("ann").headers["x-csrf-token"]
    answer = lasting.client("ada", csrf=False).post("/api/logout", headers={"x-csrf-token": theirs})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "csrf")


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_no_write_from_another_origin(lasting: Site, headers: dict[str, str]) -> None:
    for method, path in WRITES:
        rule = RULES[method, path]
        client = lasting.client("ada")
        answer = client.request(method, url_of(lasting, path), json=rule.body, headers=rule.headers | headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin"), f"{method} {path}"


def test_a_write_from_our_own_page_passes(lasting: Site) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": BASE}
    assert lasting.client("ben").patch("/api/me", json={"preferences": {}}, headers=headers).status_code == 200


def test_a_gold_item_looks_like_any_other_to_who_judged_it(site: Site) -> None:
    """IDOR: neither the link of a gold item nor its history tells a reviewer that it is one."""
    for who in ("ann", "ben", "eve", "rea"):
        client = site.client(who)
        for path in ("", "/masks"):
            assert client.get(f"/api/items/p_gold_0{path}").status_code == 404
        assert client.get("/api/items/p_gold_0/history").json() == {"judgements": []}
        if who not in ("rea",):
            assert client.get("/api/items/p_v0_o1/history").json() == {"judgements": []}


def test_people_see_only_their_own_words_in_a_history(site: Site) -> None:
    said = {
        who: site.client(who).get("/api/items/p_v2_o0/history").json()["judgements"] for who in ("ann", "ben", "ada")
    }
    assert [len(said[who]) for who in ("ann", "ben", "ada")] == [1, 0, 1]
    assert said["ann"][0]["mine"]
    assert said["ada"][0]["label"] == "Person 1"
    assert "ann" not in str(said["ada"])


def test_no_reviewer_reads_another_reviewers_settings(site: Site) -> None:
    site.client("ann").patch("/api/me", json={"hotkeys": {"accept": "KeyQ"}})
    assert site.client("ann").get("/api/me").json()["hotkeys"] == {"accept": "KeyQ"}
    assert site.client("ben").get("/api/me").json()["hotkeys"] == {}


def test_no_documentation_routes_and_no_debug_mode(site: Site) -> None:
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert site.client("ada").get(path).status_code == 404
    assert not site.app.debug
    assert create_app(site.store, Path(), Path(), Serving(SECRET)).openapi_url is None
