"""Runs the annotate command in a process of its own, as a user does; and waits for what comes of it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from manifests.io import Folder
from manifests.schema import AnnotationRow
from pipeline.export.annotations import Annotations

ROOT = Path(__file__).parent.parent


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a state that nothing tells of."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def options_of(out: Path | str, sav_root: Path | str, *options: str, shard: str = "demo") -> list[str]:
    return ["--shard", shard, "--sav-root", str(sav_root), "--out", str(out), *options]


def command(out: Path | str, sav_root: Path | str, *options: str, shard: str = "demo") -> list[str]:
    return [sys.executable, "-m", "pipeline.annotate", *options_of(out, sav_root, *options, shard=shard)]


def annotate(
    out: Path | str, sav_root: Path | str, *options: str, shard: str = "demo", **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(out, sav_root, *options, shard=shard),
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def print_to(printed: Path, errors: Path) -> None:
    """Let this process, and those that it starts, print to two new files."""
    for descriptor, path in ((1, printed), (2, errors)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115


def served_by(url: str) -> list[str]:
    """Options for the smallest run with models at an endpoint: two workers, and no line-up."""
    return [*["--recipe", "small", "--lineup", "off", "--engine", "http", "--workers", "2", "--engine-url"], url]


def until(true: Callable[[], bool], run: subprocess.Popen[str], wait_s: float = 120.0) -> None:
    """Wait until `true` while `run` goes on; its output is what a failure shows."""
    end_s = time.monotonic() + wait_s
    while not true():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.05)


def annotations(out: Path) -> pa.Table:
    return ds.dataset(out / "annotations", format="parquet").to_table().sort_by("object_id")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read_annotations(out: Folder, *, pictures: bool = False) -> pa.Table:
    """All annotations of a run by object_id, on any file system."""
    columns = [name for name in AnnotationRow.model_fields if pictures or name != "preview_jpeg"]
    return Annotations(out).select(columns)
