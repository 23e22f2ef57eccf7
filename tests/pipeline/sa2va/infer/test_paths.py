"""Both paths against the same thing said plainly with the stock predictor, one object after the other.

The mask heads that the release changes in it are written here a second time, as it has them: inside
the predictor, asked frame by frame.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MethodType
from typing import Any

import pytest
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sa2va.infer.paths import Consistent, Official
from pipeline.sa2va.infer.tracker import MaskPath, Propagation, propagate
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.infer.clip import SIZE
from tests.pipeline.sa2va.infer.conftest import FRAMES, Clip

SIDE = (128, 128)


@contextmanager
def released_heads(sam2: SAM2VideoPredictor) -> Iterator[list[Tensor]]:
    """The predictor with the release's heads; a token (1, D) in the list that it gives is what they are asked."""
    language: list[Tensor] = []

    def heads(
        self: SAM2VideoPredictor,
        backbone_features: Tensor,
        point_inputs: None = None,
        mask_inputs: None = None,
        high_res_features: Any = None,
        multimask_output: bool = False,
    ) -> tuple[Tensor, ...]:
        assert multimask_output
        sparse, dense = self.sam_prompt_encoder((torch.zeros(1, 1, 2), -torch.ones(1, 1)), None, None)
        if language:
            sparse = torch.cat([sparse, language[0][:, None]], 1)
        position = self.sam_prompt_encoder.get_dense_pe()
        low, ious, tokens, score = self.sam_mask_decoder(
            backbone_features, position, sparse, dense, True, False, high_res_features
        )
        high = functional.interpolate(low.float(), SIDE, mode="bilinear", align_corners=False)
        best = int(ious[0].argmax())
        there = float(score[0, 0] > 0)
        pointer = there * self.obj_ptr_proj(tokens[:, best]) + (1 - there) * self.no_obj_ptr
        return low, high, ious, low[:, best, None].float(), high[:, best, None], pointer, score

    sam2._forward_sam_heads = MethodType(heads, sam2)
    try:
        yield language
    finally:
        del sam2._forward_sam_heads


def on_key_frame(sam2: SAM2VideoPredictor, state: dict[str, Any], t: int) -> dict[str, Any]:
    """What the predictor finds on a frame by itself, not yet remembered."""
    found: dict[str, Any] = sam2._run_single_frame_inference(
        state, {}, t, 1, True, point_inputs=None, mask_inputs=None, reverse=False, run_mem_encoder=False
    )[0]
    return found


@torch.inference_mode()
def officially(sam2: SAM2VideoPredictor, folder: Path, language_1D: Tensor) -> Tensor:
    """Masks (T, H, W): five conditioning frames with the token, all others tracked without."""
    state = sam2.init_state(str(folder))
    state["video_height"], state["video_width"] = SIDE
    with released_heads(sam2) as language:
        language.append(language_1D)
        sam2._obj_id_to_idx(state, 0)
        for t in range(5):
            state["temp_output_dict_per_obj"][0]["cond_frame_outputs"][t] = on_key_frame(sam2, state, t)
        language.clear()
        logits = torch.cat([logits_11SS for _, _, logits_11SS in sam2.propagate_in_video(state)])
    enlarged = functional.interpolate(logits, SIZE, mode="bilinear", align_corners=False)
    return enlarged[:, 0].sigmoid() > 0.5


@torch.inference_mode()
def consistently(
    sam2: SAM2VideoPredictor, original: nn.Module, folder: Path, language_1D: Tensor, keys: list[int]
) -> Tensor:
    """Masks (T, H, W): the token's masks on the key frames are given to an untouched predictor."""
    masks = {}
    with released_heads(sam2) as language:
        language.append(language_1D)
        state = sam2.init_state(str(folder))
        for t in keys:
            low_11MM = on_key_frame(sam2, state, t)["pred_masks"]
            masks[t] = functional.interpolate(low_11MM, SIZE, mode="bilinear", align_corners=False)[0, 0] > 0
    own, sam2.sam_mask_decoder = sam2.sam_mask_decoder, original
    try:
        state = sam2.init_state(str(folder))
        state["video_height"], state["video_width"] = SIZE
        for t, mask_HW in masks.items():
            sam2.add_new_mask(state, t, 0, mask_HW)
        return torch.cat([logits_11HW[:, 0] for _, _, logits_11HW in sam2.propagate_in_video(state)]) > 0
    finally:
        sam2.sam_mask_decoder = own


def ours(sa2va: Sa2va, path: MaskPath, clip: Clip, language_ND: Tensor, batch: int) -> Tensor:
    """Masks (T, N, H, W)."""
    propagation = Propagation(sa2va, path, language_ND, FRAMES, SIZE, batch)
    masks = propagate(propagation, clip[0].__getitem__, FRAMES, path.key_frames(FRAMES))
    return torch.stack([torch.from_numpy(masks_NHW) for masks_NHW in masks])


@pytest.fixture(scope="module", params=["official", "consistent"])
def both(request: pytest.FixtureRequest, sa2va: Sa2va, folder: Path, language: Tensor) -> tuple[MaskPath, Tensor]:
    """(a path, the masks (T, 3, H, W) that it must give)."""
    assert sa2va.original_decoder is not None
    if request.param == "official":
        masks = [officially(sa2va.sam2, folder, token[None]) for token in language]
        path = Official(sa2va, 5)
        path.colour_dtype = torch.float32  # the stock predictor's; that the release rounds is for test_grounding.py
        return path, torch.stack(masks, 1)
    keys = [0, 6, 12, 19, 25]  # 0, 6.25, 12.5, 18.75, 25; halves to the even
    masks = [consistently(sa2va.sam2, sa2va.original_decoder, folder, token[None], keys) for token in language]
    return Consistent(sa2va, 5), torch.stack(masks, 1)


def test_masks_are_worth_comparing(both: tuple[MaskPath, Tensor]) -> None:
    share = both[1].float().mean((2, 3))
    assert ((share > 0.02) & (share < 0.98)).float().mean() > 0.25, share  # 5 of 26 are key frames


@pytest.mark.parametrize("n", [0, 2])
def test_a_token_alone_gives_the_very_masks(
    both: tuple[MaskPath, Tensor], sa2va: Sa2va, clip: Clip, language: Tensor, n: int
) -> None:
    path, right_TNHW = both
    masks_TNHW = ours(sa2va, path, clip, language[n : n + 1], batch=1)
    assert torch.equal(masks_TNHW[:, 0], right_TNHW[:, n])


def test_tokens_together_give_the_same_masks(
    both: tuple[MaskPath, Tensor], sa2va: Sa2va, clip: Clip, language: Tensor
) -> None:
    """In pieces of two and one; a pixel may differ whose logit is 0 up to rounding."""
    path, right_TNHW = both
    masks_TNHW = ours(sa2va, path, clip, language, batch=2)
    assert (masks_TNHW != right_TNHW).float().mean() < 1e-4
