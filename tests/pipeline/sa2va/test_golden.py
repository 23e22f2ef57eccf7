"""Golden numbers of a tiny seeded model: a change of the code that changes none of them is free.

`python -m tests.pipeline.sa2va.test_golden` writes them anew; say in docs/decisions.md why they changed.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.sa2va.losses import choose_points
from pipeline.sa2va.model import Sa2va
from tests.pipeline.sa2va.models import config, tiny_batch, tiny_model

GOLDEN = Path(__file__).with_name("golden_model.json")
GROUPS = (
    "lora_A",
    "lora_B",
    "trainable_tokens_delta",
    "text_hidden_fcs",
    "sam_mask_decoder.conv_s",
    "sam_mask_decoder.transformer",
    "sam_mask_decoder.mask_tokens",
    "sam_mask_decoder.output_upscaling",
    "sam_mask_decoder.output_hypernetworks_mlps",
)


def filled(model: Sa2va) -> Sa2va:
    """Weights that depend on names and shapes alone: not on how a library draws its first ones."""
    generator = torch.Generator()
    with torch.no_grad():
        for number, (name, parameter) in enumerate(sorted(model.named_parameters())):
            noise = torch.randn(parameter.shape, generator=generator.manual_seed(number))
            if "norm" in name or parameter.dim() < 2:
                parameter.copy_((0.0 if name.endswith("bias") else 1.0) + 0.1 * noise)
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
        positions = model.sam2.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        positions.copy_(torch.randn(positions.shape, generator=generator.manual_seed(0)))
    return model


def gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def measured(family: str) -> dict[str, Any]:
    model = filled(tiny_model(config(family, tied=False, lora_dropout=0.0))).train()
    found: dict[str, Any] = {}
    for official in (False, True):
        model.official = official
        batch = tiny_batch(model, (2, 1))
        torch.manual_seed(0)
        step = model(batch)
        model.zero_grad()
        step.total.backward()
        norms = {
            group: torch.stack(
                [gradient(p).norm() for n, p in model.named_parameters() if group in n and p.requires_grad]
            )
            for group in GROUPS
        }
        found["official" if official else "ours"] = {
            "losses": [part.item() for part in (step.llm, step.mask, step.dice)],
            "logits": [
                [logits.mean().item(), logits.std().item(), logits[0, 0, 5, 7].item()] for logits in step.logits_B
            ],
            "gradient norms": {group: norm.norm().item() for group, norm in norms.items()},
        }
    return found


def points() -> dict[str, Any]:
    logits = torch.randn(2, 32, 32, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    chosen = choose_points(logits)
    return {"first": chosen[:, 0].tolist(), "last": chosen[:, -1].tolist(), "mean": chosen.mean((0, 1)).tolist()}


@pytest.mark.parametrize("family", ["qwen3_vl", "internvl"])
def test_forward_losses_and_gradients(family: str) -> None:
    assert_near(measured(family), json.loads(GOLDEN.read_text())[family], 2e-4)


def test_point_sampling() -> None:
    assert_near(points(), json.loads(GOLDEN.read_text())["points"], 1e-6)


def assert_near(found: Any, golden: Any, relative: float, where: str = "") -> None:
    """Other processors round otherwise; a point that is chosen otherwise changes the last digits of the losses."""
    if isinstance(golden, float):
        assert found == pytest.approx(golden, rel=relative, abs=1e-6), where
        return
    names = golden.keys() if isinstance(golden, dict) else range(len(golden))
    assert len(found) == len(golden), where
    for name in names:
        assert_near(found[name], golden[name], relative, f"{where}/{name}")


if __name__ == "__main__":
    numbers = {family: measured(family) for family in ("qwen3_vl", "internvl")} | {"points": points()}
    GOLDEN.write_text(json.dumps(numbers, indent=1) + "\n")
