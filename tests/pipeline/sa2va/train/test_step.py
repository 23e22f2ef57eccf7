"""A step that goes wrong changes nothing."""

import pytest
import torch

from pipeline.sa2va.config import OptimConfig, TrainConfig
from pipeline.sa2va.lora import parameters, trainable_state
from pipeline.sa2va.train.step import DistContext, do_step, optimiser
from tests.pipeline.sa2va.models import tiny_batch, tiny_model


@pytest.mark.parametrize("factor", [float("inf"), float("nan"), 1e30], ids=["infinite", "nan", "too long to square"])
def test_a_gradient_that_is_no_number_changes_nothing(factor: float) -> None:
    """The loss is a number, so only the gradient tells; AdamW would make every weight nan, and the next checkpoint."""
    model = tiny_model().train()
    config = TrainConfig(source="", sav_root="", out="", model=model.config, optim=OptimConfig(batch=2))
    batch, without_weight = tiny_batch(model, (1, 2)), tiny_batch(model, (1, 1, 1))
    trained = parameters(model)
    adam, schedule = optimiser(trained, 10, config.optim)
    trained[-1].register_hook(lambda gradient: torch.full_like(gradient, factor))
    before = trainable_state(model)
    with pytest.raises(
        ValueError,
        match=r"gradient's length must be a number, got (inf|nan) in a step to which worker 0 of 1 gave the videos "
        "sav_000000, sav_000001;",
    ):
        do_step(config, model, trained, adam, schedule, [batch, without_weight], [1.0, 0.0], DistContext())
    after = trainable_state(model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not adam.state
