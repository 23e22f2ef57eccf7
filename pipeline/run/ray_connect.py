"""Connects to Ray, for annotation and training: to a cluster that runs already, or by starting Ray on this machine.

What Ray needs of the machine is checked first, because Ray itself answers with a traceback, or after a quarter of an
hour. The workers of a cluster are sent this project's code, and environment variables for keys and the model hub.
"""

import logging
import os
import resource
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import ray
from ray._private import services
from ray._raylet import Config, GcsClient
from ray.exceptions import RpcError

from manifests.row_results import FatalError

logger = logging.getLogger(__name__)

_PACKAGES = ("manifests", "pipeline", "prompts", "stages")
_ENVIRONMENT = (
    "OPENAI_API_KEY",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_ENDPOINT",
)  # and AWS_*: sent to other nodes
_ANSWER_S = 10.0  # for a TCP connection; Ray itself then has 40 s
# Without these settings Ray waits for seven minutes for a node whose network connection was lost.
_KEEPALIVE = {"RAY_grpc_client_keepalive_time_ms": "20000", "RAY_grpc_client_keepalive_timeout_ms": "10000"}
_LOCAL_OBJECT_STORE_BYTES = 2**30  # well above the images of a few units
# Objects up to this size are kept in the driver's memory, many to the end; larger ones are in shared memory. Ray Serve
# replaces a proxy that is not ready after 5 s, again and again where the machine is busy.
_LOCAL_SETTINGS = {"RAY_max_direct_call_object_size": "10000", "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60"}
_LONGEST_SOCKET = 107  # bytes of the path of a Unix socket
_SOCKET_BELOW = len("/ray/session_2026-11-26_09-07-16_739751_4194304/sockets/plasma_store.1")
_LEAST_FILES, _FILES = 256, 65_536  # that a process may have open: Ray started with 200 here, and not with 64
_LEAST_FREE_BYTES = 2**28  # for Ray's logs, not for what overflows the object store


def connect(address: str | None, workers: int | None, more_slots: int = 0) -> int:
    """Connect to the cluster at `address`, or start Ray on this machine; returns the number of workers to use.

    Args:
        address: `auto` or host:port of a cluster's head; None or empty = start Ray here.
        workers: processes that work on rows; None = as many as there are CPUs, on a cluster one less.
        more_slots: CPU slots for what runs beside the workers, if Ray is started here.

    Raises:
        ValueError: no cluster answers at `address`, or Ray has no folder or too few open files on this machine.
        FatalError: Ray does not start here.
    """
    # Ray's C++ part prints a false error for every actor pool (ray issue 53727).
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if address and address.strip():
        _join(address.strip())
        return workers or max(1, int(ray.cluster_resources().get("CPU", 1)) - 1)
    workers = workers or os.cpu_count() or 1
    # Tasks that read and write need a slot each, beside the workers.
    _start(workers + 2 + more_slots)
    return workers


def disconnect() -> None:
    """Leave the cluster, or stop the Ray that was started on this machine."""
    ray.shutdown()


def _join(address: str) -> None:
    _set(_KEEPALIVE)
    code = [str(Path(__file__).parents[2] / package) for package in _PACKAGES]
    env_vars = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT or name.startswith("AWS_")}
    try:
        with _silent():
            _check_answers(address)
            _init(address=address, runtime_env={"py_modules": code, "env_vars": env_vars})
    except Exception as error:
        raise ValueError(
            f"no Ray cluster can be reached at {address} ({_first_line(error.__cause__ or error)}). If it asks for a "
            "token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH. Without --ray-address and RAY_ADDRESS Ray starts "
            "here"
        ) from error


def _check_answers(address: str) -> None:
    """Find out within a minute whether a cluster answers at `address`; `ray.init` waits for a quarter of an hour.

    Raises:
        ValueError: `address` has a form that cannot be used.
        OSError: nobody answers there, or this machine is not a node of the cluster.
    """
    if "://" in address:
        raise ValueError("give auto or host:port of the head, and run the command on a node of the cluster")
    resolved = services.canonicalize_bootstrap_address(address)
    if resolved is None:
        raise ValueError('for a Ray of its own leave the address out, "local" is none')
    host, _, port = resolved.rpartition(":")
    if not port.isdecimal():
        raise ValueError(f"the port must be a number, got {port!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
        GcsClient(address=resolved)
    except RpcError as error:
        if "auth" not in str(error).lower():  # the cluster is there and asks for a token: Ray says which
            raise ConnectionError(f"nobody answers as Ray does: {_first_line(error)}") from None
    if not services.find_node_ids():
        raise ConnectionError(
            f"this machine is not a node of it: run the command on one, or first `ray start --address={resolved} "
            "--num-cpus=0` here"
        )


@cache
def _token() -> str:
    """Make one token per process: Ray's C++ part reads it once, so a second Ray must use the same."""
    return secrets.token_hex(32)


def _start(slots: int) -> None:
    """Start Ray with a folder, sockets and a token of its own, beside any other Ray on this machine."""
    folder = _folder()
    _allow_files()
    # Ray 2.60 asks for a token and would keep it in ~/.ray, for later runs too, and where not everyone can write.
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        os.environ["RAY_AUTH_TOKEN"] = _token()
    _set(_LOCAL_SETTINGS)
    try:
        with _silent(), _apart():
            _init(
                address="local",
                num_cpus=slots,
                include_dashboard=False,
                object_store_memory=_LOCAL_OBJECT_STORE_BYTES,
                _temp_dir=str(folder),
            )
    except Exception as error:  # a start that takes too long raises just that
        ray.shutdown()
        raise FatalError(f"Ray does not start here ({_first_line(error)}); its logs are below {folder}") from error


def _set(settings: Mapping[str, str]) -> None:
    """Set variables for Ray's C++ part, in this process and in those it starts, unless the user has set them."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    Config.initialize("")  # it has read its settings before


def _allow_files() -> None:
    """Let this process and those that it starts open as many files as the system permits: Ray ends without a word.

    Raises:
        ValueError: the system permits fewer than Ray needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = hard == resource.RLIM_INFINITY
    if not unlimited and hard < _LEAST_FILES:
        raise ValueError(
            f"Ray needs {_LEAST_FILES} open files in a process, the limit here is {hard}: try ulimit -n 4096"
        )
    wanted = _FILES if unlimited else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _folder() -> Path:
    """Return the folder for the sockets and logs of a Ray on this machine: below RAY_TMPDIR, else TMPDIR, else /tmp.

    Raises:
        ValueError: none of them can be used; the message says why.
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
    """Say why Ray cannot use `folder`; None if it can."""
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
def _apart() -> Iterator[None]:
    """Within it, Ray starts its processes in sessions of their own.

    A signal to the process group of this command then reaches only the command, which can end its work in order; Ray's
    processes still end when this one does, because the kernel sees to it.
    """
    of_ray: Any = services
    popen = of_ray.ConsolePopen
    of_ray.ConsolePopen = partial(popen, start_new_session=True)
    try:
        yield
    finally:
        of_ray.ConsolePopen = popen


@contextmanager
def _silent() -> Iterator[None]:
    """Silence file descriptor 2, to which Ray's C++ part writes; errors are raised as exceptions all the same."""
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
