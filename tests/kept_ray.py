"""Runs the annotate command again and again in one process that keeps its Ray between them: a start takes 9 s of a CPU.

How Ray starts and how a process ends is for `tests.running.annotate`, which types the command as a user does.
"""

import logging
import multiprocessing
import os
import subprocess
import sys
from atexit import register
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.running import ROOT, options_of, print_to

_IDLE_S = 100.0  # then the process ends, as an idle Ray takes a fourteenth of a CPU
_WORKERS = 2
_TIMEOUT_S = 500.0


class _Kept:
    """A process with its Ray, begun when it is first asked, and anew where the environment is another one."""

    def __init__(self) -> None:
        self._env: dict[str, str] = {}
        self._process: Any = None
        self._pipe: Connection | None = None

    def run(self, env: dict[str, str], *asked: object) -> int:
        """Return the exit code of the command; a process that dies of it raises EOFError."""
        if env != self._env or not self._takes(asked):
            self._begin(env)
            assert self._takes(asked)
        assert self._pipe
        if not self._pipe.poll(_TIMEOUT_S):
            self._process.kill()
            raise subprocess.TimeoutExpired(str(asked), _TIMEOUT_S)
        return int(self._pipe.recv())

    def _takes(self, asked: object) -> bool:
        """Whether the process is there and begins; it may have been idle for so long that it just ended."""
        try:
            if self._pipe:
                self._pipe.send(asked)
                self._pipe.recv()
        except (EOFError, OSError):
            return False
        return self._pipe is not None

    def _begin(self, env: dict[str, str]) -> None:
        self.end()
        spawn = multiprocessing.get_context("spawn")
        self._pipe, other = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(other, env))
        self._process.start()
        self._env = env
        other.close()

    def end(self) -> None:
        if self._pipe:
            self._pipe.close()
            self._pipe = None
            self._process.join(60)


_kept = _Kept()
register(_kept.end)


def annotate(
    out: Path | str, sav_root: Path | str, *options: str, shard: str = "demo", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run what `tests.running.annotate` runs, with the same result; not from two threads at a time."""
    given = options_of(out, sav_root, *options, shard=shard)
    whole = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} | env
    with TemporaryDirectory() as folder:
        printed, errors = Path(folder, "printed"), Path(folder, "errors")
        code = _kept.run(whole, given, printed, errors)
        return subprocess.CompletedProcess(given, code, printed.read_text(), errors.read_text())


def _serve(pipe: Connection, env: Mapping[str, str]) -> None:
    """Run the commands that `pipe` brings, until it brings none for a while or is closed."""
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    from pipeline.annotate import main
    from pipeline.run import ray_connect

    connect, disconnect = ray_connect.connect, ray_connect.disconnect
    there: list[int] = []

    def connect_once(address: str | None, workers: int | None, more_slots: int = 0) -> int:
        assert not address
        if not there:
            there.append(connect(None, _WORKERS, more_slots))
        return workers or there[0]

    ray_connect.connect, ray_connect.disconnect = connect_once, lambda: None
    try:
        while pipe.poll(_IDLE_S):
            arguments, printed, errors = pipe.recv()
            pipe.send("begun")
            print_to(printed, errors)
            try:
                code: Any = main(arguments)
            except SystemExit as end:
                code = end.code
            except Exception:
                logging.getLogger(__name__).exception("as Python would end a command")
                code = 1
            sys.stdout.flush()
            pipe.send(code)
    except EOFError:
        pass
    finally:
        disconnect()
