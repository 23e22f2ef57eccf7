"""Checkpoints of a training run, from which it goes on exactly: `OUT/checkpoints/step_00000100/`.

A checkpoint has the trained parameters, the optimiser with its moments, the schedule, the settings, and what the run
has learned from: the ids of its videos and expressions, and a hash of them with their texts. A run that goes on must
find the same data, or say that it may be another; and whatever was learned from at any time stays in the list that
keeps a model away from its own benchmark. Not in a checkpoint are random states and the position in the data: both
follow from the seed, the step and the worker's rank (`step.py`), so there is nothing to restore wrongly. A checkpoint
is written beside its place and renamed: it is complete, or not there.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from manifests.row_results import FatalError
from pipeline.data.videos import FileDigests, Video
from pipeline.engines.models import fingerprint, glimpse, named_glimpse
from pipeline.sa2va.checkpoint.weights import read_pickled
from pipeline.sa2va.config import DataConfig, SourceConfig, TrainConfig
from pipeline.sa2va.config_file import CONTENT
from pipeline.sa2va.lora import load_trainable_state, trainable_state
from pipeline.sa2va.model import Sa2va

logger = logging.getLogger(__name__)
_DATA = "data.json"
_FILES = ("model.pt", "optimiser.pt", "settings.json", _DATA)
_MAY_DIFFER = {setting.name for setting in fields(TrainConfig)}
_MAY_DIFFER -= {"model", "data", "optim", "seed", "official"}  # what they come to on disk is in DataIdentity
_MAY_DIFFER |= {"optim.micro_batch", "model.gradient_checkpointing"}  # how a step is computed, not what
# what a setting that a checkpoint does not name was: one that came later
_DEFAULTS = {f"data.{name}": value for name, value in asdict(DataConfig()).items()}
_FILES_OF_MODEL = ("model.base", "model.sam2.checkpoint")  # compared by their content, wherever they lie
_READ = {".bin", ".json", ".jinja", ".model", ".pt", ".safetensors", ".txt"}  # of a base model
_FEW = 3


@dataclass(frozen=True)
class DataIdentity:
    """Identifies the data that a run has learned from.

    Attributes:
        objects: video id -> ids of the objects of its expressions, in order.
        sha256: hash of all that is learned from the expressions: video, object, mask file and column, text.
        trained_on: ids of all videos that the model has ever learned from.
        files: video id -> `FileDigests` of every item of the video; empty in checkpoints of earlier versions.
    """

    objects: dict[str, tuple[str, ...]]
    sha256: str
    trained_on: frozenset[str]
    files: dict[str, tuple[FileDigests, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, videos: Iterable[Video], before: Iterable[str] = ()) -> Self:
        """Return the identity of `videos`; `before` has the ids of videos that the model has learned from already."""
        objects: dict[str, tuple[str, ...]] = {}
        files: dict[str, tuple[FileDigests, ...]] = {}
        digest = hashlib.sha256()
        for video in videos:
            if video.files:
                files[video.video_id] = (*files.get(video.video_id, ()), video.files)
            objects[video.video_id] = objects.get(video.video_id, ()) + tuple(e.object_id for e in video.expressions)
            rows = [[row.object_id, row.masklet_type, row.column, row.text] for row in video.expressions]
            more = [list(video.absent)] if video.absent else []
            more += [[video.source]] if video.source else []
            digest.update(json.dumps([video.video_id, video.frame_count, rows, *more]).encode())
        return cls(objects, digest.hexdigest(), frozenset(before) | objects.keys(), files)

    def to_json(self) -> str:
        """Return the text that a checkpoint has."""
        content = {"sha256": self.sha256, "trained_on": sorted(self.trained_on), "objects": self.objects}
        return json.dumps(content | {"files": self.files})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote.

        Raises:
            ValueError: the text is something else.
        """
        try:
            content = json.loads(text)
            objects = {str(video_id): tuple(ids) for video_id, ids in content["objects"].items()}
            files = {
                video_id: tuple(FileDigests(*of) for of in ofs) for video_id, ofs in content.get("files", {}).items()
            }
            return cls(objects, str(content["sha256"]), frozenset(content["trained_on"]), files)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"sha256, trained_on and objects must be there, got {error!r}") from error

    def difference(self, now: "DataIdentity") -> str:
        """Return in words what differs in `now`; "" if nothing does."""
        other_files = {
            video_id for video_id in self.files.keys() & now.files.keys() if self._has_other_files(video_id, now)
        }
        if now.sha256 == self.sha256 and not other_files:
            return ""
        shared = self.objects.keys() & now.objects.keys()
        changes = [
            _named("videos are gone", self.objects.keys() - now.objects.keys()),
            _named("videos are new", now.objects.keys() - self.objects.keys()),
            _named("videos have other expressions", {v for v in shared if self.objects[v] != now.objects[v]}),
            _named("videos have other video or mask files (by size and time)", other_files),
        ]
        return ", ".join(filter(None, changes)) or "the texts or positions of the same expressions are other ones"

    def _has_other_files(self, video_id: str, now: "DataIdentity") -> bool:
        mine, theirs = self.files[video_id], now.files[video_id]
        return len(mine) != len(theirs) or not all(map(FileDigests.is_like, mine, theirs))


