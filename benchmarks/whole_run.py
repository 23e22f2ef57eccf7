"""The whole command at once and at ten times the input: `python -m benchmarks.whole_run`.

Wanted: rows/s no lower, peak memory flat. The larger shard is the smaller one ten times over, under other video ids.
Memory is the proportional set size (PSS) of the driver and all its Ray processes, so that shared pages, the object
store among them, count once. rows/s are those of the whole command, and those of the stages, from the manifest to
the last commit: the start of their workers is in it.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import draw_clip
from manifests.io import Folder
from tests.running import read_annotations

VIDEOS, OBJECTS, TIMES = 6, 4, 10
SIZE, DURATION_S = (640, 360), 6.0
SAMPLE_EVERY_S = 0.2
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Measured:
    """One run of the command."""

    rows: int
    total_s: float
    stages_s: float
    peak_mib: float


def main() -> None:
    """Print the table."""
    print(f"{VIDEOS} and {VIDEOS * TIMES} videos of {SIZE[0]}x{SIZE[1]}, {DURATION_S:.0f} s, {OBJECTS} objects each")
    print(f"{'':>6} {'rows':>6} {'total s':>8} {'rows/s':>7} {'stages s':>9} {'rows/s':>7} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        sav = Path(scratch)
        for number in range(VIDEOS):
            draw_clip(sav / "sav_train" / "x1", f"clip_{number}", OBJECTS, duration_s=DURATION_S, size=SIZE)
        multiply(sav / "sav_train" / "x1", sav / "sav_train" / f"x{TIMES}")
        one, ten = (measure(sav, shard) for shard in ("x1", f"x{TIMES}"))
    for name, run in (("1x", one), (f"{TIMES}x", ten)):
        print(
            f"{name:>6} {run.rows:6} {run.total_s:8.1f} {run.rows / run.total_s:7.2f} "
            f"{run.stages_s:9.1f} {run.rows / run.stages_s:7.2f} {run.peak_mib:9.0f}"
        )
    whole, stages = (
        (ten.rows / ten_s) / (one.rows / one_s)
        for ten_s, one_s in ((ten.total_s, one.total_s), (ten.stages_s, one.stages_s))
    )
    print(f"{'ratio':>6} {'':6} {'':8} {whole:6.2f}x {'':9} {stages:6.2f}x {ten.peak_mib / one.peak_mib:8.2f}x")
    print("wanted: rows/s at least 1x, memory about 1x")


def multiply(shard: Path, larger: Path) -> None:
    """Make a shard of `TIMES` as many videos: the same mp4 by hard links, annotations under the new ids."""
    larger.mkdir()
    for video in sorted(shard.glob("*.mp4")):
        annotation = json.loads((shard / f"{video.stem}_manual.json").read_bytes())
        for copy in range(TIMES):
            video_id = f"{video.stem}_{copy}"
            (larger / f"{video_id}.mp4").hardlink_to(video)
            text = json.dumps({**annotation, "video_id": video_id})
            (larger / f"{video_id}_manual.json").write_text(text, encoding="utf-8")


def measure(sav: Path, shard: str) -> Measured:
    """Run the command on a shard and watch it."""
    out = sav / f"run_{shard}"
    command = [sys.executable, "-m", "pipeline.annotate", "--shard", shard, "--sav-root", str(sav), "--out", str(out)]
    started_s = time.monotonic()
    driver = subprocess.Popen(
        [*command, "--recipe", "demo"], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak_mib = 0.0
    while driver.poll() is None:
        peak_mib = max(peak_mib, sum(map(pss_mib, descendants(driver.pid))))
        time.sleep(SAMPLE_EVERY_S)
    total_s = time.monotonic() - started_s
    if driver.returncode:
        raise RuntimeError(f"annotate ended with {driver.returncode}: {driver.communicate()[1]}")
    table = read_annotations(Folder(str(out)))
    commits_s = [path.stat().st_mtime for path in (out / "checkpoint").glob("*.parquet")]
    begun_s = (out / "manifest.parquet").stat().st_mtime
    return Measured(table.num_rows, total_s, max(commits_s) - begun_s, peak_mib)


def descendants(pid: int) -> list[int]:
    """The process and all that it started, directly or not: Ray's daemons are children of the driver."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            after_name = (process / "stat").read_text().rpartition(")")[2]
        except OSError:  # it ended in between
            continue
        parents[int(process.name)] = int(after_name.split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found


def pss_mib(pid: int) -> float:
    """Proportional set size of a process; 0 if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0.0)


if __name__ == "__main__":
    main()
