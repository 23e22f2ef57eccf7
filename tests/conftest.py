"""Fixtures that several folders of tests share."""

from pathlib import Path

import pytest

from pipeline.demo.shard import draw_demo


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAV_ROOT with the demo shard, drawn once; read only."""
    root = tmp_path_factory.mktemp("sav")
    draw_demo(root)
    return root
