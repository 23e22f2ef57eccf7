"""What a training step will need, before the first: memory by what it is for, arithmetic by part of the model.

All of it is an estimate. Weights, gradients and optimiser states are counted; what SAM 2 needs is counted by running
copies of its parts on the meta device; what the MLLM needs follows from its sizes. A step has several moments that
may need most; gradients of earlier micro-batches are there in all of them. Not in it: what CUDA itself takes (about
0.5 GB), what is given back within the forward pass, fragmentation. How far off it was on a GPU: docs/training.md.

Shapes: T tokens of a micro-batch with padding, h = width, q and k = widths of all query and key heads, f = width of the
feed-forward layer, r = LoRA rank.
"""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from pipeline.sa2va.config import TrainConfig
from pipeline.sa2va.example import Batch
from pipeline.sa2va.grounding import FRAMES_TOGETHER
from pipeline.sa2va.lora import parameters
from pipeline.sa2va.model import Sa2va
from pipeline.sa2va.text import IGNORED

_FLOAT32, _BFLOAT16 = 4, 2  # bytes
_ADAM_STATES = 2
# Under autocast SAM 2's decoder keeps 0.73 of the bytes that are counted: about half of its work stays in float32.
# Measured on one pair at full size: 78 of 107 MB.
_DECODER_AUTOCAST = 0.73
_STRIDE = 16  # of SAM 2's top map
# While it computes, SAM 2's encoder needs this share of a number for every pixel and channel of its first stage, beside
# its results. Measured on an H100: 0.8 GiB for four frames with Hiera-L in bf16.
_ENCODER_FRAC = 0.7


@dataclass(frozen=True)
class Estimate:
    """Holds what one micro-batch on one device needs.

    Attributes:
        counts: numbers of videos, tokens (with padding), learned tokens, frames and masks.
        moments: moment of a step -> bytes that it needs, by what they are for.
        flops: floating point operations of forward and backward pass, by part of the model; a multiplication and an
            addition are 2.
    """

    counts: dict[str, int]
    moments: dict[str, dict[str, int]]
    flops: dict[str, float]

    @property
    def peak(self) -> str:
        """Return the moment that needs most."""
        return max(self.moments, key=lambda moment: sum(self.moments[moment].values()))

    @property
    def memory(self) -> dict[str, int]:
        """Return the bytes at the moment that needs most, by what they are for."""
        return self.moments[self.peak]

    @property
    def total_bytes(self) -> int:
        """Return the memory at the moment that needs most."""
        return sum(self.memory.values())

    def __str__(self) -> str:
        """Return the table that is logged before the first step."""
        videos = self.counts["videos"]
        head = "estimated for a micro-batch: " + ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        memory = self.memory | {"memory (and about 0.5 GiB of CUDA)": self.total_bytes}
        unit, size = ("GiB", 2**30) if self.total_bytes >= 2**30 else ("MiB", 2**20)  # small ones are for trying out
        lines = [f"{name:<34}{value / size:>10.2f} {unit}" for name, value in memory.items()]
        lines[-1] += f", most {self.peak}"
        flops = self.flops | {"arithmetic": sum(self.flops.values())}
        unit, size = ("TFLOP", 10**12) if flops["arithmetic"] >= videos * 10**12 else ("GFLOP", 10**9)
        lines += [f"{name:<34}{value / videos / size:>10.3f} {unit} a video" for name, value in flops.items()]
        return "\n".join([head, *lines])


def estimate(model: Sa2va, batch: Batch, config: TrainConfig) -> Estimate:
    """Estimate what a micro-batch of `config.optim.micro_batch` videos like those of `batch` needs.

    `model` must be prepared for training.
    """
    videos = len(batch.video_ids_B)
    share = config.optim.micro_batch / videos
    masks = sum(masks_OFMM.shape[0] * masks_OFMM.shape[1] for masks_OFMM in batch.masks_B)
    learned = int((batch.labels_BL[:, 1:] != IGNORED).sum())
    frames = len(batch.sam_frames_N3SS)
    rows = batch.labels_BL.numel() if model.official else learned
    decoder_bytes, decoder_flops = decoder_cost(model.sam2)
    low_bytes = _BFLOAT16 if model.mllm.dtype == torch.bfloat16 else _FLOAT32
    if low_bytes == _BFLOAT16:
        decoder_bytes = round(decoder_bytes * _DECODER_AUTOCAST)
    language, head = _language_flops(model, batch, config)
    return Estimate(
        counts={
            "videos": config.optim.micro_batch,
            "tokens": round(batch.input_ids_BL.numel() * share),
            "learned tokens": round(learned * share),
            "frames": round(frames * share),
            "masks": round(masks * share),
        },
        moments=_moments(
            model,
            config,
            low_bytes,
            language=[round(count * share) for count in language_bytes(model, batch, config)],
            sam2=round((masks * decoder_bytes + frames * convolutions_bytes(model.sam2, low_bytes)) * share),
            encoder=min(FRAMES_TOGETHER, round(frames * share)) * encoder_bytes(model.sam2, low_bytes),
            logits=round(rows * share) * _vocabulary(model) * _FLOAT32,
        ),
        flops={
            "language model": language * share,
            "logits": rows * head * share,
            "vision encoder": _vision_flops(model, batch) * share,
            "SAM 2 image encoder": frames * encoder_flops(model.sam2) * share,
            "mask decoder": masks * decoder_flops * share,
        },
    )


