"""API of one's own account: sign in and out, accept an invite, change settings and password."""

from collections.abc import Callable, Mapping
from functools import partial
from string import ascii_uppercase
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from sqlalchemy import Connection, Row, select, update
from starlette.concurrency import run_in_threadpool

from validation_ui.database import Database
from validation_ui.people import accounts, passwords, person_names
from validation_ui.people.access import (
    Caller,
    caller_of,
    clear_cookie,
    close_session,
    serving_of,
    set_cookie,
)
from validation_ui.people.passwords import Passwords
from validation_ui.problem import Problem
from validation_ui.project import restored_at
from validation_ui.schema import Account, person
from validation_ui.serving import Serving
from validation_ui.web.requests import Body, DatabaseDep, SomeoneDep

router = APIRouter()
_ACTIONS = """
play previous next back1 on1 back10 on10 home end previousChange nextChange loopStart loopEnd clearLoop speed
mask holdMask opacity style zoomIn zoomOut zoomReset zoomToObject
all_right accept edit reject flag note short submit skip undo point ambiguous absent second help
pick_1 pick_2 pick_3 pick_4 pick_5 pick_6 pick_7 pick_8 pick_9
"""  # the names in static/player/actions.js and static/review/keys.js
_NAMED_KEYS = """
Space Enter Backspace Delete Insert Home End PageUp PageDown ArrowLeft ArrowRight ArrowUp ArrowDown
Comma Period Slash Semicolon Quote BracketLeft BracketRight Backslash IntlBackslash Minus Equal Backquote
NumpadAdd NumpadSubtract NumpadMultiply NumpadDivide NumpadDecimal NumpadEnter
"""
_KEYS = (
    *_NAMED_KEYS.split(),
    *(f"Key{letter}" for letter in ascii_uppercase),
    *(f"{row}{n}" for row in ("Digit", "Numpad") for n in range(10)),
    *(f"F{n}" for n in range(1, 13)),
)
HOTKEY_ACTIONS = frozenset(_ACTIONS.split())
HOTKEY_CODES = frozenset(
    f"{held}{key}" for held in ("", "Shift+", "Alt+", "Ctrl+") for key in _KEYS
)  # KeyboardEvent.code
ServingDep = Annotated[Serving, Depends(serving_of)]
AnyoneDep = Annotated[Caller | None, Depends(caller_of)]


def passwords_of(request: Request) -> Passwords:
    """Return the app's password hasher; a FastAPI dependency."""
    hasher: Passwords = request.app.state.passwords
    return hasher


PasswordsDep = Annotated[Passwords, Depends(passwords_of)]


class Login(Body):
    """The body of a login."""

    name: str = Field(max_length=80)
    password: str = Field(max_length=passwords.MAX_CHARS)


class Accept(Login):
    """The body that accepts an invite: its token, with the new person's name and password."""

    token: str = Field(max_length=300)


class Reset(Body):
    """The body that chooses a new password by a link: its token, and the password."""

    token: str = Field(max_length=300)
    password: str = Field(max_length=passwords.MAX_CHARS)


class Preferences(Body):
    """How the pages look and behave for a person; in a change, what is missing stays as it is."""

    theme: Literal["auto", "light", "dark"] = "auto"
    light_mode: bool = False  # fetch annotated frames only
    hotkeys_off: bool = False
    mask_style: Literal["outline", "fill", "spotlight"] = "outline"  # only the outline leaves colours as they are


class Me(Body):
    """The body that changes one's own settings; a field that is missing stays as it is."""

    hotkeys: dict[str, str] | None = Field(default=None, max_length=len(HOTKEY_ACTIONS))
    preferences: Preferences | None = None


class NewPassword(Body):
    """The body that changes a password: the present one and the new one."""

    old: str = Field(max_length=passwords.MAX_CHARS)
    new: str = Field(max_length=passwords.MAX_CHARS)


@router.post("/api/login", status_code=204)
async def login(
    body: Login, request: Request, database: DatabaseDep, serving: ServingDep, hasher: PasswordsDep, before: AnyoneDep
) -> Response:
    """Sign in. A wrong name and a wrong password take the same time and get the same response."""
    now = database.now()
    address = address_of(request)
    key = await database.awrite(lambda c: accounts.begin_login(c, name=body.name, address=address, now=now))
    account = await run_in_threadpool(_find, database, body.name)
    fits = await hasher.fits(account.password_hash if account else None, body.password, address)
    if account is None or not fits:
        await _failed(database, hasher, address)
        raise Problem(401, "wrong", "Name or password is wrong.")
    if account.account == Account.CLOSED:
        raise Problem(403, "closed", "This account is closed. Ask an admin of the project to open it again.")
    old = before.session_hash if before else None
    token = await database.awrite(lambda c: accounts.sign_in(c, account.id, key=key, old_session=old, now=now))
    return _signed_in(serving, token)


@router.post("/api/logout", status_code=204)
def logout(database: DatabaseDep, serving: ServingDep, caller: SomeoneDep) -> Response:
    """End the session of the caller."""
    database.write(lambda c: close_session(c, caller.session_hash))
    response = Response(status_code=204)
    clear_cookie(response, serving)
    return response


