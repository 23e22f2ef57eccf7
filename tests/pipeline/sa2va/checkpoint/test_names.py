"""Names at real size: whole models on the meta device, no weight is made."""

from functools import cache

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    InternVLConfig,
    PretrainedConfig,
    Qwen2_5_VLConfig,
    Qwen3VLConfig,
)

from pipeline.sa2va.checkpoint import names
from pipeline.sa2va.checkpoint.names import TensorRows
from pipeline.sa2va.checkpoint.read import SkipRandomInit
from pipeline.sa2va.config import Sam2Config
from pipeline.sa2va.grounding import build_sam2

QWEN3_VL_4B = {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_key_value_heads": 8}
INTERNVL3_2B = {"model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28}
FAMILIES: dict[str, PretrainedConfig] = {
    "qwen3_vl": Qwen3VLConfig(text_config=QWEN3_VL_4B),
    "qwen2_5_vl": Qwen2_5_VLConfig(),
    "internvl": InternVLConfig(
        text_config=INTERNVL3_2B | {"num_attention_heads": 12, "num_key_value_heads": 2},
        vision_config={"attention_bias": True, "use_qk_norm": True},
    ),
}


@cache
def shapes(family: str) -> dict[str, torch.Size]:
    """Our names of the model that the paper would train: MLLM, SAM 2 Hiera-L and projection."""
    with SkipRandomInit():
        sam2 = build_sam2(Sam2Config())  # not on meta: Hiera reads numbers of a tensor
    with torch.device("meta"):
        mllm = AutoModelForImageTextToText.from_config(FAMILIES[family])
    hidden = FAMILIES[family].get_text_config().hidden_size
    return (
        {names.MLLM + name: each.shape for name, each in mllm.state_dict().items()}
        | {names.SAM2 + name: each.shape for name, each in sam2.state_dict().items()}
        | {f"text_hidden_fcs.0.{kind}": torch.Size([hidden] * n) for kind, n in (("weight", 2), ("bias", 1))}
        | {"text_hidden_fcs.2.weight": torch.Size([256, hidden]), "text_hidden_fcs.2.bias": torch.Size([256])}
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_of_a_real_model_has_one_official_name_and_comes_back(family: str) -> None:
    mine = shapes(family)
    official = names.gather(mine, family)
    assert sum(name.startswith(names.SAM2) for name in official) == 900
    back = {name: names.ours(name, family) for name in official}
    assert {name: [part.name for part in parts or ()] for name, parts in back.items()} == official
    assert sorted(name for group in official.values() for name in group) == sorted(mine)
    for name, group in official.items():
        assert len({mine[each] for each in group}) == 1, name  # so rows can be cut in equal parts


@pytest.mark.parametrize(
    ("family", "name", "official"),
    [
        ("qwen3_vl", "mllm.model.visual.merger.norm.bias", TensorRows("model.model.visual.merger.norm.bias")),
        ("qwen3_vl", "mllm.lm_head.weight", TensorRows("model.lm_head.weight")),
        (
            "qwen2_5_vl",
            "mllm.model.language_model.layers.3.mlp.up_proj.weight",
            TensorRows("model.model.language_model.layers.3.mlp.up_proj.weight"),
        ),
        (
            "internvl",
            "mllm.model.vision_tower.encoder.layer.7.attention.k_proj.bias",
            TensorRows("vision_model.encoder.layers.7.attn.qkv.bias", 1, 3),
        ),
        (
            "internvl",
            "mllm.model.vision_tower.encoder.layer.23.lambda_2",
            TensorRows("vision_model.encoder.layers.23.ls2"),
        ),
        (
            "internvl",
            "mllm.model.vision_tower.embeddings.patch_embeddings.projection.weight",
            TensorRows("vision_model.embeddings.patch_embedding.weight"),
        ),
        ("internvl", "mllm.model.multi_modal_projector.linear_2.weight", TensorRows("mlp1.3.weight")),
        ("internvl", "mllm.model.language_model.norm.weight", TensorRows("language_model.model.norm.weight")),
        ("internvl", "mllm.lm_head.weight", TensorRows("language_model.lm_head.weight")),
        (
            "internvl",
            names.SAM2 + "memory_encoder.fuser.layers.1.gamma",
            TensorRows(names.SAM2 + "memory_encoder.fuser.layers.1.g_weight"),
        ),
    ],
)
def test_official_names_are_those_of_the_release(family: str, name: str, official: TensorRows) -> None:
    assert names.theirs(name, family) == official
    assert TensorRows(name, *official[1:]) in (names.ours(official.name, family) or ())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.visual.patch_embed.proj.weight", "mllm.model.visual.patch_embed.proj.weight"),
        ("model.model.layers.0.mlp.up_proj.weight", "mllm.model.language_model.layers.0.mlp.up_proj.weight"),
        ("model.model.embed_tokens.weight", "mllm.model.language_model.embed_tokens.weight"),
        ("model.model.norm.weight", "mllm.model.language_model.norm.weight"),
        ("model.lm_head.weight", "mllm.lm_head.weight"),
    ],
)
def test_names_of_checkpoints_made_before_transformers_4_52_are_known(old: str, new: str) -> None:
    assert names.ours(old, "qwen2_5_vl") == (TensorRows(new),)


def test_of_two_mask_decoders_the_modified_one_is_ours() -> None:
    official = [names.DECODER + "iou_token.weight", names.MODIFIED_DECODER + "iou_token.weight"]
    assert names.has_modified_decoder(official)
    assert not names.has_modified_decoder(official[:1])
    assert [names.ours(name, "internvl", modified=True) for name in official] == [
        (TensorRows("original_decoder.iou_token.weight"),),
        (TensorRows(names.DECODER + "iou_token.weight"),),
    ]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("qwen3_vl", "vision_model.encoder.layers.0.ls1"),
        ("internvl", "model.model.visual.pos_embed.weight"),
        ("internvl", "vision_model.encoder.layers.0.attn.rotary"),
        ("internvl", "mlp1.2.weight"),
        ("internvl", "language_model.output.weight"),
        ("qwen3_vl", "optimizer.step"),
    ],
)
def test_names_outside_the_layout_are_not_guessed(family: str, name: str) -> None:
    assert names.ours(name, family) is None


def test_weights_without_a_place_are_named() -> None:
    lonely = "mllm.model.vision_tower.encoder.layer.0.attention.q_proj.weight"
    with pytest.raises(ValueError, match=r"vision_model\.encoder\.layers\.0\.attn\.qkv\.weight.*|original_decoder\.x"):
        names.gather({lonely: 0, "original_decoder.x": 0}, "internvl")
