"""Where a mask's loss is taken."""

import torch

from pipeline.sa2va.losses import POINTS, choose_points, sample


def test_values_between_pixel_centres_are_bilinear() -> None:
    """Pixel (row, column) has its centre at ((column + 0.5) / M, (row + 0.5) / M); outside is zero."""
    values = torch.arange(16.0).reshape(1, 4, 4)
    points = torch.tensor([[[0.125, 0.125], [0.875, 0.125], [0.125, 0.875], [0.5, 0.5], [0.25, 0.125], [0.0, 0.125]]])
    expected = torch.tensor([[0.0, 3.0, 12.0, 7.5, 0.5, 0.0]])
    torch.testing.assert_close(sample(values, points), expected)
    corner = sample(torch.ones(1, 4, 4), torch.zeros(1, 1, 2))
    torch.testing.assert_close(corner, torch.full((1, 1), 0.25))


def test_the_draws_come_in_the_documented_order() -> None:
    """Candidates, then the points anywhere; three quarters are the least certain candidates."""
    logits = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(3))
    torch.manual_seed(5)
    chosen = choose_points(logits, 40)
    after = torch.rand(1)

    torch.manual_seed(5)
    candidates, anywhere = torch.rand(2, 120, 2), torch.rand(2, 10, 2)
    assert torch.equal(after, torch.rand(1))
    order = sample(logits, candidates).abs().argsort(dim=1)[:, :30]
    expected = torch.stack([points[index] for points, index in zip(candidates, order, strict=True)])
    assert torch.equal(chosen, torch.cat([expected, anywhere], 1))


def test_most_points_lie_where_the_mask_ends() -> None:
    """Logits fall from left to right through zero in the middle: points anywhere are 0.25 away on average."""
    torch.manual_seed(0)
    ramp = torch.linspace(5, -5, 64).expand(1, 64, 64)
    chosen = choose_points(ramp)
    assert chosen.shape == (1, POINTS, 2)
    away = (chosen[0, :, 0] - 0.5).abs()
    uncertain, anywhere = away[: POINTS * 3 // 4], away[POINTS * 3 // 4 :]
    # a quarter of the candidates lies within 0.125 of the middle; a few others at the picture's edge, where values fall
    assert (uncertain < 0.13).float().mean() > 0.97
    assert 0.24 < anywhere.mean() < 0.26


def test_choosing_is_not_learned() -> None:
    logits = torch.randn(1, 8, 8, requires_grad=True)
    assert not choose_points(logits, 8).requires_grad
