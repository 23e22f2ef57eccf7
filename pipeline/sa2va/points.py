"""The points at which a mask's loss is taken: most of them where the prediction is least certain (PointRend's choice).

Shapes: P masks of M x M, Q points of each, (x, y) in [0, 1] of the mask's side.
Source: the released code; the order of the random draws is part of it.
"""

import torch
from torch import Tensor
from torch.nn import functional

POINTS = 12_544  # of each mask: 112 x 112
_CANDIDATES = 3  # times as many are drawn to choose from
_UNCERTAIN_FRAC = 0.75  # of the points are the least certain candidates, the rest lie anywhere


def sample(values_PMM: Tensor, points_PQ2: Tensor) -> Tensor:
    """Values at the points, (P, Q), bilinear between pixel centres, zero outside; differentiable in the values."""
    grid = (points_PQ2 * 2 - 1).unsqueeze(2)
    return functional.grid_sample(values_PMM.unsqueeze(1), grid, align_corners=False)[:, 0, :, 0]


@torch.no_grad()
def choose_points(logits_PMM: Tensor, count: int = POINTS) -> Tensor:
    """`count` points of each mask, (P, count, 2), drawn from torch's global generator of the logits' device.

    Two draws, in this order: rand(P, 3 * count, 2) for candidates, of which the 0.75 * count with the smallest
    absolute logit are taken, smallest first; rand(P, 0.25 * count, 2) for the points after them.
    """
    masks, uncertain = len(logits_PMM), int(_UNCERTAIN_FRAC * count)
    candidates_PQ2 = torch.rand(masks, _CANDIDATES * count, 2, device=logits_PMM.device)
    certainty_PQ = sample(logits_PMM, candidates_PQ2).abs()
    index_PQ = certainty_PQ.neg().topk(uncertain, dim=1).indices
    chosen_PQ2 = candidates_PQ2.gather(1, index_PQ[..., None].expand(-1, -1, 2))
    return torch.cat([chosen_PQ2, torch.rand(masks, count - uncertain, 2, device=logits_PMM.device)], dim=1)
