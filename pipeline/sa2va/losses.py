"""The three losses, weighted as they are summed: of the answer's tokens, of mask points, of mask overlap.

Source: the released code (weights 1, 2 and 0.5).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.sa2va.batch import IGNORED
from pipeline.sa2va.points import POINTS, choose_points, sample

_MASK_WEIGHT, _DICE_WEIGHT = 2.0, 0.5
_DICE_EPS = 1.0
# what the release adds to the number that it divides a sum by: its own, and float32's epsilon
_AVERAGE_EPS = 1e-4 + torch.finfo(torch.float32).eps


def language_loss(hidden_BLh: Tensor, labels_BL: Tensor, lm_head: nn.Module, *, all_rows: bool = False) -> Tensor:
    """Mean cross-entropy of the learned tokens, each predicted at the position before it; 0 where there are none.

    Args:
        hidden_BLh: last hidden states, after the final norm.
        labels_BL: int64, IGNORED where nothing is learned.
        lm_head: hidden states to logits.
        all_rows: logits of every position, as the release makes them: the same value, at 50 times the cost.
    """
    hidden_Rh, labels_R = hidden_BLh[:, :-1].flatten(0, 1), labels_BL[:, 1:].flatten()
    if not all_rows:
        learned = labels_R != IGNORED
        hidden_Rh, labels_R = hidden_Rh[learned], labels_R[learned]
    logits_RV = lm_head(hidden_Rh).float()
    total = functional.cross_entropy(logits_RV, labels_R, ignore_index=IGNORED, reduction="sum")
    return total / (labels_R != IGNORED).sum().clamp(min=1)


def mask_losses(logits_PMM: Tensor, masks_PMM: Tensor, points: int = POINTS) -> tuple[Tensor, Tensor]:
    """(mask, dice) over P masks, at the same points of each; see `choose_points` for what is drawn.

    Args:
        logits_PMM: float32.
        masks_PMM: uint8, 0 or 1. Between pixels the target is in between too.
        points: for each mask.
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
        return mask, _DICE_WEIGHT * apart_P.sum() / (count + _AVERAGE_EPS)
