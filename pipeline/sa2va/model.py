"""Sa2VA: a multimodal language model whose [SEG] tells SAM 2's mask decoder what to cut out.

Shapes: B videos, L tokens, h = width of the language model, D = width of SAM 2 (256), n = [SEG] of a video; the others
as in example.py and losses.py.
Source: the paper, section 3; the released code.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import torch
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.example import Batch
from pipeline.sa2va.families import Family, States
from pipeline.sa2va.grounding import GroundingEncoder, decode_masks, encode_frames
from pipeline.sa2va.losses import (
    StepLosses,
    by_video,
    language_loss,
    language_losses,
    mask_losses,
    mean_of_videos,
    pair,
)


class Sa2va(nn.Module):
    """Holds the parts of a Sa2VA, named as in the official checkpoints, and computes the losses of a training step.

    Attributes:
        mllm: vision encoder and language model, as transformers has them.
        grounding_encoder: SAM 2 with the mask decoder that is trained.
        text_hidden_fcs: maps a [SEG]'s hidden state to the decoder's language token.
        original_decoder: SAM 2's own mask decoder, for consistent inference; None where it is not known.
        family: tells what differs between MLLMs.
        tokenizer: the MLLM's, with [SEG].
        seg_id: id of [SEG].
        config: what the model was built from.
        official: compute a step as the released code does, its detours included; may be changed at any time.
        seg_before_norm: masks are made from the language model's state before its final norm; as the release has it
            for the family (`Family.released_before_norm`): weights trained for one are no good with the other.
    """

    def __init__(
        self,
        *,
        mllm: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        family: Family,
        sam2: SAM2VideoPredictor,
        seg_id: int,
        config: ModelConfig,
        original_decoder: MaskDecoder | None = None,
        official: bool = False,
    ) -> None:
        super().__init__()
        self.mllm = mllm
        self.grounding_encoder = GroundingEncoder(sam2)
        width = int(mllm.config.get_text_config().hidden_size)
        self.text_hidden_fcs = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, sam2.hidden_dim), nn.Dropout(0.0)
        ).to(mllm.device)
        self.original_decoder = original_decoder
        self.tokenizer, self.family = tokenizer, family
        self.seg_id, self.config = seg_id, config
        self.official, self.seg_before_norm = official, family.released_before_norm
        self.train(False)

    @property
    def sam2(self) -> SAM2VideoPredictor:
        """Return the SAM 2 inside."""
        return self.grounding_encoder.sam2_model

    @property
    def sam_side_px(self) -> int:
        """Return the side of the square that SAM 2 wants its images in."""
        return int(self.sam2.image_size)

    def train(self, mode: bool = True) -> Self:
        """Set the language model's mode; the encoders of images always stay in eval mode."""
        super().train(mode)
        self.grounding_encoder.eval()
        self.family.vision(self.mllm).eval()
        return self

    def forward(self, batch: Batch) -> StepLosses:
        """Compute the losses of a step; every trained parameter gets a gradient from their sum, whatever the batch has.

        Raises:
            ValueError: a video's masks and [SEG] differ in number (official: never).
        """
        states = self.family.states(self.mllm, batch.input_ids_BL, batch.attention_BL, batch.mllm)
        lm_head = self.family.lm_head(self.mllm)
        llm = language_loss(states.after_norm_BLh, batch.labels_BL, lm_head, all_rows=self.official)
        total_B = language_losses(states.after_norm_BLh, batch.labels_BL, lm_head) if any(batch.sources_B) else None
        hidden_BLh = self.seg_states(states)
        tokens = self.seg_embeddings(hidden_BLh, batch.input_ids_BL)
        pairs = pair(batch, [len(tokens_nD) for tokens_nD in tokens], official=self.official)
        if pairs is None:
            nothing = self._nothing(hidden_BLh, tokens)
            return StepLosses(llm, nothing, nothing, by_video(None, None, batch), total_B)
        decoder = self.sam2.sam_mask_decoder
        frames = encode_frames(self.sam2, batch.sam_frames_N3SS, decoder)
        logits_PMM = decode_masks(self.sam2, decoder, frames, pairs.frame_P, torch.cat(tokens)[pairs.token_P])
        mask, dice, of_P = mask_losses(logits_PMM, pairs.masks_PMM)
        if total_B is not None:
            total_B = total_B + mean_of_videos(of_P, pairs, len(total_B))
        return StepLosses(llm, mask, dice, by_video(pairs, logits_PMM, batch), total_B)

    def seg_states(self, states: States) -> Tensor:
        """Return the hidden states (B, L, h) that masks are made from."""
        return states.before_norm_BLh if self.seg_before_norm else states.after_norm_BLh

    def seg_embeddings(self, hidden_BLh: Tensor, input_ids_BL: Tensor) -> list[Tensor]:
        """Return the language tokens (n, D) of every video, from `seg_states` at the positions whose input is [SEG]."""
        asked_BL = input_ids_BL == self.seg_id
        rows_Nh = hidden_BLh[asked_BL]
        tokens_ND = self.text_hidden_fcs(rows_Nh.to(next(self.text_hidden_fcs.parameters()).dtype))
        return list(torch.split(tokens_ND, asked_BL.sum(1).tolist()))

    def _nothing(self, hidden_BLh: Tensor, tokens: list[Tensor]) -> Tensor:
        """Return zero with a gradient of zeros for what masks would have trained: other workers wait for it.

        The released code decodes a black image for that.
        """
        decoder = self.sam2.sam_mask_decoder
        if self.official:
            side_px, device = self.sam_side_px, hidden_BLh.device
            black = torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8, device=device)
            token_1D = self.text_hidden_fcs(hidden_BLh[0, :1].to(next(self.text_hidden_fcs.parameters()).dtype))
            first_1 = torch.zeros(1, dtype=torch.int64, device=device)
            frames = encode_frames(self.sam2, black, decoder)
            return decode_masks(self.sam2, decoder, frames, first_1, token_1D).sum() * 0
        touched = [tokens_nD.float().sum() for tokens_nD in tokens]
        touched += [parameter.sum() for parameter in decoder.parameters()]
        return torch.stack(touched).sum() * 0


def device_of(model: nn.Module) -> torch.device:
    """Return the device of the model's weights."""
    return next(model.parameters()).device


@contextmanager
def inference(model: nn.Module) -> Iterator[None]:
    """Set, within the block, inference mode, eval mode, and bf16 autocast on CUDA or with bf16 weights.

    Training mode comes back afterwards, so that masks can be made in the middle of a training run. Do not leave it open
    across a `yield`: the modes belong to the thread, and would hold for the code that iterates.
    """
    training = [module for module in model.modules() if module.training]
    device = device_of(model)
    low = any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())
    model.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=low or device.type == "cuda"),
        ):
            yield
    finally:
        for module in training:
            module.training = True
