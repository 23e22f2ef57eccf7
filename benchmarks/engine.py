"""Tokens/s of a real vLLM through the pipeline, against the same engine fed directly: `python -m benchmarks.engine`.

Wanted: at least 0.9. One vLLM server with a tiny random checkpoint. The reference sends it the very requests that the
pipeline sent, pictures included, as many in flight, from one asyncio loop. Both sides are counted by the engine itself
(`vllm:generation_tokens`), from the first token to the last; the prefix cache is emptied in between. The engine has one
core to itself, as it would have its GPU; the pipeline, or the feeder, has the others.
"""

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path

import openai
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.clips import draw_clip
from benchmarks.whole_run import ROOT
from manifests.io import Folder
from manifests.schema import Row, Status
from pipeline.engines.dialect import Request, body
from pipeline.run.recipes import small
from prompts import load
from stages.render_views import RenderViews
from tests.running import free_port
from tests.tiny_models import make_qwen

VIDEOS, OBJECTS, ROUNDS, IN_FLIGHT = 24, 4, 2, 16
ENGINE_CORES = {0}
ENGINE_ENV = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_SERVER_DEV_MODE": "1",  # has /reset_prefix_cache
}
SAMPLE_EVERY_S = 0.1


def main() -> None:
    """Print a line a round and the median ratio."""
    with tempfile.TemporaryDirectory() as scratch:
        sav, checkpoint, port = Path(scratch), Path(scratch) / "model", free_port()
        for number in range(VIDEOS):
            size = (640 + 16 * number, 360)  # other pictures: what was answered for one would answer for all
            draw_clip(sav / "sav_train" / "x", f"clip_{number:02}", OBJECTS, duration_s=4.0, size=size)
        make_qwen(checkpoint)
        engine = subprocess.Popen(
            [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint)]
            + [
                "--served-model-name",
                "tiny",
                "--no-enable-chunked-prefill",
                "--port",
                str(port),
                "--enforce-eager",
                "--max-model-len",
                "16384",
                "--max-num-seqs",
                str(IN_FLIGHT),
            ]
            + ["--limit-mm-per-prompt", '{"image": 8}', "--enable-prefix-caching"],
            env={**os.environ, **ENGINE_ENV},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.sched_setaffinity(engine.pid, ENGINE_CORES)
        os.sched_setaffinity(0, os.sched_getaffinity(0) - ENGINE_CORES)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", engine)
            rounds(sav, url)
        finally:
            engine.terminate()
            engine.wait()


def rounds(sav: Path, url: str) -> None:
    """Both sides, by turns."""
    print(f"{VIDEOS * OBJECTS} objects, {IN_FLIGHT} requests in flight")
    print(f"{'round':>6} {'':>9} {'requests':>9} {'tokens':>8} {'s':>7} {'tokens/s':>9} {'ratio':>6}")
    ratios = []
    for number in range(1, ROUNDS + 1):
        out = sav / f"run_{number}"
        whole = counted(url, partial(annotate, sav, out, url))
        requests = sent(sav, out)
        direct = counted(url, partial(feed_all, requests, url))
        ratios.append(whole[0] / whole[1] * direct[1] / direct[0])
        for name, (tokens, seconds), ratio in (("pipeline", whole, f"{ratios[-1]:.2f}"), ("direct", direct, "")):
            told = f"{number:6} {name:>9} {len(requests):9} {tokens:8.0f} {seconds:7.1f}"
            print(f"{told} {tokens / seconds:9.1f} {ratio:>6}")
    print(f"median ratio {statistics.median(ratios):.2f}, wanted at least 0.9")


def annotate(sav: Path, out: Path, url: str) -> None:
    """Run `pipeline.annotate` against the engine at `url`, to its end."""
    command = [sys.executable, "-m", "pipeline.annotate", "--shard", "x", "--sav-root", str(sav), "--out", str(out)]
    command += ["--recipe", "small", "--engine", "http", "--engine-url", f"{url}/v1", "--vlm-model", "tiny"]
    command += [
        "--llm-model",
        "tiny",
        "--in-flight",
        str(IN_FLIGHT),
        "--rows-per-unit",
        "8",
        "--max-failed-frac",
        "1",
        "--log-level",
        "ERROR",
    ]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def sent(sav: Path, out: Path) -> list[Request]:
    """What the pipeline asked: from its stored replies, with pictures drawn again."""
    stage = RenderViews(small().views, Folder(str(sav)))
    rows = [Row.model_validate(row) for row in Folder(str(out)).read_table("manifest.parquet").to_pylist()]
    images = {}
    for row in (row for row in rows if row.status is Status.PENDING):
        (views,) = stage.process([row])
        assert isinstance(views, dict), views
        for jpeg in (views["crop_jpeg"], views["masked_jpeg"], views["scene_jpeg"], *views["video_jpegs"]):
            images[hashlib.sha256(jpeg).hexdigest()] = jpeg
    requests = []
    for path in sorted(out.glob("replies/*/*.json"), key=lambda path: path.stat().st_mtime):
        asked = json.loads(path.read_bytes())["asked"]
        prompt = load(asked.pop("prompt").partition("@")[0])
        del asked["revision"]
        asked["images"] = tuple(images[digest] for digest in asked.pop("pictures"))
        requests.append(Request(**asked, schema_name=prompt.name, schema=prompt.reply.model_json_schema()))
    return requests


async def feed(requests: list[Request], url: str) -> None:
    """Send all requests, IN_FLIGHT at a time."""
    slots = asyncio.Semaphore(IN_FLIGHT)
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=600) as client:

        async def send(request: Request) -> None:
            async with slots:
                await client.chat.completions.create(**body(request))

        await asyncio.gather(*map(send, requests))


def feed_all(requests: list[Request], url: str) -> None:
    """Send them from outside any event loop."""
    asyncio.run(feed(requests, url))


def counted(url: str, work: Callable[[], None]) -> tuple[float, float]:
    """(tokens, seconds from the first to the last) that the engine wrote while `work` ran."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/reset_prefix_cache", method="POST")).close()
    seen: list[tuple[float, float]] = [(time.monotonic(), tokens(url))]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SAMPLE_EVERY_S):
            seen.append((time.monotonic(), tokens(url)))

    thread = threading.Thread(target=watch)
    thread.start()
    work()
    done.set()
    thread.join()
    first = next(at for (at, _), (_, after) in zip(seen, seen[1:], strict=False) if after > seen[0][1])
    last = next(at for at, count in seen if count == seen[-1][1])
    return seen[-1][1] - seen[0][1], last - first


def tokens(url: str) -> float:
    """Tokens written since the engine started."""
    with urllib.request.urlopen(f"{url}/metrics") as page:
        families = text_string_to_metric_families(page.read().decode())
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "vllm:generation_tokens_total"
    )


def wait_for(url: str, process: subprocess.Popen[bytes], patience_s: float = 300.0) -> None:
    """Wait until `url` answers; fails if the process ends or the patience does."""
    until_s = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < until_s:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(1.0)
    raise RuntimeError(f"{url} does not answer; the engine ended with {process.poll()}")


if __name__ == "__main__":
    main()
