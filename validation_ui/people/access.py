"""Decides who may do what: sessions, roles, and the CSRF token that proves that a write comes from our own page.

A session is 32 random bytes in a cookie; the table has only their sha256. Every write carries the `csrf_token` of the
session in a header, which another site cannot read; `web.guard.Guard` has checked the origin of the request before.
"""

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from sqlalchemy import Connection, bindparam, delete, insert, select

from validation_ui.database import Database
from validation_ui.problem import Problem
from validation_ui.schema import Account, Role, Standing, person, session
from validation_ui.serving import Serving

SAFE_METHODS = frozenset({"GET", "HEAD"})  # requests that change nothing (RFC 9110, section 9.2.1)
SESSION_S = 14 * 24 * 3600.0  # a session ends this long after the login, whether it is used or not
_RANK = (Role.REVIEWER, Role.ADJUDICATOR, Role.ADMIN)  # every role includes the rights of those before it
_SIGNED_IN = (
    select(person.c.id, person.c.name, person.c.role, person.c.standing)
    .join_from(session, person)
    .where(session.c.token_hash == bindparam("token_hash"), session.c.expires_at > bindparam("now"))
    .where(person.c.account != Account.CLOSED)
)


@dataclass(frozen=True)
class Caller:
    """The signed-in person who sent a request."""

    id: int
    name: str
    role: Role
    standing: Standing
    session_hash: str


async def database_of(request: Request) -> Database:  # async, as FastAPI runs other dependencies in a thread: slower
    """Return the app's database; a FastAPI dependency."""
    database: Database = request.app.state.database
    return database


async def serving_of(request: Request) -> Serving:
    """Return how the app is reached; a FastAPI dependency."""
    serving: Serving = request.app.state.serving
    return serving


async def data_of(request: Request) -> Path:
    """Return the data folder of the project; a FastAPI dependency."""
    data: Path = request.app.state.data
    return data


async def caller_of(request: Request) -> Caller | None:
    """Return the signed-in person, or None, with one query; a FastAPI dependency."""
    database, serving = await database_of(request), await serving_of(request)
    token = request.cookies.get(cookie_name(serving))
    if not token:
        return None
    token_hash = hash_token(token)
    binds = {"token_hash": token_hash, "now": database.now()}
    row = await database.aglance(_SIGNED_IN, binds)
    return Caller(row.id, row.name, Role(row.role), Standing(row.standing), token_hash) if row else None


def need(*roles: Role) -> Callable[..., Awaitable[Caller]]:
    """Return a FastAPI dependency that admits people of `roles` and of the roles above; all who are signed in if empty.

    READER is not part of that order: a reader is admitted only where READER is named.

    Raises:
        Problem: 401 nobody is signed in, 403 the role is not enough or a write lacks the page's token.
    """
    lowest = min((_RANK.index(role) for role in roles if role in _RANK), default=len(_RANK) - 1)
    allowed = frozenset((*roles, *_RANK[lowest:])) if roles else frozenset(Role)

    async def check(request: Request, caller: Annotated[Caller | None, Depends(caller_of)]) -> Caller:
        if caller is None:
            raise Problem(
                401, "signed_out", "You are signed out. Sign in again; what you wrote is kept in this browser."
            )
        if request.method not in SAFE_METHODS:
            given = request.headers.get("x-csrf-token", "")
            wanted = csrf_token(await serving_of(request), caller.session_hash)
            if not hmac.compare_digest(given.encode(), wanted.encode()):
                raise Problem(403, "csrf", "This page is from an earlier session. Reload it and try again.")
        if caller.role not in allowed:
            raise Problem(403, "role", f"This is not open to the role {caller.role}. Ask an admin.")
        return caller

    return check


def csrf_token(serving: Serving, session_hash: str) -> str:
    """Return the token that the pages of this session send with every write."""
    return hmac.new(serving.secret, f"csrf:{session_hash}".encode(), hashlib.sha256).hexdigest()


def hash_token(token: str) -> str:
    """Return the sha256 of a secret token, which is what the tables store of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(connection: Connection, person_id: int, now: float) -> str:
    """Begin a session and return the token for its cookie; sessions that have ended are removed from the table."""
    token = secrets.token_urlsafe(32)
    connection.execute(delete(session).where(session.c.expires_at <= now))
    row = {"token_hash": hash_token(token), "person_id": person_id, "created_at": now, "expires_at": now + SESSION_S}
    connection.execute(insert(session), row)
    return token


def close_session(connection: Connection, token_hash: str) -> None:
    """End one session of a person."""
    connection.execute(delete(session).where(session.c.token_hash == token_hash))


def close_sessions(connection: Connection, person_id: int) -> int:
    """End all sessions of a person and return how many there were."""
    return connection.execute(delete(session).where(session.c.person_id == person_id)).rowcount


def cookie_name(serving: Serving) -> str:
    """Return the cookie's name; under TLS it has a prefix that makes browsers demand Secure.

    With the prefix `__Host-` they demand Path=/ too, so an app below a path has `__Secure-`. Browsers share cookies
    between the ports of a host, and an app at `/` sends its own to those below it, so port and path are in the name.
    """
    url = urlsplit(serving.public_url)
    own = f"{url.port or ''}{serving.base.replace('/', '~')}"
    name = f"refsav-{own}" if own else "refsav"
    return f"{'__Secure-' if serving.base else '__Host-'}{name}" if serving.tls else name


def set_cookie(response: Response, serving: Serving, token: str) -> None:
    """Set the session cookie on a response."""
    response.set_cookie(
        cookie_name(serving),
        token,
        max_age=int(SESSION_S),
        path=serving.base or "/",
        secure=serving.tls,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, serving: Serving) -> None:
    """Delete the session cookie with a response."""
    path = serving.base or "/"
    response.delete_cookie(cookie_name(serving), path=path, secure=serving.tls, httponly=True, samesite="lax")
