"""Reads the settings of a training run from a TOML file or a checkpoint's settings.json, and prints them as TOML.

A file has the names of `TrainConfig`, nested as tables, and in a table `run` those of `LaunchConfig`. It may have few
of them: what it does not name keeps its default, and the command line goes before it.
"""

import codecs
import json
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline.sa2va.config import TrainConfig, checked
from stages.video.source_file import json_text

CONTENT = "content"  # in settings.json: fingerprints of the model's files, which are no setting
RUN = "run"


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchConfig:
    """Says how a training run is carried out, which does not change what is learned.

    Attributes:
        workers: processes that train, one GPU each.
        cpu: True trains on CPUs, False on GPUs; None: on GPUs if there are any.
        max_restarts: times that dead workers are replaced.
        ray_address: of a Ray cluster; empty: this machine.
    """

    workers: int = 1
    cpu: bool | None = None
    max_restarts: int = 3
    ray_address: str = ""


def read_config_file(path: Path) -> dict[str, Any]:
    """Return the settings in a file, nested; what they are worth is found out by `with_values`.

    Raises:
        ValueError: it cannot be read, or is neither TOML nor a JSON object.
    """
    try:
        raw = path.read_bytes()
        # PowerShell's > writes UTF-16
        coding = "utf-16" if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        values = json.loads(json_text(raw)) if path.suffix == ".json" else tomllib.loads(raw.decode(coding))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"--config must be a TOML file, or the settings.json of a checkpoint, got {path}: {error}"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(f"--config must hold settings by their names, got a {type(values).__name__} in {path}")
    values.pop(CONTENT, None)
    return values


Config = TypeVar("Config", TrainConfig, LaunchConfig)


def with_values(config: Config, values: object, where: str, before: str = "") -> Config:
    """Return a dataclass of settings with some of its values replaced.

    Args:
        config: `TrainConfig`, `LaunchConfig`, or what is nested in them.
        values: nested, by name.
        where: what they come from, for errors.
        before: the outer names, for errors.

    Raises:
        ValueError: there is no such setting, or it cannot have the value; all names are in the message.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: {before.removesuffix('.')} must be a table of settings, got {values!r}")
    known = {one.name for one in fields(config)}
    types = typing.get_type_hints(type(config))
    made: dict[str, Any] = {}
    for name, value in values.items():
        full = f"{before}{name}"
        if name not in known:
            raise ValueError(f"{where}: there is no setting {full!r}; there is {', '.join(sorted(known))}")
        inner: Any = getattr(config, name)
        if hasattr(inner, "__dataclass_fields__"):
            made[name] = with_values(inner, value, where, f"{full}.")
        else:
            made[name] = checked(types[name], value, f"{where}: {full}")
    try:
        return replace(config, **made)
    except ValueError as error:
        raise ValueError(f"{where}: {before}{error}") from error


def as_toml(config: TrainConfig, run: LaunchConfig) -> str:
    """Return all settings of a run as a file that `read_config_file` reads."""
    return "\n".join(_lines(asdict(config) | {RUN: asdict(run)}, "")) + "\n"


def _lines(values: Mapping[str, Any], table: str) -> Iterator[str]:
    inner = {name: value for name, value in values.items() if isinstance(value, dict)}
    several = {name: value for name, value in values.items() if _is_of_tables(value)}
    for name, value in values.items():
        if name not in inner and name not in several and value is not None:
            # JSON's texts, numbers and lists are TOML's too, but for one character
            yield f"{name} = {json.dumps(value, ensure_ascii=False)}".replace("\x7f", "\\u007f")
    for name, tables in several.items():
        for one in tables:
            yield f"\n[[{name}]]"
            yield from _lines(one, name)
    for name, value in inner.items():
        full = f"{table}.{name}" if table else name
        yield f"\n[{full}]"
        yield from _lines(value, full)


def _is_of_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, dict) for one in value)
