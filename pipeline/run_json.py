"""run.json: what a run was asked for and with what it ran; guards a folder against a second, different run."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from manifests.io import Folder
from pipeline.config import RunConfig
from pipeline.export.run_info import RunInfo

_PACKAGES = ("av", "numpy", "opencv-python-headless", "pyarrow", "pycocotools", "pydantic", "ray", "refsav")
_DECIDE_RESULT = ("select", "views", "engine")


def begin_run(out: Folder, config: RunConfig, sav: Folder, shards: Sequence[str]) -> None:
    """Write run.json, or check that the one that is there asks for the same.

    Raises:
        ValueError: the folder holds a run with other settings, each named with both values.
    """
    asked: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    info = RunInfo(
        shards=list(shards),
        writer=config.engine,
        seconds=0.0,
        git_commit=_git_commit(),
        versions={package: version(package) for package in _PACKAGES},
        config={**asked, "sav_root": sav.url},
    )
    if out.exists("run.json"):
        before: RunInfo = json.loads(out.read_bytes("run.json"))
        old, new = _deciding(before["shards"], before["config"]), _deciding(shards, asked)
        keys = sorted(old.keys() | new.keys())
        changed = [f"{key}: {old.get(key)} there, {new.get(key)} now" for key in keys if old.get(key) != new.get(key)]
        if changed:
            raise ValueError(
                f"{out.path()} holds a run with other settings ({'; '.join(changed)}): "
                "give another --out (make: OUT=…), or the settings of that run"
            )
        info["seconds"] = before["seconds"]
    out.write_json("run.json", info)


def end_run(out: Folder, seconds: float) -> RunInfo:
    """Add the time of this call to run.json and return it; a resumed run's calls add up."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["seconds"] = round(info["seconds"] + seconds, 1)
    out.write_json("run.json", info)
    return info


def _deciding(shards: Sequence[str], config: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what comes out, by dotted name."""
    flat: dict[str, Any] = {"shards": list(shards)}
    for key in _DECIDE_RESULT:
        value = config.get(key)
        flat |= {f"{key}.{name}": each for name, each in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _git_commit() -> str | None:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or None
