"""Training on two nodes, one of which is cut off and comes back: `python -m benchmarks.two_nodes`, as root with `ip`.

Two network namespaces on this machine, each with its own `ray start` and one CPU slot; workers talk by gloo. A run on
both is compared with one in which the second node's cable is pulled after a few steps, until Ray has given it up; then
it is back with a new `ray start`. Every step must be done once, and the curves must be equal bit for bit. Prints how
long the node was missed; exit code 1 if the curves differ.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests import nodes
from tests.nodes import PORT, Node
from tests.pipeline.sa2va.tiny import make_tiny
from tests.running import ROOT

STEPS_BEFORE = 4
WAIT_S = 900.0


def main() -> int:
    """Train twice, and print whether both runs did the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="of eight steps each (default 3)")
    options = parser.parse_args()
    if reason := nodes.missing():
        print(f"two nodes cannot be made here: {reason}")
        return 2
    with tempfile.TemporaryDirectory() as scratch, nodes.cluster(2, cpus=1, GLOO_SOCKET_IFNAME="eth0") as (head, other):
        folder = Path(scratch)
        make_tiny(folder / "tiny")
        whole = _train(head, folder, "whole", options.epochs)
        printed, errors = whole.communicate(timeout=WAIT_S)
        assert whole.returncode == 0, printed + errors
        disturbed = _train(head, folder, "disturbed", options.epochs)
        _until(lambda: len(_curve(folder / "disturbed")) >= STEPS_BEFORE, disturbed)
        other.cut()
        print(f"cable pulled after step {len(_curve(folder / 'disturbed'))}", flush=True)
        cut_s = time.monotonic()
        _until(lambda: _nodes(head) == 1, disturbed)
        print(f"Ray gave the node up after {time.monotonic() - cut_s:.0f} s", flush=True)
        other.kill()
        other.mend()
        other.start(f"{head.address}:{PORT}", 1)
        print(f"the node is back after {time.monotonic() - cut_s:.0f} s", flush=True)
        printed, errors = disturbed.communicate(timeout=WAIT_S)
        assert disturbed.returncode == 0, printed + errors
        curves = [_curve(folder / name) for name in ("whole", "disturbed")]
    steps = [line["step"] for line in curves[1]]
    begun = [line.split(", ")[-1] for line in printed.splitlines() if " done before" in line]
    print(
        f"steps {steps[0]} to {steps[-1]}, {len(set(steps))} different of {len(steps)}; begun with {'; '.join(begun)}"
    )
    print(f"the curves are {'equal' if curves[0] == curves[1] else 'DIFFERENT'}, bit for bit")
    return int(curves[0] != curves[1])


def _train(head: Node, folder: Path, name: str, epochs: int) -> subprocess.Popen[str]:
    """Start the command on the head."""
    tiny = folder / "tiny"
    asked = ["--source", str(tiny / "videos/Ref-SAV.json"), "--base", str(tiny), "--out", str(folder / name), "--cpu"]
    asked += ["--workers", "2", "--batch", "8", "--micro-batch", "4", "--epochs", str(epochs), "--ray-address", "auto"]
    settings = ["loader_workers=0", "checkpoint_every=2"]
    command = [sys.executable, "-m", "pipeline.train_on_refsav", *asked, f"@{tiny / 'settings.txt'}", *settings]
    env = head.env | {"RAY_ADDRESS": f"{head.address}:{PORT}", "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(head.inside(command, ROOT), env=env, text=True, stdout=pipe, stderr=pipe)


def _nodes(head: Node) -> int:
    """Return how many nodes Ray believes to be alive."""
    code = "import ray; ray.init('auto', logging_level=50); print(sum(node['Alive'] for node in ray.nodes()))"
    env = head.env | {"RAY_ADDRESS": f"{head.address}:{PORT}"}
    asked = head.inside([sys.executable, "-c", code], Path("/"))
    return int(subprocess.run(asked, env=env, text=True, capture_output=True, check=True).stdout.split()[-1])


def _curve(out: Path) -> list[dict[str, float]]:
    file = out / "curve.jsonl"
    written = file.read_text().splitlines(keepends=True) if file.exists() else []
    lines = [json.loads(line) for line in written if line.endswith("\n")]
    return [{name: value for name, value in line.items() if not name.endswith("/s")} for line in lines]


def _until(true: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not true():
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < end_s, "waited for too long"
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
