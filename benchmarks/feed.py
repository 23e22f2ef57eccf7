"""How full the pipeline keeps an engine: `python -m benchmarks.feed [--slots 64 --mean-s 12]`.

The engine (`python -m tests.misbehaving --slots`) has so many places; a request holds one for a lognormal time and
computes nothing. Printed is the share of the places that were held, from the first request to the last reply, and over
the whole command. Beside it stands the best that anybody could do with these times: a feeder that has every row
rendered before the first request and sends what can be sent (computed, not run). It is less than 1, because at the
end places stay empty while the last replies are written.

A second run has one request stuck for 90 s, and counts the replies that others got meanwhile. `--one-core` measures
what one process can carry instead: its CPU time for a request with its pictures, and so the requests that may be open.
"""

import argparse
import heapq
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.clips import draw_clip
from benchmarks.engine import wait_for
from benchmarks.whole_run import ROOT
from manifests.schema import Row
from pipeline.run.feed import Feed
from tests.misbehaving import service_times_s
from tests.pipeline.writers.asking import text_rows, text_stages, writer_of
from tests.running import free_port

OBJECTS, SIGMA = 4, 0.6
STUCK_S, PICTURE_BYTES = 90.0, 60_000
SAMPLE_EVERY_S = 0.5


class Fed(NamedTuple):
    """What one run was seen to do."""

    served: list[tuple[float, float]]  # from and to, of each request that had a place
    stuck: tuple[float, float] | None
    wall_s: float
    peak_bytes: int  # of all processes of the command, memory shared between them counted once


def main() -> None:
    """Print how full the engine was kept, for a sound and for a stuck request."""
    parser = argparse.ArgumentParser(description="How full the pipeline keeps an engine.")
    parser.add_argument("--slots", type=int, default=16, help="requests that the engine works on at a time")
    parser.add_argument("--mean-s", type=float, default=3.0, help="mean time of a request")
    parser.add_argument("--sigma", type=float, default=SIGMA, help="sigma of the times' logarithm")
    parser.add_argument("--rows", type=int, help="objects, 4 a video (default: 4 a slot, then 160)")
    parser.add_argument("--no-stuck", action="store_true", help="leave out the run with a stuck request")
    parser.add_argument("--one-core", action="store_true", help="measure what one process can carry instead")
    told = parser.parse_args()
    if told.one_core:
        one_core()
        return
    with tempfile.TemporaryDirectory() as scratch:
        sav = Path(scratch)
        print(
            f"{'slots':>5} {'mean s':>6} {'objects':>7} {'calls':>6} {'busy':>6} {'best':>6} {'ours/best':>9} "
            f"{'whole command':>13} {'wall s':>7} {'peak MB':>8}"
        )
        for rows in [told.rows] if told.rows else [4 * told.slots, 160]:
            fed = run(sav, rows, told.slots, told.mean_s, told.sigma)
            ours, best = busy_frac(fed, told.slots), best_frac(rows, len(fed.served), told)
            whole = sum(to - began for began, to in fed.served) / told.slots / fed.wall_s
            print(
                f"{told.slots:5} {told.mean_s:6.1f} {rows:7} {len(fed.served):6} {ours:6.3f} {best:6.3f} "
                f"{ours / best:9.2f} {whole:13.3f} {fed.wall_s:7.1f} {fed.peak_bytes / 1e6:8.0f}"
            )
        if not told.no_stuck:
            fed = run(sav, 26, told.slots, told.mean_s, told.sigma, STUCK_S)
            assert fed.stuck
            before = sum(to <= fed.stuck[1] - 1.0 for _, to in fed.served)
            print(
                f"one request stuck for {STUCK_S:.0f} s: {before} of {len(fed.served)} calls answered before it ended"
            )


