"""A published dataset of two runs, made once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.publish import main
from tests.pipeline.publishing.made_runs import two_runs

Publish = Callable[..., Path]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of four videos each, made alike; read only."""
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def dataset(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of both runs; read only."""
    out = tmp_path_factory.mktemp("published") / "dataset"
    given = [*map(str, runs), "--out", str(out), "--date", "2026-11-26", "--repo", "someone/refsav"]
    assert main(given) == 0
    return out
