"""What a training or inference run may choose; checked when made, each default with its reason.

`official` in a name or comment: what the released code does (bytedance/Sa2VA 9832e1a), for comparison.
Sources: the paper's section 3.4 and its released configurations.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

QWEN_PATCH_PX = 28  # the side of the square that the official pixel budgets are counted in


def _check(holds: bool, rule: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{rule}, got {got!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelsConfig:
    """Pictures for the two encoders; the same at training and inference (the release infers with more than it trains with)."""

    min_px: int = 128 * QWEN_PATCH_PX**2  # Qwen: a frame is scaled to have at least so many pixels
    max_px: int = 512 * QWEN_PATCH_PX**2  # Qwen: and at most so many; official training
    official: bool = False  # resize with PIL's bicubic filter (19 to 36 ms a frame) in place of OpenCV's (1 ms)

    def __post_init__(self) -> None:
        _check(
            0 < self.min_px <= self.max_px,
            "min_px and max_px must be positive and in order",
            (self.min_px, self.max_px),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """How a video becomes an example."""

    frames: int = 5  # pictures of a video that the MLLM sees (paper: 5; Sa2VA-i: 8)
    max_objects: int = 5  # expressions of a video in one conversation
    frame_choice: Literal["uniform", "random"] = "uniform"  # official: random; uniform is what inference does (Sa2VA-i)
    with_replacement: bool = False  # official: always 5 objects, the same ones again where there are fewer
    repeats: int = 1  # times a video comes up in an epoch (official: 4)
    max_tokens: int = 8192  # a longer conversation loses its last turns, and their masks with them
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    official_prompts: bool = False  # long descriptions in the templates of short ones

    def __post_init__(self) -> None:
        for name in ("frames", "max_objects", "repeats", "max_tokens"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sam2Config:
    """Which SAM 2. The release has 2.0 (not 2.1), Hiera-L."""

    config_file: str = "configs/sam2/sam2_hiera_l.yaml"
    overrides: tuple[str, ...] = ()  # Hydra's; the tests build a tiny one with them
    checkpoint: str = ""  # sam2_hiera_large.pt; empty: random weights, or those of a Sa2VA checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """What is trained from what."""

    base: str  # folder or hub name of a Qwen3-VL, Qwen2.5-VL or InternVL, or of a Sa2VA checkpoint
    sam2: Sam2Config = field(default_factory=Sam2Config)
    lora_rank: int = 128  # release: 128 (4B and below), 256 (8B); paper's text: 256
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    train_embeddings: Literal["new_rows", "full"] = "new_rows"  # official: full, 777 M more parameters for 5 new rows
    gradient_checkpointing: bool = False  # official: always; costs a forward pass, saves most activations

    def __post_init__(self) -> None:
        _check(self.lora_rank >= 1, "lora_rank must be at least 1", self.lora_rank)
        _check(0 <= self.lora_dropout < 1, "lora_dropout must be in [0, 1)", self.lora_dropout)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine (paper, implementation details)."""

    lr: float = 4e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    warmup_frac: float = 0.05  # of all steps
    warmup_start: float = 1e-5  # of lr
    epochs: int = 1
    batch: int = 256  # videos an optimiser step, over all workers
    micro_batch: int = 2  # videos a forward pass of a worker

    def __post_init__(self) -> None:
        _check(self.lr > 0, "lr must be positive", self.lr)
        _check(0 <= self.warmup_frac < 1, "warmup_frac must be in [0, 1)", self.warmup_frac)
        for name in ("epochs", "batch", "micro_batch"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class InferConfig:
    """How masks are made of a text."""

    frames: int = 5  # key frames that the MLLM sees
    path: Literal["consistent", "official"] = "consistent"  # official: algorithm 1, the first frames are the key frames
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    official_prompts: bool = False
    max_new_tokens: int = 64  # an answer is six tokens; the release allows 2048
    batch: int = 8  # expressions of a video that are decoded and tracked together

    def __post_init__(self) -> None:
        for name in ("frames", "max_new_tokens", "batch"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))


def official_data(config: DataConfig) -> DataConfig:
    """`config` with every choice of the released training code."""
    return replace(
        config,
        frames=5,
        max_objects=5,
        frame_choice="random",
        with_replacement=True,
        repeats=4,
        official_prompts=True,
        pixels=PixelsConfig(official=True),
    )


def official_infer(config: InferConfig) -> InferConfig:
    """`config` with every choice of the released inference code, its four times larger pixel budget among them."""
    pixels = PixelsConfig(min_px=512 * QWEN_PATCH_PX**2, max_px=2048 * QWEN_PATCH_PX**2, official=True)
    return replace(config, frames=5, path="official", pixels=pixels, official_prompts=True, max_new_tokens=2048)
