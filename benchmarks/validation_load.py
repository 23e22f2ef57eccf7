"""The load gates of the validation app over real HTTP: `python -m benchmarks.validation_load [--quick]`.

The app runs in a process of its own, the clients in another; each load has a fresh database. After each, every
decision that was acknowledged must be there, no slot may have two, nobody may have judged an item twice, and the audit
log must be whole. `--database` names an empty PostgreSQL database, which is left empty.
"""

import argparse
import json
import os
import platform
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from sqlalchemy import MetaData, create_engine, func, inspect, select

from benchmarks.load_project import items, people, pictures
from tests.running import ROOT
from validation_ui import audit
from validation_ui.database import Database
from validation_ui.schema import judgement
from validation_ui.serving import Serving, load_secret
from validation_ui.web.app import create_app
from validation_ui.web.connections import server_options

REVIEWERS, PER_MIN = 50, 4
CLIENTS = 200
KILLS, KILLED_CLIENTS = 10, 20
MANY = 100_000
SOME = 10_000
START_S = 120.0  # for the server to come up, on a machine that others use too
IMPORTED = 200  # rows that an import adds in a transaction
BOTH = ["sighted", "blind"]

Row = tuple[str, str, str, bool]  # figure, gate, measured, ok


@dataclass
class Bench:
    """A fresh project, its server and its clients."""

    data: Path
    url: str
    port: int
    store: Database
    sessions: list[dict[str, str]]
    chunks: list[dict[str, Any]]
    server: subprocess.Popen[bytes] | None = None
    running: list["Clients"] = field(default_factory=list)

    def start(self) -> None:
        """Start the server and wait until it listens."""
        command = [
            sys.executable,
            "-m",
            "benchmarks.validation_load",
            "--serve",
            *map(str, (self.data, self.port, self.url)),
        ]
        self.server = subprocess.Popen(command, cwd=ROOT)
        until = time.monotonic() + START_S
        while not _listens(self.port):
            if time.monotonic() > until or self.server.poll() is not None:
                raise RuntimeError(f"the server did not come up within {START_S:.0f} s, or ended: see above")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill the server as a power cut would."""
        assert self.server is not None
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()

    def clients(self, count: int, seconds: float, **plan: Any) -> "Clients":
        """Start the first `count` people."""
        plan = {"pace_s": None, "pictures": False, "kinds": BOTH} | plan
        plan |= {"base": f"http://127.0.0.1:{self.port}", "seconds": seconds, "people": self.sessions[:count]}
        self.running.append(Clients(plan))
        return self.running[-1]

    def kept(self, acknowledged: list[tuple[int, int]]) -> str:
        """What is wrong with what was kept; empty: nothing."""
        live = judgement.c.undone_at.is_(None)
        with self.store.read() as connection:
            rows = connection.execute(select(judgement.c.id, judgement.c.slot_id).where(live)).all()
            twice = select(func.count()).where(live).group_by(judgement.c.item_id, judgement.c.person_id)
            again = connection.execute(twice.having(func.count() > 1)).all()
            audit.verify(connection)
        there = {tuple(row) for row in rows}
        lost = [each for each in acknowledged if tuple(each) not in there]
        doubled = len(acknowledged) - len({slot_id for _, slot_id in acknowledged})
        return ", ".join(
            f"{count} {what}"
            for count, what in ((len(lost), "lost"), (doubled, "slots twice"), (len(again), "judged twice"))
            if count
        )


class Clients:
    """A process of clients."""

    def __init__(self, plan: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "benchmarks.load_clients"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(plan) + "\n")
        self.process.stdin.flush()
        self.seconds = plan["seconds"]

    def stop(self) -> dict[str, Any]:
        """End them; what they measured."""
        out, _ = self.process.communicate()
        return dict(json.loads(out))

    def wait(self) -> dict[str, Any]:
        """Let them end by themselves; what they measured."""
        assert self.process.stdout is not None
        out = self.process.stdout.read()
        self.process.communicate()
        return dict(json.loads(out))


@contextmanager
def bench(database: str | None, count: int, reviewers: int) -> Iterator[Bench]:
    """A project of `count` expressions that is served."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        url = database or f"sqlite:///{data}/validation.sqlite3"
        if database and inspect(create_engine(database)).get_table_names():
            raise ValueError(f"--database must name an empty database, and {database} has tables; create another")
        store = Database(url)
        store.create()
        chunks = pictures(data)
        made = Bench(data, url, _free_port(), store, people(store, load_secret(data), reviewers), chunks)
        for _ in items(store, chunks, count, first=0, together=3000):
            pass
        made.start()
        try:
            yield made
        finally:
            for clients in made.running:
                clients.process.kill()
            made.kill()
            store.close()
            if database:
                _empty(database)


