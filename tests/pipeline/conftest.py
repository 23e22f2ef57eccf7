"""A run over the demo shard that a test may change."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def demo_copy(demo_run: Path, tmp_path: Path) -> Path:
    """A copy of the demo shard's run, to call the command on again."""
    return Path(shutil.copytree(demo_run, tmp_path / "copy"))
