"""Turns at expensive work, so that somebody who asks for a lot of it delays nobody else."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from validation_ui.problem import Problem


@dataclass(frozen=True, slots=True)
class _Ticket:
    first: bool
    comes: asyncio.Future[None]


class Turns:
    """Lets a few pieces of work run at a time. Addresses take turns, whatever the number of their requests.

    Of one address those that are to be `first` go before others, and the newest before older ones: of too many requests
    some are served soon, instead of all of them late.

    Args:
        at_once: how many run at a time.
        most_waiting: how many of one address may wait; the oldest beyond that is refused.
    """

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._free, self._most = at_once, most_waiting
        self._waiting: dict[str, list[_Ticket]] = {}  # by address; the first address has the next turn
        self._at_work: Counter[str] = Counter()  # waiting and running ones, by address
        self._idle: dict[str, list[asyncio.Future[None]]] = {}  # who wait until nothing of an address is at work

    @asynccontextmanager
    async def turn(self, address: str, *, first: bool) -> AsyncIterator[None]:
        """Wait for a turn and hold it.

        Raises:
            Problem: 429; too many of this address are waiting.
        """
        self._at_work[address] += 1
        try:
            if self._free:
                self._free -= 1
            else:
                await self._wait(address, first)
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._at_work[address] -= 1
            if not self._at_work[address]:
                del self._at_work[address]
                for waiting in self._idle.pop(address, ()):
                    if not waiting.done():
                        waiting.set_result(None)

    async def idle(self, address: str) -> None:
        """Wait until nothing of an address is waiting or running."""
        if address in self._at_work:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.setdefault(address, []).append(waiting)
            await waiting

    async def _wait(self, address: str, first: bool) -> None:
        ticket = _Ticket(first, asyncio.get_running_loop().create_future())
        waiting = self._waiting.setdefault(address, [])
        waiting.append(ticket)
        if len(waiting) > self._most:
            message = "Too many logins at once from your network. Try again."
            waiting.pop(0).comes.set_exception(Problem(429, "wait", message, retry_after_s=5))
        try:
            await ticket.comes
        except asyncio.CancelledError:
            if ticket.comes.done() and not ticket.comes.cancelled():  # the turn came as the caller left
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            address = next(iter(self._waiting))
            waiting = self._waiting.pop(address)
            ticket = waiting.pop(max(range(len(waiting)), key=lambda place: (waiting[place].first, place)))
            if waiting:
                self._waiting[address] = waiting  # at the end
            if not ticket.comes.done():
                ticket.comes.set_result(None)
                return
        self._free += 1
