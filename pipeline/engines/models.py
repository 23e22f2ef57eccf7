"""What models a run asks, and how."""

from dataclasses import dataclass, field
from typing import Any


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