def one_core(rows: int = 400, in_flight: int = 64) -> None:
    """CPU time of one feeding process for a request: rows are there at once, answers come after 0.5 s."""
    port = free_port()
    engine = [sys.executable, "-m", "tests.misbehaving", "--port", str(port), "--after-s", "0.5"]
    serving = subprocess.Popen(engine, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models", serving)
        with tempfile.TemporaryDirectory() as out:
            writer = writer_of(f"http://127.0.0.1:{port}/v1", Path(out), in_flight=in_flight)
            fed = Feed(as_they_are, text_stages(writer), rows=2 * in_flight, renders=8, close=lambda _: None)
            began_s = time.process_time()
            done = fed.run([heavy(row, at) for at, row in enumerate(text_rows(rows))])
            used_s = time.process_time() - began_s
        calls = sum(len(row.calls) for row in done)
        print(
            f"{1000 * used_s / calls:.1f} ms of CPU a request: one core carries {calls / used_s:.0f} requests/s, "
            f"{3 * calls / used_s:.0f} open requests that take 3 s each"
        )
    finally:
        serving.terminate()
        serving.wait()


async def as_they_are(rows: list[Row]) -> list[Row]:
    """Rows that need no rendering."""
    return rows


def heavy(row: Row, at: int) -> Row:
    """The row of a video of its own, with pictures as large as real ones."""
    row.video_id, row.object_id = f"v{at}", f"v{at}/manual/0"
    for name in ("crop_jpeg", "masked_jpeg", "scene_jpeg"):
        setattr(row, name, getattr(row, name) + os.urandom(PICTURE_BYTES))
    row.video_jpegs = [row.video_jpegs[0] + os.urandom(PICTURE_BYTES) for _ in range(8)]
    return row


def busy_frac(fed: Fed, slots: int) -> float:
    """Share of the places that were held between the first request and the last reply."""
    began_s, ended_s = min(began for began, _ in fed.served), max(to for _, to in fed.served)
    return sum(to - began for began, to in fed.served) / slots / (ended_s - began_s)


def best_frac(rows: int, requests: int, told: argparse.Namespace) -> float:
    """The same of a feeder that never waits for anything but the replies that a row needs before its next request."""
    times = service_times_s(told.mean_s, told.sigma)
    ready = [(0.0, row, requests // rows + (row < requests % rows)) for row in range(rows)]
    free = [0.0] * told.slots
    held_s = 0.0
    while ready:
        at_s, row, left = heapq.heappop(ready)
        began_s = max(at_s, heapq.heappop(free))
        took_s = next(times)
        held_s += took_s
        heapq.heappush(free, began_s + took_s)
        if left > 1:
            heapq.heappush(ready, (began_s + took_s, row, left - 1))
    return held_s / float(told.slots) / max(free)


def run(sav: Path, rows: int, slots: int, mean_s: float, sigma: float, stuck_s: float = 0.0) -> Fed:
    """Annotate clips with so many objects behind an engine with so many places."""
    shard, port = f"s{rows}", free_port()
    folder = sav / "sav_train" / shard
    for number in range(-(-rows // OBJECTS)) if not folder.exists() else ():
        draw_clip(
            folder,
            f"clip_{number:03}",
            OBJECTS,
            duration_s=4.0,
            size=(640 + 8 * (number % 40), 360 + 8 * (number // 40)),
        )
    engine = [sys.executable, "-m", "tests.misbehaving", "--port", str(port), "--slots", str(slots)]
    engine += ["--mean-s", str(mean_s), "--sigma", str(sigma), "--stuck-s", str(stuck_s)]
    out = sav / f"out_{shard}_{slots}_{stuck_s:.0f}"
    command = [sys.executable, "-m", "pipeline.annotate", "--shard", shard, "--sav-root", str(sav), "--out", str(out)]
    command += ["--recipe", "small", "--engine", "http", "--engine-url", f"http://127.0.0.1:{port}/v1"]
    command += [
        "--vlm-model",
        "vlm",
        "--llm-model",
        "llm",
        "--in-flight",
        str(slots * 3 // 2),
        "--max-failed-frac",
        "1",
    ]
    serving = subprocess.Popen(engine, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models", serving)
        started_s = time.monotonic()
        driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        peak = Peak(driver.pid)
        told = driver.communicate()[1]
        wall_s = time.monotonic() - started_s
        if driver.returncode:
            raise RuntimeError(f"annotate ended with {driver.returncode}: {told}")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as reply:
            counts = json.load(reply)
    finally:
        serving.terminate()
        serving.wait()
    return Fed([(began, to) for began, to in counts["served"]], counts["stuck"], wall_s, peak.bytes)


class Peak(threading.Thread):
    """Looks now and then at the memory of a process and all its descendants, until the process ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._driver = psutil.Process(pid)
        self.bytes = 0
        self.start()

    def run(self) -> None:
        """Look until it ends."""
        while self._driver.is_running() and self._driver.status() != psutil.STATUS_ZOMBIE:
            used = 0
            try:
                for process in [self._driver, *self._driver.children(recursive=True)]:
                    try:
                        used += process.memory_full_info().pss
                    except psutil.Error:
                        continue
            except psutil.Error:
                return
            self.bytes = max(self.bytes, used)
            time.sleep(SAMPLE_EVERY_S)


if __name__ == "__main__":
    main()
