"""Train on workers of Ray Train's TorchTrainer; if one dies, they go on from a checkpoint. No other file trains on Ray.

The first worker writes its lines to `OUT/train.log`; this process prints them as they come. At SIGTERM it puts a file
`OUT/stop` there, at which the workers end after their step, with a checkpoint. OUT must be a folder that all see.
"""

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray.train
from ray import cloudpickle
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device
from safetensors import SafetensorError

from manifests.outputs import is_full, locked
from manifests.row_results import FatalError
from pipeline.run.ray_connect import connect, disconnect

if TYPE_CHECKING:
    from pipeline.sa2va.train.step import DistContext

_LOG, _REFUSED, _STOP, _RAY, _LOCK = "train.log", "refused.json", "stop", "ray", "lock"
WRITTEN = (_LOG, _REFUSED, _STOP, _RAY, _LOCK)
_LOOK_S = 0.5
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Says how many workers train, and on what.

    Attributes:
        count: number of workers.
        use_gpu: every worker takes one GPU; else it computes on CPUs.
        cpus: CPUs of a worker, its loader's processes included.
        max_restarts: times that dead workers are replaced before the run stops.
        address: address of a Ray cluster; None: this machine.
    """

    count: int = 1
    use_gpu: bool = False
    cpus: int = 1
    max_restarts: int = 3
    address: str | None = None


def run(train: "Callable[[DistContext], object]", out: Path, workers: Workers) -> None:
    """Run `train` on every worker until it returns on all.

    Args:
        train: can be pickled; raises ValueError for what trying again does not repair.
        out: the run's folder.
        workers: how many, and on what.

    Raises:
        ValueError: a worker raised it, and it is not tried again; or no Ray can be reached or started.
        FatalError: workers died more often than allowed, Ray does not start, the disk is full, or the run was ended by
            SIGTERM; the same command goes on.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    refusal = (
        f"one command at a time trains in a folder, got {out}, where another one does now: wait for it, or "
        "name another --out"
    )
    with locked(out / _LOCK, refusal):
        _run(train, out, workers)


def _run(train: "Callable[[DistContext], object]", out: Path, workers: Workers) -> None:
    # as bytes: Ray's controller opens its arguments, and would import all that training needs
    given = {"train": cloudpickle.dumps(train), "out": out}
    for name in (_REFUSED, _STOP):
        (out / name).unlink(missing_ok=True)
    connect(workers.address, workers.count * workers.cpus)
    resources = {"CPU": float(workers.cpus)} | ({"GPU": 1.0} if workers.use_gpu else {})
    try:
        trainer = TorchTrainer(
            _worker,
            train_loop_config=given,
            scaling_config=ScalingConfig(
                num_workers=workers.count, use_gpu=workers.use_gpu, resources_per_worker=resources
            ),
            run_config=RunConfig(
                name=_RAY,
                storage_path=str(out),
                failure_config=FailureConfig(max_failures=workers.max_restarts),
            ),
        )
        with _printed(out / _LOG), _ended_gently(out / _STOP):
            trainer.fit()
    except TrainingFailedError as error:
        if not (out / _REFUSED).exists():
            message = str(error).strip()
            with (out / _LOG).open("a") as log:
                log.write(f"{message}\n")
            raise FatalError(
                f"training on {workers.count} workers: {message.splitlines()[-1].rstrip('.')} (more in {out / _LOG})"
            ) from error
    finally:
        disconnect()
    if (out / _REFUSED).exists():
        raise _refusal(out)
    if (out / _STOP).exists():
        raise FatalError(f"the run was asked to end, by SIGTERM or by {out / _STOP}")


def _worker(given: dict[str, Any]) -> None:
    """Train in one worker. After a refusal, the worker that Ray puts in its place only returns."""
    out: Path = given["out"]
    if (out / _REFUSED).exists():
        return
    try:
        train = cloudpickle.loads(given["train"])
        from pipeline.sa2va.train.step import DistContext
    except ImportError as error:  # every worker that is put in its place lacks it too
        _refuse(out, f"a worker cannot import what training needs: {error}; install the same there", can_go_on=True)
        raise
    context = ray.train.get_context()
    rank = context.get_world_rank()
    if rank == 0:
        handler = logging.FileHandler(out / _LOG)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        logging.getLogger("pipeline").addHandler(handler)
        logging.getLogger("pipeline").setLevel(logging.INFO)
    try:
        dist = DistContext(rank, context.get_world_size(), get_device(), ray.train.report, stop=(out / _STOP).exists)
        if train(dist) and rank == 0:
            (out / _STOP).unlink(missing_ok=True)  # it came to its end first
    except (ValueError, FatalError) as error:
        _refuse(out, str(error), can_go_on=isinstance(error, FatalError))
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        if is_full(error):
            _refuse(out, f"the disk of {out} is full: {error}", can_go_on=True)
        raise


def _refuse(out: Path, text: str, *, can_go_on: bool) -> None:
    """Write down for the command why the run ends; `can_go_on` is False where trying again cannot help."""
    try:
        (out / _REFUSED).write_text(json.dumps({"text": text, "can_go_on": can_go_on}))
    except OSError as error:
        if not is_full(error):
            raise


def _refusal(out: Path) -> ValueError | FatalError:
    """Return what a worker refused; where the disk is full, its file was made but is empty."""
    try:
        refusal = json.loads((out / _REFUSED).read_text())
    except ValueError:
        return FatalError(f"the disk of {out} is full: not even the reason could be written there")
    return FatalError(refusal["text"]) if refusal["can_go_on"] else ValueError(refusal["text"])


@contextmanager
def _ended_gently(stop: Path) -> Iterator[None]:
    """Within it, SIGTERM asks the workers to end, by the file `stop`."""

    def ask(*_: object) -> None:
        stop.touch()
        sys.stdout.write("SIGTERM: ending after this step, with a checkpoint\n")

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _printed(log: Path) -> Iterator[None]:
    """Within it, print what is appended to `log`."""
    done = threading.Event()
    log.touch()
    seen = log.stat().st_size

    def follow() -> None:
        with log.open() as lines:
            lines.seek(seen)
            while not done.wait(_LOOK_S):
                sys.stdout.write(lines.read())
                sys.stdout.flush()
            sys.stdout.write(lines.read())

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
