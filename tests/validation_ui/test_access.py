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
from validation_ui.people.accounts import network_of
from validation_ui.people.passwords import Passwords
from validation_ui.schema import Role, audit, login_failure, person, session
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


@pytest.mark.parametrize(
    ("address", "network"),
    [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("2001:db8::1:2:3:4", "2001:db8::/64"),
     ("2001:db8:0:0:9::", "2001:db8::/64"), ("2001:db8:0:1::1", "2001:db8:0:1::/64"), ("fe80::1%eth0", "fe80::/64"),
     ("testclient", "testclient"), ("", "")],
)  # fmt: skip
def test_attempts_are_counted_for_what_one_person_has(address: str, network: str) -> None:
    assert network_of(address) == network


def test_bogus_logins_do_not_delay_others(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty at once used up the hasher for 19 s; now people who exist have the next turn."""
    hashed: list[str] = []
    plain = Passwords._fits
    light = PasswordHasher(time_cost=1, parallelism=1)
    monkeypatch.setattr(site.app.state.passwords, "_nobodys", light.hash("nobody has this password"))
    site.store.write(lambda c: c.execute(update(person).values(password_hash=light.hash(RIGHT))).rowcount)

    def noted(self: Passwords, hash_: str, password: str) -> bool:
        hashed.append(password)
        return plain(self, hash_, password)

    monkeypatch.setattr(Passwords, "_fits", noted)
    with served(site.app) as url, ThreadPoolExecutor(25) as pool:

        def post(name: str, password: str) -> int:
            return httpx.post(f"{url}/api/login", json={"name": name, "password": password}, timeout=120).status_code

        bogus = [pool.submit(post, f"nobody {n}", WRONG) for n in range(24)]
        while len(hashed) < 2:
            time.sleep(0.01)
        before = len(hashed)
        assert post("ann", RIGHT) == 204
        assert hashed.index(RIGHT) - before < 12, "among those that were waiting it was one of the first"
        assert [each.result() for each in bogus] == [401] * 24


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


def test_a_closed_account_cannot_sign_in_and_a_reset_one_by_its_link_alone(site: Site) -> None:
    ann, admin = site.ids["ann"], site.client("ada")
    token = site.session("ann")
    assert admin.patch(f"/api/people/{ann}", json={"account": "closed"}).status_code == 204
    assert not is_open(site, token)
    assert [login(site.client(), "ann", password) for password in (WRONG, RIGHT)] == [401, 403]
    assert admin.post(f"/api/people/{ann}/reset").status_code == 409
    assert admin.patch(f"/api/people/{ann}", json={"account": "paused"}).status_code == 204
    assert login(client := site.client(), "ann", RIGHT) == 204
    first, second = (admin.post(f"/api/people/{ann}/reset").json()["url"].rpartition("/")[2] for _ in range(2))
    assert client.get("/api/me").status_code == 401
    assert login(site.client(), "ann", RIGHT) == 401
    assert [person["resets"] for person in admin.get("/api/people").json()["people"] if person["id"] == ann] == [True]
    new = "a lake in the autumn"

    def choose(token: str, password: str = new) -> int:
        return client.post("/api/reset", json={"token": token, "password": password}).status_code

    assert [choose(token) for token in (first, "x", "", second[:-1])] == [410] * 4, "the first link was replaced"
    assert choose(second, "short") == 422
    assert choose(second) == 204
    assert client.get("/api/me").json()["name"] == "ann"
    assert choose(second) == 410, "it works once"
    assert [login(site.client(), "ann", password) for password in (RIGHT, new)] == [401, 204]
    with site.store.read() as connection:
        rows = connection.execute(select(audit.c.actor, audit.c.action).where(audit.c.action.like("%password"))).all()
    ada = site.ids["ada"]
    assert rows == [(f"person:{ada}", "reset_password")] * 2 + [(f"person:{ann}", "password")]


def test_a_link_for_a_new_password_ends_after_a_day_and_stands_in_no_table(site: Site, clock: Clock) -> None:
    link = site.client("ada").post(f"/api/people/{site.ids['ann']}/reset").json()
    token = link["url"].rpartition("/")[2]
    with site.store.read() as connection:
        assert token not in str(connection.execute(select(person)).all())
    clock.now = link["expires_at"]
    body = {"token": token, "password": "a lake in the autumn"}
    assert site.client().post("/api/reset", json=body).status_code == 410
    own = site.client("ada").post(f"/api/people/{site.ids['ada']}/reset")
    assert (own.status_code, own.json()["error"]["code"]) == (403, "own")


def test_admins_see_who_judged_what_and_nobody_else(site: Site) -> None:
    admin = site.client("ada")
    everything = admin.get("/api/judgements").json()
    (row,) = everything["judgements"]
    assert (row["name"], row["public_id"], row["kind"], row["gold"]) == ("ann", "p_v2_o0", "sighted", False)
    assert not everything["more"]
    ids = site.ids
    for query, number in ((f"person_id={ids['ann']}", 1), (f"person_id={ids['ben']}", 0), ("public_id=p_v2_o0", 1),
                          ("public_id=p_v0_o0", 0), (f"before={row['id']}", 0)):  # fmt: skip
        assert len(admin.get(f"/api/judgements?{query}").json()["judgements"]) == number
    counted = admin.get(f"/api/people/{ids['ann']}/redo?since=0").json()
    assert counted == {"judgements": 1, "items": 1, "exported": []}
    assert admin.post(f"/api/people/{ids['ann']}/redo", json={"since": 0}).json() == counted
    assert admin.get("/api/judgements").json()["judgements"][0]["undone_by"] == "admin"
    assert admin.post("/api/people/999/redo", json={"since": 0}).status_code == 404
    for since in ("nan", "inf", "-1", "x"):
        assert admin.get(f"/api/people/{ids['ann']}/redo?since={since}").status_code == 422
    assert site.client("eve").get("/api/judgements").status_code == 403


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
