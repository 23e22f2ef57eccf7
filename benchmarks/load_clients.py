"""Reviewers over HTTP, in a process of their own: `python -m benchmarks.load_clients < plan.json > measured.json`.

Each claims, looks at the first pictures, asks for the next item ahead, and judges; blind ones are pointed at, where the
text says, and the next one of the video comes with the answer. A connection that breaks is tried again with the same
key until it is answered, as the page does. They stop when the time is over, or when their standard input ends.
"""

import asyncio
import json
import random
import re
import sys
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import aiohttp

RETRY_S = 0.25
IDLE_S = 0.2  # nothing to do: ask again
_PLACE = re.compile(r"at ([\d.]+) ([\d.]+)\.")


@dataclass
class Measured:
    """What the clients saw."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # claim, submit, first, next
    acknowledged: list[tuple[int, int]] = field(default_factory=list)  # judgement, slot
    errors: Counter[str] = field(default_factory=Counter)
    empty: int = 0
    broken: int = 0  # connections


class Reviewer:
    """Claims and answers items over HTTP as one person at a browser does.

    Args:
        http: the pool of connections.
        plan: base, pace_s (null: at once), pictures, prefetch, kinds.
        who: cookie and csrf.
        measured: where figures go.
        stop: set when they are to end, also in the middle of trying again.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        plan: dict[str, Any],
        who: dict[str, str],
        measured: Measured,
        stop: asyncio.Event,
    ) -> None:
        self.http, self.plan, self.measured, self.stop = http, plan, measured, stop
        self.headers = {"Cookie": f"refsav={who['cookie']}", "X-CSRF-Token": who["csrf"]}

    async def run(self) -> None:
        """Judge until it is time to stop."""
        pace_s = self.plan["pace_s"]
        await asyncio.sleep(random.random() * (pace_s or 0.0))
        prefetched, brought = False, None
        while not self.stop.is_set():
            began = time.perf_counter()
            name = "next" if prefetched else "claim"
            view = brought or await self.timed(name, "/api/claim", {"kinds": self.plan["kinds"]})
            brought = None
            if not view or not view["slot"]:
                self.measured.empty += 1
                await asyncio.sleep(IDLE_S)
                continue
            if self.plan["pictures"]:
                await self.look(view, began)
            if pace_s:
                await asyncio.sleep(pace_s * random.uniform(0.3, 0.5))
                ahead = await self.timed("claim", "/api/claim", {"kinds": self.plan["kinds"], "prefetch": True})
                prefetched = bool(ahead and ahead["slot"])
                await asyncio.sleep(pace_s * random.uniform(0.3, 0.5))
            brought = await self.judge(view)
            if pace_s:
                await asyncio.sleep(max(0.0, began + pace_s - time.perf_counter()))

    async def look(self, view: dict[str, Any], began: float) -> None:
        """The first pictures, and the masks if there are any."""
        async with self.http.get(self.plan["base"] + view["video"]["chunks"][0]["key"], headers=self.headers) as answer:
            await answer.read()
        self.measured.ms["first"].append(1000 * (time.perf_counter() - began))
        if view["masks"]:
            async with self.http.get(self.plan["base"] + view["masks"], headers=self.headers) as answer:
                await answer.read()

    async def judge(self, view: dict[str, Any]) -> dict[str, Any] | None:
        """Point if the pass is blind, then accept what is revealed; return the item that an answer brought along."""
        address, parts = f"/api/slots/{view['slot']['id']}", view["item"]["parts"]
        if view["slot"]["kind"] == "blind" and not (view["pointing"] and view["pointing"]["revealed"]):
            x, y = map(float, _PLACE.findall(parts[0]["text"])[0])
            points = [{"frame": frame, "x": x, "y": y} for frame in (0, 48)]
            after = {"next_kinds": self.plan["kinds"]}
            found = await self.timed("point", f"{address}/pointing", {"answer": "pointed", "points": points} | after)
            if found and found["needs_extent"]:
                found = await self.timed("point", f"{address}/extent", {"choice": 0} | after)
            if not found or not found["revealed"]:
                return found and found["next"]  # the other blind items of the video come first
        body = {"decision": "accept", "parts": {part["name"]: "right" for part in parts}, "watched_frac": 1.0}
        key = {"Idempotency-Key": str(uuid.uuid4()), "If-Match": f'"{view["item"]["version"]}"'}
        answer = await self.timed("submit", f"{address}/submit", body, key)
        if answer:
            self.measured.acknowledged.append((answer["judgement"], view["slot"]["id"]))
        return None

    async def timed(
        self, name: str, address: str, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> dict[str, Any] | None:
        """POST until it is answered; None if it was refused, or is to stop."""
        while True:
            began = time.perf_counter()
            try:
                async with self.http.post(
                    self.plan["base"] + address, json=body, headers=self.headers | (headers or {})
                ) as answer:
                    content = await answer.json()
            except (aiohttp.ClientError, ConnectionError):
                self.measured.broken += 1
                if self.stop.is_set():
                    return None
                await asyncio.sleep(RETRY_S)
                continue
            self.measured.ms[name].append(1000 * (time.perf_counter() - began))
            if answer.status == 200:
                return dict(content)
            self.measured.errors[f"{name} {answer.status} {content['error']['code']}"] += 1
            return None


async def run(plan: dict[str, Any]) -> Measured:
    """All clients of a plan; no more work is begun after its `seconds`."""
    measured, stop = Measured(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(plan["seconds"], stop.set)
    loop.add_reader(sys.stdin.fileno(), stop.set)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as http:
        await asyncio.gather(*(Reviewer(http, plan, who, measured, stop).run() for who in plan["people"]))
    return measured


def main() -> None:
    """Read the plan, a line; write what was measured."""
    measured = asyncio.run(run(json.loads(sys.stdin.readline())))
    json.dump(vars(measured) | {"cpu_s": time.process_time()}, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