def _vocabulary(model: Sa2va) -> int:
    return int(model.mllm.config.get_text_config().vocab_size)


def _moments(
    model: Sa2va, config: TrainConfig, low_bytes: int, *, language: Sequence[int], sam2: int, encoder: int, logits: int
) -> dict[str, dict[str, int]]:
    """Return what each moment of a micro-batch's step needs; the arguments are bytes, of logits those in float32.

    Autocast copies the trained weights to bfloat16, and peft the output matrix if only new rows are trained. Of the
    logits there are their log-softmax in the forward pass, and in the backward pass two gradients beside it.
    """
    trained = sum(weight.numel() for weight in parameters(model))
    always = {
        "weights": sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()]),
        "gradients": trained * _FLOAT32,
        "optimiser states": trained * _FLOAT32 * _ADAM_STATES,
    }
    matrix = _vocabulary(model) * int(model.mllm.config.get_text_config().hidden_size) * low_bytes
    copied = matrix if config.model.train_embeddings == "new_rows" else 0
    kept, of_a_layer = language
    in_layers = {"activations of the language model": kept}
    rows = "logits and token rows"
    after_it = always | in_layers
    if low_bytes == _BFLOAT16:
        after_it["copies of trained weights"] = trained * low_bytes
    moments = {
        "while SAM 2 encodes": after_it | {rows: logits + copied, "activations of SAM 2": encoder},
        "at the end of the forward pass": after_it | {rows: logits + copied, "activations of SAM 2": sam2},
        "when logits get gradients": after_it | {rows: 3 * logits + copied + matrix},
    }
    if config.model.gradient_checkpointing:
        again = {"activations of the language model": kept + of_a_layer}
        moments["when a layer is computed again"] = after_it | {rows: copied} | again
    return moments


def language_bytes(model: Sa2va, batch: Batch, config: TrainConfig) -> tuple[int, int]:
    """Return the bytes that the layers keep of `batch` for the backward pass, and what one more layer keeps then.

    A token and layer keeps: two norms' inputs in float32; with norms of queries and keys, those too; queries, keys,
    values and result of attention; gate, its activation and up; for each of seven LoRA layers its input after dropout,
    which bytes of dropout fell, and the r numbers between. Frozen matrices keep nothing. Grouped keys and values are
    repeated for the queries' heads, except on a GPU without padding. With checkpointing only a layer's input is kept,
    and in the backward pass one layer's rest at a time.
    """
    text: Any = model.mllm.config.get_text_config()
    h, q, k, f = _widths(model)
    low_bytes = _BFLOAT16 if model.mllm.dtype == torch.bfloat16 else _FLOAT32
    on_gpu = model.mllm.device.type != "cpu"
    keys = k if on_gpu and bool(batch.attention_BL.all()) else q
    norms = 2 * h + (q + k if model.family.name == "qwen3_vl" else 0)
    # without dropout several LoRA layers have one input, that of the last in attention its result
    inputs = 5 * h + q + f if config.model.lora_dropout else 2 * h + f
    layer = norms * _FLOAT32 + (2 * q + 2 * keys + 3 * f + inputs + 7 * config.model.lora_rank) * low_bytes
    if config.model.lora_dropout:
        layer += inputs * (1 if on_gpu else low_bytes)
    tokens, layers = batch.input_ids_BL.numel(), int(text.num_hidden_layers)
    if config.model.gradient_checkpointing:
        return tokens * layers * h * low_bytes, tokens * layer
    return tokens * layers * layer, 0


def _language_flops(model: Sa2va, batch: Batch, config: TrainConfig) -> tuple[float, float]:
    """Return the operations of the layers for the batch, and of the output matrix for a row.

    Frozen matrices need no gradient of their own.
    """
    text: Any = model.mllm.config.get_text_config()
    h, q, k, f = _widths(model)
    videos, length = batch.input_ids_BL.shape
    frozen = h * (2 * q + 2 * k) + 3 * h * f
    lora = config.model.lora_rank * (5 * h + q + 2 * k + q + h + 2 * f + f + h)
    forward = 2 * (frozen + lora) + 4 * length * q
    backward = 2 * frozen + 4 * lora + 10 * length * q  # attention: the scores again, and two products for each
    passes = forward + backward + (forward if config.model.gradient_checkpointing else 0)
    return float(videos * length * text.num_hidden_layers * passes), 6.0 * h * _vocabulary(model)


