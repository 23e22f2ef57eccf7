"""CPU-seconds per object of everything but the engine: `python -m benchmarks.overhead`.

An endpoint that answers at once (`python -m tests.misbehaving`) has a process of its own, which is not counted. Driver,
Ray and all workers are: their CPU time at one and at five times the input, so that the slope leaves out what starting
costs. References in the same run: the measured writer, which sends nothing; and the `openai` package alone, sending as
many requests with as many pictures from one loop.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.clips import draw_clip
from benchmarks.engine import feed, sent, wait_for
from benchmarks.whole_run import ROOT, descendants
from tests.running import free_port

VIDEOS, OBJECTS, TIMES = 4, 4, 5
SAMPLE_EVERY_S = 0.1
TICKS_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        sav, port = Path(scratch), free_port()
        for number in range(VIDEOS):
            draw_clip(sav / "sav_train" / "x1", f"clip_{number}", OBJECTS, duration_s=4.0, size=(632 - 8 * number, 360))
        for number in range(VIDEOS * TIMES):  # all different: what was answered for one would answer for its copies
            size = (640 + 8 * number, 360)
            draw_clip(sav / "sav_train" / f"x{TIMES}", f"clip_{number:02}", OBJECTS, duration_s=4.0, size=size)
        endpoint = subprocess.Popen([sys.executable, "-m", "tests.misbehaving", "--port", str(port)], cwd=ROOT)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{url}/v1/models", endpoint)
            rows = VIDEOS * OBJECTS
            print(f"{'':>16} {'objects':>8} {'CPU s':>8} {'objects':>8} {'CPU s':>8} {'CPU s per further object':>25}")
            slopes = {}
            for engine in ("measured", "http"):
                few, many = (cpu_s(sav, shard, engine, url) for shard in ("x1", f"x{TIMES}"))
                slopes[engine] = (many - few) / (rows * (TIMES - 1))
                print(f"{engine:>16} {rows:8} {few:8.1f} {rows * TIMES:8} {many:8.1f} {slopes[engine]:25.3f}")
            requests = sent(sav, sav / "run_http_x1")
            began_s = time.process_time()
            asyncio.run(feed(requests, url))
            bare = (time.process_time() - began_s) / rows
            print(f"{'openai alone':>16} {rows:8} {bare * rows:8.1f} {'':8} {'':8} {bare:25.3f}")
            asking = slopes["http"] - slopes["measured"]
            print(
                f"asking models costs {asking:.3f} CPU s an object, {asking / bare:.1f} times the openai package alone"
            )
        finally:
            endpoint.terminate()
            endpoint.wait()


def cpu_s(sav: Path, shard: str, engine: str, url: str) -> float:
    """CPU time of the command and of all that it starts."""
    out = sav / f"run_{engine}_{shard}"
    command = [sys.executable, "-m", "pipeline.annotate", "--shard", shard, "--sav-root", str(sav), "--out", str(out)]
    command += ["--recipe", "small", "--engine", engine, "--max-failed-frac", "1"]
    if engine == "http":
        command += ["--engine-url", f"{url}/v1", "--vlm-model", "vlm", "--llm-model", "llm"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    used: dict[int, float] = {}
    while driver.poll() is None:
        for pid in descendants(driver.pid):
            used[pid] = max(used.get(pid, 0.0), own_cpu_s(pid))
        time.sleep(SAMPLE_EVERY_S)
    if driver.returncode:
        raise RuntimeError(f"annotate ended with {driver.returncode}: {driver.communicate()[1]}")
    return sum(used.values())


def own_cpu_s(pid: int) -> float:
    """User and system time of a process so far; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_S


if __name__ == "__main__":
    main()
