"""What the tests of Sa2VA share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo_annotations(demo_run: Path) -> Path:
    """Folder of an annotation run of the demo shard; read only. Its SAV_ROOT is `demo_root`."""
    return demo_run
