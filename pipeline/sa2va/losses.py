"""The losses of a step: cross-entropy of the answer's tokens, binary cross-entropy and dice at points of the masks.

Shapes: P (frame, object) pairs of a batch, whose masks are M x M; Q points of a mask, (x, y) in [0, 1] of its side;
B, O, F as in example.py.
Source: the released code (weights 1, 2 and 0.5), with PointRend's choice of points; the order of the pairs and of the
random draws is part of it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sa2va.example import Batch
from pipeline.sa2va.text import IGNORED

_MASK_WEIGHT, _DICE_WEIGHT = 2.0, 0.5
_DICE_EPS = 1.0
# what the release adds to the number that it divides a sum by: its own, and float32's epsilon
_AVERAGE_EPS = 1e-4 + torch.finfo(torch.float32).eps
POINTS = 12_544  # points of a mask: 112 x 112
_CANDIDATES = 3  # times as many are drawn to choose from
_UNCERTAIN_FRAC = 0.75  # of the points are the least certain candidates, the rest lie anywhere
_OFFICIAL_OBJECTS = 5  # pairs of a frame, however many objects there are


@dataclass(frozen=True, slots=True)
class StepLosses:
    """Holds the parts of a step's loss, scalars with a gradient, weighted as they are summed, and what was predicted.

    Attributes:
        llm: mean cross-entropy of the learned tokens.
        mask: 2.0 x point-sampled binary cross-entropy.
        dice: 0.5 x point-sampled dice.
        logits_B: for every video float32 (O, F, M, M), detached: for images, not for losses.
        total_B: sum of the parts for every video alone, detached; None where there is no mixture of data sets.
    """

    llm: Tensor
    mask: Tensor
    dice: Tensor
    logits_B: tuple[Tensor, ...]
    total_B: Tensor | None = None

    @property
    def total(self) -> Tensor:
        """Return the sum that is minimised."""
        return self.llm + self.mask + self.dice


def language_loss(hidden_BLh: Tensor, labels_BL: Tensor, lm_head: nn.Module, *, all_rows: bool = False) -> Tensor:
    """Return the mean cross-entropy of the learned tokens, predicted at the position before them; 0 if there are none.

    Args:
        hidden_BLh: last hidden states, after the final norm.
        labels_BL: int64, IGNORED where nothing is learned.
        lm_head: maps hidden states to logits.
        all_rows: compute logits of every position, as the release does: the same value, at 50 times the cost.
    """
    hidden_Rh, labels_R = hidden_BLh[:, :-1].flatten(0, 1), labels_BL[:, 1:].flatten()
    if not all_rows:
        learned = labels_R != IGNORED
        hidden_Rh, labels_R = hidden_Rh[learned], labels_R[learned]
    logits_RV = lm_head(hidden_Rh).float()
    total = functional.cross_entropy(logits_RV, labels_R, ignore_index=IGNORED, reduction="sum")
    return total / (labels_R != IGNORED).sum().clamp(min=1)


@torch.no_grad()
def language_losses(hidden_BLh: Tensor, labels_BL: Tensor, lm_head: nn.Module) -> Tensor:
    """Return `language_loss` of every video alone, (B,)."""
    rows = zip(hidden_BLh, labels_BL, strict=True)
    return torch.stack([language_loss(hidden_Lh[None], labels_L[None], lm_head) for hidden_Lh, labels_L in rows])


def mask_losses(logits_PMM: Tensor, masks_PMM: Tensor, points: int = POINTS) -> tuple[Tensor, Tensor, Tensor]:
    """Return (mask, dice) over P masks, both at the points that `choose_points` draws, and their sum for each mask.

    The sums, (P,), have no gradient: they are for curves.

    Args:
        logits_PMM: float32.
        masks_PMM: uint8, 0 or 1. Between pixels the target is in between too.
        points: number of points of a mask.
    """
    with torch.autocast(logits_PMM.device.type, enabled=False):
        points_PQ2 = choose_points(logits_PMM, points)
        target_PQ = sample(masks_PMM.float(), points_PQ2)
        logits_PQ = sample(logits_PMM, points_PQ2)
        count = len(logits_PMM)
        wrong = functional.binary_cross_entropy_with_logits(logits_PQ, target_PQ, reduction="sum")
        mask = _MASK_WEIGHT * wrong / (count * points + _AVERAGE_EPS)
        shown_PQ = logits_PQ.sigmoid()
        overlap_P = 2 * (shown_PQ * target_PQ).sum(1) + _DICE_EPS
        apart_P = 1 - overlap_P / (shown_PQ.sum(1) + target_PQ.sum(1) + _DICE_EPS)
        with torch.no_grad():
            wrong_P = functional.binary_cross_entropy_with_logits(logits_PQ, target_PQ, reduction="none").mean(1)
            of_P = _MASK_WEIGHT * wrong_P + _DICE_WEIGHT * apart_P
        return mask, _DICE_WEIGHT * apart_P.sum() / (count + _AVERAGE_EPS), of_P


def sample(values_PMM: Tensor, points_PQ2: Tensor) -> Tensor:
    """Return the values at the points, (P, Q): bilinear between pixel centres, zero outside, differentiable."""
    grid = (points_PQ2 * 2 - 1).unsqueeze(2)
    return functional.grid_sample(values_PMM.unsqueeze(1), grid, align_corners=False)[:, 0, :, 0]


@torch.no_grad()
def choose_points(logits_PMM: Tensor, count: int = POINTS) -> Tensor:
    """Draw `count` points of every mask, (P, count, 2), most of them where the prediction is least certain.

    They come from torch's global generator of the logits' device by two draws, in this order:
    rand(P, 3 * count, 2) for candidates, of which the 0.75 * count with the smallest absolute logit are taken, smallest
    first; rand(P, 0.25 * count, 2) for the points after them.
    """
    masks, uncertain = len(logits_PMM), int(_UNCERTAIN_FRAC * count)
    candidates_PQ2 = torch.rand(masks, _CANDIDATES * count, 2, device=logits_PMM.device)
    certainty_PQ = sample(logits_PMM, candidates_PQ2).abs()
    index_PQ = certainty_PQ.neg().topk(uncertain, dim=1).indices
    chosen_PQ2 = candidates_PQ2.gather(1, index_PQ[..., None].expand(-1, -1, 2))
    return torch.cat([chosen_PQ2, torch.rand(masks, count - uncertain, 2, device=logits_PMM.device)], dim=1)


class Pairs(NamedTuple):
    """Says which [SEG] is decoded on which frame against which mask, for P pairs.

    They stand video by video, in it frame by frame, in it object by object: the losses draw points in this order.

    Attributes:
        frame_P: int64, position among the batch's frames.
        token_P: int64, position among the batch's [SEG].
        video_P: int64, position among the batch's videos.
        object_P: int64, position among the video's objects.
        moment_P: int64, position among the video's frames.
        masks_PMM: uint8, the true masks.
    """

    frame_P: Tensor
    token_P: Tensor
    video_P: Tensor
    object_P: Tensor
    moment_P: Tensor
    masks_PMM: Tensor


def pair(batch: Batch, tokens_B: list[int], *, official: bool) -> Pairs | None:
    """Return the pairs of a batch; None if it has no mask.

    Args:
        batch: B videos.
        tokens_B: number of [SEG] of every video.
        official: make five pairs a frame: of more objects five at random, drawn anew for each frame, of fewer the same
            ones again; where masks and [SEG] differ in number, the last ones of the more are left out.

    Raises:
        ValueError: a video's masks and [SEG] differ in number (official: never).
    """
    rows = []
    masks = []
    frames_before = tokens_before = 0
    for b, (video_id, masks_OFMM, tokens) in enumerate(zip(batch.video_ids_B, batch.masks_B, tokens_B, strict=True)):
        objects, moments = masks_OFMM.shape[:2]
        if tokens != objects and not official:
            raise ValueError(
                f"a conversation must have a [SEG] for each mask, got {tokens} [SEG] and {objects} masks of video "
                f"{video_id} (objects {', '.join(batch.object_ids_B[b])}): was it cut within a turn?"
            )
        known = min(tokens, objects)
        for moment in range(moments if known else 0):
            chosen = _official_choice(known) if official else torch.arange(known)
            rows += [(frames_before + moment, tokens_before + o, b, o, moment) for o in chosen.tolist()]
            masks.append(masks_OFMM[chosen.to(masks_OFMM.device), moment])
        frames_before += moments
        tokens_before += tokens
    if not rows:
        return None
    masks_PMM = torch.cat(masks)
    frame_P, token_P, video_P, object_P, moment_P = torch.tensor(rows, device=masks_PMM.device).unbind(1)
    return Pairs(frame_P, token_P, video_P, object_P, moment_P, masks_PMM)


def _official_choice(objects: int) -> Tensor:
    if objects > _OFFICIAL_OBJECTS:
        return torch.randperm(objects)[:_OFFICIAL_OBJECTS]
    return torch.arange(_OFFICIAL_OBJECTS) % objects


@torch.no_grad()
def mean_of_videos(of_P: Tensor, pairs: Pairs, videos: int) -> Tensor:
    """Return the mean over the pairs of every video, (B,); 0 for a video without any."""
    sums_B = torch.zeros(videos, device=of_P.device, dtype=of_P.dtype).index_add(0, pairs.video_P, of_P)
    return sums_B / torch.bincount(pairs.video_P, minlength=videos).clamp(min=1)


def by_video(pairs: Pairs | None, logits_PMM: Tensor | None, batch: Batch) -> tuple[Tensor, ...]:
    """Return the logits of every video, (O, F, M, M); they are -1024 where a pair was not decoded."""
    logits_B = tuple(torch.full_like(masks, -1024, dtype=torch.float32) for masks in batch.masks_B)
    if pairs is not None and logits_PMM is not None:
        for b, logits_OFMM in enumerate(logits_B):
            here_P = pairs.video_P == b
            logits_OFMM[pairs.object_P[here_P], pairs.moment_P[here_P]] = logits_PMM[here_P].detach()
    return logits_B
