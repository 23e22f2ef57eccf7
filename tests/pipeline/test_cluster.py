"""The command unchanged elsewhere: on a Ray cluster that knows nothing of us, and with its folders on S3."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from benchmarks.clips import draw_clip
from manifests.io import Folder
from manifests.schema import Reason, Status
from tests import kept_ray
from tests.running import annotate, free_port, read_annotations

SHARD = "tiny"
WHERE_CODE_IS = """
import sys
from pipeline.run import ray_adapter, ray_connect

def where(_):
    import manifests, pipeline, prompts, stages
    return [package.__path__[0] for package in (manifests, pipeline, prompts, stages)]

ray_connect.connect(sys.argv[1], None)
print(*next(ray_adapter.map_parallel(where, [0])), sep="\\n")
"""


@pytest.fixture(scope="module")
def sav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny_sav")
    for video_id in ("clip_a", "clip_b"):
        draw_clip(root / "sav_train" / SHARD, video_id, 2, duration_s=2.0, size=(320, 180))
    return root


@pytest.fixture(scope="module")
def local_run(sav: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("local_run")
    done = kept_ray.annotate(out, sav, shard=SHARD)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a real S3 server; s3fs finds it by the environment, here and in workers."""
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    Folder("s3://refsav").fs.mkdir("refsav")
    yield "s3://refsav"
    server.stop()


def test_folders_on_s3_hold_the_same_run_and_failed_rows_are_tried_again(
    bucket: str, sav: Path, local_run: Path
) -> None:
    remote, out = Folder(f"{bucket}/sav"), Folder(f"{bucket}/run")
    remote.fs.put(f"{sav}/", remote.path(), recursive=True)
    video = f"sav_train/{SHARD}/clip_b.mp4"
    whole = remote.read_bytes(video)
    broken = bytearray(whole)
    middle = len(whole) // 2
    broken[middle:] = bytes(len(whole) - middle)
    remote.write_bytes(video, bytes(broken))

    first = kept_ray.annotate(out.url, remote.url, "--max-failed-frac", "1", shard=SHARD)
    assert first.returncode == 0, first.stderr
    lost = {row["object_id"]: row["reason"] for row in read_annotations(out).to_pylist() if row["status"] == "failed"}
    assert lost == dict.fromkeys(["clip_b/manual/0", "clip_b/manual/1"], Reason.DECODE_ERROR)

    remote.write_bytes(video, whole)
    second = kept_ray.annotate(out.url, remote.url, shard=SHARD)
    assert second.returncode == 0, second.stderr
    assert rows(out.url) == rows(local_run)
    attempts = {row["video_id"]: row["attempts"] for row in read_annotations(out).to_pylist()}
    assert attempts == {"clip_a": 1, "clip_b": 2}

    left = out.fs.find(out.path())
    assert {path.removeprefix(out.path("")).split("/")[1] for path in left} == {
        *("annotations", "attempts", "checkpoint", "manifest.parquet"),
        *("run.json", "report.html", "Ref-SAV.json", "negatives.json", "README.md"),
    }
    third = kept_ray.annotate(out.url, remote.url, shard=SHARD)
    assert third.returncode == 0, third.stderr
    assert "all 4 masklets are done" in third.stderr
    assert out.fs.find(out.path()) == left
    assert json.loads(out.read_bytes("Ref-SAV.json")) == json.loads((local_run / "Ref-SAV.json").read_bytes())


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a Ray of its own, started elsewhere; its token is in the environment, here and there."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as scratch,  # short: its sockets lie below
    ):
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", uuid.uuid4().hex)
        monkeypatch.setenv("RAY_TMPDIR", scratch)
        ray = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", f"--port={free_port()}"]
        options = ["--num-cpus=4", "--disable-usage-stats", "--include-dashboard=false"]
        with Path(scratch, "start.log").open("w+") as log:
            head = subprocess.Popen([*ray, *options], cwd=scratch, stdout=log, stderr=log, start_new_session=True)
            give_up_s = time.monotonic() + 120
            while not Path(scratch, "ray", "ray_current_cluster").exists():
                assert head.poll() is None, Path(log.name).read_text()
                assert time.monotonic() < give_up_s, Path(log.name).read_text()
                time.sleep(0.1)
            yield Path(scratch, "ray", "ray_current_cluster").read_text().strip()
            os.killpg(head.pid, signal.SIGKILL)  # what it started, and no other Ray; its SIGTERM takes half a minute
            head.wait(timeout=60)


def test_a_cluster_is_shipped_the_code_and_gives_the_same_rows(
    cluster: str, sav: Path, local_run: Path, tmp_path: Path
) -> None:
    asked = subprocess.run(
        [sys.executable, "-c", WHERE_CODE_IS, cluster], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    for path in asked.stdout.split():
        assert "/py_modules_files/" in path, "a worker took our code from elsewhere"

    done = annotate(tmp_path / "out", sav, shard=SHARD, RAY_ADDRESS=cluster)
    assert done.returncode == 0, done.stderr
    assert "3 workers" in done.stderr, "CPUs of the cluster, less one"
    assert rows(tmp_path / "out") == rows(local_run)


def test_a_ray_that_runs_here_is_left_alone_without_an_address(
    cluster: str, sav: Path, local_run: Path, tmp_path: Path
) -> None:
    """Ours starts beside it; nor does it need a home to write to."""
    assert os.environ.get("RAY_ADDRESS") is None
    before = sessions()
    done = annotate(tmp_path / "out", sav, "--workers", "1", shard=SHARD, HOME="/proc")
    assert done.returncode == 0, done.stderr
    assert "1 workers" in done.stderr
    assert rows(tmp_path / "out") == rows(local_run)
    assert len(sessions() - before) == 1, "a Ray of its own"


def sessions() -> set[str]:
    """Of each Ray that was started."""
    return {path.name for path in Path(os.environ["RAY_TMPDIR"], "ray").glob("session_2*")}


def rows(out: Path | str) -> list[dict[str, object]]:
    """What a run found, without what may differ between two runs."""
    table = read_annotations(Folder(str(out)), pictures=True).drop_columns(["seconds_s", "attempts"])
    assert Status.KEPT in table["status"].to_pylist(), "nothing kept proves little"
    return list(table.to_pylist())
