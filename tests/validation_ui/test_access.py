"""Sessions and logins: cookies, ends, rotation, back-off, and nothing told about who has an account."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.site import SECRET, Site, make_site, served
from validation_ui.people import access
from validation_ui.schema import Role, login_failure, person, session
from validation_ui.serving import Serving

RIGHT, WRONG = "a lake in early spring", "a lake in late spring"
HASH = PasswordHasher().hash(RIGHT)


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    site = make_site(tmp_path, clock)
    site.store.write(lambda c: c.execute(update(person).values(password_hash=HASH)).rowcount)
    yield site
    site.store.close()


def login(client: TestClient, name: str, password: str) -> int:
    return client.post("/api/login", json={"name": name, "password": password}).status_code


def is_open(site: Site, token: str) -> bool:
    status = site.client(token=token).get("/api/me").status_code
    assert status in (200, 401)
    return status == 200


def test_a_session_cookie_is_for_the_server_alone(site: Site) -> None:
    answer = site.client().post("/api/login", json={"name": "  ANN ", "password": RIGHT})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("refsav=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


def test_under_tls_it_is_bound_to_this_host(tmp_path: Path, clock: Clock) -> None:
    site = make_site(tmp_path, clock, Serving(SECRET, tls=True))
    site.store.write(lambda c: c.execute(update(person).values(password_hash=HASH)).rowcount)
    answer = site.client().post("/api/login", json={"name": "ann", "password": RIGHT})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-refsav=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "omain" not in cookie
    assert "max-age=" in answer.headers["strict-transport-security"]
    token = site.session("ann")
    assert is_open(site, token)
    plain = TestClient(site.app, "http://127.0.0.1", cookies={"refsav": token})
    assert plain.get("/api/me").status_code == 401
    site.store.close()


def test_the_table_holds_no_token(site: Site) -> None:
    token = site.session("ann")
    with site.store.read() as connection:
        hashes = connection.scalars(select(session.c.token_hash)).all()
    assert token not in hashes
    assert access.hash_token(token) in hashes
    assert not is_open(site, access.hash_token(token))


def test_a_login_gives_a_new_session_and_ends_the_old_one(site: Site) -> None:
    """No session that somebody planted in the browser before becomes ours (fixation)."""
    planted = site.session("ann")
    client = site.client(token=planted)
    assert login(client, "ann", RIGHT) == 204
    assert client.cookies["refsav"] != planted
    assert not is_open(site, planted)
    assert is_open(site, client.cookies["refsav"])
    unknown = site.client(token="chosen by somebody else")
    assert login(unknown, "ann", RIGHT) == 204
    assert not is_open(site, "chosen by somebody else")


def test_logout_ends_this_session_and_no_other(site: Site) -> None:
    mine, other = site.session("ann"), site.session("ann")
    assert site.client(token=mine).post("/api/logout").status_code == 204
    assert (is_open(site, mine), is_open(site, other)) == (False, True)


def test_an_admin_ends_sessions_at_once(site: Site) -> None:
    tokens = [site.session("ben"), site.session("ben")]
    answer = site.client("ada").post(f"/api/people/{site.ids['ben']}/sessions/revoke")
    assert answer.json() == {"revoked": 2}
    assert not any(is_open(site, token) for token in tokens)


def test_a_new_role_ends_the_sessions_of_the_old_one(site: Site) -> None:
    token = site.session("eve")
    assert site.client("ada").patch(f"/api/people/{site.ids['eve']}", json={"role": "reviewer"}).status_code == 204
    assert not is_open(site, token)


def test_a_new_password_ends_all_sessions_and_opens_a_new_one(site: Site) -> None:
    token, elsewhere = site.session("ann"), site.session("ann")
    client = site.client(token=token)
    assert client.post("/api/me/password", json={"old": RIGHT, "new": WRONG}).status_code == 204
    assert not is_open(site, token)
    assert not is_open(site, elsewhere)
    assert is_open(site, client.cookies["refsav"])
    assert login(site.client(), "ann", RIGHT) == 401
    assert login(site.client(), "ann", WRONG) == 204


def test_a_session_ends_after_14_days_used_or_not(site: Site, clock: Clock) -> None:
    token = site.session("ann")
    clock.now += 14 * 24 * 3600 - 1
    assert is_open(site, token)
    clock.now += 1
    assert not is_open(site, token)
    site.session("ann")
    with site.store.read() as connection:
        assert access.hash_token(token) not in connection.scalars(select(session.c.token_hash)).all()


def test_signed_out_people_are_led_to_the_login_and_back(site: Site) -> None:
    answer = site.client().get("/i/p_v0_o0?f=3&v=outline")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Fi%2Fp_v0_o0%3Ff%3D3%26v%3Doutline")


def test_the_fifth_wrong_password_makes_one_wait_longer_and_longer(site: Site, clock: Clock) -> None:
    client = site.client()
    assert [login(client, "ann", WRONG) for _ in range(5)] == [401] * 5
    waits = []
    for _ in range(4):
        answer = client.post("/api/login", json={"name": "ann", "password": RIGHT})
        assert answer.status_code == 429, "the right password does not help while one has to wait"
        waits.append(int(answer.headers["retry-after"]))
        assert answer.json()["error"]["retry_after_s"] == waits[-1]
        clock.now += waits[-1]
        assert login(client, "ann", WRONG) == 401
    assert waits == [3, 5, 9, 17]
    assert login(client, "ben", RIGHT) == 204, "others go on"
    clock.now += 33
    assert login(client, "ann", RIGHT) == 204
    assert login(client, "ann", WRONG) == 401, "a success clears the count"


def test_attempts_count_before_they_are_looked_at(site: Site) -> None:
    """Many at once gain nothing."""
    body = {"name": "ann", "password": WRONG}
    with served(site.app) as url, ThreadPoolExecutor(12) as pool:
        answers = pool.map(lambda _: httpx.post(f"{url}/api/login", json=body, timeout=60), range(12))
        statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [401] * 5 + [429] * 7


def test_failures_are_forgotten_after_a_day(site: Site, clock: Clock) -> None:
    for _ in range(6):
        login(site.client(), "ann", WRONG)
    clock.now += 24 * 3600 + 1
    login(site.client(), "ben", WRONG)
    with site.store.read() as connection:
        assert set(connection.scalars(select(login_failure.c["count"]))) == {1}


def test_unknown_names_get_the_same_answers(site: Site) -> None:
    known, unknown = (
        [site.client().post("/api/login", json={"name": name, "password": WRONG}) for _ in range(6)]
        for name in ("ann", "nobody at all")
    )
    assert [each.status_code for each in known] == [401] * 5 + [429]
    for one, other in zip(known, unknown, strict=True):
        assert (one.status_code, one.content) == (other.status_code, other.content)
        assert one.headers == other.headers


def test_unknown_names_take_the_same_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    plain = PasswordHasher.verify

    def counted(self: PasswordHasher, hash_: str, password: str) -> bool:
        verified.append(hash_)
        return plain(self, hash_, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    times: dict[str, list[float]] = {"ann": [], "nobody": []}
    for _ in range(4):
        for name, taken in times.items():
            start = time.process_time()
            assert login(site.client(), name, WRONG) == 401
            taken.append(time.process_time() - start)
    assert len(verified) == 8
    assert all(each.startswith("$argon2id$v=19$m=65536,t=3,p=4$") for each in verified)
    assert 0.4 < median(times["ann"]) / median(times["nobody"]) < 2.5


def test_a_stolen_session_cannot_guess_the_password_either(site: Site) -> None:
    client = site.client("ann")
    body = {"old": WRONG, "new": "another lake in spring"}
    assert [client.post("/api/me/password", json=body).status_code for _ in range(6)] == [403] * 5 + [429]


def test_a_role_counts_from_the_next_request_on(site: Site) -> None:
    client = site.client("rea")
    assert client.post("/api/claim", json={"kinds": ["sighted"]}).status_code == 403
    site.store.write(
        lambda c: c.execute(update(person).where(person.c.name == "rea").values(role=Role.REVIEWER)).rowcount
    )
    assert client.post("/api/claim", json={"kinds": ["sighted"]}).status_code == 200


def test_each_request_reads_the_session_in_one_statement(site: Site) -> None:
    statements = []
    client = site.client("ann")

    def listen(*args: object) -> None:
        statements.append(str(args[2]))

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        assert client.get("/media/frames/" + "ab" * 32 + ".bin").status_code == 200
    finally:
        event.remove(Engine, "before_cursor_execute", listen)
    assert len([each for each in statements if each.startswith("SELECT")]) == 1
