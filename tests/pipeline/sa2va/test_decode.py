"""The heads against sam2's own, and what of the decoder is trained."""

import copy

import pytest
import torch
from sam2.sam2_video_predictor import SAM2VideoPredictor

from pipeline.sa2va.grounding import Features, build_sam2, decode_masks, encode_frames, heads
from tests.pipeline.sa2va.test_grounding import pictures
from tests.pipeline.sa2va.tiny import TINY_SAM2

WIDTH = 32


@pytest.fixture(scope="module")
def built() -> SAM2VideoPredictor:
    torch.manual_seed(0)
    return build_sam2(TINY_SAM2)


@pytest.fixture
def sam2(built: SAM2VideoPredictor) -> SAM2VideoPredictor:
    return copy.deepcopy(built)


@pytest.fixture
def frames(sam2: SAM2VideoPredictor) -> Features:
    return encode_frames(sam2, pictures(3))


def tokens(count: int) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(2), requires_grad=True)


def by_hand(
    sam2: SAM2VideoPredictor, frames: Features, language: torch.Tensor, repeat_image: bool
) -> tuple[torch.Tensor, ...]:
    """Sam2's prompt encoder and mask decoder, with the language token after the two that are no points."""
    count = len(language)
    points = torch.zeros(count, 1, 2), -torch.ones(count, 1, dtype=torch.int32)
    sparse, dense = sam2.sam_prompt_encoder(points=points, boxes=None, masks=None)
    assert sparse.shape == (count, 2, WIDTH)
    made: tuple[torch.Tensor, ...] = sam2.sam_mask_decoder(
        image_embeddings=frames.top_N,
        image_pe=sam2.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=torch.cat([sparse, language[:, None]], 1),
        dense_prompt_embeddings=dense,
        multimask_output=True,
        repeat_image=repeat_image,
        high_res_features=list(frames[1:]),
    )
    return made


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("present", [True, False])
def test_without_language_the_heads_are_sam2s(
    sam2: SAM2VideoPredictor, frames: Features, multimask: bool, present: bool
) -> None:
    """Bit for bit, for objects that are there and objects that are not."""
    with torch.no_grad():
        sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0 if present else -5.0)
    top, high = frames.top_N, list(frames[1:])
    stock = sam2._forward_sam_heads(top, high_res_features=high, multimask_output=multimask)
    ours = heads(sam2, sam2.sam_mask_decoder, top, high, None, multimask=multimask, replace_absent=True)
    assert all(torch.equal(own, theirs) for own, theirs in zip(ours, stock, strict=True))
    assert (ours.present_P1 > 0).all() == present
    assert (ours.low_PKMM == -1024).all() != present


def test_with_language_the_heads_are_the_decoders_answer(sam2: SAM2VideoPredictor, frames: Features) -> None:
    """Bit for bit, and an absent object's logits stay."""
    with torch.no_grad():
        sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(-5.0)
    low, quality, mask_tokens, present = by_hand(sam2, frames, tokens(3), repeat_image=False)
    ours = heads(
        sam2,
        sam2.sam_mask_decoder,
        frames.top_N,
        list(frames[1:]),
        tokens(3),
        multimask=True,
        replace_absent=False,
    )
    best = quality.argmax(1)
    assert torch.equal(ours.low_PKMM, low)
    assert torch.equal(ours.best_low_P1MM[:, 0], low[range(3), best])
    assert torch.equal(ours.best_high_P1SS[:, 0], ours.high_PKSS[range(3), best])
    assert (present < 0).all()
    assert torch.equal(ours.pointer_PD, sam2.no_obj_ptr.expand(3, -1))
    with torch.no_grad():
        sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(5.0)
    seen = heads(
        sam2, sam2.sam_mask_decoder, frames.top_N, list(frames[1:]), tokens(3), multimask=True, replace_absent=False
    )
    assert torch.equal(seen.pointer_PD, sam2.obj_ptr_proj(mask_tokens[range(3), best]))


def test_masks_of_many_pairs_are_those_of_each_frame(sam2: SAM2VideoPredictor, frames: Features) -> None:
    """Values and gradients, against one call a frame that repeats the features inside the decoder."""
    frame_P = torch.tensor([0] * 8 + [1] * 8 + [2] * 7)  # more than are decoded at once, and not in whole pieces
    language = tokens(len(frame_P))
    logits = decode_masks(sam2, sam2.sam_mask_decoder, frames, frame_P, language)
    logits.pow(2).sum().backward(retain_graph=True)
    ours, language.grad = language.grad, None
    convolution = sam2.sam_mask_decoder.conv_s0.weight
    ours_convolution, convolution.grad = convolution.grad, None

    rows = []
    for n in range(3):
        low, quality, *_ = by_hand(sam2, Features(*(m[n : n + 1] for m in frames)), language[frame_P == n], True)
        rows.append(low[range(len(low)), quality.argmax(1)])
    expected = torch.cat(rows)
    torch.testing.assert_close(logits, expected)
    expected.pow(2).sum().backward()
    torch.testing.assert_close(ours, language.grad)
    torch.testing.assert_close(ours_convolution, convolution.grad)


def test_what_of_the_decoder_no_mask_can_train(sam2: SAM2VideoPredictor, frames: Features) -> None:
    """The first hypernetwork gets zeros, the two heads nothing; all else something."""
    logits = decode_masks(sam2, sam2.sam_mask_decoder, frames, torch.arange(3), tokens(3))
    logits.pow(2).sum().backward()
    gradients = {name: p.grad for name, p in sam2.sam_mask_decoder.named_parameters()}
    none = {name.split(".")[0] for name, gradient in gradients.items() if gradient is None}
    assert none == {"iou_prediction_head", "pred_obj_score_head"}
    zero = {name for name, gradient in gradients.items() if gradient is not None and not gradient.any()}
    assert {name for name in zero if "mlps.0." in name} == {n for n in gradients if "mlps.0." in n}
    assert all("output_hypernetworks_mlps" in name or "k_proj.bias" in name for name in zero)


def test_the_logits_are_float32_under_autocast(sam2: SAM2VideoPredictor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        frames = encode_frames(sam2, pictures(1))
        logits = decode_masks(sam2, sam2.sam_mask_decoder, frames, torch.tensor([0, 0]), tokens(2))
    assert logits.dtype == torch.float32
    assert logits.shape == (2, 32, 32)
