"""Checkpoints of a training run, from which it goes on exactly: `OUT/checkpoints/step_00000100/`.

What is in one: the trained parameters, the optimiser with its moments, the schedule, and the settings. Not in it:
random states and the place in the data. Both follow from the seed, the step and the worker's rank (`loop.py`), so there
is nothing to restore wrongly. A checkpoint is written beside its place and renamed: it is whole, or not there.
"""

import json
import logging
import shutil
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.pickled import read_pickled
from pipeline.sa2va.trainable import load_trainable_state, trainable_state

logger = logging.getLogger(__name__)

_FILES = ("model.pt", "optimiser.pt", "settings.json")
_MAY_DIFFER = {each.name for each in fields(TrainConfig)}
_MAY_DIFFER -= {"source", "sav_root", "model", "data", "optim", "seed", "official", "split", "on_bad"}


def latest(out: Path) -> Path | None:
    """The newest checkpoint of the run in `out`, if there is one."""
    found = sorted(out.glob("checkpoints/step_????????"))
    return found[-1] if found else None


def step_of(checkpoint: Path) -> int:
    """Optimiser steps that were done when it was written."""
    return int(checkpoint.name.removeprefix("step_"))


def save(config: TrainConfig, step: int, model: Sa2va, adam: Optimizer, schedule: LRScheduler) -> Path:
    """Write the checkpoint of `step` and remove the oldest beyond `config.keep_checkpoints`."""
    folder = Path(config.out, "checkpoints", f"step_{step:08d}")
    scratch = folder.with_name(f".{folder.name}")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    torch.save(trainable_state(model), scratch / "model.pt")
    torch.save({"adam": adam.state_dict(), "schedule": schedule.state_dict()}, scratch / "optimiser.pt")
    (scratch / "settings.json").write_text(json.dumps(asdict(config), indent=1))
    if folder.exists():
        shutil.rmtree(folder)
    scratch.rename(folder)
    for old in sorted(folder.parent.glob("step_????????"))[: -config.keep_checkpoints]:
        shutil.rmtree(old)
    return folder


def check_settings(config: TrainConfig, checkpoint: Path) -> None:
    """Whether the run that wrote `checkpoint` is this one.

    Raises:
        ValueError: a setting that makes the result differ from an uninterrupted run, with both values.
    """
    before = json.loads(_file(checkpoint, "settings.json").read_text())
    now = json.loads(json.dumps(asdict(config)))
    differing = [name for name in now if name not in _MAY_DIFFER and now[name] != before.get(name)]
    if differing:
        told = "; ".join(f"{name} was {before.get(name)!r}, is {now[name]!r}" for name in differing)
        raise ValueError(
            f"{checkpoint} is of a run with other settings: {told}. Give the same settings to go on, "
            "or another --out to begin anew"
        )


def load(checkpoint: Path, model: Sa2va, adam: Optimizer, schedule: LRScheduler) -> int:
    """Put everything back; returns the steps that are done.

    Raises:
        ValueError: a file is missing or broken, or is of another model.
    """
    load_trainable_state(model, _read(checkpoint, "model.pt"))
    state = _read(checkpoint, "optimiser.pt")
    adam.load_state_dict(state["adam"])
    schedule.load_state_dict(state["schedule"])
    return step_of(checkpoint)


def _file(checkpoint: Path, name: str) -> Path:
    if not (checkpoint / name).is_file():
        raise ValueError(
            f"{checkpoint} must hold {', '.join(_FILES)}; {name} is missing. "
            "Remove this folder to go on from the checkpoint before it"
        )
    return checkpoint / name


def _read(checkpoint: Path, name: str) -> dict[str, Any]:
    file = _file(checkpoint, name)
    try:
        state: dict[str, Any] = read_pickled(file)
    except ValueError as error:
        raise ValueError(f"{error}. Remove {checkpoint} to go on from the checkpoint before it") from error
    return state
