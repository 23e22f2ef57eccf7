"""What a test needs beside the packages of `make check`: found from what its file imports and from its fixtures."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDS = {
    "torch": "PyTorch, transformers or another package of the extra `train`",
    "vllm": "the real vLLM",
    "browser": "a Chromium",
    "ray": "a Ray that is started for it",
    "postgres": "a PostgreSQL that is started for it",
    "long": "several seconds of a core: says the test itself, or the demo shard that it draws",
}
_OURS = ("benchmarks", "manifests", "pipeline", "prompts", "stages", "tests", "validation_ui")
_PACKAGES = {  # imported by the file itself, or by what it imports of this repository
    **dict.fromkeys(("torch", "transformers", "tokenizers", "safetensors", "peft", "sam2", "matplotlib"), "torch"),
    **dict.fromkeys(("playwright", "axe_playwright_python"), "browser"),
}
_STARTED = {  # imported by the file itself: many modules know these, and start nothing
    "pipeline.engines.serve": "vllm",
    "tests.pipeline.sa2va.train.coloured": "torch",
    **dict.fromkeys(("pipeline.run.ray_adapter", "pipeline.run.ray_connect", "pipeline.ray_train"), "ray"),
    **dict.fromkeys(("tests.nodes", "tests.kept_ray", "tests.running.annotate", "tests.running.command"), "ray"),
}
# names of fixtures, or of a parameter of one, which asks for the fixture that has its name
_FIXTURES = {"demo_run": "ray", "demo_root": "long", "postgres": "postgres"}


def needs_of_test(item: pytest.Item) -> set[str]:
    """Names in NEEDS of what a collected test needs."""
    drawn = getattr(item, "callspec", None)
    parameters = drawn.params.values() if drawn else ()
    asked = [*getattr(item, "fixturenames", ()), *(one for one in parameters if isinstance(one, str))]
    return set(needs_of_file(item.path)) | {need for name, need in _FIXTURES.items() if name in asked}


@cache
def needs_of_file(path: Path) -> frozenset[str]:
    """Names in NEEDS of what importing the Python file at `path` needs."""
    found = {
        need for name in _imports(path) for module, need in _STARTED.items() if f"{name}.".startswith(f"{module}.")
    }
    seen, unread = {path}, [path]
    while unread:
        for name in _imports(unread.pop()):
            package = name.split(".")[0]
            found |= {_PACKAGES[package]} if package in _PACKAGES else set()
            new = set(_files(name)) - seen if package in _OURS else set()
            seen |= new
            unread += new
    return frozenset(found)


@cache
def _imports(path: Path) -> tuple[str, ...]:
    """Dotted names that the file imports when it is read; what its functions import is not among them."""
    return tuple(_imported_by(ast.parse(path.read_bytes()).body))


def _imported_by(statements: list[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from _imported_by(statement.body)


@cache
def _files(name: str) -> tuple[Path, ...]:
    """The files of the module `name`, or of the module that has this name in it, and of the packages around it."""
    parts = name.split(".")
    ends = [ROOT.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)]
    return tuple(path for end in ends for path in (end.with_suffix(".py"), end / "__init__.py") if path.is_file())
