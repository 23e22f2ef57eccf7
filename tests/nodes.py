"""A Ray cluster of several nodes on this machine, each in network, process and mount namespaces of its own.

`with cluster(3) as nodes:` needs root and `ip` (Debian: iproute2); `missing()` says what is not there. The first node
is the head. A bridge in a namespace of its own joins them; `cut` takes a node's cable out, `kill` its power. Nothing
outside these namespaces is reached or changed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

RAY = str(Path(sys.executable).parent / "ray")
PORT = 6379
_START_S = 120.0


def missing() -> str | None:
    """What is not there for a cluster of namespaces, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for command in ("ip", "unshare", "nsenter"):
        if shutil.which(command) is None:
            return f"there is no `{command}`"
    name = f"rs{os.getpid()}try"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return "network namespaces cannot be made here"
    _ip("netns", "delete", name)
    return None


@dataclass
class Node:
    """One machine of the cluster."""

    number: int
    address: str
    namespace: str
    bridge: str
    folder: Path
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self, head: str | None, cpus: int) -> None:
        """Start Ray on it; `head` is None for the head itself."""
        where = ["--head", f"--port={PORT}", "--include-dashboard=false"] if head is None else [f"--address={head}"]
        options = [f"--node-ip-address={self.address}", f"--num-cpus={cpus}", "--disable-usage-stats"]
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (self.folder / "start.log").open("w") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace, *alone, RAY, "start", "--block", *where, *options],
                cwd=self.folder,
                env=self.env | {"RAY_TMPDIR": str(self.folder)},
                stdout=log,
                stderr=log,
            )
        give_up_s = time.monotonic() + _START_S
        while "Ray runtime started" not in (told := (self.folder / "start.log").read_text()):
            assert self.process.poll() is None, told
            assert time.monotonic() < give_up_s, told
            time.sleep(0.1)

    def inside(self, command: Sequence[str], folder: Path) -> list[str]:
        """The command, to be run in `folder` on this node."""
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return ["nsenter", f"--target={children[0]}", "--net", "--pid", "--mount", f"--wd={folder}", *command]

    def cut(self) -> None:
        """Nothing comes to it or from it any more; its processes do not know."""
        _ip("-n", self.bridge, "link", "set", f"p{self.number}", "down")

    def mend(self) -> None:
        """Its cable is back; what Ray has ended meanwhile is not."""
        _ip("-n", self.bridge, "link", "set", f"p{self.number}", "up")

    def kill(self) -> None:
        """All its processes are gone at once."""
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def cluster(count: int, cpus: int = 2, **env: str) -> Iterator[list[Node]]:
    """So many nodes with so many CPU slots each; `env` is their environment beside ours, as docs/cluster.md has it."""
    mark = f"rs{os.getpid()}"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    patience = {"RAY_grpc_client_keepalive_time_ms": "20000", "RAY_grpc_client_keepalive_timeout_ms": "10000"}
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp"))  # short, for sockets
        bridge = f"{mark}br"
        _namespace(stack, bridge)
        _ip("-n", bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", bridge, "link", "set", "br0", "up")
        nodes: list[Node] = []
        for number in range(count):
            name, address = f"{mark}n{number}", f"10.77.0.{number + 1}"
            _namespace(stack, name)
            peer = ["type", "veth", "peer", "name", f"p{number}", "netns", bridge]
            _ip("link", "add", "eth0", "netns", name, *peer)
            _ip("-n", bridge, "link", "set", f"p{number}", "master", "br0", "up")
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            folder = Path(scratch, str(number))
            folder.mkdir()
            node = Node(number, address, name, bridge, folder, clean | token | patience | env)
            stack.callback(node.kill)
            node.start(f"{nodes[0].address}:{PORT}" if nodes else None, cpus)
            nodes.append(node)
        yield nodes


def _namespace(stack: ExitStack, name: str) -> None:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)
    _ip("-n", name, "link", "set", "lo", "up")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
