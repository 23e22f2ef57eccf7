"""Which [SEG] is decoded on which frame against which mask: a batch's (frame, object) pairs in a row.

Order, ours and official: video by video, in it frame by frame, in it object by object. The random points of the losses
are drawn in this order.
Source of the official rule: the released code.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.sa2va.batch import Batch

_OFFICIAL_OBJECTS = 5  # of every frame, whatever there are


class Pairs(NamedTuple):
    """P pairs.

    Attributes:
        frame_P: int64, position among the batch's frames.
        token_P: int64, position among the batch's [SEG].
        video_P: int64, position among the batch's videos.
        object_P: int64, position among the video's objects.
        moment_P: int64, position among the video's frames.
        masks_PMM: uint8, what should be seen.
    """

    frame_P: Tensor
    token_P: Tensor
    video_P: Tensor
    object_P: Tensor
    moment_P: Tensor
    masks_PMM: Tensor


def pair(batch: Batch, tokens_B: list[int], *, official: bool) -> Pairs | None:
    """The pairs of a batch; None if it has no mask.

    Args:
        batch: of B videos.
        tokens_B: how many [SEG] each has.
        official: five pairs a frame: of more objects five at random, drawn anew for each frame, of fewer the same
            ones again; where masks and [SEG] differ in number, the last ones of the more are left out.

    Raises:
        ValueError: ours only: a video's masks and [SEG] differ in number.
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


def by_video(pairs: Pairs | None, logits_PMM: Tensor | None, batch: Batch) -> tuple[Tensor, ...]:
    """Logits per video, (O, F, M, M), as `StepLosses` has them; far below zero where a pair was not decoded."""
    logits_B = tuple(torch.full_like(masks, -1024, dtype=torch.float32) for masks in batch.masks_B)
    if pairs is not None and logits_PMM is not None:
        for b, logits_OFMM in enumerate(logits_B):
            here_P = pairs.video_P == b
            logits_OFMM[pairs.object_P[here_P], pairs.moment_P[here_P]] = logits_PMM[here_P].detach()
    return logits_B