@router.post("/api/invites/accept", status_code=204)
async def accept(
    body: Accept, request: Request, database: DatabaseDep, serving: ServingDep, hasher: PasswordsDep
) -> Response:
    """Accept an invite: make the account and sign in."""
    name = person_names.Name.of(body.name)
    passwords.check(body.password, name.key)
    work: Callable[[Connection], Any] = partial(
        accounts.open_invite, secret=serving.secret, token=body.token, now=database.now()
    )
    await database.awrite(work)  # checked before the hash, which is expensive
    work = partial(
        accounts.accept_invite,
        secret=serving.secret,
        token=body.token,
        name=name,
        password_hash=await hasher.hash(body.password, address_of(request)),
        now=database.now(),
    )
    return _signed_in(serving, await database.awrite(work))


@router.post("/api/reset", status_code=204)
async def reset(
    body: Reset, request: Request, database: DatabaseDep, serving: ServingDep, hasher: PasswordsDep
) -> Response:
    """Choose a new password by a link that an admin made, and sign in."""
    now = database.now()
    whose = await database.awrite(lambda c: accounts.open_reset(c, body.token, now))  # before the expensive hash
    passwords.check(body.password, person_names.key_of(whose.name))
    password_hash = await hasher.hash(body.password, address_of(request))
    work = partial(accounts.accept_reset, token=body.token, password_hash=password_hash, now=database.now())
    return _signed_in(serving, await database.awrite(work))


@router.get("/api/me")
def me(database: DatabaseDep, caller: SomeoneDep) -> dict[str, Any]:
    """Return who is signed in, and their settings; `restored_at` keeps what browsers stored before it apart."""
    with database.read() as connection:
        row = connection.execute(select(person.c.hotkeys, person.c.preferences).where(person.c.id == caller.id)).one()
        restored = restored_at(connection)
    return {
        "id": caller.id,
        "name": caller.name,
        "role": caller.role,
        "standing": caller.standing,
        "hotkeys": row.hotkeys,
        "preferences": Preferences(**row.preferences).model_dump(),
        "restored_at": restored,
    }


@router.patch("/api/me")
def change_me(body: Me, database: DatabaseDep, caller: SomeoneDep) -> dict[str, Any]:
    """Change one's own settings."""
    new: dict[str, Any] = {}
    if body.hotkeys is not None:
        new["hotkeys"] = check_hotkeys(body.hotkeys)
    if body.preferences is not None:
        new["preferences"] = body.preferences.model_dump(exclude_unset=True)

    def work(connection: Connection) -> None:
        if "preferences" in new:
            before = select(person.c.preferences).where(person.c.id == caller.id).with_for_update()
            new["preferences"] = connection.execute(before).scalar_one() | new["preferences"]
        connection.execute(update(person).where(person.c.id == caller.id).values(**new))

    if new:
        database.write(work)
    return me(database, caller)


@router.post("/api/me/password", status_code=204)
async def change_password(
    body: NewPassword,
    request: Request,
    database: DatabaseDep,
    serving: ServingDep,
    hasher: PasswordsDep,
    caller: SomeoneDep,
) -> Response:
    """Change one's own password and end all other sessions; wrong guesses are limited as in the login."""
    passwords.check(body.new, person_names.key_of(caller.name))
    now = database.now()
    address = address_of(request)
    key = await database.awrite(lambda c: accounts.begin_login(c, name=caller.name, address=address, now=now))
    account = await run_in_threadpool(_find, database, caller.name)
    if account is None or not await hasher.fits(account.password_hash, body.old, address):
        await _failed(database, hasher, address)
        raise Problem(403, "wrong", "The present password is wrong.", fields={"old": "The present password is wrong."})
    password_hash = await hasher.hash(body.new, address)
    work = partial(accounts.set_password, person_id=caller.id, password_hash=password_hash, key=key, now=now)
    return _signed_in(serving, await database.awrite(work))


def address_of(request: Request) -> str:
    """Return the address that a request comes from; behind a proxy the one that the proxy names."""
    return request.client.host if request.client else ""


async def _failed(database: Database, hasher: Passwords, address: str) -> None:
    """Count a wrong password and wait until its failure may be told."""
    await database.awrite(lambda c: accounts.end_login(c, address=address, now=database.now()))
    await hasher.hushed(address)


def _find(database: Database, name: str) -> Row[Any] | None:
    with database.read() as connection:
        return accounts.find(connection, name)


def _signed_in(serving: Serving, token: str) -> Response:
    response = Response(status_code=204)
    set_cookie(response, serving, token)
    return response


def check_hotkeys(hotkeys: Mapping[str, str]) -> dict[str, str]:
    """Check that actions and keys are on the closed lists and that no key is used twice, and return them.

    The lists are closed because free text here was a vulnerability elsewhere (CVE-2026-22033).

    Raises:
        Problem: 422; the message does not repeat what was sent.
    """
    if not (hotkeys.keys() <= HOTKEY_ACTIONS and set(hotkeys.values()) <= HOTKEY_CODES):
        raise Problem(422, "invalid", "A key is set for an action of the list, to a key of the list.")
    if len(set(hotkeys.values())) < len(hotkeys):
        raise Problem(422, "invalid", "Two actions have the same key. Give one of them another.")
    return dict(hotkeys)
