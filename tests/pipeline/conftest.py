"""One whole run over the demo shard, shared by the tests that look at what a run leaves behind."""

import shutil
from pathlib import Path

import pytest

from tests.running import annotate


@pytest.fixture(scope="session")
def demo_run(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of `--shard demo --store`, run to its end on a real local Ray; to be looked at only."""
    out = tmp_path_factory.mktemp("demo_run")
    done = annotate(out, demo_root, "--store")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def demo_copy(demo_run: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to call the command on again."""
    return Path(shutil.copytree(demo_run, tmp_path / "copy"))
