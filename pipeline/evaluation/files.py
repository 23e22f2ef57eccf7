"""JSON files in, whole files out."""

import json
import os
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """The content of a JSON file in which no object says anything twice.

    Raises:
        ValueError: it cannot be read, is not JSON, or a key is there twice (plain reading would keep the last).
    """
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_once)
    except FileNotFoundError:
        raise ValueError(f"there is no {path}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"a key is there once, got twice: {', '.join(sorted({k for k in keys if keys.count(k) > 1}))}")
    return found
