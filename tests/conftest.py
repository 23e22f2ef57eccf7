"""Fixtures that several folders of tests share, the order of the files, and markers of what a test needs."""

import atexit
import gc
import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from pipeline.demo.draw_demo import draw_demo
from tests.needs import NEEDS, needs_of_file, needs_of_test
from tests.running import annotate

hypothesis.settings.register_profile("refsav", deadline=None)  # how fast a shared machine is, is no expectation
hypothesis.settings.load_profile("refsav")

# Files that take half a minute or more, longest first: what starts last should be short, or one process ends alone.
_LONG = """
    serve train_on_refsav cluster resume model_run three_nodes endpoints audit_run lineup_run text training_docs
    commands imported_run player run ray_adapter more ray_connect fuzz_input review_faults review_sighted review_blind
    pages
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out all that needs " + ", ".join(NEEDS))


def pytest_configure(config: pytest.Config) -> None:
    for name, text in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: {text}; set by tests/conftest.py from imports and fixtures")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without Python's garbage collector: all of it lives to the end, and looking through it takes a fifth."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # or C extensions tell of leaks at the end


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave a file, or a folder whose conftest needs it, unread: then what it imports need not be installed."""
    if not config.getoption("--fast"):
        return None
    file = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    return True if file.suffix == ".py" and file.is_file() and needs_of_file(file) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    first = [f"test_{name}.py" for name in _LONG.split()]

    def place(item: pytest.Item) -> int:
        return first.index(item.path.name) if item.path.name in first else len(first)

    items.sort(key=place)
    if config.getoption("--fast") or config.getoption("-m"):
        for item in items:
            for name in needs_of_test(item):
                item.add_marker(name)
    if config.getoption("--fast"):
        slow = [item for item in items if any(item.get_closest_marker(name) for name in NEEDS)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]


@pytest.fixture(scope="session")
def for_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share; take a lock to fill it."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def demo_root(for_all_workers: Path) -> Path:
    """SAV_ROOT with the demo shard, drawn once; read only."""
    root = for_all_workers / "demo_sav"
    with FileLock(f"{root}.lock"):
        if not (root / "drawn").exists():
            draw_demo(root)
            (root / "drawn").touch()
    return root


@pytest.fixture(scope="session")
def demo_run(for_all_workers: Path, demo_root: Path) -> Path:
    """Output folder of `--shard demo --store`, run to its end on a real local Ray, once; read only."""
    out = for_all_workers / "demo_run"
    with FileLock(f"{out}.lock"):
        if not out.with_suffix(".done").exists():
            done = annotate(out, demo_root, "--store")
            assert done.returncode == 0, done.stderr
            out.with_suffix(".done").touch()
    return out
