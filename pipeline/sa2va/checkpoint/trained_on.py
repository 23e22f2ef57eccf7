"""trained_on.json beside a checkpoint: the videos that it learned from, so that no benchmark holds one of them."""

import json
from collections.abc import Iterable
from pathlib import Path

FILE = "trained_on.json"


def read_trained_on(folder: Path) -> frozenset[str]:
    """Video ids; none where the checkpoint in `folder` does not say (the official ones, or no checkpoint at all).

    Raises:
        ValueError: the file is not what `write_trained_on` wrote.
    """
    path = folder / FILE
    if not path.is_file():
        return frozenset()
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}; copy it again from where the model was trained") from error
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise ValueError(f"{path} must be a list of video ids, got {str(ids)[:80]}")
    return frozenset(ids)


def write_trained_on(ids: Iterable[str], folder: Path) -> None:
    """Put trained_on.json into `folder`."""
    (folder / FILE).write_text(json.dumps(sorted(set(ids)), indent=0) + "\n", encoding="utf-8")
