"""People: names, passwords, invites, roles and standings; on both databases."""

import time
from concurrent.futures import Future
from pathlib import Path

import pytest
from itsdangerous import URLSafeSerializer
from sqlalchemy import select, update

from tests.validation_ui.conftest import Clock
from tests.validation_ui.rows import add_person
from tests.validation_ui.site import SECRET, Site, make_site
from validation_ui.database import Database
from validation_ui.people import access, accounts, passwords, person_names
from validation_ui.people.access import Caller
from validation_ui.problem import Problem
from validation_ui.schema import Role, Standing, audit, invite, person, session
from validation_ui.web.account import check_hotkeys


def make(store: Database, role: Role = Role.REVIEWER, by: int | None = None) -> str:
    return store.write(lambda c: accounts.make_invite(c, SECRET, role=role, by=by, now=store.now()))[0]


def accept(store: Database, token: str, name: str = "Zoë", secret: bytes = SECRET) -> str:
    return store.write(
        lambda c: accounts.accept_invite(
            c, secret, token=token, name=person_names.Name.of(name), password_hash="$", now=store.now()
        )
    )


def person_of(store: Database, name: str) -> dict[str, object]:
    with store.read() as connection:
        return dict(connection.execute(select(person).where(person.c.name == name)).mappings().one())


def actions(store: Database) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(audit.c.action).order_by(audit.c.id)))


def test_an_invite_is_good_once(store: Database) -> None:
    token = make(store)
    accept(store, token)
    assert person_of(store, "Zoë")["role"] == Role.REVIEWER
    assert person_of(store, "Zoë")["standing"] == Standing.ENTRY
    with pytest.raises(Problem, match="does not work"):
        accept(store, token, "Other")
    assert actions(store) == ["invite", "join"]


def test_two_people_at_once_share_no_invite(store: Database) -> None:
    token = make(store)

    def join(n: int) -> Future[str]:
        name = person_names.Name.of(f"P{n}")
        return store.submit(
            lambda c: accounts.accept_invite(c, SECRET, token=token, name=name, password_hash="$", now=store.now())
        )

    futures = [join(n) for n in range(6)]
    errors = [future.exception() for future in futures]
    assert sum(error is None for error in errors) == 1
    assert {error.code for error in errors if isinstance(error, Problem)} == {"invite"}
    with store.read() as connection:
        assert len(connection.execute(select(person)).all()) == 1


def test_an_invite_ends_after_7_days(store: Database, clock: Clock) -> None:
    token = make(store)
    clock.now += 7 * 24 * 3600
    with pytest.raises(Problem, match="does not work"):
        accept(store, token)


def test_a_revoked_invite_is_useless(store: Database) -> None:
    token = make(store)
    with store.read() as connection:
        (number,) = connection.scalars(select(invite.c.id))
    store.write(lambda c: accounts.revoke_invite(c, number, by=1, now=store.now()))
    with pytest.raises(Problem, match="does not work"):
        accept(store, token)
    with pytest.raises(Problem, match="no open invite"):
        store.write(lambda c: accounts.revoke_invite(c, number, by=1, now=store.now()))


def test_a_tampered_or_foreign_invite_is_useless(store: Database) -> None:
    token = make(store)
    payload, signature = token.rsplit(".", 1)
    forged = URLSafeSerializer(b"x" * 32, salt="invite").dumps(["guess", store.now() + 1e6])
    unknown = URLSafeSerializer(SECRET, salt="invite").dumps(["not in the table", store.now() + 1e6])
    for bad in ("", "x", payload, f"{payload}.{signature[:-2]}AA", f"A{token}", forged, unknown, "a.b.c", "\u2603"):
        with pytest.raises(Problem, match="does not work"):
            accept(store, bad)
    with pytest.raises(Problem, match="does not work"):
        accept(store, token, secret=bytes(range(32)))
    accept(store, token)


def test_the_table_holds_no_invite_that_could_be_used(store: Database) -> None:
    token = make(store)
    with store.read() as connection:
        row = connection.execute(select(invite)).one()
    assert token not in str(row)
    assert row.token_hash == access.hash_token(token)


def test_the_first_admin_is_invited_until_there_is_one(store: Database) -> None:
    first = store.write(lambda c: accounts.first_invite(c, SECRET, store.now()))
    second = store.write(lambda c: accounts.first_invite(c, SECRET, store.now()))
    assert first
    assert second
    with pytest.raises(Problem, match="does not work"):
        accept(store, first)
    accept(store, second)
    assert (person_of(store, "Zoë")["role"], person_of(store, "Zoë")["standing"]) == (Role.ADMIN, Standing.ACTIVE)
    assert store.write(lambda c: accounts.first_invite(c, SECRET, store.now())) is None