def _widths(model: Sa2va) -> tuple[int, int, int, int]:
    text: Any = model.mllm.config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return text.hidden_size, text.num_attention_heads * head, text.num_key_value_heads * head, text.intermediate_size


def _vision_flops(model: Sa2va, batch: Batch) -> float:
    """Return the operations of the vision encoder, which is frozen: forward only, and attention is within a frame.

    InternVL's projector is small beside it and left out.
    """
    vision: Any = model.mllm.config.vision_config
    vision_encoder = model.family.vision(model.mllm)
    weights = sum(weight.numel() for weight in vision_encoder.parameters() if weight.dim() > 1)
    frames = len(batch.sam_frames_N3SS)
    if "image_grid_thw" in batch.mllm:
        patches_F = batch.mllm["image_grid_thw"].prod(-1).double()
        # a merger works on four patches at once
        merged = sum(
            weight.numel()
            for name, weight in vision_encoder.named_parameters()
            if "merger" in name and weight.dim() > 1
        )
        per_patch, layers = weights - merged + merged / vision.spatial_merge_size**2, vision.depth
    else:
        side = vision.image_size[0] // vision.patch_size[0]
        patches_F = torch.full((frames,), side**2 + 1.0, dtype=torch.float64)
        per_patch, layers = float(weights), vision.num_hidden_layers
    patches_F = patches_F.cpu()
    return float((2 * per_patch * patches_F + 4 * layers * vision.hidden_size * patches_F**2).sum())


def encoder_flops(sam2: SAM2VideoPredictor) -> int:
    """Count the operations of the image encoder on one frame; 1.82 T for Hiera-L at 1024 px."""
    side_px = sam2.image_size
    encoder = copy.deepcopy(sam2.image_encoder).to("meta", torch.float32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        encoder(torch.empty(1, 3, side_px, side_px, device="meta"))
    return int(counter.get_total_flops())


def decoder_cost(sam2: SAM2VideoPredictor) -> tuple[int, int]:
    """Count (bytes kept in float32, operations of forward and backward pass) of the mask decoder on one pair."""
    decoder = copy.deepcopy(sam2.sam_mask_decoder).to("meta")
    width, side = sam2.hidden_dim, sam2.image_size // _STRIDE
    kept = KeptMemory(decoder.parameters())

    def maps(channels: int, times: int) -> Tensor:
        return torch.empty(1, channels, times * side, times * side, device="meta", requires_grad=True)

    with saved_tensors_hooks(kept.add, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        low_PKMM, *_ = decoder(
            image_embeddings=maps(width, 1),
            image_pe=maps(width, 1).detach(),
            sparse_prompt_embeddings=torch.empty(1, 3, width, device="meta", requires_grad=True),
            dense_prompt_embeddings=maps(width, 1).detach(),
            multimask_output=True,
            repeat_image=False,
            high_res_features=[maps(width // 8, 4), maps(width // 4, 2)],
        )
        low_PKMM.sum().backward()
    return kept.nbytes, int(counter.get_total_flops())


def convolutions_bytes(sam2: SAM2VideoPredictor, number_bytes: int) -> int:
    """Return the bytes that the decoder's two convolutions keep of a frame: the encoder's finer maps."""
    side = sam2.image_size // _STRIDE
    return int(sam2.hidden_dim * ((4 * side) ** 2 + (2 * side) ** 2) * number_bytes)


def encoder_bytes(sam2: SAM2VideoPredictor, number_bytes: int) -> int:
    """Return the bytes that the image encoder needs for a frame while it computes, beside its results."""
    channels = int(sam2.image_encoder.trunk.patch_embed.proj.out_channels)
    return int(_ENCODER_FRAC * sam2.image_size**2 * channels * number_bytes)


class KeptMemory:
    """Counts the memory that autograd keeps for the backward pass, every piece of it once.

    Use `add` as the first of `torch.autograd.graph.saved_tensors_hooks`.
    """

    def __init__(self, others: Iterable[Tensor]) -> None:
        """Start at 0; `others`, such as parameters, are there anyway and do not count."""
        self.nbytes = 0
        self._seen = {tensor.untyped_storage()._cdata for tensor in others}
        self._alive: list[Tensor] = []  # so that no piece takes the place of another

    def add(self, tensor: Tensor) -> Tensor:
        """Count `tensor` and return it."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self._alive.append(tensor)
            self.nbytes += storage.nbytes()
        return tensor
