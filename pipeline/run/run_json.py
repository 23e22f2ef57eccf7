"""run.json: the settings and versions of a run; keeps a run with other settings from using the same folder."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypedDict

from manifests.io import Folder
from pipeline.engines.address import public
from pipeline.run.run_config import RunConfig

_PACKAGES = ("av", "numpy", "opencv-python-headless", "pyarrow", "pycocotools", "pydantic", "ray", "refsav")
_DECIDE_RESULT = (
    "select",
    "views",
    "models",
    "sampling",
    "request",
    "repair",
    "on_contradiction",
    "lineup",
    "texts_sha256",
)


class EngineInfo(TypedDict):
    """Holds what the engine of a run did; the calls of a resumed run are added up."""

    url: str
    gpus: int  # GPUs that it held; 0 = none, or an endpoint that was not started here
    seconds: float  # time that it was held
    prefix_hits: float | None  # tokens found in its prefix cache; None if it does not say
    prefix_queries: float | None  # tokens looked up there
    dialects: dict[str, Any]  # by model: the dialect that the preflight found, see Dialect.as_json


class RunInfo(TypedDict):
    """Holds the content of run.json; the exports quote it."""

    shards: list[str]  # folders below sav_train
    writer: str  # measured, or the names of the models that wrote the texts
    models: dict[str, str] | None  # name@revision by role: vlm, llm, judge; None if no model was asked
    engine: EngineInfo | None  # None if no model was asked
    seconds: float  # wall time of all calls
    git_commit: str | None  # of this project; None outside a checkout
    versions: dict[str, str]  # package -> version
    useless_passes: int  # calls that the circuit breaker stopped; their attempts do not count
    config: dict[str, Any]  # all settings, as JSON values


def begin_run(
    out: Folder, config: RunConfig, models: Mapping[str, str] | None, sav: Folder, shards: Sequence[str]
) -> None:
    """Write run.json; if there is one, first check that its settings are the same.

    Args:
        out: folder of the run.
        config: settings of the run.
        models: `name@revision` by role; None if no model is asked. Where the models run is not compared.
        sav: SAV_ROOT.
        shards: names of folders below sav_train.

    Raises:
        ValueError: the folder holds a run with other settings; the message has both values of every one.
    """
    asked: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    asked["request"] = config.request_fields.deciding
    asked["engine_url"] = config.engine_url and public(config.engine_url)
    info = RunInfo(
        shards=list(shards),
        writer=_writer(config, models),
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
        old, new = deciding(before["shards"], before["config"]), deciding(shards, info["config"])
        keys = sorted(old.keys() | new.keys())
        changed = [f"{key}: {old.get(key)} there, {new.get(key)} now" for key in keys if old.get(key) != new.get(key)]
        if changed:
            raise ValueError(
                f"{out.path()} holds a run with other settings ({'; '.join(changed)}): "
                f"give another --out (make: OUT=…), or the settings of that run{_hint(old, new)}"
            )
        info["seconds"], info["engine"] = before["seconds"], before["engine"]
        info["useless_passes"] = before.get("useless_passes", 0)
    out.write_json("run.json", info)


def _hint(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if old.get("texts_sha256") == new.get("texts_sha256"):
        return ""
    return (
        ". A run goes on with the file of texts (--texts, make: TEXTS=…) that it began with, byte by byte, or with none"
    )


def _writer(config: RunConfig, models: Mapping[str, str] | None) -> str:
    if config.texts_sha256:
        return f"texts of {config.texts_file}"
    return " + ".join(dict.fromkeys(models.values())) if models else config.engine


def end_run(out: Folder, seconds: float, engine: EngineInfo | None) -> RunInfo:
    """Add the time of this call, and what its engine did, to run.json; returns its new content."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["seconds"] = round(info["seconds"] + seconds, 1)
    if engine:
        info["engine"] = _sum(info["engine"], engine)
    out.write_json("run.json", info)
    return info


def note_engine(out: Folder, engine: EngineInfo) -> None:
    """Write the dialects of the engine to run.json at once; `end_run` adds the other figures."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["engine"] = {**(info["engine"] or engine), "dialects": engine["dialects"]}
    out.write_json("run.json", info)


def note_useless_pass(out: Folder) -> None:
    """Count a call that the circuit breaker stopped: the next call asks with new seeds, past the stored replies."""
    info: RunInfo = json.loads(out.read_bytes("run.json"))
    info["useless_passes"] += 1
    out.write_json("run.json", info)


def _sum(before: EngineInfo | None, now: EngineInfo) -> EngineInfo:
    if before is None:
        return now
    hits = [info["prefix_hits"] for info in (before, now) if info["prefix_hits"] is not None]
    queries = [info["prefix_queries"] for info in (before, now) if info["prefix_queries"] is not None]
    return EngineInfo(
        url=now["url"],
        gpus=now["gpus"],
        seconds=before["seconds"] + now["seconds"],
        prefix_hits=sum(hits) if hits else None,
        prefix_queries=sum(queries) if queries else None,
        dialects=now["dialects"],
    )


def deciding(shards: Sequence[str], config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that change the result of a run, by dotted name, from its shards and its config."""
    flat: dict[str, Any] = {"shards": list(shards)}
    for key in _DECIDE_RESULT:
        value = config.get(key)
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _git_commit() -> str | None:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None
