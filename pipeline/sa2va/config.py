"""Settings of a training or inference run; checked when made, each default with its reason.

`official` in a name or comment: what the released code does (bytedance/Sa2VA 9832e1a), for comparison.
Sources: the paper's section 3.4 and its released configurations.
"""

import ast
import json
import math
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

MAX_NEGATIVES_FRAC = 0.9
_SEEDS = 2**63  # torch takes no larger one
QWEN_PATCH_PX = 28  # the side of the square that the official pixel budgets are counted in


def _check(holds: bool, rule: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{rule}, got {got!r}")


def _check_choice(name: str, got: str, *choices: str) -> None:
    _check(got in choices, f"{name} must be one of {', '.join(choices)}", got)


def _check_finite(config: Any) -> None:
    """Check that every number of `config` is one: nan passes many comparisons, and inf makes weights nan."""
    for one in fields(config):
        value = getattr(config, one.name)
        for number in value if isinstance(value, tuple) else (value,):
            _check(not isinstance(number, float) or math.isfinite(number), f"{one.name} must be a number", value)


def _several(given: str | tuple[str, ...]) -> tuple[str, ...]:
    return ((given,) if given else ()) if isinstance(given, str) else given


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelsConfig:
    """Sets the sizes of images for the two encoders; the same at training and inference, unlike in the release."""

    min_px: int = 128 * QWEN_PATCH_PX**2  # Qwen: a frame is scaled to have at least so many pixels
    max_px: int = 512 * QWEN_PATCH_PX**2  # Qwen: and at most so many; official training
    resize_twice: bool = False  # Qwen: sides first become multiples of 28 px; official inference
    official: bool = False  # resize with PIL's bicubic filter (19 to 36 ms a frame) in place of OpenCV's (1 ms)

    def __post_init__(self) -> None:
        _check(
            0 < self.min_px <= self.max_px,
            "min_px and max_px must be positive and in order",
            (self.min_px, self.max_px),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Says how a video becomes an example."""

    frames: int = 5  # frames of a video that the MLLM sees (paper: 5; Sa2VA-i: 8)
    max_objects: int = 5  # expressions of a video in one conversation
    frame_choice: Literal["uniform", "random"] = "uniform"  # official: random; uniform is what inference does (Sa2VA-i)
    with_replacement: bool = False  # official: always 5 objects, the same ones again where there are fewer
    repeats: int = 1  # times a video comes up in an epoch (official: 4)
    negatives_frac: float = 0.0  # of all texts that fit nothing in their video, answered without [SEG]; official: 0
    max_tokens: int = 8192  # a longer conversation loses its last turns, and their masks with them
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    official_prompts: bool = False  # answers, cut and inference as released
    official_questions: tuple[str, ...] = ()  # templates, read from the user's clone of the release; empty: ours

    def __post_init__(self) -> None:
        for name in ("frames", "max_objects", "repeats", "max_tokens"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        _check_finite(self)
        rule = "negatives_frac must be in [0, 0.9]: texts with a target must remain"
        _check(0 <= self.negatives_frac <= MAX_NEGATIVES_FRAC, rule, self.negatives_frac)
        _check_choice("frame_choice", self.frame_choice, "uniform", "random")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sam2Config:
    """Says which SAM 2 is inside. The release has 2.0 (not 2.1), Hiera-L."""

    config_file: str = "configs/sam2/sam2_hiera_l.yaml"
    overrides: tuple[str, ...] = ()  # Hydra's; the tests build a tiny one with them
    checkpoint: str = ""  # sam2_hiera_large.pt; empty: random weights, or those of a Sa2VA checkpoint


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Says which model training starts from, and what of it is trained."""

    base: str  # folder or hub name of a Qwen3-VL, Qwen2.5-VL or InternVL, or of a Sa2VA checkpoint
    sam2: Sam2Config = field(default_factory=Sam2Config)
    lora_rank: int = 128  # release: 128; 256 and alpha 512 for InternVL3-8B and -14B; paper's text: 256
    lora_alpha: int = 256
    lora_dropout: float = 0.05
    train_embeddings: Literal["new_rows", "full"] = "new_rows"  # official: full, 777 M more parameters for 5 new rows
    gradient_checkpointing: bool = False  # official: always; costs a forward pass, saves most activations

    def __post_init__(self) -> None:
        for name in ("lora_rank", "lora_alpha"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        _check(0 <= self.lora_dropout < 1, "lora_dropout must be in [0, 1)", self.lora_dropout)
        _check_choice("train_embeddings", self.train_embeddings, "new_rows", "full")


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    """Sets AdamW with linear warm-up and cosine (paper, implementation details)."""

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
        _check_finite(self)
        for name in ("lr", "clip_norm"):
            _check(getattr(self, name) > 0, f"{name} must be positive", getattr(self, name))
        _check(self.weight_decay >= 0, "weight_decay must not be negative", self.weight_decay)
        _check(all(0 <= beta < 1 for beta in self.betas), "betas must be in [0, 1)", self.betas)
        _check(0 <= self.warmup_start <= 1, "warmup_start must be in [0, 1]", self.warmup_start)
        _check(0 <= self.warmup_frac < 1, "warmup_frac must be in [0, 1)", self.warmup_frac)
        for name in ("epochs", "batch", "micro_batch"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))

    def check_workers(self, count: int) -> None:
        """Check that so many workers can share a batch.

        Raises:
            ValueError: a batch has fewer videos than there are workers.
        """
        if self.batch < count:
            raise ValueError(
                f"a batch must have a video for each worker, got {self.batch} videos and {count} workers: take fewer "
                "workers or a larger batch"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceConfig:
    """Names one data set of a mixture, and says how often its videos come up."""

    __pydantic_config__: ClassVar[ConfigDict] = {"extra": "forbid"}  # of a file with settings

    path: str  # folder of an annotation run, or a Ref-SAV.json
    name: str = ""  # in counts and curves; empty: that of its folder
    sav_root: str = ""  # empty: the run's own
    repeats: float = 1.0  # times that a video comes up in an epoch; 0.5: in every second epoch
    weight: float = 0.0  # in place of repeats: share of an epoch's videos, relative to the other sources' weights

    def __post_init__(self) -> None:
        _check(bool(self.path), "a source of a mixture must have a path", self.path)
        _check_finite(self)
        _check(self.repeats > 0, "repeats must be positive", self.repeats)
        _check(self.weight >= 0, "weight must not be negative", self.weight)
        both = bool(self.weight) and self.repeats != 1
        _check(not both, "of repeats and weight one may be given", f"repeats {self.repeats:g}, weight {self.weight:g}")

    @property
    def label(self) -> str:
        """Return the name: as given, else that of the folder."""
        path = Path(self.path)
        return self.name or (path.parent if path.suffix else path).name


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Sets a training run.

    When it is resumed, `model`, `data`, `optim`, `seed` and `official` must be the same, but for how a step is computed
    (`optim.micro_batch`, `model.gradient_checkpointing`) and where the same model lies; the data must be the same
    wherever it lies, or `accept_changed_data`.
    """

    source: str | tuple[str, ...] = ()  # folders of annotation runs, or Ref-SAV.json files; one or several
    mixture: tuple[SourceConfig, ...] = ()  # in place of source: several data sets, each with its share
    sav_root: str  # empty: what the run's run.json says
    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    seed: int = 0
    official: bool = False  # the released code's choices and known defects, for comparison
    split: str = ""  # benchmark whose videos are left out
    on_bad: Literal["stop", "skip"] = "stop"  # a row that cannot be trained on
    out: str
    store: str | tuple[str, ...] = ()  # frame stores, one or several; empty: the mp4 files are read
    loader_workers: int = 2  # processes a worker
    accept_changed_data: bool = False  # go on with other videos or texts than the checkpoint was trained on
    checkpoint_every_s: float = 600.0  # seconds; a step of the paper's batch takes minutes on one GPU; 0: not by time
    checkpoint_every: int = 0  # steps; 0: by time alone
    keep_checkpoints: int = 2
    log_every: int = 1  # steps
    pictures_every_s: float = 600.0  # seconds; 0: not by time
    pictures_every: int = 0  # steps; 0: by time alone; one more is drawn before the first step and one after the last
    official_code: str = ""  # clone of the release, or a folder of its Hugging Face files, copied beside the model
    stop_after: int = 0  # steps; 0: train to the end
    eval_frac: float = 0.0  # share of the videos that is held out and evaluated on along the way; 0: none
    eval_split: str = ""  # split that is evaluated on along the way, its videos left out of training
    eval_videos: int = 16  # most videos of an evaluation: one takes seconds, as in inference
    eval_every_s: float = 1800.0  # seconds; 0: not by time
    eval_every: int = 0  # steps; 0: by time alone; one more is done before the first step and one after the last

    def __post_init__(self) -> None:
        _check_finite(self)
        _check(0 <= self.seed < _SEEDS, "seed must be in [0, 2^63)", self.seed)
        for name in ("keep_checkpoints", "log_every", "eval_videos"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        not_negative = ("loader_workers", "checkpoint_every", "pictures_every", "stop_after", "eval_every")
        for name in (*not_negative, "checkpoint_every_s", "pictures_every_s", "eval_every_s"):
            _check(getattr(self, name) >= 0, f"{name} must not be negative", getattr(self, name))
        _check_choice("on_bad", self.on_bad, "stop", "skip")
        _check(not (self.mixture and self.source), "of source and mixture one may be given", "both")
        _check(not (self.mixture and self.official), "official has one data set", "a mixture")
        names = [one.label for one in self.mixture]
        _check(len(names) == len(set(names)), "sources of a mixture must have different names: give each a name", names)
        weights = [one.weight for one in self.mixture]
        _check(all(weights) or not any(weights), "all sources of a mixture must have a weight, or none", weights)
        _check(0 <= self.eval_frac < 1, "eval_frac must be in [0, 1)", self.eval_frac)
        _check(not (self.eval_frac and self.eval_split), "of eval_frac and eval_split one may be given", "both")

    @property
    def sources(self) -> tuple[str, ...]:
        """Return `source` as a tuple; the paths of a mixture, if it is one."""
        return tuple(one.path for one in self.mixture) or _several(self.source)

    @property
    def stores(self) -> tuple[str, ...]:
        """Return `store` as a tuple."""
        return _several(self.store)


@dataclass(frozen=True, kw_only=True, slots=True)
class InferConfig:
    """Says how masks are made from a text."""

    frames: int = 5  # key frames that the MLLM sees
    path: Literal["consistent", "official"] = "consistent"  # official: algorithm 1, the first frames are the key frames
    pixels: PixelsConfig = field(default_factory=PixelsConfig)
    official_prompts: bool = False
    max_new_tokens: int = 64  # an answer is six tokens; the release allows 2048
    batch: int = 8  # expressions of a video that are decoded and tracked together

    def __post_init__(self) -> None:
        for name in ("frames", "max_new_tokens", "batch"):
            _check(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))
        _check_choice("path", self.path, "consistent", "official")


_WIDE = 3584  # width of the language model in InternVL3-8B; 14B's is wider


def official_train(config: TrainConfig, *, family: str = "", width: int = 0) -> TrainConfig:
    """Return `config` with every choice of the released training code.

    Args:
        config: has all other settings.
        family: transformers' name of the MLLM's family; for "" or one that the release has no configuration for, its
            2B InternVL's is taken.
        width: width of its language model.
    """
    data = replace(
        config.data,
        frames=5,
        max_objects=5,
        frame_choice="random",
        with_replacement=True,
        repeats=4,
        official_prompts=True,
        pixels=PixelsConfig(official=True),
    )
    model = replace(config.model, train_embeddings="full", gradient_checkpointing=True)
    if family == "internvl" and width >= _WIDE:
        model = replace(model, lora_rank=256, lora_alpha=512)
    optim = config.optim
    if family == "qwen3_vl":
        optim = replace(optim, batch=128, micro_batch=1)
    return replace(config, official=True, data=data, model=model, optim=optim)


def official_infer(config: InferConfig) -> InferConfig:
    """Return `config` with every choice of the released inference code, its four times larger pixel budget included."""
    budget_px = (512 * QWEN_PATCH_PX**2, 2048 * QWEN_PATCH_PX**2)
    pixels = PixelsConfig(min_px=budget_px[0], max_px=budget_px[1], resize_twice=True, official=True)
    return replace(config, frames=5, path="official", pixels=pixels, official_prompts=True, max_new_tokens=2048)


Config = TypeVar("Config", TrainConfig, InferConfig)


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """Return `config` with settings given as text, such as `optim.batch=32` or `data.frame_choice=random`.

    Raises:
        ValueError: there is no such setting, or it cannot have the value.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"a setting must be written name=value, got {setting!r}")
        config = _with(config, path.split("."), text, setting)
    return config


def _with(config: Any, path: list[str], text: str, setting: str) -> Any:
    names = [known.name for known in fields(config)]
    name, *rest = path
    if name not in names:
        raise ValueError(f"{setting}: there is no {name!r}; there is {', '.join(names)}")
    before = getattr(config, name)
    if is_dataclass(before) != bool(rest):
        inner = f"one of its settings, as {name}.…=" if is_dataclass(before) else f"{name}= alone"
        raise ValueError(f"{setting}: give {inner}")
    kind = typing.get_type_hints(type(config))[name]
    return replace(config, **{name: _with(before, rest, text, setting) if rest else _value(kind, text, setting)})


def _value(kind: Any, text: str, setting: str) -> object:
    """Parse `text` as a value of type `kind`; where it may be text, it is, unless it is written as a list."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    is_text = kind is str or (_is_union(kind) and not isinstance(value, list | tuple))
    return checked(kind, text if is_text else value, setting.partition("=")[0])


def checked(kind: Any, value: Any, what: str) -> Any:
    """Return a value as its type has it: whole numbers may stand for others, lists for tuples.

    Raises:
        ValueError: it is none of this type; the message begins with `what` and the place in it.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        inside = [] if _is_union(kind) else first["loc"]
        place = what + "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in inside)
        fault = first["msg"].removeprefix("Input should be ")
        rules = {
            "missing": f"{place} must be given",
            "unexpected_keyword_argument": f"{place}: there is no such setting",
        }
        if first["type"] == "value_error":  # it says itself what it got
            raise ValueError(f"{place}: {fault.removeprefix('Value error, ')}") from error
        raise ValueError(f"{rules.get(first['type'], f'{place} must be {fault}')}, got {value!r}") from error
    except TypeError as error:
        raise ValueError(f"{what} must be text, a number, true, false or a list, got {value!r}") from error


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)
