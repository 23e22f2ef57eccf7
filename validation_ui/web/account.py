"""One's own account: sign in and out, accept an invite, settings, password."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select, update
from starlette.concurrency import run_in_threadpool

from validation_ui import hotkeys, passwords, people
from validation_ui.access import Caller, caller_of, clear_cookie, close_session, need, serving_of, set_cookie, store_of
from validation_ui.passwords import Passwords
from validation_ui.problem import Problem
from validation_ui.schema import person
from validation_ui.security import Serving
from validation_ui.store import Store

router = APIRouter()
StoreDep = Annotated[Store, Depends(store_of)]
ServingDep = Annotated[Serving, Depends(serving_of)]
AnyoneDep = Annotated[Caller | None, Depends(caller_of)]
SomeoneDep = Annotated[Caller, Depends(need())]


def passwords_of(request: Request) -> Passwords:
    """The app's hasher."""
    hasher: Passwords = request.app.state.passwords
    return hasher


PasswordsDep = Annotated[Passwords, Depends(passwords_of)]


class Body(BaseModel):
    """A request's JSON: no field but those named."""

    model_config = ConfigDict(extra="forbid")


class Login(Body):
    """Name and password."""

    name: str = Field(max_length=80)
    password: str = Field(max_length=passwords.MAX_CHARS)


class Accept(Login):
    """An invite's token, and who accepts it."""

    token: str = Field(max_length=300)


class Preferences(Body):
    """How the pages look and behave for one person."""

    theme: Literal["auto", "light", "dark"] = "auto"
    light_mode: bool = False  # fetch annotated frames only
    hotkeys_off: bool = False


class Me(Body):
    """What people change of themselves; what is left out stays."""

    hotkeys: dict[str, str] | None = Field(default=None, max_length=len(hotkeys.ACTIONS))
    preferences: Preferences | None = None


class NewPassword(Body):
    """The password, and the next."""

    old: str = Field(max_length=passwords.MAX_CHARS)
    new: str = Field(max_length=passwords.MAX_CHARS)


@router.post("/api/login", status_code=204)
async def login(
    body: Login, request: Request, store: StoreDep, serving: ServingDep, hasher: PasswordsDep, before: AnyoneDep
) -> Response:
    """Sign in. A wrong name and a wrong password take the same time and get the same answer."""
    now = store.now()
    address = request.client.host if request.client else ""
    key = await store.awrite(lambda c: people.begin_login(c, name=body.name, address=address, now=now))
    found = await run_in_threadpool(_find, store, body.name)
    fits = await hasher.fits(found[1] if found else None, body.password)
    if found is None or not fits:
        raise Problem(401, "wrong", "Name or password is wrong.")
    old = before.session_hash if before else None
    token = await store.awrite(lambda c: people.sign_in(c, found[0], key=key, old_session=old, now=now))
    return _signed_in(serving, token)


@router.post("/api/logout", status_code=204)
def logout(store: StoreDep, serving: ServingDep, caller: SomeoneDep) -> Response:
    """End this session."""
    store.write(lambda c: close_session(c, caller.session_hash))
    response = Response(status_code=204)
    clear_cookie(response, serving)
    return response


@router.post("/api/invites/accept", status_code=204)
async def accept(body: Accept, store: StoreDep, serving: ServingDep, hasher: PasswordsDep) -> Response:
    """Join by an invite, signed in."""
    name = people.Name.of(body.name)
    passwords.check(body.password, name.key)
    work: Callable[[Connection], Any] = partial(
        people.open_invite, secret=serving.secret, token=body.token, now=store.now()
    )
    await store.awrite(work)  # before the hash, which is dear
    work = partial(
        people.accept_invite,
        secret=serving.secret,
        token=body.token,
        name=name,
        password_hash=await hasher.hash(body.password),
        now=store.now(),
    )
    return _signed_in(serving, await store.awrite(work))


@router.get("/api/me")
def me(store: StoreDep, caller: SomeoneDep) -> dict[str, Any]:
    """Who is signed in, and their settings."""
    with store.read() as connection:
        row = connection.execute(select(person.c.hotkeys, person.c.preferences).where(person.c.id == caller.id)).one()
    return {
        "id": caller.id,
        "name": caller.name,
        "role": caller.role,
        "standing": caller.standing,
        "hotkeys": row.hotkeys,
        "preferences": Preferences(**row.preferences).model_dump(),
    }


@router.patch("/api/me")
def change_me(body: Me, store: StoreDep, caller: SomeoneDep) -> dict[str, Any]:
    """Change one's own settings."""
    new: dict[str, Any] = {}
    if body.hotkeys is not None:
        new["hotkeys"] = hotkeys.check(body.hotkeys)
    if body.preferences is not None:
        new["preferences"] = body.preferences.model_dump()
    if new:
        store.write(lambda c: c.execute(update(person).where(person.c.id == caller.id).values(**new)).rowcount)
    return me(store, caller)


@router.post("/api/me/password", status_code=204)
async def change_password(
    body: NewPassword, request: Request, store: StoreDep, serving: ServingDep, hasher: PasswordsDep, caller: SomeoneDep
) -> Response:
    """Change one's own password; every other session of this person ends. Guesses are held back as at the login."""
    passwords.check(body.new, people.Name.of(caller.name).key)
    now = store.now()
    address = request.client.host if request.client else ""
    key = await store.awrite(lambda c: people.begin_login(c, name=caller.name, address=address, now=now))
    found = await run_in_threadpool(_find, store, caller.name)
    if found is None or not await hasher.fits(found[1], body.old):
        raise Problem(403, "wrong", "The present password is wrong.", fields={"old": "The present password is wrong."})
    password_hash = await hasher.hash(body.new)
    work = partial(people.set_password, person_id=caller.id, password_hash=password_hash, key=key, now=now)
    return _signed_in(serving, await store.awrite(work))


def _find(store: Store, name: str) -> tuple[int, str] | None:
    with store.read() as connection:
        return people.find(connection, name)


def _signed_in(serving: Serving, token: str) -> Response:
    response = Response(status_code=204)
    set_cookie(response, serving, token)
    return response
