"""Passwords: which are allowed, and their argon2id hashes, made in threads, two at a time (64 MiB of memory each).

A hash takes a tenth of a second and more, so many logins at once must wait for their turn (`people/turns.py`).
"""

from functools import cache, partial

from anyio import to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from validation_ui.people.turns import Turns
from validation_ui.problem import Problem

MIN_CHARS, MAX_CHARS = 12, 200
_AT_ONCE = 2
_MOST_WAITING = 64  # of one address: more than a team behind one router has
_COMMON = """
123456789012 1234567890123 12345678901234 123123123123 111111111111 aaaaaaaaaaaa qwertyuiop12 qwertyuiop123
qwertyuiopas 1q2w3e4r5t6y 1qaz2wsx3edc password1234 password12345 password123456 passwordpassword p@ssw0rd1234
iloveyou1234 adminadminadmin administrator administrator1 changemechangeme letmeinletmein welcome12345 qwerty123456
qwertyqwerty abcdefghijkl abc123abc123 football1234 sunshine1234 princess1234 dragon123456 correcthorsebatterystaple
"""


def check(password: str, name_key: str) -> None:
    """Refuse a password that is easy to guess.

    Args:
        password: the password.
        name_key: key of the person's name (`accounts.Name.key`); a password must be more than the name.

    Raises:
        Problem: 422; the message says which rule was broken.
    """
    plain = password.casefold()
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise _refused(f"A password has {MIN_CHARS} to {MAX_CHARS} characters; this one has {len(password)}.")
    if plain in _COMMON.split() or len(set(plain)) < 5:
        raise _refused("This password is among the first that are guessed. Take a few words that belong to no song.")
    if len(plain.replace(name_key, "")) < MIN_CHARS // 2:
        raise _refused("This password is little more than your name. Take a few words that belong to no song.")


class Passwords:
    """Makes and checks argon2id hashes without blocking the event loop."""

    def __init__(self) -> None:
        self._hasher, self._turns = PasswordHasher(), Turns(_AT_ONCE, _MOST_WAITING)
        self._nobodys = _nobodys_hash()

    async def hash(self, password: str, address: str) -> str:
        """Return the argon2id hash of a password, for somebody at `address`."""
        async with self._turns.turn(address, first=True):
            return await to_thread.run_sync(self._hasher.hash, password)

    async def fits(self, password_hash: str | None, password: str, address: str) -> bool:
        """Return whether the password has this hash; for None (no such person) False, after the same work.

        Before a failure is told, `hushed` must be awaited: people who exist have their turn before others.
        """
        # an account that waits for a new password has no hash
        known = password_hash if password_hash and password_hash.startswith("$argon2") else None
        check_ = partial(self._fits, known or self._nobodys, password)
        async with self._turns.turn(address, first=known is not None):
            return await to_thread.run_sync(check_) and known is not None

    async def hushed(self, address: str) -> None:
        """Wait until no hash is made for `address`, so that the order of failures does not tell which names exist."""
        await self._turns.idle(address)

    def _fits(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerifyMismatchError, InvalidHashError):
            return False


@cache
def _nobodys_hash() -> str:
    return PasswordHasher().hash("nobody has this password")


def _refused(message: str) -> Problem:
    return Problem(422, "invalid", message, fields={"password": message})
