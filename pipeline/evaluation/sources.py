"""What is scored: predictions that are there or models that make them, and the name that tables and folders give each.

The name is also that of a folder in OUT, in which a model goes on where it was stopped. So it must not depend on what
else is scored this time, and it must not lead out of OUT.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from manifests.outputs import PREDICTIONS

MADE_WITH = "run.json"  # in the folder of a model's predictions: what they were made with
COMPARISON_MD, COMPARISON_CSV, COMPARISON_PNG = "comparison.md", "comparison.csv", "comparison.png"  # in OUT

Kind = Literal["predictions", "model"]


@dataclass(frozen=True)
class ScoredSource:
    """Something to score: predictions that are there, or a model that makes them.

    Attributes:
        kind: which of both.
        name: of its rows in tables and of its folder in OUT; empty until `named` takes it from the path.
        path: of a `results.json`, or the folder of a model.
    """

    kind: Kind
    name: str
    path: Path


def parse_source(kind: Kind, text: str) -> ScoredSource:
    """Read `path` or `NAME=path`; what exists as it stands is a path, even with a `=` in it.

    Args:
        kind: predictions or model; predictions may be given as the folder that has the `results.json`.
        text: of the command line.
    """
    name, separator, after = text.partition("=")
    if not separator or not name or _exists(Path(text)) or ("/" in name and not _exists(Path(after))):
        name, after = "", text
    path = Path(after)
    if kind == "predictions" and _exists(path) and path.is_dir():
        path /= PREDICTIONS
    return ScoredSource(kind, name, path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def named(sources: Sequence[ScoredSource], out: Path | None) -> list[ScoredSource]:
    """Name the sources that were given no name as their folders, those of one name with folders above them.

    A model that has predictions in OUT under such a name keeps it.

    Args:
        sources: as given.
        out: OUT; None where all is written beside the predictions.

    Raises:
        ValueError: a name cannot be that of a folder in OUT, or two sources have one name.
    """
    folders = [one.path.resolve().parent if one.kind == "predictions" else one.path.resolve() for one in sources]
    fixed = [one.name or _kept_name(one, folder, out) for one, folder in zip(sources, folders, strict=True)]
    names = fixed
    for depth in range(1, max((len(folder.parts) for folder in folders), default=0) + 1):
        names = [name or _short_name(folder, depth) for name, folder in zip(fixed, folders, strict=True)]
        if len(set(names)) == len(names):
            break
    if len(set(names)) < len(names):
        raise ValueError(f"each model must be given once, or named as NAME=path, got {', '.join(names)}")
    for name in names:
        _check_name(name)
    return [replace(one, name=name) for one, name in zip(sources, names, strict=True)]


def _short_name(folder: Path, depth: int) -> str:
    """Return the names of the folder and of those above it, `depth` in all."""
    return "_".join(folder.parts[1:][-depth:])


def _kept_name(source: ScoredSource, folder: Path, out: Path | None) -> str:
    """Return the name under which OUT has predictions of a model, if it is one that `named` gives; else nothing."""
    if source.kind == "model" and out is not None:
        for depth in range(1, len(folder.parts)):
            name = _short_name(folder, depth)
            if _model_of(out / name / MADE_WITH) == str(folder):
                return name
    return ""


def _model_of(file: Path) -> str | None:
    """Return which model the predictions beside `file` are of; None where it does not say."""
    try:
        made_with = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None  # that it cannot be read is told where the predictions are read
    return made_with.get("model") if isinstance(made_with, dict) else None


def _check_name(name: str) -> None:
    if (
        name in ("", ".", "..", COMPARISON_MD, COMPARISON_CSV, COMPARISON_PNG)
        or any(character in "/\\" or not character.isprintable() for character in name)
        or len(name.encode()) > 255
    ):
        raise ValueError(
            "NAME, and without one the folder's, is that of a folder in OUT: it must have no / or \\ in it and differ "
            f"from '.', '..' and {COMPARISON_MD}, .csv and .png, got {name[:80]!r}: give another one as NAME=path"
        )
