"""Files of ours beside a checkpoint, which official code does not read: refsav.json and trained_on.json.

refsav.json has what the official config.json has no field for; trained_on.json has the videos that the checkpoint
learned from, so that no benchmark holds one of them. Importing this brings no torch.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.sa2va.config import PixelsConfig, Sam2Config

SETTINGS_FILE = "refsav.json"
TRAINED_ON_FILE = "trained_on.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointSettings:
    """Holds how a checkpoint was trained, as far as inference must know.

    Attributes:
        sam2: which SAM 2 is inside.
        pixels: sizes of images.
        official_prompts: questions are in the released templates.
        seg_before_norm: see Sa2va; a reader can refuse weights that were trained from another state.
    """

    sam2: Sam2Config = field(default_factory=Sam2Config)
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    official_prompts: bool = True
    seg_before_norm: bool | None = None


def read_settings(folder: Path) -> CheckpointSettings:
    """Read the settings of the checkpoint in `folder`; they are the release's if it has no refsav.json.

    Raises:
        ValueError: refsav.json is not what `write_settings` wrote.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return CheckpointSettings()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sam2 = content["sam2"]
        return CheckpointSettings(
            sam2=Sam2Config(config_file=sam2["config_file"], overrides=tuple(sam2["overrides"])),
            pixels=PixelsConfig(**content["pixels"]),
            official_prompts=content["official_prompts"],
            seg_before_norm=content["seg_before_norm"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} must have the entries sam2, pixels, official_prompts and seg_before_norm, got "
            f"{type(error).__name__}: {error}; without the file the release's settings are taken"
        ) from error


def write_settings(settings: CheckpointSettings, folder: Path) -> None:
    """Write refsav.json into `folder`, without the path of SAM 2's own weights: they are in the checkpoint."""
    content = asdict(settings)
    del content["sam2"]["checkpoint"]
    (folder / SETTINGS_FILE).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_trained_on(folder: Path) -> frozenset[str]:
    """Read the ids of the videos; none if the checkpoint in `folder` has no such file, or there is no checkpoint.

    Raises:
        ValueError: the file is not what `write_trained_on` wrote.
    """
    path = folder / TRAINED_ON_FILE
    if not path.is_file():
        return frozenset()
    try:
        ids = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}; copy it again from where the model was trained") from error
    if not isinstance(ids, list) or not all(isinstance(video_id, str) for video_id in ids):
        raise ValueError(f"{path} must be a list of video ids, got {str(ids)[:80]}")
    return frozenset(ids)


def write_trained_on(ids: Iterable[str], folder: Path) -> None:
    """Write trained_on.json into `folder`."""
    (folder / TRAINED_ON_FILE).write_text(json.dumps(sorted(set(ids)), indent=0) + "\n", encoding="utf-8")
