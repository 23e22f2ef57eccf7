"""Into Ray, or one sentence: addresses where nobody answers, folders that will not do, a hub that is out of reach."""

import logging
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import ray_connect
from tests.running import ROOT, annotate, free_port

LONG = "x" * 77


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://127.0.0.1:10001", "host:port of the head"),
        ("localhost", "Invalid address format"),
        ("local", "leave the address out"),
        ("127.0.0.1:1", "Connection refused"),
        (" 127.0.0.1:1\n", "Connection refused"),
        ("127.0.0.1:ray", "the port must be a number, got 'ray'"),
        ("no-such-host.invalid:6379", "no-such-host.invalid:6379"),
    ],
)
def test_an_address_where_no_cluster_is(address: str, told: str) -> None:
    with pytest.raises(ValueError, match="no Ray cluster can be reached at") as raised:
        ray_connect.connect(address, None)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_one_that_listens_and_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_py_gcs_connect_timeout_s", "1")  # 30 otherwise, and 10 s more that are Ray's own
    with socket.create_server(("", free_port())) as silent, pytest.raises(ValueError, match="nobody answers as Ray"):
        ray_connect.connect(f"127.0.0.1:{silent.getsockname()[1]}", None)


def test_rays_folder_is_tmpdir_if_that_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    for name in ("short", "not/there/yet"):
        folder = Path("/tmp", f"rs{os.getpid()}", name)
        monkeypatch.setenv("TMPDIR", str(folder))
        assert ray_connect._folder() == folder / "ray"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (f"/tmp/{LONG}", r"too long for its sockets \(82 characters"),
        ("/proc", "cannot be written to"),
        (__file__, "is too long|cannot be written to"),
        ("/dev/null", "cannot be written to"),
    ],
)
def test_a_folder_that_will_not_do(
    wrong: str, told: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of TMPDIR, which somebody else has set, /tmp takes the place; RAY_TMPDIR is what the user asked for."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", wrong)
    with caplog.at_level(logging.INFO):
        assert ray_connect._folder() == Path("/tmp/ray")
    assert wrong in caplog.text
    assert "RAY_TMPDIR" in caplog.text
    monkeypatch.setenv("RAY_TMPDIR", wrong)
    with pytest.raises(ValueError, match=told) as raised:
        ray_connect._folder()
    assert "Set RAY_TMPDIR to a short, writable folder" in str(raised.value)


def test_a_full_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_connect, "_LEAST_FREE_BYTES", 2**60)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    with pytest.raises(ValueError, match=r"/tmp is full \(\d+ MiB free"):
        ray_connect._folder()


def test_too_few_open_files() -> None:
    """Ray itself ends the process with code 1 then."""
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.run.ray_connect import connect; connect(None, 1)"],
        cwd=ROOT,
        env=os.environ | {"RAY_TMPDIR": "/tmp"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),  # noqa: PLW1509
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ValueError: Ray needs 256 open files in a process, the limit here is 64" in done.stderr


def test_a_hub_out_of_reach_stops_annotating_in_one_sentence(demo_root: Path, tmp_path: Path) -> None:
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path / "hf")}
    done = annotate(tmp_path / "out", demo_root, "--recipe", "small", "--engine", "vllm", **env)
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "Qwen/Qwen3-VL-2B-Instruct (revision main) is not in the cache" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_hub_out_of_reach_stops_training_in_one_sentence(tmp_path: Path) -> None:
    env = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path / "hf")}
    asked = ["--source", str(tmp_path), "--out", str(tmp_path / "out"), "--base", "nobody/nothing"]
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train_on_refsav", *asked],
        cwd=ROOT,
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr  # it may be a mistyped folder: not to be tried again and again
    assert "Traceback" not in done.stderr
    assert "nobody/nothing (revision main) is not in the cache" in done.stderr


@pytest.mark.parametrize("out", ["/proc/out", "/dev/null/out"])
def test_an_output_folder_that_cannot_be_made(out: str, demo_root: Path) -> None:
    done = annotate(out, demo_root)
    assert done.returncode in (2, 3), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
