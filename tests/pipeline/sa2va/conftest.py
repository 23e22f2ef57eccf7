"""What the tests of Sa2VA share."""

from pathlib import Path

import pytest
from filelock import FileLock

from tests.demo_run import annotate_demo


@pytest.fixture(scope="session")
def demo_annotations(for_all_workers: Path, demo_root: Path) -> Path:
    """Folder of an annotation run of the demo shard, made once; read only. Its SAV_ROOT is `demo_root`."""
    out = for_all_workers / "demo_annotations"
    with FileLock(f"{out}.lock"):
        if not (out / "Ref-SAV.json").exists():
            annotate_demo(out, demo_root)
    return out