def test_no_two_people_look_alike(store: Database) -> None:
    accept(store, make(store), "Zoë  Q")
    for same in (
        "zoe\u0308 q",
        "ZOË Q",
        "  Zoë\tQ ",
        "\uff3aoë Q",
        "Zoe Q",
        "zo\u0119.q",
        "ZoëQ",
        "Z0ë Q",
        "Z\u0336oë Q",
    ):
        with pytest.raises(Problem, match="Somebody has this name, or one that looks the same") as caught:
            accept(store, make(store), same)
        assert caught.value.status == 409
    accept(store, make(store), "Zoë R")
    assert person_of(store, "Zoë Q")


def test_no_two_people_who_join_at_once_look_alike(store: Database) -> None:
    def join(name: str) -> Future[str]:
        token, taken = make(store), person_names.Name.of(name)
        return store.submit(
            lambda c: accounts.accept_invite(c, SECRET, token=token, name=taken, password_hash="$", now=store.now())
        )

    errors = [future.exception() for future in [join(name) for name in ("Sara O", "Sara 0", "SARA-O", "Şara o")]]
    assert sum(error is None for error in errors) == 1
    assert {error.code for error in errors if isinstance(error, Problem)} == {"name_taken"}


@pytest.mark.parametrize(
    ("one", "other"),
    [("ANN", "ann"), ("Ann", "\uff21nn"), ("Ann", "Ánn"), ("Ann B", "Ann-B"), ("aee", "аее"), ("BOB", "ВОВ"),
     ("bob", "вов"),
     ("NINA", "ΝΙΝΑ"), ("SOS", "ՏՕՏ"), ("lan", "Ian"), ("Ivan", "lvan"), ("Lo", "1o"), ("Otto", "0tto"),
      ("Erna", "Ema"),
     ("vvim", "wim"), ("A1", "A\u0661"), ("Søren", "Soren"), ("Λ1", "Λ１"), ("Пётр", "Петр"), ("x",
      "\U0001d431"), ("IV", "\u2163")],
)  # fmt: skip
def test_names_that_look_alike(one: str, other: str) -> None:
    assert person_names.Name.of(one).looks & person_names.Name.of(other).looks


@pytest.mark.parametrize(
    ("one", "other"),
    [("Anna", "Hanna"), ("Nina", "Vina"), ("Иван", "Ivan"), ("李雷", "李蕾"), ("प्रिया", "प्रया"), ("Ann",
     "Ann 2"), ("Ann 2", "Ann 3"),
     ("山田", "山口"), ("Bea", "Rea"), ("Tom", "Tim")],
)  # fmt: skip
def test_names_that_do_not(one: str, other: str) -> None:
    assert not person_names.Name.of(one).looks & person_names.Name.of(other).looks


@pytest.mark.parametrize(
    "name",
    ["Zoë", "Ng", "Anne-Marie d'Arc", "李雷", "محمد", "J. R. 2", "a" * 40, "Ọ̀ṣun", "Nguyễn Thị", "山田タロー",
     "김철수", "प्रिया",
     "ชาย", "Иван Петров", "Γιώργος", "Łukasz", "דוד"],
)  # fmt: skip
def test_names_of_people(name: str) -> None:
    assert person_names.Name.of(name).shown == name


@pytest.mark.parametrize(
    "name",
    [*("", " ", ".", "a" * 41, "<b>x</b>", 'x" onload="y', "a\x00b", "a\u202eb", "a\u200bb", "a/b", "a\\b", "a=b"),
     *("x;y", "\ufdfa" * 39),
     # invisible, of two scripts, of none of today's scripts, small capitals, a click, heaps of accents
     *("ann\u3164", "ann\u115f", "ann\ufe0f", "an\u034fn", "ann\U000e0061", "ann\u2800", "ann\u00ad",
     "\u0430nn", "Ann Μ"),
     *("\ua4ee\ua4e0", "\u13aann", "\u1d00nn", "\u01c0an", "a" + 3 * "\u0336" + "nn")],
)  # fmt: skip
def test_names_that_are_no_names(name: str) -> None:
    with pytest.raises(Problem) as caught:
        person_names.Name.of(name)
    assert "name" in caught.value.extra["fields"]
    assert name not in caught.value.message or len(name) < 2


