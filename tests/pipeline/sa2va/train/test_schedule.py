import pytest
import torch
from torch import nn

from pipeline.sa2va.config import OptimConfig
from pipeline.sa2va.train.step import lr_factor, optimiser


def test_warm_up_then_cosine() -> None:
    config = OptimConfig(warmup_frac=0.1)
    factors = [lr_factor(step, 101, config) for step in range(101)]
    assert factors[0] == 1e-5
    assert factors[1] == pytest.approx(1e-5 + (1 - 1e-5) / 11)
    assert factors[11] == 1
    assert factors[56] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0, abs=3.1e-4)
    assert factors[:12] == sorted(factors[:12])
    assert factors[11:] == sorted(factors[11:], reverse=True)


@pytest.mark.parametrize(("steps", "first"), [(1000, 7.0e-7), (146, 4.9e-6)])
def test_the_released_rate_moves_at_every_micro_batch(steps: int, first: float) -> None:
    """The rates of the released code's own scheduler, 8 micro-batches a step: first step, whole rate, last step."""
    config = OptimConfig()
    rates = [config.lr * lr_factor(step, steps, config, micro_batches=8) for step in range(steps)]
    assert rates[0] == pytest.approx(first, rel=0.01)
    assert max(rates) == pytest.approx(4e-5, rel=2e-4)
    assert 0 < rates[-1] < 1e-8
    ours = [config.lr * lr_factor(step, steps, config) for step in range(steps)]
    assert ours[0] == pytest.approx(4e-10)


def test_no_warm_up_and_one_step() -> None:
    assert lr_factor(0, 10, OptimConfig(warmup_frac=0)) == 1
    assert 0 < lr_factor(0, 1, OptimConfig()) <= 1


def test_weight_decay_is_on_everything() -> None:
    layer = nn.Linear(2, 2)
    adam, schedule = optimiser(layer.parameters(), 4, OptimConfig(lr=0.5, warmup_frac=0))
    assert [group["weight_decay"] for group in adam.param_groups] == [0.05]
    for parameter in layer.parameters():
        parameter.grad = torch.zeros_like(parameter)
        parameter.data.fill_(1)
    adam.step()
    schedule.step()
    assert all(torch.equal(parameter, torch.full_like(parameter, 1 - 0.5 * 0.05)) for parameter in layer.parameters())
