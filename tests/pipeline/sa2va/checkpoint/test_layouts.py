"""Checkpoints of others: their names and their config.json, drawn as their programs write them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import InternVLConfig, PretrainedConfig, Qwen2_5_VLConfig, Qwen3VLConfig

from pipeline.sa2va.checkpoint import configs, names
from pipeline.sa2va.checkpoint.read import ORIGINAL_FILE, load_sa2va
from tests.pipeline.sa2va.checkpoint.conftest import Saved

# As transformers 4 writes it: rope_scaling, torch_dtype.
QWEN3_VL_4B = {
    "model_type": "sa2va_chat",
    "architectures": ["Sa2VAChatModelQwen"],
    "template": "qwen_chat",
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.57.0",
    "image_token_id": 151655,
    "video_token_id": 151656,
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "text_config": {
        "model_type": "qwen3_vl_text",
        "head_dim": 128,
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_attention_heads": 32,
        "num_hidden_layers": 36,
        "num_key_value_heads": 8,
        "rope_theta": 5000000,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
        "tie_word_embeddings": False,
        "vocab_size": 151674,
    },
    "vision_config": {"model_type": "qwen3_vl", "depth": 24, "hidden_size": 1024, "out_hidden_size": 2560},
}
INTERNVL3_2B = {
    "model_type": "sa2va_chat",
    "architectures": ["Sa2VAChatModel"],
    "template": "internlm2_chat",
    "downsample_ratio": 0.5,
    "force_image_size": 448,
    "ps_version": "v2",
    "select_layer": -1,
    "llm_config": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_hidden_layers": 28,
        "num_key_value_heads": 2,
        "rope_scaling": {"factor": 2.0, "rope_type": "dynamic", "type": "dynamic"},
        "rope_theta": 1000000.0,
        "torch_dtype": "bfloat16",
        "vocab_size": 151679,
    },
    "vision_config": {
        "architectures": ["InternVisionModel"],
        "model_type": "intern_vit_6b",
        "dropout": 0.0,
        "hidden_size": 1024,
        "image_size": 448,
        "initializer_factor": 1.0,
        "intermediate_size": 4096,
        "norm_type": "layer_norm",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "qk_normalization": False,
        "qkv_bias": True,
    },
}


def test_a_config_of_the_released_qwen_is_understood() -> None:
    assert configs.family_of(QWEN3_VL_4B) == "qwen3_vl"
    config = configs.from_official(QWEN3_VL_4B, "qwen3_vl", -1)
    assert isinstance(config, Qwen3VLConfig)
    text, vision = config.text_config, config.vision_config
    assert isinstance(text, PretrainedConfig)
    assert isinstance(vision, PretrainedConfig)
    assert (text.vocab_size, text.rope_parameters["rope_theta"]) == (151674, 5000000)
    assert text.rope_parameters["mrope_section"] == [24, 20, 20]
    assert (config.image_token_id, vision.depth, config.tie_word_embeddings) == (151655, 24, False)


def test_a_config_of_the_released_internvl_is_understood() -> None:
    assert configs.family_of(INTERNVL3_2B) == "internvl"
    config = configs.from_official(INTERNVL3_2B, "internvl", 151667)
    assert isinstance(config, InternVLConfig)
    text, vision = config.text_config, config.vision_config
    assert isinstance(text, PretrainedConfig)
    assert isinstance(vision, PretrainedConfig)
    assert text.model_type == "qwen2"
    assert text.rope_parameters["rope_type"] == "dynamic"
    assert text.rope_parameters["factor"] == 2.0
    assert (vision.attention_bias, vision.use_qk_norm, list(vision.image_size)) == (True, False, [448, 448])
    assert (config.image_token_id, config.image_seq_length, config.vision_feature_layer) == (151667, 256, -1)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("qwen3_vl", configs.from_official(QWEN3_VL_4B, "qwen3_vl", -1)),
        ("qwen2_5_vl", Qwen2_5_VLConfig(tie_word_embeddings=False, text_config={"tie_word_embeddings": False})),
        ("internvl", configs.from_official(INTERNVL3_2B, "internvl", 151667)),
    ],
)
def test_a_config_comes_back(family: str, config: PretrainedConfig) -> None:
    rows = config.get_text_config().vocab_size
    official = json.loads(json.dumps(configs.to_official(config, family, vocabulary=rows, dtype="bfloat16")))
    assert configs.family_of(official) == family
    back = configs.from_official(official, family, 151667)
    assert back.to_dict() == config.to_dict()
    text = official["llm_config" if family == "internvl" else "text_config"]
    assert (text["vocab_size"], text["tie_word_embeddings"], official["torch_dtype"]) == (rows, False, "bfloat16")
    assert "rope_parameters" not in json.dumps(official)  # transformers 4 has no such field


def test_of_sa2va_i_the_modified_decoder_is_the_trained_one(saved: Saved, tmp_path: Path) -> None:
    """Its checkpoints have both decoders among the weights, and no file of ours."""
    folder = shutil.copytree(saved("internvl"), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    trained = {name: weights.pop(name) for name in list(weights) if name.startswith(names.DECODER)}
    original = load_file(folder / ORIGINAL_FILE)
    weights |= {name.replace(names.DECODER, names.MODIFIED_DECODER): tensor for name, tensor in trained.items()}
    weights |= {names.DECODER + name: tensor for name, tensor in original.items()}
    save_file(weights, folder / "model.safetensors")
    (folder / ORIGINAL_FILE).unlink()
    read, ours = load_sa2va(folder), load_sa2va(saved("internvl"))
    for mine, theirs in zip(ours.state_dict().items(), read.state_dict().items(), strict=True):
        assert mine[0] == theirs[0]
        assert torch.equal(mine[1], theirs[1]), mine[0]
    assert any(not torch.equal(original[name], trained[names.DECODER + name]) for name in original)


def test_without_sam_2s_own_decoder_the_model_says_that_it_has_none(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("qwen3_vl"), tmp_path / "model")
    (folder / ORIGINAL_FILE).unlink()
    assert load_sa2va(folder).original_decoder is None
    assert load_sa2va(saved("qwen3_vl")).original_decoder is not None


def test_names_of_older_transformers_are_read(saved: Saved, tmp_path: Path) -> None:
    folder = shutil.copytree(saved("qwen2_5_vl"), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    older = {
        name.replace("model.model.visual.", "model.visual.").replace(
            "model.model.language_model.", "model.model."
        ): tensor
        for name, tensor in weights.items()
    }
    assert older.keys() != weights.keys()
    save_file(older, folder / "model.safetensors")
    read, ours = load_sa2va(folder).state_dict(), load_sa2va(saved("qwen2_5_vl")).state_dict()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in read.items())
