"""Reads and writes the files of an evaluation, and reports all that is wrong with them at once."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SHOWN = 200  # lines of an error; a wrong folder breaks every rule for every frame


class MismatchError(ValueError):
    """Files that break rules; all problems are reported together, for correcting them one by one takes as many runs.

    Attributes:
        what: the file or folder.
        problems: one a line: where it is, the rule and what was got.
        way_out: what to do.
    """

    def __init__(self, what: str, problems: Sequence[str], way_out: str) -> None:
        self.what, self.problems, self.way_out = what, tuple(problems), way_out
        shown = [f"  {problem}" for problem in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            shown.append(f"  … and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join([f"{what}: {len(self.problems)} wrong", *shown, way_out]))

    def __reduce__(self) -> tuple[type["MismatchError"], tuple[str, tuple[str, ...], str]]:
        return MismatchError, (self.what, self.problems, self.way_out)  # it may come out of a process of a pool


def some(names: Sequence[str], limit: int = 10) -> str:
    """Join at most `limit` of the names for a message, and say how many there are."""
    return ", ".join(names[:limit]) + (f", … ({len(names)} in all)" if len(names) > limit else "")


def read_json(path: Path) -> Any:
    """Read a JSON file in which no object has a key twice.

    Raises:
        ValueError: it cannot be read, is not JSON, or a key is there twice (plain reading would keep the last).
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_once)
    except FileNotFoundError:
        raise ValueError(f"there is no {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a file that appears at once, when all of it is written; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"a key is there once, got twice: {', '.join(sorted({k for k in keys if keys.count(k) > 1}))}")
    return content
