"""The one way into Ray, for annotation and training: a cluster that runs already, or a Ray of this process's own.

What Ray needs of the machine is looked at first, because it answers with a traceback, or with a quarter of an hour of
silence. A cluster's workers are sent this project's code and what its environment says of keys and the model hub.
"""

import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import ray
from ray._private import services
from ray._raylet import Config, GcsClient
from ray.exceptions import RayError, RpcError

from stages.base import FatalError

logger = logging.getLogger(__name__)

_PACKAGES = ("manifests", "pipeline", "prompts", "stages")
_ENVIRONMENT = ("OPENAI_API_KEY", "HF_HOME", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT")  # and AWS_*: to other nodes
_ANSWER_S = 10.0  # of a machine; Ray itself then has 40 s
# A node whose cable was pulled answers nothing: without these Ray waits for seven minutes for what it was just asked.
_KEEPALIVE = {"RAY_grpc_client_keepalive_time_ms": "20000", "RAY_grpc_client_keepalive_timeout_ms": "10000"}
_LOCAL_OBJECT_STORE_BYTES = 2**30  # a bound on what is in flight, well above a few units of pictures
# What is smaller travels inside the driver, which keeps much of it to the end; the rest is shared.
_LOCAL_SETTINGS = {"RAY_max_direct_call_object_size": "10000"}
_LONGEST_SOCKET = 107  # bytes of a Unix socket's path
_SOCKET_BELOW = len("/ray/session_2026-11-26_09-07-16_739751_4194304/sockets/plasma_store.1")
_LEAST_FREE_BYTES = 2**28  # for Ray's logs; what overflows the object store comes on top


def connect(address: str | None, workers: int | None, more_slots: int = 0) -> int:
    """Connect to the cluster at `address`, or start Ray on this machine; returns the number of workers to use.

    `more_slots` are CPU slots for what runs beside the workers here; a cluster has its own.

    Raises:
        ValueError: no cluster answers at `address`, or this machine has no place for a Ray of its own.
        FatalError: Ray does not start here.
    """
    # A spurious error line of every actor pool comes from Ray's C++ part (ray issue 53727).
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address:
        _join(address)
        return workers or max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)
    workers = workers or os.cpu_count() or 1
    # Ray's CPUs are slots: the reading and the writing tasks need one beside the workers
    _start(workers + 2 + more_slots)
    return workers


def disconnect() -> None:
    """Leave the cluster, or stop the Ray of this machine."""
    ray.shutdown()


def _join(address: str) -> None:
    _set(_KEEPALIVE)
    code = [str(Path(__file__).parents[2] / package) for package in _PACKAGES]
    told = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("AWS_")}
    try:
        with _silent():
            _knock(address)
            _init(address=address, runtime_env={"py_modules": code, "env_vars": told})
    except (ValueError, OSError, RuntimeError, RayError) as error:
        raise ValueError(
            f"no Ray cluster can be reached at {address} ({_first_line(error.__cause__ or error)}). If it asks for a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH. Without --ray-address and RAY_ADDRESS Ray starts "
            "here"
        ) from error


def _knock(address: str) -> None:
    """Find out within a minute whether a cluster answers; `ray.init` itself waits for a quarter of an hour.

    Raises:
        ValueError: `address` is none that can be used.
        OSError: nobody answers there, or this machine is not one of the cluster's.
    """
    if "://" in address:
        raise ValueError("give auto or host:port of the head, and run the command on a node of the cluster")
    found = services.canonicalize_bootstrap_address(address)
    if found is None:
        raise ValueError('for a Ray of its own leave the address out, "local" is none')
    host, _, port = found.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
        GcsClient(address=found)
    except RpcError as error:
        if "auth" not in str(error).lower():  # a cluster that asks for a token is there: Ray says which it wants
            raise ConnectionError(f"nobody answers as Ray does: {_first_line(error)}") from None
    if not services.find_node_ids():
        raise ConnectionError(
            f"this machine is not a node of it: run the command on one, or first `ray start --address={found} "
            "--num-cpus=0` here"
        )


@cache
def _token() -> str:
    """One token a process: Ray's C++ part reads it once, and a second Ray of the process has to know the same."""
    return secrets.token_hex(32)


def _start(slots: int) -> None:
    """Start a Ray beside any other of this machine: its own folder, sockets and token."""
    folder = _folder()
    # A Ray of 2.60 asks for a token and would keep it in ~/.ray, where not everyone can write, and for all who follow.
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = _token()
    _set(_LOCAL_SETTINGS)
    try:
        with _silent():
            _init(
                address="local",
                num_cpus=slots,
                include_dashboard=False,
                object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
            )
    except (ValueError, OSError, RuntimeError, RayError) as error:
        ray.shutdown()
        raise FatalError(f"Ray does not start here ({_first_line(error)}); its logs are below {folder}") from error


def _set(settings: Mapping[str, str]) -> None:
    """Settings of Ray's C++ part, here and in all that is started from here, but for those that the user has set."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    Config.initialize("")  # it has read its settings already


def _folder() -> Path:
    """Where a Ray of this machine keeps sockets and logs: RAY_TMPDIR, else TMPDIR, else /tmp.

    Raises:
        ValueError: none of them will do; says why.
    """
    asked = os.environ.get("RAY_TMPDIR")
    wrong: list[str] = []
    for name, path in [("RAY_TMPDIR", asked)] if asked else [("TMPDIR", os.environ.get("TMPDIR")), ("", "/tmp")]:
        if not path:
            continue
        folder = Path(path).absolute() / "ray"
        problem = _problem(folder)
        if problem is None:
            if wrong:
                logger.info("Ray keeps its files in %s: %s; RAY_TMPDIR names another place", folder, wrong[0])
            return folder
        wrong.append(f"{name} {folder.parent} {problem}".strip())
    raise ValueError(f"Ray has no place for its files: {'; '.join(wrong)}. Set RAY_TMPDIR to a short, writable folder")


def _problem(folder: Path) -> str | None:
    """Why Ray cannot use `folder`, if so."""
    longest = _LONGEST_SOCKET - _SOCKET_BELOW
    if (length := len(os.fsencode(folder.parent))) > longest:
        return f"is too long for its sockets ({length} characters, {longest} will do)"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    if (free_bytes := shutil.disk_usage(folder).free) < _LEAST_FREE_BYTES:
        return f"is full ({free_bytes // 2**20} MiB free, Ray needs {_LEAST_FREE_BYTES // 2**20})"
    return None


def _init(**settings: Any) -> None:
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)


@contextmanager
def _silent() -> Iterator[None]:
    """Ray's C++ part writes to file descriptor 2, past Python; what goes wrong is raised."""
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".:")
