"""Finds which other objects are near one object, and where it stands relative to them.

Shapes: N objects, T annotated frames; 4 = (left, top, right, bottom), 2 = (x, y), in pixels.
"""

from collections.abc import Sequence

import numpy as np

from manifests.schema import Neighbour
from stages.video.track import Sight

_RELATIONS = ("left of", "right of", "above", "below", "overlapping")
_INSIDE_FRAC = 0.5  # of the smaller box inside the other: in front of, on or in, but not beside
_HOLDS_FRAC = 0.6  # of the frames together; a relation that holds less often would mislead
_MAX_NEIGHBOURS = 3


def neighbours(sights: Sequence[Sight], number: int, diagonal_px: float) -> list[Neighbour]:
    """Return the nearest other objects, by median gap of the boxes, then of the centres.

    Args:
        sights: all objects of the video.
        number: position in `sights` of the one whose neighbours are wanted.
        diagonal_px: of the frame; gaps are told as a part of it.

    Returns:
        At most three; only frames that show both count.
    """
    edges_NT4, visible_NT = np.stack([s.edges_T4 for s in sights]), np.stack([s.areas_T > 0 for s in sights])
    centres_NT2 = np.stack([s.track.centres_px for s in sights])
    mine_T4, together_NT = edges_NT4[number], visible_NT & visible_NT[number]
    # Gap along an axis; negative = the boxes overlap along it by so much.
    gaps_NT2 = np.maximum(mine_T4[:, :2] - edges_NT4[..., 2:], edges_NT4[..., :2] - mine_T4[:, 2:])
    gap_NT = np.linalg.norm(np.maximum(gaps_NT2, 0), axis=-1)
    apart_NT2 = centres_NT2 - centres_NT2[number]
    boxes_NT = np.prod(edges_NT4[..., 2:] - edges_NT4[..., :2], axis=-1)
    inside_NT = np.prod(np.maximum(-gaps_NT2, 0), axis=-1) > _INSIDE_FRAC * np.minimum(boxes_NT, boxes_NT[number])
    beside_NT = gaps_NT2[..., 0] >= gaps_NT2[..., 1]
    relation_NT = np.where(beside_NT, apart_NT2[..., 0] < 0, 2 + (apart_NT2[..., 1] < 0))
    relation_NT = np.where(inside_NT, len(_RELATIONS) - 1, relation_NT)
    ranked = []
    for other in np.flatnonzero(together_NT.any(axis=1)).tolist():
        if other == number:
            continue
        frames = np.flatnonzero(together_NT[other])
        votes = np.bincount(relation_NT[other, frames], minlength=len(_RELATIONS))
        neighbour = Neighbour(
            object_id=sights[other].track.object_id,
            relation=_RELATIONS[votes.argmax()] if votes.max() >= _HOLDS_FRAC * len(frames) else "near",
            gap_frac=float(np.median(gap_NT[other, frames])) / diagonal_px,
            together_frac=len(frames) / len(sights[number].visible_V),
        )
        ranked.append((neighbour.gap_frac, float(np.linalg.norm(apart_NT2[other, frames], axis=1).mean()), neighbour))
    return [neighbour for _, _, neighbour in sorted(ranked, key=lambda entry: entry[:2])[:_MAX_NEIGHBOURS]]