def _named(what: str, ids: Iterable[str]) -> str:
    ordered = sorted(ids)
    rest = ", …" if len(ordered) > _FEW else ""
    return f"{len(ordered)} {what} ({', '.join(ordered[:_FEW])}{rest})" if ordered else ""


def latest(out: Path) -> Path | None:
    """Return the newest checkpoint of the run in `out`, None if there is none."""
    checkpoints = sorted(out.glob("checkpoints/step_????????"))
    return checkpoints[-1] if checkpoints else None


def step_of(checkpoint: Path) -> int:
    """Return how many optimiser steps were done when the checkpoint was written."""
    return int(checkpoint.name.removeprefix("step_"))


def save(
    config: TrainConfig,
    step: int,
    model: Sa2va,
    adam: Optimizer,
    schedule: LRScheduler,
    data: DataIdentity,
    best: int | None = None,
) -> Path:
    """Write the checkpoint of `step` and remove the oldest beyond `config.keep_checkpoints`, but not that of `best`.

    Raises:
        FatalError: it cannot be written, as where the disk is full; the checkpoint before it is still there.
    """
    folder = Path(config.out, "checkpoints", f"step_{step:08d}")
    scratch = folder.with_name(f".{folder.name}")
    for unfinished in folder.parent.glob(".step_*"):  # of a run that was killed
        shutil.rmtree(unfinished, ignore_errors=True)
    try:
        scratch.mkdir(parents=True)
        torch.save(trainable_state(model), scratch / "model.pt")
        torch.save({"adam": adam.state_dict(), "schedule": schedule.state_dict()}, scratch / "optimiser.pt")
        (scratch / "settings.json").write_text(json.dumps(asdict(config) | {CONTENT: _contents(config)}, indent=1))
        (scratch / _DATA).write_text(data.to_json())
    except (OSError, RuntimeError) as error:  # torch says RuntimeError where the disk is full
        shutil.rmtree(scratch, ignore_errors=True)
        free_gib = shutil.disk_usage(config.out).free / 2**30
        raise FatalError(
            f"the checkpoint of step {step} cannot be written to {config.out}, where {free_gib:.1f} GiB are free: "
            f"{str(error).splitlines()[0]}"
        ) from error
    if folder.exists():
        shutil.rmtree(folder)
    scratch.rename(folder)
    for old in sorted(folder.parent.glob("step_????????"))[: -config.keep_checkpoints]:
        if step_of(old) != best:
            shutil.rmtree(old)
    return folder


def check_settings(config: TrainConfig, checkpoint: Path) -> None:
    """Check that `checkpoint` was written by a run with these settings.

    Raises:
        ValueError: a setting differs that changes the result; the message has both values.
    """
    file = _file(checkpoint, "settings.json")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        before, known = _flat(content), dict(content.get(CONTENT, {}))
        shares = {"was": _shares(before.get("mixture", ()))}
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise ValueError(f"{file} cannot be read: {error}. {_go_back(checkpoint)}") from error
    now, contents = _flat(json.loads(json.dumps(asdict(config)))), _contents(config)
    changes = []
    shares["is"] = _shares(now["mixture"])
    if shares["was"] != shares["is"]:
        changes.append(f"the mixture was {shares['was']}, is {shares['is']}")
    for name, value in now.items():
        if name in _MAY_DIFFER or name.partition(".")[0] in _MAY_DIFFER:
            continue
        if name in _FILES_OF_MODEL and known.get(name) and contents.get(name):
            if known[name] != contents[name]:
                changes.append(f"the files of {name} are others than those of {before.get(name)!r} were, got {value!r}")
        elif value != before.get(name, _DEFAULTS.get(name)):
            changes.append(f"{name} was {before.get(name)!r}, is {value!r}")
    if changes:
        raise ValueError(
            f"{checkpoint} is of a run with other settings: {'; '.join(changes)}. Give the same settings to go on, "
            "or another --out to begin anew"
        )


