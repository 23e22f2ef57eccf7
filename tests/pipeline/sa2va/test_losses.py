"""The losses against their formulas, written out."""

import torch
from torch import nn
from torch.nn import functional

from pipeline.sa2va.losses import choose_points, language_loss, mask_losses, sample
from pipeline.sa2va.text import IGNORED

LABELS = torch.tensor([[IGNORED, IGNORED, 3, 4, IGNORED, 7], [1, 2, IGNORED, IGNORED, IGNORED, IGNORED]])


def rows() -> tuple[torch.Tensor, nn.Linear]:
    torch.manual_seed(0)
    return torch.randn(2, 6, 8, requires_grad=True), nn.Linear(8, 11, bias=False)


def test_learned_rows_alone_give_the_whole_cross_entropy() -> None:
    """Value and gradients; the label of a video's first token is predicted by nothing."""
    found = []
    for all_rows in (False, True):
        hidden, lm_head = rows()
        loss = language_loss(hidden, LABELS, lm_head, all_rows=all_rows)
        loss.backward()
        found.append((loss.detach(), hidden.grad, lm_head.weight.grad))
    hidden, lm_head = rows()
    shifted = lm_head(hidden)[:, :-1].reshape(-1, 11), LABELS[:, 1:].reshape(-1)
    plain = functional.cross_entropy(*shifted, ignore_index=IGNORED)
    plain.backward()
    for loss, hidden_gradient, weight_gradient in found:
        torch.testing.assert_close(loss, plain.detach())
        torch.testing.assert_close(hidden_gradient, hidden.grad)
        torch.testing.assert_close(weight_gradient, lm_head.weight.grad)


def test_the_output_matrix_sees_learned_rows_only() -> None:
    hidden, lm_head = rows()
    seen: list[int] = []
    lm_head.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    language_loss(hidden, LABELS, lm_head)
    language_loss(hidden, LABELS, lm_head, all_rows=True)
    assert seen == [4, 10]


def test_nothing_learned_is_no_loss_but_a_gradient() -> None:
    hidden, lm_head = rows()
    loss = language_loss(hidden, torch.full_like(LABELS, IGNORED), lm_head)
    loss.backward()
    assert loss == 0
    assert lm_head.weight.grad is not None
    assert not lm_head.weight.grad.any()


def test_mask_losses_are_the_formulas_of_the_release() -> None:
    torch.manual_seed(1)
    logits = (4 * torch.randn(3, 16, 16)).requires_grad_()
    masks = (torch.rand(3, 16, 16) > 0.6).to(torch.uint8)
    torch.manual_seed(2)
    mask, dice, of_P = mask_losses(logits, masks, 400)
    torch.testing.assert_close(of_P.mean(), (mask + dice).detach())
    assert not of_P.requires_grad
    (mask + dice).backward()
    ours, logits.grad = logits.grad, None

    torch.manual_seed(2)
    points = choose_points(logits, 400)
    x, t = sample(logits, points), sample(masks.float(), points)
    assert ((t > 0) & (t < 1)).any()  # targets between pixels are soft
    eps = 1e-4 + 1.1920929e-7
    entropy = -(t * functional.logsigmoid(x) + (1 - t) * functional.logsigmoid(-x))
    expected_mask = 2.0 * entropy.sum() / (3 * 400 + eps)
    p = x.sigmoid()
    expected_dice = 0.5 * (1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)).sum() / (3 + eps)
    torch.testing.assert_close(mask, expected_mask, rtol=1e-6, atol=0)
    torch.testing.assert_close(dice, expected_dice, rtol=1e-6, atol=0)
    (expected_mask + expected_dice).backward()
    torch.testing.assert_close(ours, logits.grad)


def test_a_right_mask_costs_little_a_wrong_one_its_weight() -> None:
    """Not nothing: one point in 20 lies between the pixels of the edge, where the target is soft, and costs about 4."""
    torch.manual_seed(0)
    masks = torch.zeros(1, 64, 64, dtype=torch.uint8)
    masks[:, :, :32] = 1
    sure = (masks.float() * 2 - 1) * 8
    right, wrong = mask_losses(sure, masks), mask_losses(-sure, masks)
    assert right[0] < 0.3
    assert right[1] < 0.02
    assert 12 < wrong[0] < 16
    assert 0.45 < wrong[1] <= 0.5


def test_losses_are_float32_under_autocast() -> None:
    torch.manual_seed(0)
    logits, masks = torch.randn(1, 8, 8), torch.ones(1, 8, 8, dtype=torch.uint8)
    torch.manual_seed(1)
    plain = mask_losses(logits, masks, 100)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = mask_losses(logits, masks, 100)
    assert plain[:2] == mixed[:2]
    assert plain[2].equal(mixed[2])
