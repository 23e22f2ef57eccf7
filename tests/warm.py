"""Runs a command in a process of its own that has its imports behind it: forked from one that has read torch already.

The command sees fresh modules of its own state, its own output and environment, as if it had been typed; only the five
seconds that Python takes to read torch, transformers and Ray are paid once for all commands of a process of tests.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.running import ROOT, print_to

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload(["pipeline.ray_train", "pipeline.sa2va.train.run"])


def run(module: str, arguments: Sequence[str], *, timeout_s: float = 300.0) -> subprocess.CompletedProcess[str]:
    """What `python -m module arguments` prints and returns; the module has a function `main` of the arguments."""
    with tempfile.TemporaryDirectory() as folder:
        printed, errors = Path(folder, "printed"), Path(folder, "errors")
        asked = (module, list(arguments), dict(os.environ), printed, errors)
        process = _FORKSERVER.Process(target=_main, args=asked)
        process.start()
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired([module, *arguments], timeout_s, printed.read_text(), errors.read_text())
        code = process.exitcode or 0
        return subprocess.CompletedProcess([module, *arguments], code, printed.read_text(), errors.read_text())


def _main(module: str, arguments: list[str], env: Mapping[str, str], printed: Path, errors: Path) -> None:
    os.environ.clear()
    os.environ.update(env)
    os.chdir(ROOT)
    print_to(printed, errors)
    sys.argv = [module, *arguments]
    code = importlib.import_module(module).main(arguments)
    sys.stdout.flush()
    sys.exit(code)
