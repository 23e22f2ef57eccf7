"""The official training file, drawn by its rules from a model that we trained the official way."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.sa2va.build import build
from pipeline.sa2va.checkpoint.merge_pth import merge_pth
from pipeline.sa2va.checkpoint.pth import EXIT_USER_ERROR, main
from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.lora import merged, prepare, trainable_state
from tests.pipeline.sa2va.checkpoint.conftest import Trained
from tests.pipeline.sa2va.tiny import TINY_SAM2, make_tiny_mllm


def official(state: dict[str, Tensor], family: str) -> dict[str, Tensor]:
    """Our names of what is trained as the official code has them."""
    inner = (
        r"mllm.model.language_model.base_model.model.\1" if family == "internvl" else r"mllm.model.base_model.model.\1"
    )
    rules = [(r"\.(embed_tokens|lm_head)\.weight", r".\1.modules_to_save.default.weight")]
    if family == "internvl":
        projector = r"mllm\.model\.multi_modal_projector\."
        rules += [
            (projector + ours, "mllm.model.mlp1." + theirs)
            for ours, theirs in (("layer_norm", "0"), ("linear_1", "1"), ("linear_2", "3"))
        ]
        rules += [
            (
                r"^mllm\.model\.language_model\.(layers|embed_tokens)",
                r"mllm.model.language_model.base_model.model.model.\1",
            )
        ]
        rules += [(r"^mllm\.(lm_head)", inner)]
    else:
        rules += [(r"^mllm\.(model\.language_model|lm_head)", inner)]
    found = {}
    for name, tensor in state.items():
        for pattern, text in rules:
            name = re.sub(pattern, text, name)
        found[name] = tensor
    return found


@pytest.mark.parametrize("family", ["qwen3_vl", "internvl"])
def test_an_official_training_file_gives_the_model_that_was_trained(
    family: str, trained: Trained, tmp_path: Path
) -> None:
    base = trained(family).config.base
    config = ModelConfig(base=base, sam2=TINY_SAM2, lora_rank=4, lora_alpha=8, train_embeddings="full")
    model = build(config)
    prepare(model, config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    state = trainable_state(model)
    decoder = model.sam2.sam_mask_decoder.state_dict()
    state |= {f"grounding_encoder.sam2_model.sam_mask_decoder.{name}": value for name, value in decoder.items()}
    file = official(state, family)
    assert sum("modules_to_save" in name for name in file) == 2
    torch.save({"state_dict": file}, tmp_path / "iter_1.pth")

    read = build(config)
    merge_pth(read, tmp_path / "iter_1.pth")
    assert read.seg_before_norm is (family == "qwen3_vl")
    before, after = merged(model), read.mllm.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, msg=name)
    for part in ("text_hidden_fcs", "grounding_encoder"):
        mine, theirs = getattr(model, part).state_dict(), getattr(read, part).state_dict()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())

    lost = next(name for name in file if name.endswith("lora_B.default.weight"))
    torch.save(
        {"state_dict": {name: each for name, each in file.items() if name != lost} | {"ema.x": torch.ones(1)}},
        tmp_path / "bad.pth",
    )
    with pytest.raises(ValueError, match=r"1 missing: mllm\.model\..*; 1 unexpected: ema\.x"):
        merge_pth(build(config), tmp_path / "bad.pth")


def test_a_file_of_another_kind_is_refused(trained: Trained, tmp_path: Path) -> None:
    torch.save({"model": {}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="with an entry 'state_dict'"):
        merge_pth(trained("qwen3_vl"), tmp_path / "other.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "other.pth").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cut\.pth cannot be read"):
        merge_pth(trained("qwen3_vl"), tmp_path / "cut.pth")


def test_the_command_says_what_is_wrong(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pth, out, base, sam2 = (tmp_path / name for name in ("a.pth", "out", "base", "sam2.pt"))
    command = [str(pth), str(out), "--base", str(base), "--sam2", str(sam2)]
    for path, message in ((pth, f"PTH must be a file, got {pth}"), (sam2, f"--sam2 must be a file, got {sam2}")):
        assert main(command) == EXIT_USER_ERROR
        assert message in caplog.text
        path.touch()
    assert main(command) == EXIT_USER_ERROR
    assert f"{base} must be the folder of a checkpoint" in caplog.text
    assert not out.exists()


def test_the_base_is_not_written_over_and_the_export_is_looked_at_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pth, sam2 = tmp_path / "a.pth", tmp_path / "sam2.pt"
    mllm = make_tiny_mllm(tmp_path / "mllm")
    for path in (pth, sam2):
        path.touch()
    given = ["--base", str(mllm), "--sam2", str(sam2)]
    assert main([str(pth), str(mllm), *given]) == EXIT_USER_ERROR
    assert f"--base must lie apart from what the command writes, got {mllm}" in caplog.text
    assert main([str(pth), str(tmp_path / "out"), *given, "--official-code", str(tmp_path)]) == EXIT_USER_ERROR
    assert "must have configuration_sa2va_chat.py, modeling_sa2va_qwen.py" in caplog.text
