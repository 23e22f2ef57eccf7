"""Connections that half-sent requests keep open, and logins that wait for each other."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from starlette.types import Message

from tests.validation_ui.site import Site, make_site, served
from validation_ui.people.turns import Turns
from validation_ui.problem import Problem
from validation_ui.web import connections, guard

SOON_S = 0.5
HEAD = b"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    yield site
    site.store.close()


@pytest.fixture
def port(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_S", SOON_S)
    monkeypatch.setattr(guard, "BODY_S", SOON_S)
    with served(site.app) as url:
        yield int(url.rsplit(":", 1)[1])


HALF = {
    "nothing": b"",
    "half a request line": b"GET / HT",
    "headers that do not end": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
    "a body that does not come": HEAD + b"Content-Length: 100\r\n\r\n",
    "half a body": HEAD + b'Content-Length: 100\r\n\r\n{"na',
    "a chunked body that does not end": HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\n{}  \r\n",
    "a second request that does not end": b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET / HT",
}


def test_half_sent_requests_are_closed_and_others_served_meanwhile(port: int) -> None:
    """Slow headers and bodies, on many sockets."""
    socks = [(name, socket.create_connection(("127.0.0.1", port), timeout=60)) for name in HALF for _ in range(30)]
    for name, sock in socks:
        sock.sendall(HALF[name])
    assert httpx.get(f"http://127.0.0.1:{port}/login").status_code == 200
    for name, sock in socks:
        told = b""
        while more := sock.recv(65536):  # ends when the server hangs up
            told += more
        assert (b" 408 " in told) == ("body" in name), (name, told)
        sock.close()


@pytest.mark.parametrize(
    "begun", [HALF["headers that do not end"], HEAD + b"Content-Length: 10000\r\n\r\n"], ids=["headers", "body"]
)
def test_what_trickles_in_keeps_no_connection_open(port: int, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        sock.sendall(begun)
        with suppress(OSError):  # the server hung up
            for _ in range(600):
                sock.sendall(b"x")
                time.sleep(SOON_S / 5)
            pytest.fail("open after a minute")


def test_a_slow_but_whole_request_and_the_next_one_are_answered(port: int) -> None:
    body = b'{"name": "nobody", "password": "x"}'
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock:
        for _ in range(2):
            for piece in (HEAD[:30], HEAD[30:], f"Content-Length: {len(body)}\r\n\r\n".encode(), body):
                sock.sendall(piece)
            told = b""
            while b"wrong" not in told:
                assert (more := sock.recv(65536)), told
                told += more
            assert told.startswith(b"HTTP/1.1 401 ")


def test_headers_without_end_are_cut_by_their_size(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as sock, suppress(OSError):  # it hung up
        sock.sendall(b"GET / HTTP/1.1\r\nX: " + b"y" * 20 * connections.MAX_HEAD)
        assert b"200" not in sock.recv(65536)


def test_a_body_in_time_is_no_matter_of_the_clock() -> None:
    """The limit is for what is missing, not for what the app does with it."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    assert asyncio.run(guard._read_in_time(receive)) == b"{}"


async def started(turns: Turns, order: list[str], name: str, address: str, *, first: bool) -> asyncio.Task[None]:
    async def work() -> None:
        async with turns.turn(address, first=first):
            order.append(name)
            await asyncio.sleep(0)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    return task


def test_addresses_take_turns_and_people_who_exist_go_first() -> None:
    async def main() -> list[str]:
        turns, order = Turns(1, 64), list[str]()
        async with turns.turn("x", first=False):
            tasks = [await started(turns, order, f"a{n}", "a", first=False) for n in range(3)]
            tasks += [await started(turns, order, "known", "a", first=True)]
            tasks += [await started(turns, order, "a3", "a", first=False)]
            tasks += [await started(turns, order, "b", "b", first=False)]
        await asyncio.gather(*tasks)
        return order

    assert asyncio.run(main()) == ["known", "b", "a3", "a2", "a1", "a0"]


def test_too_many_of_one_address_are_refused_oldest_first_and_who_left_takes_no_turn() -> None:
    async def main() -> tuple[list[str], BaseException | None]:
        turns, order = Turns(1, 2), list[str]()
        async with turns.turn("x", first=False):
            tasks = [await started(turns, order, str(n), "a", first=False) for n in range(3)]
            tasks[2].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        async with turns.turn("x", first=False):  # no turn was lost
            pass
        return order, done[0]

    order, refused = asyncio.run(main())
    assert order == ["1"]
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (429, "wait")


def test_failures_are_told_when_nothing_of_the_address_is_at_work() -> None:
    async def main() -> list[str]:
        turns, order = Turns(1, 64), list[str]()

        async def told() -> None:
            await turns.idle("a")
            order.append("told")

        await turns.idle("a")
        async with turns.turn("a", first=True):
            task = await started(turns, order, "last", "a", first=False)
            telling = asyncio.create_task(told())
        await asyncio.gather(task, telling)
        return order

    assert asyncio.run(main()) == ["last", "told"]
