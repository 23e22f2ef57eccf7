"""One whole run over the demo shard, shared by the tests that look at what a run leaves behind."""

from pathlib import Path

import pytest

from tests.running import annotate


@pytest.fixture(scope="session")
def demo_run(demo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of `--shard demo`, run to its end on a real local Ray."""
    out = tmp_path_factory.mktemp("demo_run")
    done = annotate(out, demo_root)
    assert done.returncode == 0, done.stderr
    return out
