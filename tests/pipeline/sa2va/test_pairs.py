"""Which [SEG] meets which frame and mask."""

import pytest
import torch

from pipeline.sa2va.example import Batch
from pipeline.sa2va.losses import by_video, pair


def batch(*shapes: tuple[int, int]) -> Batch:
    """Masks of (objects, frames) for each video; every mask is filled with a number of its own."""
    masks, number = [], 0
    for objects, frames in shapes:
        values = torch.arange(number, number + objects * frames, dtype=torch.uint8)
        masks.append(values.reshape(objects, frames, 1, 1).expand(-1, -1, 2, 2))
        number += objects * frames
    empty = torch.zeros(0)
    return Batch(
        video_ids_B=tuple(f"sav_{b:06d}" for b in range(len(shapes))),
        object_ids_B=tuple(tuple("ab"[:objects]) for objects, _ in shapes),
        input_ids_BL=empty,
        labels_BL=empty,
        attention_BL=empty,
        mllm={},
        sam_frames_N3SS=empty,
        masks_B=tuple(masks),
    )


def test_the_order_is_video_frame_object() -> None:
    pairs = pair(batch((2, 3), (1, 2)), [2, 1], official=False)
    assert pairs is not None
    assert pairs.frame_P.tolist() == [0, 0, 1, 1, 2, 2, 3, 4]
    assert pairs.token_P.tolist() == [0, 1, 0, 1, 0, 1, 2, 2]
    # of video 0, object 0 has masks 0 1 2 and object 1 has 3 4 5
    assert pairs.masks_PMM[:, 0, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 7]


def test_a_missing_seg_is_an_error_with_the_video() -> None:
    with pytest.raises(ValueError, match=r"got 1 \[SEG\] and 2 masks of video sav_000001 \(objects a, b\)"):
        pair(batch((1, 1), (2, 1)), [1, 1], official=False)


def test_official_tiles_to_five() -> None:
    pairs = pair(batch((2, 2)), [2], official=True)
    assert pairs is not None
    assert pairs.object_P.tolist() == [0, 1, 0, 1, 0] * 2
    assert pairs.moment_P.tolist() == [0] * 5 + [1] * 5
    assert pairs.masks_PMM[:, 0, 0].tolist() == [0, 2, 0, 2, 0, 1, 3, 1, 3, 1]


def test_official_draws_five_of_more_anew_for_every_frame() -> None:
    torch.manual_seed(0)
    expected = torch.cat([torch.randperm(7)[:5], torch.randperm(7)[:5]])
    torch.manual_seed(0)
    pairs = pair(batch((7, 2)), [7], official=True)
    assert pairs is not None
    assert torch.equal(pairs.token_P, expected)
    assert pairs.masks_PMM[:, 0, 0].tolist() == (2 * expected + pairs.moment_P).tolist()


def test_official_cuts_both_to_the_fewer() -> None:
    pairs = pair(batch((3, 1), (1, 1)), [1, 2], official=True)
    assert pairs is not None
    assert pairs.token_P.tolist() == [0] * 5 + [1] * 5
    assert pairs.masks_PMM[:, 0, 0].tolist() == [0] * 5 + [3] * 5


@pytest.mark.parametrize("official", [True, False])
def test_no_masks_no_pairs(official: bool) -> None:
    assert pair(batch((0, 2)), [0], official=official) is None


def test_logits_go_back_to_their_video() -> None:
    drawn = batch((2, 3), (1, 2))
    pairs = pair(drawn, [2, 1], official=False)
    assert pairs is not None
    first, second = by_video(pairs, pairs.masks_PMM.float(), drawn)
    assert torch.equal(first, drawn.masks_B[0].float())
    assert torch.equal(second, drawn.masks_B[1].float())
    assert (by_video(None, None, drawn)[0] == -1024).all()


def test_a_frame_belongs_to_its_video_whatever_videos_are_before() -> None:
    """A video without objects has frames all the same."""
    drawn = batch((0, 3), (1, 2))
    pairs = pair(drawn, [0, 1], official=False)
    assert pairs is not None
    assert pairs.frame_P.tolist() == [3, 4]
    assert pairs.masks_PMM[:, 0, 0].tolist() == [0, 1]