@pytest.mark.parametrize(
    "password",
    ["", "elevenchars", "x" * 201, "aaaaaaaaaaaaaaaa", "Password1234", "adminadminadmin", "abababababab",
     "zoë quzoë qu", "zoë quzoë qu12", "correcthorsebatterystaple"],
)  # fmt: skip
def test_passwords_that_are_guessed_first(password: str) -> None:
    with pytest.raises(Problem) as caught:
        passwords.check(password, "zoë qu")
    assert caught.value.extra["fields"].keys() == {"password"}


@pytest.mark.parametrize(
    "password", ["a lake in spring", "tr0ub4dor&3xx", "zoë qu likes long walks", "пароль как пароль"]
)
def test_passwords_that_are_fine(password: str) -> None:
    passwords.check(password, "zoë qu")


def test_of_a_password_only_its_argon2id_hash_is_kept(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    token = make(site.store)
    body = {"token": token, "name": "Zoë", "password": "a lake in spring"}
    client = site.client()
    assert client.post("/api/invites/accept", json=body).status_code == 204
    assert client.get("/api/me").json()["name"] == "Zoë"
    assert str(person_of(site.store, "Zoë")["password_hash"]).startswith("$argon2id$")
    site.store.close()
    assert all(b"lake in spring" not in path.read_bytes() for path in tmp_path.glob("validation.sqlite3*"))


def attempt(store: Database, address: str, name: str) -> int:
    """Try a wrong password; 0, or how long one has to wait before one may try."""
    try:
        store.write(lambda c: accounts.begin_login(c, name=name, address=address, now=store.now()))
    except Problem as problem:
        return int(problem.extra["retry_after_s"])
    store.write(lambda c: accounts.end_login(c, address=address, now=store.now()))
    return 0


def test_many_names_from_one_address_are_throttled_and_other_addresses_are_not(store: Database, clock: Clock) -> None:
    assert [attempt(store, "10.0.0.1", f"guess {n}") for n in range(32)] == [0] * 30 + [31] * 2
    assert [attempt(store, address, "ann") for address in ("10.0.0.2", "2001:db8::1", "::ffff:10.0.0.3")] == [0] * 3
    clock.now += 31
    assert [attempt(store, "10.0.0.1", f"more {n}") for n in range(2)] == [0, 31]
    clock.now += 3600
    assert [attempt(store, "10.0.0.1", f"later {n}") > 0 for n in range(31)] == [False] * 30 + [True]


def test_who_guesses_keeps_nobody_out_at_another_address(store: Database) -> None:
    assert [attempt(store, "10.0.0.1", "ann") for _ in range(8)] == [0] * 5 + [3] * 3
    assert [attempt(store, f"2001:db8::{n}", "ann") for n in range(8)] == [0] * 5 + [3] * 3, "one house, many addresses"
    assert attempt(store, "10.0.1.1", "ann") == 0


@pytest.fixture
def admin(store: Database) -> Caller:
    number = store.write(lambda c: add_person(c, "ada", Role.ADMIN))
    return Caller(number, "ada", Role.ADMIN, Standing.ACTIVE, "")


def change(store: Database, who: int, by: Caller, role: Role | None = None, standing: Standing | None = None) -> None:
    store.write(lambda c: accounts.change(c, who, by=by, role=role, standing=standing, now=store.now()))


def test_nobody_raises_themselves(store: Database, admin: Caller) -> None:
    """CVE-2026-23526."""
    for role, standing in ((Role.READER, None), (None, Standing.STOPPED)):
        with pytest.raises(Problem, match="their own") as caught:
            change(store, admin.id, admin, role, standing)
        assert caught.value.status == 403
    assert person_of(store, "ada")["role"] == Role.ADMIN


def test_a_role_change_is_audited_and_ends_sessions(store: Database, admin: Caller) -> None:
    ben = store.write(lambda c: add_person(c, "ben"))
    store.write(lambda c: access.open_session(c, ben, store.now()))
    change(store, ben, admin, role=Role.ADJUDICATOR)
    assert person_of(store, "ben")["role"] == Role.ADJUDICATOR
    with store.read() as connection:
        assert connection.execute(select(session)).all() == []
        row = connection.execute(select(audit)).one()
    assert (row.actor, row.subject) == (f"person:{admin.id}", f"person:{ben}")
    assert row.body == '{"from": {"role": "reviewer"}, "to": {"role": "adjudicator"}}'


def test_trying_again_starts_the_next_round(store: Database, admin: Caller) -> None:
    ben = store.write(lambda c: add_person(c, "ben", standing=Standing.FAILED))
    change(store, ben, admin, standing=Standing.ENTRY)
    assert (person_of(store, "ben")["standing"], person_of(store, "ben")["entry_round"]) == ("entry", 1)
    change(store, ben, admin, standing=Standing.ENTRY)
    assert person_of(store, "ben")["entry_round"] == 1
    for standing in (Standing.STOPPED, Standing.ACTIVE):
        change(store, ben, admin, standing=standing)
        assert person_of(store, "ben")["standing"] == standing
    with pytest.raises(Problem, match="Only the entry test"):
        change(store, ben, admin, standing=Standing.FAILED)
    with pytest.raises(Problem, match="no such person"):
        change(store, 999, admin, standing=Standing.ACTIVE)


@pytest.mark.parametrize(
    "keys",
    [
        {"accept": "<img src=x onerror=alert(1)>"},
        {"<script>": "KeyA"},
        {"accept": "javascript:alert(1)"},
        {"accept": "KeyAA"},
        {"__proto__": "KeyA"},
        {"accept": "KeyQ", "reject": "KeyQ"},
    ],
    ids=str,
)
def test_hotkeys_are_of_closed_lists(keys: dict[str, str]) -> None:
    """CVE-2026-22033: custom hotkeys were free text."""
    with pytest.raises(Problem) as caught:
        check_hotkeys(keys)
    assert caught.value.status == 422
    assert not any(text in caught.value.message for pair in keys.items() for text in pair)


def test_hotkeys_that_are_fine() -> None:
    keys = {"accept": "KeyQ", "next": "Shift+ArrowRight", "help": "F1"}
    assert check_hotkeys(keys) == keys


def test_settings_take_known_fields_alone(site: Site) -> None:
    client = site.client("ann")
    for body in (
        {"role": "admin"},
        {"preferences": {"theme": "<b>"}},
        {"preferences": {"theme": "dark", "style": "x"}},
        {"hotkeys": {"accept": {"$ne": 1}}},
        {"id": site.ids["ben"], "hotkeys": {}},
    ):
        answer = client.patch("/api/me", json=body)
        assert answer.status_code == 422
        assert "<b>" not in answer.text
    good = {"preferences": {"theme": "dark", "light_mode": True, "hotkeys_off": True, "mask_style": "fill"}}
    assert client.patch("/api/me", json=good).json()["preferences"] == good["preferences"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path, time.time)


def test_a_link_is_made_for_the_address_that_people_use(site: Site) -> None:
    answer = site.client("ada").post("/api/invites", json={"role": "reader"}).json()
    assert answer["url"].startswith("http://127.0.0.1:8300/invite/")
    path = answer["url"].removeprefix("http://127.0.0.1:8300")
    assert site.client().get(path).status_code == 200
    (row,) = site.client("ada").get("/api/invites").json()["invites"]
    assert (row["role"], row["created_by"], row["expires_at"]) == ("reader", site.ids["ada"], answer["expires_at"])
    assert site.client("ada").delete(f"/api/invites/{row['id']}").status_code == 204
    assert site.client("ada").get("/api/invites").json() == {"invites": []}


def test_a_gold_item_is_retired_and_brought_back(site: Site) -> None:
    client = site.client("ada")
    for retired in (True, False):
        assert client.patch("/api/gold/p_gold_0", json={"retired": retired}).status_code == 204
        assert client.get("/api/gold").json()["gold"][0]["retired"] is retired
    assert client.patch("/api/gold/p_v0_o0", json={"retired": True}).status_code == 404
    assert actions(site.store)[-2:] == ["retire_gold", "restore_gold"]


def test_the_log_is_read_in_pages_and_verified(site: Site) -> None:
    client = site.client("ada")
    for _ in range(3):
        client.post("/api/invites", json={"role": "reader"})
    answer = client.get("/api/audit?after=1&limit=1").json()
    assert ([row["id"] for row in answer["rows"]], answer["last"]) == ([2], 3)
    assert client.get("/api/audit/verify").json() == {"whole": True, "rows": 3, "message": ""}
    site.store.write(lambda c: c.execute(update(audit).where(audit.c.id == 2).values(actor="x")).rowcount)
    answer = client.get("/api/audit/verify").json()
    assert not answer["whole"]
    assert "row 2" in answer["message"]
    for query in ("after=-1", "limit=501", "limit=x", f"after={2**31}"):
        assert client.get(f"/api/audit?{query}").status_code == 422