def _shares(mixture: Iterable[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return what a mixture says of its sources, but for where they lie."""
    return sorted((SourceConfig(**one).label, one["repeats"], one["weight"]) for one in mixture)


def _flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under names such as optim.lr."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _contents(config: TrainConfig) -> dict[str, str]:
    """Return a fingerprint of what the model is made of, by the setting's name; a model of the hub has none."""
    base, sam2 = Path(config.model.base), Path(config.model.sam2.checkpoint)
    found = {}
    if base.is_dir():
        found["model.base"] = fingerprint(
            *(named_glimpse(path) for path in sorted(base.iterdir()) if path.is_file() and path.suffix in _READ)
        )
    if sam2.is_file():
        found["model.sam2.checkpoint"] = fingerprint(glimpse(sam2))
    return found


def data_of(checkpoint: Path) -> DataIdentity:
    """Read what the run that wrote `checkpoint` has learned from.

    Raises:
        ValueError: the file is missing or broken.
    """
    file = _file(checkpoint, _DATA)
    try:
        return DataIdentity.from_json(file.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}. {_go_back(checkpoint)}") from error


def resume_from(config: TrainConfig, data: DataIdentity) -> Path | None:
    """Return the checkpoint that a run with these settings and data goes on from; None where it begins.

    Raises:
        ValueError: the checkpoint is of a run with other settings, or with other data that was not accepted.
    """
    checkpoint = latest(Path(config.out))
    if checkpoint is None:
        return None
    check_settings(config, checkpoint)
    difference = data_of(checkpoint).difference(data)
    if difference and not config.accept_changed_data:
        raise ValueError(
            f"{checkpoint} has learned from other data: {difference}. Put the data back, or go on with "
            "--accept-changed-data (videos may then come twice or never in this epoch), or begin anew in another --out"
        )
    if difference:
        logger.warning("going on with other data than before, as accepted: %s", difference)
    return checkpoint


def load(checkpoint: Path, model: Sa2va, adam: Optimizer, schedule: LRScheduler) -> int:
    """Load a checkpoint into model, optimiser and schedule, and return the number of steps that are done.

    Raises:
        ValueError: a file is missing or broken, or is of another model.
    """
    load_trainable_state(model, read_model(checkpoint))
    state = _read(checkpoint, "optimiser.pt")
    try:
        adam.load_state_dict(state["adam"])
        schedule.load_state_dict(state["schedule"])
    except torch.OutOfMemoryError:
        raise  # no fault of the file
    except Exception as error:  # of another shape: whatever torch stumbles over
        raise ValueError(
            f"{checkpoint / 'optimiser.pt'} must hold the optimiser and schedule of this run, got {error!r}. "
            f"{_go_back(checkpoint)}"
        ) from error
    return step_of(checkpoint)


def read_model(checkpoint: Path) -> dict[str, Any]:
    """Read the trained parameters of a checkpoint.

    Raises:
        ValueError: the file is missing or broken.
    """
    return _read(checkpoint, "model.pt")


def _file(checkpoint: Path, name: str) -> Path:
    if not (checkpoint / name).is_file():
        raise ValueError(f"{checkpoint} must hold {', '.join(_FILES)}; {name} is missing. {_go_back(checkpoint)}")
    return checkpoint / name


def _read(checkpoint: Path, name: str) -> dict[str, Any]:
    file = _file(checkpoint, name)
    try:
        state = read_pickled(file)
    except ValueError as error:
        raise ValueError(f"{error}. {_go_back(checkpoint)}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{file} must hold a dict, got {type(state).__name__}. {_go_back(checkpoint)}")
    return state


def _go_back(checkpoint: Path) -> str:
    return f"Remove {checkpoint} to go on from the checkpoint before it"
