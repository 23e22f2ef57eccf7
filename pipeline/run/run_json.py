"""run.json: what a run was asked for and with what it ran; guards a folder against a second, different run."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from manifests.io import Folder
from pipeline.engines.address import public
from pipeline.run.config import RunConfig

_PACKAGES = ("av", "numpy", "opencv-python-headless", "pyarrow", "pycocotools", "pydantic", "ray", "refsav")
_DECIDE_RESULT = ("select", "views", "models", "sampling", "request", "repair", "on_contradiction")


class EngineInfo(TypedDict):
    """What the engine of a run did; a resumed run's calls add up."""

    url: str
    gpus: int  # that it held; 0 = none, or an endpoint that is not ours
    seconds: float  # that it was held
    prefix_hits: float | None  # tokens found in its prefix cache; None if it does not tell
    prefix_queries: float | None  # tokens looked up there
    dialects: dict[str, Any]  # by model: in which form its requests are sent, as the preflight settled it


class RunInfo(TypedDict):
    """How a run came about; the exports quote it, none computes it."""

    shards: list[str]  # folders below sav_train
    writer: str  # who wrote the texts: measured, or the name of the writer that asked models
    models: dict[str, str] | None  # name@revision by role: vlm, llm; None if no model was asked
    engine: EngineInfo | None  # None if no model was asked
    seconds: float  # wall time of the run
    git_commit: str | None  # of this project; None outside a checkout
    versions: dict[str, str]  # package -> version
    useless_passes: int  # calls that the circuit breaker stopped: their rows do not count as tried
    config: dict[str, Any]  # the resolved configuration, JSON values only


def begin_run(
    out: Folder, config: RunConfig, models: Mapping[str, str] | None, sav: Folder, shards: Sequence[str]
) -> None:
    """Write run.json, or check that the one that is there asks for the same.

    Args:
        out: folder of the run.
        config: its settings.
        models: `name@revision` by role; None if no model is asked. Where they run does not matter.
        sav: SAV_ROOT.
        shards: folders below sav_train.

    Raises:
        ValueError: the folder holds a run with other settings, each named with both values.
    """
    asked: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    asked["request"] = config.request_fields.deciding
    asked["engine_url"] = config.engine_url and public(config.engine_url)
    info = RunInfo(
        shards=list(shards),
        writer=" + ".join(dict.fromkeys(models.values())) if models else config.engine,
        models=dict(models) if models else None,
        engine=None,
        seconds=0.0,
        git_commit=_git_commit(),
        useless_passes=0,
        versions={package: version(package) for package in _PACKAGES},
        config={**asked, "models": models, "sav_root": sav.url},
    )
    if out.exists("run.json"):
        before: RunInfo = json.loads(out.read_bytes("run.json"))
        old, new = _deciding(before["shards"], before["config"]), _deciding(shards, info["config"])
        keys = sorted(old.keys() | new.keys())
        changed = [f"{key}: {old.get(key)} there, {new.get(key)} now" for key in keys if old.get(key) != new.get(key)]
        if changed:
            raise ValueError(
                f"{out.path()} holds a run with other settings ({'; '.join(changed)}): "
                "give another --out (make: OUT=…), or the settings of that run"
            )
        info["seconds"], info["engine"] = before["seconds"], before["engine"]
        info["useless_passes"] = before.get("useless_passes", 0)
    out.write_json("run.json", info)


def end_run(out: Folder, seconds: float, engine: EngineInfo | None) -> RunInfo:
    """Add the time of this call and what its engine did to run.json and return it; a resumed run's calls add up."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["seconds"] = round(info["seconds"] + seconds, 1)
    if engine:
        info["engine"] = _sum(info["engine"], engine)
    out.write_json("run.json", info)
    return info


def note_engine(out: Folder, engine: EngineInfo) -> None:
    """Write down at once how the engine is spoken to; the rest of `engine` is added up by `end_run`."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["engine"] = {**(info["engine"] or engine), "dialects": engine["dialects"]}
    out.write_json("run.json", info)


def note_useless_pass(out: Folder) -> None:
    """Count a call that the circuit breaker stopped: the next one asks anew, past the replies that were kept."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["useless_passes"] += 1
    out.write_json("run.json", info)


def _sum(before: EngineInfo | None, now: EngineInfo) -> EngineInfo:
    if before is None:
        return now
    hits = [each["prefix_hits"] for each in (before, now) if each["prefix_hits"] is not None]
    queries = [each["prefix_queries"] for each in (before, now) if each["prefix_queries"] is not None]
    return EngineInfo(
        url=now["url"],
        gpus=now["gpus"],
        seconds=before["seconds"] + now["seconds"],
        prefix_hits=sum(hits) if hits else None,
        prefix_queries=sum(queries) if queries else None,
        dialects=now["dialects"],
    )


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
