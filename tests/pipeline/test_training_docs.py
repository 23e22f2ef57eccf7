"""What docs/training.md tells to type works: its try, with few epochs, in the environment of the tests."""

import json
import re
import shlex
import subprocess
from pathlib import Path

from tests import warm
from tests.pipeline.sa2va.train.coloured import draw
from tests.running import ROOT


def commands(heading: str) -> list[str]:
    """The commands of the console block under a heading, each on one line."""
    page = (ROOT / "docs/training.md").read_text()
    block = re.search(rf"## {heading}.*?```console\n(.*?)```", page, re.DOTALL)
    assert block, heading
    return [line.strip() for line in block[1].replace("\\\n", "").split("$ ") if line.strip()]


def test_the_try_without_a_gpu(tmp_path: Path) -> None:
    install, *asked = commands("A try without a GPU")
    # what the first command makes is there: this environment
    subprocess.run([*shlex.split(install), "-n"], cwd=ROOT, check=True, capture_output=True)
    assert [command.split()[0] for command in asked] == [".venv/bin/python"] * 3
    for command in asked:
        command = re.sub(r"--epochs \d+", "--epochs 1", command.replace("runs/", f"{tmp_path}/"))
        _, option, module, *arguments = shlex.split(command)
        assert option == "-m"
        done = warm.run(module, arguments)
        assert done.returncode == 0, done.stderr
        for path in re.findall(r"^(?:model|masks) +(\S+)$", done.stdout, re.MULTILINE):
            assert Path(path).exists()
    found = json.loads((tmp_path / "try/masks/masks.json").read_text())
    texts, _, _ = draw([2, 0])
    assert [each["text"] for each in found["texts"]] == texts, "the page asks for what is in the fresh video"
