"""A drawn split that the tests of a folder share."""

from pathlib import Path

import pytest

from tests.pipeline.evaluation.drawn import write_split


@pytest.fixture(scope="session")
def split_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos, ten expressions, JPEGs; read only."""
    return write_split(tmp_path_factory.mktemp("split") / "drawn", jpegs=True)
