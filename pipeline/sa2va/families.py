"""What Sa2VA needs to know of a multimodal language model, and where transformers keeps it.

transformers moves modules between releases (4.57 and 5.x are supported) and peft wraps them; both are looked through
here, so that nothing else has to know. An MLLM is: vision encoder, projector to the language model's width, language
model, output matrix (`lm_head`).
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pipeline.sa2va.config import PixelsConfig
from pipeline.sa2va.pixels import Frame


@dataclass(frozen=True, slots=True)
class FramePixels:
    """The frames of one video for the vision encoder.

    Attributes:
        tensors: named as in the model's forward; one frame is one image. Pixels are uint8 here, an eighth of the bytes
            to pass between processes: `Family.arguments` normalises them on the model's device.
        tokens_F: how many tokens each frame becomes.
    """

    tensors: dict[str, Tensor]
    tokens_F: list[int]


@dataclass(frozen=True, slots=True)
class States:
    """The last hidden state, twice; float (B, L, h)."""

    after_norm_BLh: Tensor
    before_norm_BLh: Tensor


@dataclass(frozen=True)
class Family(ABC):
    """One kind of MLLM. Holds no weights: it is copied to every process of a loader.

    Attributes:
        name: transformers' `model_type`.
        start: text before the tokens of a frame.
        context: text of the token that stands for one piece of a frame.
        end: text after them.
        released_before_norm: whether the released Sa2VA of this family made masks from `States.before_norm_BLh`: they
            take transformers' `hidden_states[-1]`, which is that one for Qwen3-VL in the release's transformers 4.57
            [measured], and the other everywhere else.
        context_token_id: of `context`.
        mean_3: of red, green and blue in [0, 1], as the vision encoder was trained.
        std_3: their deviations.
    """

    name: ClassVar[str]
    start: ClassVar[str]
    context: ClassVar[str]
    end: ClassVar[str]
    released_before_norm: ClassVar[bool] = False
    context_token_id: int
    mean_3: tuple[float, ...]
    std_3: tuple[float, ...]

    @abstractmethod
    def pixels(self, frames: Sequence[Frame], config: PixelsConfig) -> FramePixels:
        """The frames, resized and cut into what the vision encoder sees; runs in a loader's process."""

    @abstractmethod
    def floats(self, pixels: Tensor) -> Tensor:
        """The uint8 `pixel_values` as the model's forward wants them."""

    @abstractmethod
    def vision(self, mllm: nn.Module) -> nn.Module:
        """The vision encoder."""

    @abstractmethod
    def projector(self, mllm: nn.Module) -> nn.Module:
        """From the vision encoder's features to the language model's width."""

    def visual_text(self, tokens_F: Sequence[int], separator: str = "\n") -> str:
        """The text that stands for frames of so many tokens; the released inference code joins them with nothing."""
        return separator.join(f"{self.start}{self.context * tokens}{self.end}" for tokens in tokens_F)

    def join(self, videos: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """`FramePixels.tensors` of several videos as one batch: all frames, one video after the other."""
        return {name: torch.cat([video[name] for video in videos]) for name in videos[0]}

    def arguments(
        self, mllm: nn.Module, input_ids_BL: Tensor, attention_BL: Tensor, mllm_inputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """What the model's forward or `generate` wants of a padded batch, as this release of transformers names it.

        Args:
            mllm: the model, wrapped by peft or not.
            input_ids_BL: int64.
            attention_BL: bool, False = padding.
            mllm_inputs: as `join` makes them; empty for text alone.
        """
        arguments = {"input_ids": input_ids_BL, "attention_mask": attention_BL.long(), **mllm_inputs}
        if mllm_inputs:
            arguments["pixel_values"] = self.floats(mllm_inputs["pixel_values"])
        if mllm_inputs and "mm_token_type_ids" in inspect.signature(type(core(mllm)).forward).parameters:
            arguments["mm_token_type_ids"] = ((input_ids_BL == self.context_token_id) & attention_BL).int()
        return arguments

    def hidden_BLh(
        self, mllm: nn.Module, input_ids_BL: Tensor, attention_BL: Tensor, mllm_inputs: dict[str, Tensor]
    ) -> Tensor:
        """Last hidden state after the final norm, before the output matrix; arguments as in `arguments`.

        A video padded in a batch gets what it gets alone, up to rounding: positions are counted for each by itself.
        """
        return self.states(mllm, input_ids_BL, attention_BL, mllm_inputs).after_norm_BLh

    def states(
        self, mllm: nn.Module, input_ids_BL: Tensor, attention_BL: Tensor, mllm_inputs: dict[str, Tensor]
    ) -> States:
        """`hidden_BLh` and what the final norm made it of, from one pass."""
        arguments = self.arguments(mllm, input_ids_BL, attention_BL, mllm_inputs)
        with self.before_norm(mllm) as before:
            after = core(mllm)(**arguments, use_cache=False).last_hidden_state
        return States(after, before[-1])

    @contextmanager
    def before_norm(self, mllm: nn.Module) -> Iterator[list[Tensor]]:
        """A list that gets, within it, what goes into the final norm: (B, L, h) of every pass."""
        given: list[Tensor] = []
        norm = child(self.language_model(mllm), "norm")
        hook = norm.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            yield given
        finally:
            hook.remove()

    def _normalised(self, pixels_N3X: Tensor) -> Tensor:
        """Colours as numbers around 0, float32, bit by bit what transformers' image processors make of them."""
        shape = (1, 3, *[1] * (pixels_N3X.dim() - 2))
        mean, std = (torch.tensor(c, device=pixels_N3X.device).view(shape) * 255 for c in (self.mean_3, self.std_3))
        return (pixels_N3X.float() - mean) / std

    def language_model(self, mllm: nn.Module) -> nn.Module:
        """The decoder layers with input embeddings and final norm, without the output matrix."""
        return unwrapped(first(mllm, "language_model"))

    def lm_head(self, mllm: nn.Module) -> nn.Module:
        """The output matrix; what peft put in its place, if it did."""
        return child(unwrapped(mllm), "lm_head")

    def input_embeddings(self, mllm: nn.Module) -> nn.Module:
        """The input embeddings; what peft put in their place, if it did."""
        return child(self.language_model(mllm), "embed_tokens")


def unwrapped(module: nn.Module) -> nn.Module:
    """What is inside peft's wrapper: the same layers, the adapters among them."""
    inside: Any = getattr(module, "get_base_model", None)
    return module if inside is None else _module(inside(), type(module).__name__)


def core(mllm: nn.Module) -> nn.Module:
    """The model without its output matrix: everything from pixels and tokens to the last hidden state."""
    return child(unwrapped(mllm), "model")


def first(mllm: nn.Module, *names: str) -> nn.Module:
    """The first of these modules that the model has, inside `.model` (5.x, 4.57) or beside it (older)."""
    places = (core(mllm), unwrapped(mllm))
    for place in places:
        for name in names:
            if hasattr(place, name):
                return child(place, name)
    raise ValueError(f"{type(unwrapped(mllm)).__name__} must have one of {', '.join(names)}; this transformers has not")


def child(module: nn.Module, name: str) -> nn.Module:
    """The module of that name inside another."""
    return _module(getattr(module, name, None), f"{type(module).__name__}.{name}")


def _module(value: object, where: str) -> nn.Module:
    if not isinstance(value, nn.Module):
        raise ValueError(f"{where} must be a module, got {type(value).__name__}")
    return value
