"""What docs/training.md tells to type works: its try, with few epochs, in the environment of the tests."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.running import ROOT


def commands(heading: str) -> list[str]:
    """The commands of the console block under a heading, each on one line."""
    page = (ROOT / "docs/training.md").read_text()
    block = re.search(rf"## {heading}.*?```console\n(.*?)```", page, re.DOTALL)
    assert block, heading
    return [line.strip() for line in block[1].replace("\\\n", "").split("$ ") if line.strip()]


def test_the_try_without_a_gpu(demo_run: Path, demo_root: Path, tmp_path: Path) -> None:
    places = {
        "runs/demo/sav": demo_root,
        "runs/demo": demo_run,
        "runs/": f"{tmp_path}/",
        ".venv/bin/python": sys.executable,
    }
    asked = commands("A try without a GPU")
    assert [command.split()[0] for command in asked] == ["make", "make", *[".venv/bin/python"] * 3]
    for command in asked[:2]:  # what they make is there: the run, and this environment
        subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, check=True, capture_output=True)
    for command in asked[2:]:
        for told, meant in places.items():
            command = command.replace(told, str(meant))
        command = re.sub(r"--epochs \d+", "--epochs 2", command)
        done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for path in re.findall(r"^(?:model|masks) +(\S+)$", done.stdout, re.MULTILINE):
            assert Path(path).exists()
    found = json.loads((tmp_path / "try/masks/masks.json").read_text())
    assert [each["text"] for each in found["texts"]] == ["the small yellow object", "the small green object"]
