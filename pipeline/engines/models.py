"""What models a run asks, and how."""

import hashlib
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.base import FatalError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """One model: its name, and what a replica of it needs where we start it ourselves (ENGINE=vllm)."""

    model: str  # hub id, local folder, or the name under which an endpoint serves it
    revision: str | None = None  # commit or tag; None = the newest, whose commit is found out and written down
    tensor_parallel: int = 1  # GPUs a replica
    gpu_memory_gib: int = 0  # of each of these GPUs, at least; 0 = a CPU will do
    context_tokens: int = 16_384
    images_per_prompt: int = 8  # the views of describe_video
    min_replicas: int = 1
    max_replicas: int = 1
    tokens_per_object: tuple[int, int] = (0, 0)  # expected (in, out), for planning; measured figures are in `calls`
    engine_kwargs: dict[str, Any] = field(default_factory=dict)  # for vLLM, as they are

    def __post_init__(self) -> None:
        for name in ("tensor_parallel", "context_tokens", "images_per_prompt", "min_replicas"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of {self.model} must be at least 1, got {getattr(self, name)}")
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas of {self.model} must be at least min_replicas ({self.min_replicas}), "
                f"got {self.max_replicas}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a reply is drawn; each further attempt at a usable one is hotter than the last."""

    temperatures: tuple[float, ...] = (0.3, 0.6, 0.8, 1.0)  # near 0 a video becomes one stock event (facts: cosmos)
    top_p: float = 0.9
    max_tokens: int = 512  # three times the longest text that is asked for
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperatures or not all(0 <= each <= 2 for each in self.temperatures):
            raise ValueError(f"temperatures must be one or more figures in [0, 2], got {self.temperatures}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")


def revision_of(model: ModelConfig) -> str:
    """Which version this is: the commit of a hub's model, a fingerprint of a local folder's files.

    Raises:
        FatalError: there is no such model, or it cannot be looked up.
    """
    folder = Path(model.model)
    if folder.is_dir():
        return fingerprint(*(_glimpse(path) for path in sorted(folder.rglob("*")) if path.is_file()))
    return commit_of(model.model, model.revision)


def _glimpse(path: Path) -> bytes:
    """Name, size, first and last 64 KiB: weights of 150 GB need not be read to tell two versions apart."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2**16)
        file.seek(max(0, size_bytes - 2**16))
        return f"{path.name} {size_bytes}".encode() + head + file.read()


def fingerprint(*parts: bytes) -> str:
    """Hash a sequence of byte strings to 8 hexadecimal digits; where one ends and the next begins counts too."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:8]


def commit_of(model: str, revision: str | None = None) -> str:
    """The commit of a hub's model, of `revision` or the newest; if the hub says nothing, the one in the cache.

    Raises:
        FatalError: there is no such model, or the hub cannot be asked and the cache has none.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils._http import get_session

    # what a lost connection raises: huggingface_hub 1 speaks through httpx, 2 through httpx2, neither with OSErrors
    client = importlib.import_module(type(get_session()).__module__.partition(".")[0])
    try:
        return str(HfApi().model_info(model, revision=revision).sha)
    except HFValidationError as error:
        raise FatalError(f"{model} is neither a folder nor a model's name on the hub") from error
    except (HfHubHTTPError, OSError, client.HTTPError) as error:  # refused, offline, out of reach: so for others too
        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if not isinstance(cached, str):
            told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise FatalError(
                f"{model} (revision {revision or 'main'}) is not in the cache, and the hub says: {told} (no network "
                "here, HF_HUB_OFFLINE=1 set, or HF_TOKEN missing?)"
            ) from error
        return cached.rpartition("/snapshots/")[2].partition("/")[0]
