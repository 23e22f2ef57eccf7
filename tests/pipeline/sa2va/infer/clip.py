"""A clip drawn in memory, and a tiny random Sa2VA whose tracking and answers can be told apart."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from pipeline.sa2va.build import build
from pipeline.sa2va.config import InferConfig
from pipeline.sa2va.grounding import build_sam2
from pipeline.sa2va.infer.generate import encode_prompts
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.models import config
from tests.pipeline.sa2va.tiny import TINY_SAM2, tiny_pixels, weight_of

SIZE = (90, 160)  # height, width, pixels


def drawn_clip(frames: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(frames_THW3 red green blue, masks_OTHW of two discs that cross and a square that is gone in the second half)."""
    height_px, width_px = SIZE
    slope_W = np.linspace(40, 120, width_px, dtype=np.uint8)
    frames_THW3 = np.empty((frames, height_px, width_px, 3), np.uint8)
    masks_OTHW = np.zeros((3, frames, height_px, width_px), bool)
    for t in range(frames):
        frames_THW3[t] = slope_W[None, :, None]
        at = 20 + 110 * t // max(1, frames - 1)
        for o, (colour, centre) in enumerate([((220, 40, 40), (at, 30)), ((40, 60, 230), (150 - at, 55))]):
            mask_HW = np.zeros(SIZE, np.uint8)
            cv2.circle(mask_HW, centre, 14, 1, -1)
            masks_OTHW[o, t] = mask_HW > 0
            frames_THW3[t][masks_OTHW[o, t]] = colour
        if t < frames / 2:
            masks_OTHW[2, t, 65:85, 20:50] = True
            frames_THW3[t][masks_OTHW[2, t]] = (240, 230, 60)
        masks_OTHW[:2, t] &= ~masks_OTHW[2, t]
        masks_OTHW[0, t] &= ~masks_OTHW[1, t]
    return frames_THW3, masks_OTHW


@torch.no_grad()
def lively(sam2: SAM2VideoPredictor, score: float) -> SAM2VideoPredictor:
    """The same SAM 2 with larger random weights: else memories change nothing, and an object is never there, or always.

    `score` is added to what says whether it is; chosen so that it sometimes is.
    """
    for block in sam2.memory_encoder.fuser.layers:
        block.gamma.fill_(1.0)
    for layer in sam2.memory_attention.layers:
        layer.cross_attn_image.out_proj.weight *= 8
        layer.cross_attn_image.q_proj.weight *= 4
    for parameter in sam2.sam_mask_decoder.parameters():
        if parameter.ndim > 1:
            parameter *= 1.5
    says_there = sam2.sam_mask_decoder.pred_obj_score_head.layers
    for layer in says_there:
        layer.weight *= 3
    says_there[-1].bias.fill_(score)
    sam2.maskmem_tpos_enc *= 20
    return sam2


def tiny_sa2va(family: str = "qwen3_vl") -> Sa2va:
    """Random, untied, with a mask decoder that differs from the original one."""
    model = build(config(family, tied=False))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model.original_decoder = lively(build_sam2(TINY_SAM2), score=5.1).sam_mask_decoder.requires_grad_(False)
    lively(model.sam2, score=-3.25)
    return model


def taught_sa2va() -> Sa2va:
    """One that answers "It is [SEG]." to everything."""
    model = tiny_sa2va()
    frames_THW3, _ = drawn_clip(5)
    pixels = model.family.pixels(list(frames_THW3), tiny_pixels())
    (prompt,) = encode_prompts(model, ["the red ball"], pixels.tokens_F, InferConfig())
    teach(model, prompt, pixels.tensors, model.tokenizer.encode("It is [SEG].<|im_end|>", add_special_tokens=False))
    return model


@torch.no_grad()
def teach(model: Sa2va, prompt: list[int], mllm_inputs: dict[str, Tensor], answer: list[int]) -> None:
    """Make `answer` what the model says to `prompt` (and, being random, to all alike): by its output matrix alone."""
    ids_1L = torch.tensor([[*prompt, *answer[:-1]]])
    hidden_Lh = model.family.hidden_BLh(model.mllm, ids_1L, torch.ones_like(ids_1L, dtype=torch.bool), mllm_inputs)[0]
    asked_Ah = hidden_Lh[len(prompt) - 1 :]
    weight_of(model.family.lm_head(model.mllm))[answer] = 50 * torch.linalg.pinv(asked_Ah).T
