"""The driver's peak memory at 5,000 rows and at 50,000: `python -m benchmarks.driver_memory`.

Two runs of each size, measured as the resident size of the `annotate` process alone, its Ray processes left out:
*stages*: every row is already rejected in the manifest, so that it goes through Ray, in units of 32, and costs nothing;
*exports*: every row is done and kept, with facts, six requests and a preview of 40 kB, and only the exports are made.
Wanted: at most 1.2 times as much at ten times the rows.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from manifests.arrow import to_table
from manifests.io import Folder
from manifests.schema import AnnotationRow, ManifestRow, Reason, Status
from pipeline import build_manifest
from pipeline.run.recipes import paper
from pipeline.run.run_json import begin_run
from tests.pipeline import model_rows, rows

FEW, MANY, UNIT = 5_000, 50_000, 32
OBJECTS = 4  # a video
PREVIEW = os.urandom(40_000)
ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print the peak memory of runs of both sizes and the ratio."""
    print(f"{'':>8} {'rows':>7} {'s':>6} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory() as scratch:
        for name, fill in (("stages", rejected), ("exports", kept)):
            peaks = []
            for count in (FEW, MANY):
                out = Path(scratch, f"{name}_{count}")
                fill(Folder(str(out)), count)
                seconds, peak_mib = measure(out)
                peaks.append(peak_mib)
                print(f"{name:>8} {count:7,} {seconds:6.1f} {peak_mib:9.0f}", flush=True)
            print(f"{name:>8} {'ratio':>7} {'':6} {peaks[1] / peaks[0]:8.2f}x")
    print("wanted: at most 1.2x")


def rejected(out: Folder, count: int) -> None:
    """A run of which only the manifest is there, no row of it worth describing."""
    state = {"status": Status.REJECTED, "stage": "select_objects", "reason": Reason.TOO_SMALL, "detail": "at its best"}
    _manifest(out, count, lambda video, position: rows.row(video, position, **state))


def kept(out: Folder, count: int) -> None:
    """A run that is done but for its exports."""
    _manifest(out, count, lambda video, position: rows.row(video, position))
    for number, unit in enumerate(_units(count, lambda video, position: model_rows.kept(video, position))):
        table = to_table(unit, AnnotationRow)
        at = table.schema.get_field_index("preview_jpeg")
        previews = pa.array([PREVIEW] * len(unit), table.schema.field(at).type)
        out.write_table(f"annotations/u_{number:06d}-0.parquet", table.set_column(at, table.schema.field(at), previews))
        ids = pa.table({"object_id": [row.object_id for row in unit]})
        out.write_table(f"checkpoint/u_{number:06d}.parquet", ids)


def _manifest(out: Folder, count: int, make: Callable[[int, int], AnnotationRow]) -> None:
    os.makedirs(out.path())
    begin_run(out, paper(), None, Folder(out.path()), ["sav_000"])
    build_manifest.write((to_table(unit, ManifestRow) for unit in _units(count, make)), out, UNIT)


def _units(count: int, make: Callable[[int, int], AnnotationRow]) -> Iterator[list[AnnotationRow]]:
    for start in range(0, count, UNIT):
        yield [make(*divmod(index, OBJECTS)) for index in range(start, min(start + UNIT, count))]


def measure(out: Path) -> tuple[float, float]:
    """Seconds and peak MiB of the command on that run."""
    command = [sys.executable, "-m", "pipeline.annotate", "--shard", "sav_000", "--sav-root", str(out)]
    command += ["--out", str(out), "--rows-per-unit", str(UNIT)]
    started_s = time.monotonic()
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak_kib = 0
    while driver.poll() is None:
        try:
            status = Path(f"/proc/{driver.pid}/status").read_text()
        except OSError:
            break
        peak_kib = max([peak_kib, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.05)
    if driver.wait():
        raise RuntimeError(f"annotate ended with {driver.returncode}: {driver.communicate()[1]}")
    return time.monotonic() - started_s, peak_kib / 1024


if __name__ == "__main__":
    main()