def paced(database: str | None, seconds: float) -> Iterator[Row]:
    """50 people at the pace of people."""
    with bench(database, SOME, REVIEWERS) as made:
        found = made.clients(REVIEWERS, seconds, pace_s=60 / PER_MIN, pictures=True).wait()
        wrong = made.kept(found["acknowledged"])
    name = f"{REVIEWERS} at {PER_MIN}/min, {seconds:.0f} s"
    yield at_most(f"{name}: claim p95", 100, found["ms"].get("claim"), 95)
    yield at_most(f"{name}: submit p95", 150, found["ms"].get("submit"), 95)
    yield at_most(f"{name}: first frame p95", 1000, found["ms"].get("first"), 95)
    yield at_most(f"{name}: next item p95", 150, found["ms"].get("next"), 95)
    yield nothing(f"{name}: errors", found)
    yield (f"{name}: lost or twice", "0", wrong or f"0 of {len(found['acknowledged'])}", not wrong)


def saturated(database: str | None, seconds: float) -> Iterator[Row]:
    """200 clients that never rest."""
    with bench(database, SOME + int(600 * seconds), CLIENTS) as made:
        assert made.server is not None
        before_s = _cpu_s(made.server.pid)
        found = made.clients(CLIENTS, seconds).wait()
        each = max(1, len(found["acknowledged"]))
        cpu_ms, theirs_ms = (1000 * seconds / each for seconds in (_cpu_s(made.server.pid) - before_s, found["cpu_s"]))
        wrong = made.kept(found["acknowledged"])
    rate = len(found["acknowledged"]) / seconds
    name = f"{CLIENTS} saturated, {seconds:.0f} s"
    yield (
        f"{name}: items/s",
        ">= 200",
        f"{rate:.0f} (CPU each: server {cpu_ms:.1f} ms, clients {theirs_ms:.1f})",
        rate >= 200,
    )
    yield at_most(f"{name}: claim max", 2000, found["ms"].get("claim"), 100)
    yield at_most(f"{name}: submit max", 2000, found["ms"].get("submit"), 100)
    yield nothing(f"{name}: errors", found)
    yield (f"{name}: lost or twice", "0", wrong or f"0 of {len(found['acknowledged'])}", not wrong)


def killed(database: str | None, seconds: float) -> Iterator[Row]:
    """The server is killed again and again while 20 clients work."""
    with bench(database, SOME, KILLED_CLIENTS) as made:
        clients = made.clients(KILLED_CLIENTS, 3600)
        for _ in range(KILLS):
            time.sleep(random.uniform(0.5, 1.5) * seconds / KILLS)
            made.kill()
            made.start()
        found = clients.stop()
        wrong = made.kept(found["acknowledged"])
    got = wrong or f"0 of {len(found['acknowledged'])} ({found['broken']} connections broken)"
    yield (f"kill -9 x {KILLS}: acknowledged and lost, or twice", "0", got, not wrong and found["broken"] >= KILLS)
    yield nothing(f"kill -9 x {KILLS}: errors", found)


def many(database: str | None, seconds: float) -> Iterator[Row]:
    """One client in a large project."""
    with bench(database, MANY, 1) as made:
        found = made.clients(1, seconds).wait()
    yield at_most(f"{MANY:,} items: claim p95", 20, found["ms"].get("claim"), 95)


