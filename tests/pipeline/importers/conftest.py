"""The command in this process, and the five drawn sets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.import_masklets import main
from tests.pipeline.importers import drawn
from tests.pipeline.importers.drawn_cvat import write_cvat

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Run:
    """Import `path` into the shard `shard` of tmp_path/sav; returns the exit code, and what was printed and logged."""

    def importing(source: str, path: Path, *options: str, shard: str = "s", workers: int = 1) -> tuple[int, str]:
        caplog.clear()
        given = ["--out", str(tmp_path / "sav"), "--shard", shard, "--workers", str(workers), *options]
        with caplog.at_level("INFO"):
            code = main([source, str(path), *given])
        told = capsys.readouterr()
        assert "Traceback" not in told.err + caplog.text
        return code, told.out + caplog.text

    return importing


SETS: dict[str, tuple[str, list[str], Callable[[Path], Any]]] = {  # set -> source, options, how it is drawn
    "davis": ("png", ["--fps", "24"], lambda root: drawn.write_png_set(root, drawn.clip("24"), ignore=True)),
    "ytvis": ("ytvis", ["--fps", "6"], lambda root: drawn.write_ytvis(root, drawn.clip("6", 4.0), phrases=True)),
    "mevis": ("mevis", ["--fps", "25"], lambda root: drawn.write_mevis(root, drawn.clip("25"))),
    "cvat": ("cvat", ["--fps", "30"], lambda root: write_cvat(root / "walk", drawn.clip("30"))),
    "video": ("video", [], lambda root: drawn.write_own_video(root, drawn.clip("29.97"))),
}


@pytest.fixture(scope="session")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of the five drawn sets; read only."""
    folders = {}
    for name, (_, _, draw) in SETS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        draw(folders[name])
    return folders


@pytest.fixture(scope="session")
def sav(sets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAV_ROOT with the five sets as shards; read only."""
    root = tmp_path_factory.mktemp("sav")
    for name, (source, options, _) in SETS.items():
        given = ["--out", str(root), "--shard", name, "--workers", "1", *options]
        assert main([source, str(sets[name]), *given]) == 0, name
    return root
