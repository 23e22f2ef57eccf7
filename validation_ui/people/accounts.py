"""Accounts: names, invites, logins and roles. Every change of them is recorded in the audit log.

Nobody can register without an invite. An invite is a signed link that expires and works once; the table has only its
hash.
"""

import hashlib
import ipaddress
import secrets
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from validation_ui import audit
from validation_ui.judging import leases
from validation_ui.people.access import Caller, close_sessions, hash_token, open_session
from validation_ui.people.person_names import Name, key_of, looks_of
from validation_ui.problem import Problem
from validation_ui.schema import (
    ADJUDICATORS,
    Account,
    Role,
    SlotKind,
    Standing,
    invite,
    login_failure,
    person,
    session,
)

INVITE_S = 7 * 24 * 3600.0
RESET_S = 24 * 3600.0
_RESET = "reset:"  # how what stands for the hash of a password begins while a new one is awaited
FREE_FAILURES = 4  # wrong passwords for one name from one address before one has to wait
MAX_WAIT_S = 900.0
ADDRESS_FAILURES = 30  # wrong passwords from one address, whatever the names, before one has to wait
ADDRESS_REFILL_S = 30.0  # after this time an address has one attempt more
_FORGET_FAILURES_S = 24 * 3600.0


def make_invite(connection: Connection, secret: bytes, *, role: Role, by: int | None, now: float) -> tuple[str, float]:
    """Store an invite; return its token, which is stored nowhere, and when it expires."""
    expires_at = now + INVITE_S
    token = _signer(secret).dumps([secrets.token_urlsafe(24), expires_at])
    row = {"token_hash": hash_token(token), "role": role, "created_by": by, "created_at": now, "expires_at": expires_at}
    made = connection.execute(insert(invite).returning(invite.c.id), row).scalar_one()
    _log(connection, now, by, "invite", f"invite:{made}", {"role": role})
    return token, expires_at


def first_invite(connection: Connection, secret: bytes, now: float) -> str | None:
    """Make an invite for the first admin and return its token; None if there is an admin.

    Earlier invites of this kind that were not used are revoked.
    """
    if connection.execute(select(person.c.id).where(person.c.role == Role.ADMIN).limit(1)).first():
        return None
    unused = invite.c.created_by.is_(None), invite.c.used_at.is_(None), invite.c.revoked_at.is_(None)
    connection.execute(update(invite).where(*unused).values(revoked_at=now))
    return make_invite(connection, secret, role=Role.ADMIN, by=None, now=now)[0]


def open_invite(connection: Connection, secret: bytes, token: str, now: float) -> tuple[int, Role]:
    """Return the id and the role of an invite that can be accepted.

    Raises:
        Problem: 410; the token is forged, or the invite was used, was revoked or has expired. The message is the same.
    """
    ended = Problem(410, "invite", "This invite does not work: it was used or revoked, or is over. Ask for a new one.")
    try:
        _, expires_at = _signer(secret).loads(token)
    except BadSignature as error:
        raise ended from error
    row = connection.execute(
        select(invite.c.id, invite.c.role).where(
            invite.c.token_hash == hash_token(token),
            invite.c.used_at.is_(None),
            invite.c.revoked_at.is_(None),
            invite.c.expires_at > now,
        )
    ).first()
    if row is None or expires_at <= now:
        raise ended
    return row.id, Role(row.role)


