"""A run over the demo shard, to read or to change."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def demo_copy(demo_run: Path, tmp_path: Path) -> Path:
    """A copy of the demo shard's run, to call the command on again."""
    return Path(shutil.copytree(demo_run, tmp_path / "copy"))


@pytest.fixture(scope="session")
def demo_annotations(demo_run: Path) -> Path:
    """Folder of an annotation run of the demo shard; read only. Its SAV_ROOT is `demo_root`."""
    return demo_run
