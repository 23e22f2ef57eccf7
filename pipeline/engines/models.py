"""The models that are asked: what a replica needs, how replies are sampled, and which version a name stands for."""

import hashlib
import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.row_results import FatalError


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineModel:
    """A model's name, and what one replica of it needs where vLLM is started here (ENGINE=vllm)."""

    model: str  # hub id, local folder, or the name under which an endpoint serves it
    revision: str | None = None  # commit or tag; None = the newest, whose commit goes to run.json
    tensor_parallel: int = 1  # GPUs per replica
    gpu_memory_gib: int = 0  # least memory of each of these GPUs; 0 = a CPU will do
    context_tokens: int = 16_384
    images_per_prompt: int = 8  # the views of describe_video
    min_replicas: int = 1
    max_replicas: int = 1
    tokens_per_object: tuple[int, int] = (0, 0)  # estimate (in, out); what was counted is in the column `calls`
    engine_kwargs: dict[str, Any] = field(default_factory=dict)  # passed to vLLM unchanged

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
    """How replies are sampled; every further attempt at a usable reply uses the next temperature."""

    temperatures: tuple[float, ...] = (0.3, 0.6, 0.8, 1.0)  # near 0 every video is told as one stock event
    top_p: float = 0.9
    max_tokens: int = 512  # three times the longest text that a prompt asks for
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.temperatures or not all(0 <= temperature <= 2 for temperature in self.temperatures):
            raise ValueError(f"temperatures must be one or more figures in [0, 2], got {self.temperatures}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}")
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")


def revision_of(model: EngineModel) -> str:
    """Return the version of a model: the commit of a hub's model, or a fingerprint of a local folder's files.

    Raises:
        FatalError: there is no such model, or the hub cannot be asked.
    """
    folder = Path(model.model)
    if folder.is_dir():
        return fingerprint(*(named_glimpse(path) for path in sorted(folder.rglob("*")) if path.is_file()))
    return commit_of(model.model, model.revision)


def named_glimpse(path: Path) -> bytes:
    """Return the name and `glimpse` of a file."""
    return f"{path.name} ".encode() + glimpse(path)


def glimpse(path: Path) -> bytes:
    """Return size, first and last 64 KiB of a file: enough to tell versions apart without reading 150 GB."""
    size_bytes = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2**16)
        file.seek(max(0, size_bytes - 2**16))
        return f"{size_bytes}".encode() + head + file.read()


def fingerprint(*parts: bytes) -> str:
    """Hash byte strings, in their order and with their limits, to 8 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:8]


def commit_of(model: str, revision: str | None = None) -> str:
    """Look up the commit of a model on the Hugging Face hub; if the hub does not answer, that of the local cache.

    Args:
        model: name on the hub.
        revision: branch, tag or commit; None = the newest.

    Raises:
        FatalError: there is no such model, or the hub does not answer and the cache does not have it.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils._http import get_session

    # A lost connection raises an error of httpx in huggingface_hub 1, of httpx2 in 2, and in neither an OSError.
    client = importlib.import_module(type(get_session()).__module__.partition(".")[0])
    try:
        return str(HfApi().model_info(model, revision=revision).sha)
    except HFValidationError as error:
        raise FatalError(f"{model} is neither a folder nor a model's name on the hub") from error
    except (HfHubHTTPError, OSError, client.HTTPError) as error:  # refused, offline or out of reach
        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if not isinstance(cached, str):
            message = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise FatalError(
                f"{model} (revision {revision or 'main'}) is not in the cache, and the hub says: {message} (no network "
                "here, HF_HUB_OFFLINE=1 set, or HF_TOKEN missing?)"
            ) from error
        return cached.rpartition("/snapshots/")[2].partition("/")[0]