def accept_invite(
    connection: Connection, secret: bytes, *, token: str, name: Name, password_hash: str, now: float
) -> str:
    """Add a person, sign them in and return the token of their session.

    Raises:
        Problem: 410 as for `open_invite`, 409 somebody has this name or one that looks the same.
    """
    audit.lock(connection)  # so that no two people take names that look the same at the same moment
    if any(name.looks & looks_of(other) for other in connection.scalars(select(person.c.name))):
        raise _name_taken()
    invite_id, role = open_invite(connection, secret, token, now)
    row = {
        "name": name.shown,
        "name_key": name.key,
        "role": role,
        "standing": Standing.ENTRY if role in (Role.READER, Role.REVIEWER) else Standing.ACTIVE,
        "password_hash": password_hash,
        "created_at": now,
    }
    try:
        with connection.begin_nested():
            made = connection.execute(insert(person).returning(person.c.id), row).scalar_one()
    except IntegrityError as error:
        raise _name_taken() from error
    open_ = invite.c.id == invite_id, invite.c.used_at.is_(None)
    if connection.execute(update(invite).where(*open_).values(used_by=made, used_at=now)).rowcount != 1:
        raise Problem(410, "invite", "This invite was used a moment ago. Ask for a new one.")
    token = open_session(connection, made, now)
    _log(connection, now, made, "join", f"person:{made}", {"invite": invite_id, "role": role})
    return token


def _name_taken() -> Problem:
    message = "Somebody has this name, or one that looks the same. Take another, or sign in."
    return Problem(409, "name_taken", message, fields={"name": message})


def revoke_invite(connection: Connection, invite_id: int, *, by: int, now: float) -> None:
    """Revoke an invite that nobody has used.

    Raises:
        Problem: 404 there is no such open invite.
    """
    unused = invite.c.id == invite_id, invite.c.used_at.is_(None), invite.c.revoked_at.is_(None)
    if connection.execute(update(invite).where(*unused).values(revoked_at=now)).rowcount != 1:
        raise Problem(404, "no_invite", "There is no open invite of that number.")
    _log(connection, now, by, "revoke_invite", f"invite:{invite_id}")


def begin_login(connection: Connection, *, name: str, address: str, now: float) -> str:
    """Count an attempt to log in before the password is checked, so that many attempts at once are counted too.

    Nothing is counted for an account alone: whoever guesses from one address keeps nobody out at another.

    Returns:
        The key of the counter, to be cleared when the password was right.

    Raises:
        Problem: 429; too many wrong passwords for this account from this address, whether or not the account exists,
            or for any accounts from this address.
    """
    network = network_of(address)
    connection.execute(delete(login_failure).where(login_failure.c.last_at < now - _FORGET_FAILURES_S))
    if (left_s := _address_wait_s(_failures(connection, _address_key(network)), now)) > 0:
        message = f"Too many wrong passwords from your network. Wait {left_s:.0f} s and try again."
        raise Problem(429, "wait", message, retry_after_s=int(left_s) + 1)
    key = hashlib.sha256(f"{key_of(name)}\n{network}".encode()).hexdigest()
    row = _failures(connection, key)
    if row is None:
        if not _first_failure(connection, key, now):
            raise Problem(429, "wait", "One attempt at a time. Try again.", retry_after_s=1)
        return key
    over = row.failures - FREE_FAILURES
    left_s = row.last_at + min(2.0**over, MAX_WAIT_S) - now if over > 0 else 0.0
    if left_s > 0:
        message = f"Too many wrong passwords. Wait {left_s:.0f} s and try again."
        raise Problem(429, "wait", message, retry_after_s=int(left_s) + 1)
    values = {"count": min(row.failures + 1, FREE_FAILURES + 32), "last_at": now}
    connection.execute(update(login_failure).where(login_failure.c.key == key).values(**values))
    return key


def end_login(connection: Connection, *, address: str, now: float) -> None:
    """Count a wrong password for its address, whatever the name was."""
    key = _address_key(network_of(address))
    row = _failures(connection, key)
    if row is None and _first_failure(connection, key, now):
        return
    row = row or _failures(connection, key)
    left = max(0, row.failures - int((now - row.last_at) / ADDRESS_REFILL_S)) if row else 0
    values = {"count": min(left + 1, 2 * ADDRESS_FAILURES), "last_at": now}
    connection.execute(update(login_failure).where(login_failure.c.key == key).values(**values))


