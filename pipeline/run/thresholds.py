"""Thresholds of gates in a TOML file: `python -m pipeline.calibrate` writes it, and `annotate --thresholds` takes it.

    [lineup]
    min_pick_rate = 0.8

It replaces what the recipe has. run.json keeps the settings of the run, so they are the same when it is continued.
"""

import tomllib
from dataclasses import replace
from typing import Any

import fsspec

from manifests.outputs import brief
from pipeline.run.run_config import RunConfig

THRESHOLDS_FILE = "thresholds.toml"  # in the folder of a run, unless another is named
_KNOWN = {"lineup": {"min_pick_rate"}}  # tables and their keys


def with_thresholds(config: RunConfig, path: str) -> RunConfig:
    """Return the settings of a run with the thresholds of a file, given by path or URL.

    Raises:
        ValueError: the file cannot be read, has no threshold or one that is not known or allowed, or the run has no
            such gate.
    """
    min_pick_rate = _read(path)
    if config.lineup is None:
        raise ValueError(
            f"{path} sets the line-up's min_pick_rate, and recipe {config.recipe!r} has no line-up here: give --lineup "
            "on (make: LINEUP=on), or leave --thresholds out"
        )
    try:
        return replace(config, lineup=replace(config.lineup, min_pick_rate=min_pick_rate))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def as_toml(min_pick_rate: float | None, comments: list[str]) -> str:
    """Return the text of the file, with comments before the threshold; without one, it has only these."""
    lines = [f"# {line}" for comment in comments for line in comment.splitlines()]
    if min_pick_rate is not None:
        lines += ["[lineup]", f"min_pick_rate = {min_pick_rate!r}"]
    return "\n".join(lines) + "\n"


def _read(path: str) -> float:
    """Return the only threshold that there is."""
    try:
        fs, place = fsspec.core.url_to_fs(path)
        content: dict[str, Any] = tomllib.loads(bytes(fs.cat_file(place)).decode("utf-8-sig"))
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"--thresholds must be a TOML file, got {path}: {brief(error)}") from error
    if not content:
        raise ValueError(
            f"{path} has no threshold, and its comments say why: leave --thresholds out, or judge more texts and run "
            "`python -m pipeline.calibrate` again"
        )
    if {name: set(values) if isinstance(values, dict) else values for name, values in content.items()} != _KNOWN:
        raise ValueError(f"{path} must have [lineup] min_pick_rate and nothing else, got {content!r:.120}")
    value = content["lineup"]["min_pick_rate"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{path}: min_pick_rate must be a number, got {value!r:.80}")
    return value
