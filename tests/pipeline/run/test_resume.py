"""Kill -9 at any point, the same command again: nothing is lost, doubled or done twice."""

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, Reason, Status
from pipeline.run import resume
from tests import running
from tests.kept_ray import annotate
from tests.rows import make_row
from tests.running import ROOT, annotations, command


def committed(out: Path) -> dict[str, tuple[int, bytes]]:
    """Data files whose ids are committed: name -> (time of writing, content)."""
    ids = {path.stem for path in (out / "checkpoint").glob("*.parquet") if ".pending" not in path.name}
    files = (out / "annotations").glob("*.parquet")
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in files if path.name.rsplit("-", 1)[0] in ids
    }


def done_files(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    """Those that no later call may touch: all but files with a row that failed, which is taken back."""

    def states(content: bytes) -> list[str]:
        return [str(each) for each in pq.read_table(pa.BufferReader(content), columns=["status"])["status"].to_pylist()]

    return {name: file for name, file in files.items() if "failed" not in states(file[1])}


def kill_when(out: Path, sav_root: Path, reached: Callable[[], bool]) -> None:
    """Start the command, kill -9 its driver as soon as `reached`, and see that its workers die too."""
    driver = subprocess.Popen(command(out, sav_root), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    give_up_s = time.monotonic() + 120
    while not reached():
        assert driver.poll() is None, f"ended before the kill: {driver.communicate()[1]}"
        assert time.monotonic() < give_up_s, "did not get as far as the kill"
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    while workers_of(out):
        assert time.monotonic() < give_up_s, "workers outlive their killed driver"
        time.sleep(0.1)


def workers_of(out: Path) -> list[int]:
    """Processes that still have a file below `out` open, or name it in their command."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            ours = str(out).encode() in (process / "cmdline").read_bytes()
            ours |= any(str(out) in os.readlink(link) for link in (process / "fd").iterdir())
        except OSError:
            continue
        if ours:
            found.append(int(process.name))
    return found


def test_three_kills_and_a_rerun_give_the_same_rows(demo_root: Path, demo_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "killed"
    before: dict[str, tuple[int, bytes]] = {}

    def has(files: int) -> bool:
        return (out / "run.json").exists() and len(committed(out)) >= files

    for more_files in (-1, 1, 2):
        kill_when(out, demo_root, partial(has, len(before) + more_files))
        after = committed(out)
        assert before.items() <= after.items(), "a committed file was written again"
        before = done_files(after)
    done = annotate(out, demo_root)
    assert done.returncode == 0, done.stderr
    assert before.items() <= committed(out).items()

    whole, resumed = annotations(demo_run), annotations(out)
    failed = pa.compute.equal(whole["status"], "failed")
    tries = set(resumed.filter(failed)["attempts"].to_pylist())
    assert tries <= {1, 2, 3, 4}, "what failed before a kill is tried again after it"
    timing = ["seconds_s"]
    assert resumed.filter(pa.compute.invert(failed)).drop(timing) == whole.filter(pa.compute.invert(failed)).drop(
        timing
    )
    ends = ["object_id", "stage", "reason", "detail"]
    assert resumed.select(ends) == whole.select(ends)
    assert len(set(resumed["object_id"].to_pylist())) == resumed.num_rows


def test_a_finished_run_starts_no_ray_and_failed_rows_are_tried_until_poisoned(
    demo_root: Path, demo_copy: Path
) -> None:
    """And too many of them give an exit code."""
    first = annotations(demo_copy)
    failed = set(first.filter(pa.compute.equal(first["status"], "failed"))["object_id"].to_pylist())
    assert failed
    kept_files = committed(demo_copy)
    for attempt, allowed, exit_code in ((2, ["--max-failed-frac", "0.01"], 1), (3, [], 0)):
        done = annotate(demo_copy, demo_root, *allowed)
        assert done.returncode == exit_code, done.stderr
        assert ("more than max_failed_frac 0.01 allows" in done.stderr) == bool(exit_code)
        again = annotations(demo_copy).to_pylist()
        assert [row["object_id"] for row in again] == first["object_id"].to_pylist()
        assert {row["object_id"] for row in again if row["attempts"] == attempt} == failed
    assert {row["status"] for row in again if row["object_id"] in failed} == {"poisoned"}
    untouched = {name: kept_files[name] for name in kept_files.keys() & committed(demo_copy).keys()}
    assert len(untouched) == len(kept_files) - 1, "only the file with the failed rows may change"
    assert untouched.items() <= committed(demo_copy).items()

    last = running.annotate(demo_copy, demo_root, RAY_TMPDIR="/proc")  # where no Ray can start
    assert last.returncode == 0, last.stderr
    assert "all 45 masklets are done" in last.stderr
    assert "workers" not in last.stderr


def test_settings_of_another_run_are_refused(demo_root: Path, demo_copy: Path) -> None:
    other = annotate(demo_copy, demo_root, "--recipe", "paper")
    assert other.returncode == 2
    assert "holds a run with other settings" in other.stderr
    assert "select.max_objects: 6 there, 2 now" in other.stderr


class CutOffError(Exception):
    pass


class Cut(Folder):
    """A folder that takes only so many writes."""

    writes_left = -1  # no end

    def write_table(self, name: str, table: pa.Table) -> None:
        self._count()
        super().write_table(name, table)

    def delete(self, name: str) -> None:
        self._count()
        super().delete(name)

    def _count(self) -> None:
        Cut.writes_left -= 1
        if Cut.writes_left == -1:
            raise CutOffError


def done_ids(out: Folder) -> set[str]:
    return set(resume.done_ids(out).to_pylist())


KEPT = make_row("v1/manual/0", status=Status.KEPT, attempts=1)
LOST = make_row("v1/manual/1", status=Status.FAILED, attempts=1, reason=Reason.DECODE_ERROR, stage="render_views")
NOT_KEPT = make_row("v1/manual/2", status=Status.REJECTED, attempts=1, reason=Reason.AMBIGUOUS, stage="describe_scene")


def write_run(path: Path) -> Cut:
    out, rows = Cut(str(path)), [KEPT, LOST, NOT_KEPT]
    Cut.writes_left = -1
    out.write_table("annotations/u_000000-0.parquet", to_table(rows, AnnotationRow))
    out.write_table("checkpoint/u_000000.parquet", pa.table({"object_id": [row.object_id for row in rows]}))
    return out


@pytest.mark.parametrize("cut_after", range(4))
def test_taking_back_can_be_cut_off_anywhere(tmp_path: Path, cut_after: int) -> None:
    """Each prefix of its writes is a state from which it goes on to the same end."""
    out = write_run(tmp_path)
    Cut.writes_left = cut_after
    with contextlib.suppress(CutOffError):
        resume.take_back_failed(out)
    assert (Cut.writes_left == -1) == (cut_after < 3), "the cut did not fall where it should"
    Cut.writes_left = -1
    assert resume.take_back_failed(out) == {LOST.object_id: 1}
    assert done_ids(out) == {KEPT.object_id, NOT_KEPT.object_id}
    assert annotations(tmp_path)["object_id"].to_pylist() == [KEPT.object_id, NOT_KEPT.object_id]
    assert len(resume.taken_back(out)) == 1


@pytest.mark.parametrize("cut_after", range(4))
def test_a_replay_that_was_cut_off_leaves_no_row_twice(tmp_path: Path, cut_after: int) -> None:
    """The run that follows is an ordinary one: it knows nothing of what the replay had chosen."""
    out = write_run(tmp_path)
    Cut.writes_left = cut_after
    with contextlib.suppress(CutOffError):
        resume.take_back(out, [NOT_KEPT.object_id])
    Cut.writes_left = -1
    resume.take_back_failed(out)
    assert set(annotations(tmp_path)["object_id"].to_pylist()) == done_ids(out)
    assert done_ids(out) == {KEPT.object_id, *([NOT_KEPT.object_id] if cut_after < 2 else [])}


class Counted(Folder):
    """A folder that counts the reads of each file."""

    reads: Counter[str] = Counter()

    def read_table(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        Counted.reads[name] += 1
        return super().read_table(name, columns)


@pytest.mark.parametrize("cut_off", [False, True])
@pytest.mark.parametrize("before", [0, 2], ids=lambda n: f"tried {n} times before")
def test_no_file_is_read_more_than_three_times(tmp_path: Path, before: int, cut_off: bool) -> None:
    """However many files there are with a failed row in each: 8, and 16 copies of rows that were tried before."""
    out = Counted(str(tmp_path))
    for life in range(before + 1):
        for unit in range(8):
            update = {"object_id": f"v{unit}/manual/1", "attempts": life + 1}
            rows = [LOST.model_copy(update=update)]
            if life == 0:
                rows.append(KEPT.model_copy(update={"object_id": f"v{unit}/manual/0"}))
            out.write_table(f"annotations/{life}u_{unit}-0.parquet", to_table(rows, AnnotationRow))
            ids = pa.table({"object_id": [row.object_id for row in rows]})
            out.write_table(f"checkpoint/{life}u_{unit}.parquet", ids)
        if life < before:
            resume.take_back_failed(out)
    if cut_off:  # copied and forgotten, but still in annotations/
        for unit in range(8):
            name = f"annotations/{before}u_{unit}-0.parquet"
            lost = out.read_table(name).slice(0, 1)
            out.write_table(f"attempts/{before}u_{unit}-0-{8 * before + unit + 1}.parquet", lost)
            ids = out.read_table(f"checkpoint/{before}u_{unit}.parquet")
            out.write_table(f"checkpoint/{before}u_{unit}.parquet", ids.slice(1))
    Counted.reads.clear()
    assert resume.take_back_failed(out) == {f"v{unit}/manual/1": before + 1 for unit in range(8)}
    assert done_ids(out) == {f"v{unit}/manual/0" for unit in range(8)}
    assert max(Counted.reads.values()) <= 3, Counted.reads.most_common(3)
    assert Counted.reads, "reads were counted"
    assert len(resume.taken_back(out)) == 8 * (before + 1)
    assert annotations(tmp_path)["object_id"].to_pylist() == [f"v{unit}/manual/0" for unit in range(8)]


def test_each_life_of_a_row_is_kept(tmp_path: Path) -> None:
    out = write_run(tmp_path)
    for row in (NOT_KEPT, KEPT, LOST):
        resume.take_back(out, [row.object_id])
    again = NOT_KEPT.model_copy(update={"status": Status.FAILED, "attempts": 1})
    out.write_table("annotations/w_000000-0.parquet", to_table([again], AnnotationRow))
    assert resume.take_back_failed(out) == {LOST.object_id: 1, again.object_id: 1}
    lives = [out.read_table(name).to_pylist()[0] for name in resume.taken_back(out)]
    assert [(life["object_id"], life["status"]) for life in lives] == [
        (NOT_KEPT.object_id, "rejected"),
        (KEPT.object_id, "kept"),
        (LOST.object_id, "failed"),
        (NOT_KEPT.object_id, "failed"),
    ]


def test_a_useless_call_is_forgiven_to_the_rows_that_failed_in_it(tmp_path: Path) -> None:
    out = Folder(str(tmp_path))
    lost = LOST.model_copy(update={"reason": Reason.ENGINE_ERROR, "attempts": 2})
    rows = [
        lost.model_copy(update={"object_id": "v1/manual/0", "status": Status.POISONED, "attempts": 3}),
        lost.model_copy(update={"object_id": "v1/manual/1"}),
        lost.model_copy(update={"object_id": "v2/manual/0"}),  # was done before
        LOST.model_copy(update={"object_id": "v2/manual/1"}),  # failed for a reason of its own
        KEPT.model_copy(update={"object_id": "v3/manual/0"}),
    ]
    for number, row in enumerate(rows):
        out.write_table(f"annotations/u_{number}-0.parquet", to_table([row], AnnotationRow))
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "annotations").iterdir()}
    resume.forgive(out, [Reason.ENGINE_ERROR, Reason.BAD_REPLY], pa.array(["v2/manual/0", "v9/manual/0"]))
    table = annotations(tmp_path)
    after = zip(table["object_id"].to_pylist(), table["status"].to_pylist(), table["attempts"].to_pylist(), strict=True)
    assert list(after) == [
        ("v1/manual/0", "failed", 2),
        ("v1/manual/1", "failed", 1),
        ("v2/manual/0", "failed", 2),
        ("v2/manual/1", "failed", 1),
        ("v3/manual/0", "kept", 1),
    ]
    changed = {
        path.name for path in (tmp_path / "annotations").iterdir() if path.stat().st_mtime_ns != written[path.name]
    }
    assert changed == {"u_0-0.parquet", "u_1-0.parquet"}