def network_of(address: str) -> str:
    """Return what attempts are counted for: an IPv4 address, or the /64 of an IPv6 one, which is one household's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))


def _address_key(network: str) -> str:
    return hashlib.sha256(f"\n\n{network}".encode()).hexdigest()  # no name is like this


def _address_wait_s(row: Row[Any] | None, now: float) -> float:
    over = row.failures - ADDRESS_FAILURES + 1 if row else 0
    return row.last_at + over * ADDRESS_REFILL_S - now if row and over > 0 else 0.0


def _failures(connection: Connection, key: str) -> Row[Any] | None:
    wanted: Select[Any] = select(login_failure.c["count"].label("failures"), login_failure.c.last_at)
    return connection.execute(wanted.where(login_failure.c.key == key).with_for_update()).first()


def _first_failure(connection: Connection, key: str, now: float) -> bool:
    """Begin to count; False if another transaction did so at the same moment, on PostgreSQL."""
    try:
        with connection.begin_nested():
            connection.execute(insert(login_failure), {"key": key, "count": 1, "last_at": now})
    except IntegrityError:
        return False
    return True


def sign_in(connection: Connection, person_id: int, *, key: str, old_session: str | None, now: float) -> str:
    """Begin a session after the right password and return its token; the browser's earlier session ends."""
    connection.execute(delete(login_failure).where(login_failure.c.key == key))
    if old_session is not None:
        connection.execute(delete(session).where(session.c.token_hash == old_session))
    return open_session(connection, person_id, now)


def find(connection: Connection, name: str) -> Row[Any] | None:
    """Return the id, the password hash and the account of the person of this name, or None."""
    wanted: Select[Any] = select(person.c.id, person.c.password_hash, person.c.account)
    return connection.execute(wanted.where(person.c.name_key == key_of(name))).first()


def set_password(connection: Connection, person_id: int, *, password_hash: str, key: str, now: float) -> str:
    """Change a person's password and end all their sessions; return the token of a new one."""
    connection.execute(delete(login_failure).where(login_failure.c.key == key))
    return _begin_with(connection, person_id, password_hash, now)


def _begin_with(connection: Connection, person_id: int, password_hash: str, now: float) -> str:
    connection.execute(update(person).where(person.c.id == person_id).values(password_hash=password_hash))
    close_sessions(connection, person_id)
    token = open_session(connection, person_id, now)
    _log(connection, now, person_id, "password", f"person:{person_id}")
    return token


def change(
    connection: Connection,
    person_id: int,
    *,
    by: Caller,
    role: Role | None = None,
    standing: Standing | None = None,
    account: Account | None = None,
    now: float,
) -> None:
    """Change the role, the standing or the account of another person.

    A new role and a closed account end their sessions. ENTRY restarts the entry test. What they hold and may not judge
    any more goes back to others; a blind answer counts after its reveal, but not of somebody who is stopped.

    Raises:
        Problem: 403 it is the caller's own account, 404 there is no such person, 422 FAILED can only be the result of
            the entry test.
    """
    if person_id == by.id:
        raise Problem(403, "own", "Nobody changes their own role or standing. Ask another admin.")
    if standing == Standing.FAILED:
        raise Problem(422, "invalid", "Only the entry test makes somebody fail; to keep them from judging, stop them.")
    old = connection.execute(select(person).where(person.c.id == person_id).with_for_update()).first()
    if old is None:
        raise Problem(404, "no_person", "There is no such person.")
    new: dict[str, Any] = {}
    if role is not None and role != old.role:
        new["role"] = role
        close_sessions(connection, person_id)
    if standing is not None and standing != old.standing:
        new["standing"] = standing
        if standing == Standing.ENTRY:
            new["entry_round"] = old.entry_round + 1
    if account is not None and account != old.account:
        new["account"] = account
        if account == Account.CLOSED:
            close_sessions(connection, person_id)
    if new:
        if new.get("standing") == Standing.STOPPED:
            leases.put_back_all(connection, person_id)
        elif (
            new.get("account", Account.OPEN) != Account.OPEN
            or new.get("role") == Role.READER
            or new.get("standing") == Standing.ENTRY
        ):
            leases.leave(connection, person_id, now)
        elif new.get("role", Role.ADMIN) not in ADJUDICATORS:
            leases.put_back_all(connection, person_id, SlotKind.ADJUDICATE)
        connection.execute(update(person).where(person.c.id == person_id).values(**new))
        before = {key: old._mapping[key] for key in new}
        _log(connection, now, by.id, "person", f"person:{person_id}", {"from": before, "to": new})