def imported(database: str | None, seconds: float) -> Iterator[Row]:
    """50 people at their pace while 10,000 expressions are added by another process (this one)."""
    with bench(database, SOME, REVIEWERS) as made:
        clients = made.clients(REVIEWERS, seconds, pace_s=60 / PER_MIN)
        time.sleep(2)  # they have begun
        began, chunks = time.monotonic(), 0
        for chunks, _ in enumerate(items(made.store, made.chunks, SOME, first=SOME, together=IMPORTED), start=1):
            time.sleep(max(0.0, began + chunks * 0.8 * (seconds - 2) / (SOME / IMPORTED) - time.monotonic()))
        took = time.monotonic() - began
        found = clients.wait()
        wrong = made.kept(found["acknowledged"])
    name = f"import of {SOME:,} meanwhile ({took:.0f} s)"
    yield at_most(f"{name}: submit p95", 500, found["ms"].get("submit"), 95)
    yield (f"{name}: lost or twice", "0", wrong or f"0 of {len(found['acknowledged'])}", not wrong)


def _empty(database: str) -> None:
    """Drop the tables that a load made."""
    tables, engine = MetaData(), create_engine(database)
    tables.reflect(engine)
    tables.drop_all(engine)
    engine.dispose()


def _cpu_s(pid: int) -> float:
    """CPU time of one process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    """A port outside the range of clients: while the server is down, one that retries might connect to itself."""
    for port in random.sample(range(20_000, 30_000), 100):
        if not _listens(port):
            return port
    raise RuntimeError("100 ports between 20,000 and 30,000 are taken")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def at_most(name: str, gate_ms: float, ms: list[float] | None, percentile: float) -> Row:
    """A row for a percentile of times."""
    if not ms:
        return (name, f"<= {gate_ms:.0f} ms", "nothing measured", False)
    got = float(np.percentile(ms, percentile))
    return (
        name,
        f"<= {gate_ms:.0f} ms",
        f"{got:.0f} ms (p50 {np.percentile(ms, 50):.0f}, n {len(ms)})",
        got <= gate_ms,
    )


def nothing(name: str, found: dict[str, Any]) -> Row:
    """A row for refusals."""
    errors = ", ".join(f"{count} x {what}" for what, count in sorted(found["errors"].items()))
    return (name, "0", errors or "0", not errors)


def serve(data: Path, port: int, url: str) -> None:
    """Serve the real app in this process, until it is ended."""
    app = create_app(Database(url), data, data, Serving(load_secret(data)))
    uvicorn.Server(uvicorn.Config(app, port=port, **server_options())).run()


LOADS: dict[str, Callable[[str | None, float], Iterator[Row]]] = {
    "paced": paced,
    "saturated": saturated,
    "killed": killed,
    "many": many,
    "imported": imported,
}


def main() -> None:
    """Run the reviewers against the app and print times beside the gates."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    command = argparse.ArgumentParser(description=__doc__)
    command.add_argument("loads", nargs="*", choices=[[], *LOADS], help=f"of {', '.join(LOADS)} (default: all)")
    command.add_argument("--seconds", type=float, default=600, help="of the paced load (default 600)")
    command.add_argument("--quick", action="store_true", help="60 s of the paced load, 10 to 30 s of the others")
    command.add_argument("--database", help="an EMPTY PostgreSQL database, postgresql+psycopg://… (default: SQLite)")
    command.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.serve:
        serve(Path(options.serve[0]), int(options.serve[1]), options.serve[2])
        return
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), "?")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{cpu}, {os.cpu_count()} CPUs, load {load} before; Python {platform.python_version()}; ", end="")
    print(options.database.split("@")[-1] if options.database else "SQLite")
    head = ("figure", "gate", "measured", "ok")
    print("{:<62} {:<11} {:<44} {}".format(*head))
    failed = False
    for name in options.loads or LOADS:
        seconds = {"paced": 60.0 if options.quick else options.seconds, "imported": 30.0 if options.quick else 60.0}
        for figure, gate, measured, ok in LOADS[name](
            options.database, seconds.get(name, 10.0 if options.quick else 30.0)
        ):
            print(f"{figure:<62} {gate:<11} {measured:<44} {'yes' if ok else 'NO'}", flush=True)
            failed |= not ok
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
