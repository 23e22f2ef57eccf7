"""One command on three nodes, one of which goes dark in mid-run: no row is lost and no reply is paid for again."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.clips import draw_clip
from tests import nodes
from tests.nodes import PORT, Node
from tests.running import ROOT, annotations, command

VIDEOS, OBJECTS = 8, 2
ENDPOINT = 8000
GIVE_UP_S = 400.0  # Ray takes a minute to believe that a node is gone
WHERE = """
import socket, sys
from pipeline.run import ray_adapter, ray_connect

def where(_):
    import pipeline, ray, time
    time.sleep(0.5)
    return ray.util.get_node_ip_address(), pipeline.__path__[0]

ray_connect.connect(sys.argv[1], None)
for address, path in set(ray_adapter.map_parallel(where, range(24), chunk=1)):
    print(address, path)
"""

pytestmark = pytest.mark.skipif(bool(nodes.missing()), reason=nodes.missing() or "")


@pytest.fixture(scope="module")
def sav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sav")
    for number in range(VIDEOS):  # all different, or one reply would do for several
        draw_clip(root / "sav_train/tiny", f"clip_{number}", OBJECTS, duration_s=1.0, size=(320 + 8 * number, 180))
    return root


@pytest.fixture(scope="module")
def three() -> Iterator[list[Node]]:
    with nodes.cluster(3) as found:
        yield found


def run(node: Node, *asked: str, folder: Path = ROOT) -> subprocess.Popen[str]:
    env = node.env | {"RAY_ADDRESS": f"{node.address}:{PORT}", "PYTHONPATH": str(ROOT)}
    inside = node.inside(asked, folder)
    return subprocess.Popen(inside, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_every_node_is_shipped_the_code_and_works(three: list[Node]) -> None:
    elsewhere = Path("/")  # Ray looks for code in the driver's folder too, which other machines do not have
    asked = run(three[0], sys.executable, "-c", WHERE, f"{three[0].address}:{PORT}", folder=elsewhere)
    told, errors = asked.communicate(timeout=GIVE_UP_S)
    assert asked.returncode == 0, errors
    found = dict(line.split() for line in told.splitlines())
    assert found.keys() == {node.address for node in three}
    assert all("/py_modules_files/" in path for path in found.values()), found


def test_a_node_that_goes_dark_costs_no_row_and_no_reply(three: list[Node], sav: Path, tmp_path: Path) -> None:
    head, _, dark = three
    out = tmp_path / "out"
    listen = ["--host", head.address, "--port", str(ENDPOINT), "--after-s", "0.5"]
    endpoint = run(head, sys.executable, "-m", "tests.misbehaving", *listen)
    asked = [
        "--recipe",
        "small",
        "--lineup",
        "off",
        "--engine",
        "http",
        "--engine-url",
        f"http://{head.address}:{ENDPOINT}/v1",
    ]
    asked += ["--vlm-model", "vlm", "--llm-model", "llm", "--rows-per-unit", "2", "--max-failed-frac", "0"]
    annotate = run(head, *command(out, sav, *asked, shard="tiny"))

    def replies() -> int:
        return len(list(out.glob("replies/*/*.json")))

    give_up_s = time.monotonic() + GIVE_UP_S
    while replies() < 16:
        assert annotate.poll() is None, annotate.communicate()
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    dark.cut()
    told, errors = annotate.communicate(timeout=GIVE_UP_S)
    counts = run(head, "curl", "-s", f"http://{head.address}:{ENDPOINT}/counts")
    (answered,) = re.findall(r'"answers": (\d+)', counts.communicate()[0])
    endpoint.kill()
    endpoint.wait()
    assert annotate.returncode == 0, errors
    assert f"{VIDEOS * OBJECTS} masklets: {VIDEOS * OBJECTS} kept" in told
    ids = annotations(out)["object_id"].to_pylist()
    assert len(set(ids)) == len(ids) == VIDEOS * OBJECTS
    assert int(answered) - replies() <= 8, "only what the dark node was just waiting for may have been lost"