def reset_password(connection: Connection, person_id: int, *, by: int | None, now: float) -> tuple[str, float]:
    """End a person's sessions and password; return a token by which they choose a new one, once, and when it expires.

    An earlier token of this kind for the same person no longer works.

    Raises:
        Problem: 403 it is the caller's own account, 404 there is no such person, 409 the account is closed.
    """
    if person_id == by:
        raise Problem(403, "own", "Change your own password on the page of your account.")
    old = connection.execute(select(person.c.account).where(person.c.id == person_id).with_for_update()).first()
    if old is None:
        raise Problem(404, "no_person", "There is no such person.")
    if old.account == Account.CLOSED:
        raise Problem(409, "closed", "This account is closed. Open it first.")
    token, expires_at = secrets.token_urlsafe(32), now + RESET_S
    waiting = f"{_RESET}{hash_token(token)}:{expires_at:.0f}"
    connection.execute(update(person).where(person.c.id == person_id).values(password_hash=waiting))
    close_sessions(connection, person_id)
    _log(connection, now, by, "reset_password", f"person:{person_id}")
    return token, expires_at


def open_reset(connection: Connection, token: str, now: float) -> Row[Any]:
    """Return id and name of the person who may choose a new password by this token.

    Raises:
        Problem: 410; the token is forged, was used or replaced, or has expired. The message is the same.
    """
    known = person.c.password_hash.startswith(f"{_RESET}{hash_token(token)}:"), person.c.account != Account.CLOSED
    wanted: Select[Any] = select(person.c.id, person.c.name, person.c.password_hash).where(*known).with_for_update()
    row = connection.execute(wanted).first()
    if row is None or float(row.password_hash.rpartition(":")[2]) <= now:
        message = "This link does not work: it was used or replaced, or is over. Ask an admin for a new one."
        raise Problem(410, "reset", message)
    return row


def accept_reset(connection: Connection, *, token: str, password_hash: str, now: float) -> str:
    """Set the new password of the person whom the token is for, sign them in, and return the token of their session.

    Raises:
        Problem: 410 as for `open_reset`.
    """
    row = open_reset(connection, token, now)
    return _begin_with(connection, row.id, password_hash, now)


def people(connection: Connection, now: float) -> list[dict[str, Any]]:
    """Return all people in the order in which they joined, with the number of their open sessions."""
    sessions = (
        select(func.count())
        .where(session.c.person_id == person.c.id, session.c.expires_at > now)
        .scalar_subquery()
        .label("sessions")
    )
    shown = (
        *(person.c.id, person.c.name, person.c.role, person.c.standing, person.c.account, person.c.entry_round),
        *(person.c.created_at, person.c.password_hash.startswith(_RESET).label("resets")),
    )
    return [dict(row) for row in connection.execute(select(*shown, sessions).order_by(person.c.id)).mappings()]


def invites(connection: Connection, now: float) -> list[dict[str, Any]]:
    """Return the invites that can still be accepted, without their links, which were shown only once."""
    shown = invite.c.id, invite.c.role, invite.c.created_by, invite.c.created_at, invite.c.expires_at
    usable = invite.c.used_at.is_(None), invite.c.revoked_at.is_(None), invite.c.expires_at > now
    return [dict(row) for row in connection.execute(select(*shown).where(*usable).order_by(invite.c.id)).mappings()]


def _signer(secret: bytes) -> URLSafeSerializer:
    return URLSafeSerializer(secret, salt="invite")


def _log(
    connection: Connection, now: float, by: int | None, action: str, subject: str, body: dict[str, Any] | None = None
) -> None:
    actor = "cli" if by is None else f"person:{by}"
    audit.append(connection, at=now, actor=actor, action=action, subject=subject, body=body)
