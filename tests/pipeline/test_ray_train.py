"""What a worker refused reaches the command, on a full disk too."""

import errno
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from manifests.outputs import locked
from manifests.row_results import FatalError
from pipeline.ray_train import _LOCK, Workers, _refusal, _refuse, _worker, run


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB without a free byte."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can make a small file system, and not in every container")
    try:
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "filler").write_bytes(bytes(1 << 20))
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_reason_that_did_not_fit_on_the_disk_is_that_the_disk_is_full(full_disk: Path) -> None:
    _refuse(full_disk, "the checkpoint of step 6 cannot be written", can_go_on=True)
    told = _refusal(full_disk)
    assert isinstance(told, FatalError)
    assert f"the disk of {full_disk} is full" in str(told)


@pytest.mark.parametrize(("can_go_on", "kind"), [(True, FatalError), (False, ValueError)])
def test_a_reason_is_told_as_what_it_was(tmp_path: Path, can_go_on: bool, kind: type[Exception]) -> None:
    _refuse(tmp_path, "the text", can_go_on=can_go_on)
    told = _refusal(tmp_path)
    assert type(told) is kind
    assert str(told) == "the text"


def test_one_command_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "stop").touch()
    with (
        locked(tmp_path / _LOCK, "taken"),
        pytest.raises(ValueError, match="one command at a time trains in a folder, got"),
    ):
        run(lambda _: None, tmp_path, Workers())
    assert (tmp_path / "stop").exists(), "the other command's"
    with locked(tmp_path / _LOCK, "taken"):
        pass


def _no_training(*_: object) -> None:
    """Stand where a training function is given; of this module, as Ray Data puts its own in the place of `print`."""


class _Unpicklable:
    """Refuses to be pickled; a lock does not in a process that has served an app with Ray Serve."""

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle this")


@pytest.mark.parametrize(
    ("train", "workers", "kind", "told"),
    [
        (partial(_no_training, _Unpicklable()), Workers(), TypeError, "cannot pickle"),
        (_no_training, Workers(count=-1), ValueError, "num_workers"),
    ],
)
def test_what_cannot_start_leaves_no_ray_behind(
    train: Any, workers: Workers, kind: type[Exception], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up: list[bool] = []
    monkeypatch.setattr("pipeline.ray_train.connect", lambda *_: up.append(True))
    monkeypatch.setattr("pipeline.ray_train.disconnect", up.clear)
    with pytest.raises(kind, match=told):
        run(train, tmp_path, workers)
    assert not up


def test_a_worker_that_lacks_a_module_is_not_replaced(tmp_path: Path) -> None:
    opened_there = b"cmissing_here\ntrain\n."
    with pytest.raises(ModuleNotFoundError):
        _worker({"train": opened_there, "out": tmp_path})
    told = _refusal(tmp_path)
    assert isinstance(told, FatalError)
    assert "cannot import what training needs: No module named 'missing_here'; install" in str(told)
    _worker({"train": opened_there, "out": tmp_path})


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("manifests.outputs.fcntl.flock", refuse)
    with locked(tmp_path / _LOCK, "taken"):
        (tmp_path / "written").touch()
    assert "cannot be locked" in caplog.text
    assert (tmp_path / "written").exists()
