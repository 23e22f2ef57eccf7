"""What differs between the MLLMs that Sa2VA is built on: Qwen3-VL, Qwen2.5-VL and InternVL.

An MLLM is: vision encoder, projector to the language model's width, language model, output matrix (`lm_head`).
transformers moves modules between releases (4.57 and 5.x are supported) and peft wraps them; both are looked through
here, so that no other module has to know.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForImageTextToText,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from pipeline.sa2va.config import QWEN_PATCH_PX, PixelsConfig
from pipeline.sa2va.pixels import resize, squares
from stages.video.images import Image

_MODELS: Any = AutoModelForImageTextToText  # typed in part
_HALF = (0.5, 0.5, 0.5)
_SUPPORTED = "supported are qwen3_vl (Qwen3-VL), qwen2_5_vl (Qwen2.5-VL) and internvl (InternVL, names ending in -hf)"
_HINTS = {
    "internvl_chat": "; this is InternVL's own format: use the checkpoint of the same name that ends in -hf",
    "sa2va_chat": "; this is a Sa2VA checkpoint: read it with pipeline.sa2va.checkpoint.read.load_sa2va",
}


@dataclass(frozen=True, slots=True)
class FramePixels:
    """Holds the frames of one video for the vision encoder.

    Attributes:
        tensors: named as in the model's forward; one frame is one image. Pixels are uint8 here, an eighth of the bytes
            to pass between processes: `Family.arguments` normalises them on the model's device.
        tokens_F: number of tokens that every frame becomes.
    """

    tensors: dict[str, Tensor]
    tokens_F: list[int]


@dataclass(frozen=True, slots=True)
class States:
    """Holds the last hidden state, float (B, L, h), after and before the final norm."""

    after_norm_BLh: Tensor
    before_norm_BLh: Tensor


@dataclass(frozen=True)
class Family(ABC):
    """Describes one kind of MLLM. It holds no weights: it is copied to every process of a loader.

    Attributes:
        name: transformers' `model_type`.
        start: text before the tokens of a frame.
        context: text of the token that stands for one piece of a frame.
        end: text after the tokens of a frame.
        released_before_norm: whether the released Sa2VA of this family made masks from `States.before_norm_BLh`: they
            take transformers' `hidden_states[-1]`, which is that one for Qwen3-VL in the release's transformers 4.57
            [measured], and the other everywhere else.
        context_token_id: id of `context`.
        mean_3: mean of red, green and blue in [0, 1] that the vision encoder was trained with.
        std_3: their standard deviations.
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
    def pixels(self, frames: Sequence[Image], config: PixelsConfig) -> FramePixels:
        """Resize frames and cut them into what the vision encoder sees; this runs in a loader's process."""

    @abstractmethod
    def floats(self, pixels: Tensor) -> Tensor:
        """Turn the uint8 `pixel_values` into what the model's forward wants."""

    @abstractmethod
    def vision(self, mllm: nn.Module) -> nn.Module:
        """Return the vision encoder."""

    @abstractmethod
    def projector(self, mllm: nn.Module) -> nn.Module:
        """Return what maps the vision encoder's features to the language model's width."""

    def visual_text(self, tokens_F: Sequence[int], separator: str = "\n") -> str:
        """Return the text for frames of so many tokens; released inference with a Qwen has no separator."""
        return separator.join(f"{self.start}{self.context * tokens}{self.end}" for tokens in tokens_F)

    def join(self, videos: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Join the `FramePixels.tensors` of several videos to one batch: all frames, one video after the other."""
        return {name: torch.cat([video[name] for video in videos]) for name in videos[0]}

    def arguments(
        self, mllm: nn.Module, input_ids_BL: Tensor, attention_BL: Tensor, mllm_inputs: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the arguments of the model's forward for a padded batch, as this version of transformers names them.

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
        """Compute the last hidden state after the final norm, before the output matrix; see `arguments`.

        A video that is padded in a batch gets what it gets alone, up to rounding: positions are counted for every
        video by itself.
        """
        return self.states(mllm, input_ids_BL, attention_BL, mllm_inputs).after_norm_BLh

    def states(
        self, mllm: nn.Module, input_ids_BL: Tensor, attention_BL: Tensor, mllm_inputs: dict[str, Tensor]
    ) -> States:
        """Compute `hidden_BLh` and what the final norm made it of, in one pass."""
        arguments = self.arguments(mllm, input_ids_BL, attention_BL, mllm_inputs)
        with self.before_norm(mllm) as before:
            after = core(mllm)(**arguments, use_cache=False).last_hidden_state
        return States(after, before[-1])

    @contextmanager
    def before_norm(self, mllm: nn.Module) -> Iterator[list[Tensor]]:
        """Give a list that receives, within the block, the input of the final norm, (B, L, h), of every pass."""
        given: list[Tensor] = []
        norm = child(self.language_model(mllm), "norm")
        hook = norm.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            yield given
        finally:
            hook.remove()

    def _normalised(self, pixels_N3X: Tensor) -> Tensor:
        """Normalise colours to float32 around 0, bit by bit as transformers' image processors do."""
        shape = (1, 3, *[1] * (pixels_N3X.dim() - 2))
        mean, std = (torch.tensor(c, device=pixels_N3X.device).view(shape) * 255 for c in (self.mean_3, self.std_3))
        return (pixels_N3X.float() - mean) / std

    def language_model(self, mllm: nn.Module) -> nn.Module:
        """Return the decoder layers with input embeddings and final norm, without the output matrix."""
        return unwrapped(first(mllm, "language_model"))

    def lm_head(self, mllm: nn.Module) -> nn.Module:
        """Return the output matrix, or what peft put in its place."""
        return child(unwrapped(mllm), "lm_head")

    def input_embeddings(self, mllm: nn.Module) -> nn.Module:
        """Return the input embeddings, or what peft put in their place."""
        return child(self.language_model(mllm), "embed_tokens")


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the model inside peft's wrapper: the same layers, the adapters among them."""
    inside: Any = getattr(module, "get_base_model", None)
    return module if inside is None else _module(inside(), type(module).__name__)


def core(mllm: nn.Module) -> nn.Module:
    """Return the model without its output matrix: all from pixels and tokens to the last hidden state."""
    return child(unwrapped(mllm), "model")


def first(mllm: nn.Module, *names: str) -> nn.Module:
    """Return the first of these modules that the model has, inside `.model` (5.x, 4.57) or beside it (older)."""
    for parent in (core(mllm), unwrapped(mllm)):
        for name in names:
            if hasattr(parent, name):
                return child(parent, name)
    raise ValueError(f"{type(unwrapped(mllm)).__name__} must have one of {', '.join(names)}; this transformers has not")


def child(module: nn.Module, name: str) -> nn.Module:
    """Return the module of that name inside another."""
    return _module(getattr(module, name, None), f"{type(module).__name__}.{name}")


def _module(value: object, where: str) -> nn.Module:
    if not isinstance(value, nn.Module):
        raise ValueError(f"{where} must be a module, got {type(value).__name__}")
    return value


@dataclass(frozen=True)
class Qwen(Family):
    """Describes what Qwen3-VL and Qwen2.5-VL have in common: a frame keeps its shape and becomes tokens by its size.

    A token is 28 px wide in Qwen2.5-VL, 32 in Qwen3-VL. Every frame is an image of its own, not part of a Qwen video:
    the patch's two moments are the same image, and the three-dimensional positions count one image after the other.

    Attributes:
        patch_px: side of a patch of the vision encoder.
        merge: side of the square of patches that becomes one token.
        moments: number of images in a patch.
    """

    start: ClassVar[str] = "<|vision_start|>"
    context: ClassVar[str] = "<|image_pad|>"
    end: ClassVar[str] = "<|vision_end|>"
    patch_px: int
    merge: int
    moments: int

    def pixels(self, frames: Sequence[Image], config: PixelsConfig) -> FramePixels:
        """Cut frames into patches, in the sizes of Qwen's own rule for `config`'s pixels.

        Returns:
            `pixel_values` uint8 (patches, 3 * patch_px ** 2) and `image_grid_thw` (F, 3): 1, rows and columns of
            patches. Patches of a token stand together.

        Raises:
            ValueError: a frame is more than 200 times as long as high.
        """
        patches, grid = [], []
        for given_HW3 in frames:
            image_HW3 = _first_resized(given_HW3) if config.resize_twice else given_HW3
            height, width = image_HW3.shape[:2]
            height_px, width_px = smart_resize(
                height, width, factor=self.patch_px * self.merge, min_pixels=config.min_px, max_pixels=config.max_px
            )
            patches.append(self._patches(resize(image_HW3, height_px, width_px, official=config.official)))
            grid.append([1, height_px // self.patch_px, width_px // self.patch_px])
        grid_F3 = torch.tensor(grid)
        tokens_F = (grid_F3.prod(-1) // self.merge**2).tolist()
        pixels = torch.from_numpy(np.concatenate(patches))
        return FramePixels({"pixel_values": pixels, "image_grid_thw": grid_F3}, tokens_F)

    def _patches(self, image_HW3: Image) -> Image:
        height, width, _ = image_HW3.shape
        side = self.patch_px * self.merge
        shape = (height // side, self.merge, self.patch_px, width // side, self.merge, self.patch_px, 3)
        # token row, token column, patch row, patch column, colour, pixel row, pixel column
        ordered = image_HW3.reshape(shape).transpose(0, 3, 1, 4, 6, 2, 5)
        return ordered.reshape(-1, 3 * self.patch_px**2)

    def floats(self, pixels: Tensor) -> Tensor:
        """Normalise patches, float32 (patches, 3 * moments * patch_px ** 2)."""
        patches_P3pp = self._normalised(pixels.view(-1, 3, self.patch_px, self.patch_px))
        return patches_P3pp[:, :, None].expand(-1, -1, self.moments, -1, -1).flatten(1)

    def vision(self, mllm: nn.Module) -> nn.Module:
        """Return the vision encoder, which ends with its projector."""
        return first(mllm, "visual")

    def projector(self, mllm: nn.Module) -> nn.Module:
        """Return the last merger; Qwen3-VL has more of them in `vision`, one for every deepstack layer."""
        return child(self.vision(mllm), "merger")


def _first_resized(image_HW3: Image) -> Image:
    """Resize a frame as qwen_vl_utils does before the processor: sides of multiples of 28 px, 4 to 16,384 squares."""
    height, width = image_HW3.shape[:2]
    square = QWEN_PATCH_PX**2
    size = smart_resize(height, width, factor=QWEN_PATCH_PX, min_pixels=4 * square, max_pixels=16_384 * square)
    return resize(image_HW3, *size, official=True)


class Qwen3VL(Qwen):
    """Describes the family of Qwen3-VL models."""

    name: ClassVar[str] = "qwen3_vl"
    released_before_norm: ClassVar[bool] = True


class Qwen25VL(Qwen):
    """Describes the family of Qwen2.5-VL models."""

    name: ClassVar[str] = "qwen2_5_vl"


@dataclass(frozen=True)
class InternVL(Family):
    """Describes transformers' InternVL (the checkpoints whose names end in -hf), with any language model inside.

    A frame is squeezed to one square and becomes a fixed number of tokens (448 px, 256); it is not cut into tiles,
    which is for single images.

    Attributes:
        side_px: side of the square.
        tokens: number of tokens of a frame.
    """

    name: ClassVar[str] = "internvl"
    start: ClassVar[str] = "<img>"
    context: ClassVar[str] = "<IMG_CONTEXT>"
    end: ClassVar[str] = "</img>"
    side_px: int
    tokens: int

    def pixels(self, frames: Sequence[Image], config: PixelsConfig) -> FramePixels:
        """Squeeze frames to squares, whatever `config` says of pixels.

        Returns:
            `pixel_values` uint8 (F, 3, side, side).
        """
        return FramePixels(
            {"pixel_values": squares(frames, self.side_px, config.official)}, [self.tokens] * len(frames)
        )

    def floats(self, pixels: Tensor) -> Tensor:
        """Normalise squares, float32 (F, 3, side, side)."""
        return self._normalised(pixels)

    def vision(self, mllm: nn.Module) -> nn.Module:
        """Return the vision transformer."""
        return first(mllm, "vision_tower")

    def projector(self, mllm: nn.Module) -> nn.Module:
        """Return the projector, `mlp1` in the official names; the release trains it."""
        return first(mllm, "multi_modal_projector")


_FAMILIES: dict[
    str, tuple[Callable[..., Family], tuple[float, ...], tuple[float, ...]]
] = {  # with mean and deviation of colours
    "qwen3_vl": (Qwen3VL, _HALF, _HALF),
    "qwen2_5_vl": (Qwen25VL, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "internvl": (InternVL, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def family_of(config: PretrainedConfig, processor: Any = None) -> Family:
    """Return the family of a configuration.

    Args:
        config: transformers' configuration of the MLLM.
        processor: its image processor, asked for the colours' mean and deviation; None: those of the family's
            published checkpoints.

    Raises:
        ValueError: the family is not supported.
    """
    kind = check_supported(type(config).model_type)  # 4.57.0 answers for the language model when an instance is asked
    vision: Any = getattr(config, "vision_config", None)
    family, mean, std = _FAMILIES[kind]
    if processor is not None:
        mean, std = processor.image_mean, processor.image_std
    colours = {"context_token_id": config.image_token_id, "mean_3": tuple(mean), "std_3": tuple(std)}
    if kind == "internvl":
        side_px, patch_px = vision.image_size[0], vision.patch_size[0]  # transformers makes pairs of them
        tokens = round((side_px // patch_px * config.downsample_ratio) ** 2)
        return family(**colours, side_px=side_px, tokens=tokens)
    merge, moments = vision.spatial_merge_size, vision.temporal_patch_size
    return family(**colours, patch_px=vision.patch_size, merge=merge, moments=moments)


def check_supported(kind: str) -> str:
    """Return the model type `kind` of a supported family.

    Raises:
        ValueError: the family is not supported; the text says which are.
    """
    if kind not in _FAMILIES:
        raise ValueError(f"model_type must be of a supported family, got {kind!r}; {_SUPPORTED}{_HINTS.get(kind, '')}")
    return kind


def random_mllm(config: PretrainedConfig, dtype: torch.dtype, device: torch.device | str = "cpu") -> PreTrainedModel:
    """Make a model of this configuration with random weights, on the device where it stays."""
    family_of(config)
    with torch.device(device):
        model: PreTrainedModel = _MODELS.from_config(config, dtype=dtype)
    return model


def check_tokens(tokenizer: PreTrainedTokenizerFast, family: Family, folder: str) -> None:
    """Refuse a tokenizer that lacks the tokens of a frame, or numbers them differently from the model.

    Raises:
        ValueError: with what `folder` lacks or has.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in (family.start, family.context, family.end) if token not in known]
    if missing:
        raise ValueError(f"the tokenizer of {folder} must have {', '.join(missing)}: is it that of a {family.name}?")
    if known[family.context] != family.context_token_id:
        raise ValueError(
            f"{family.context} must have the id of config.json's image_token_id, {family.context_token_id}, "
            f"got {known[family.context]} from the tokenizer of {folder}"
        )
