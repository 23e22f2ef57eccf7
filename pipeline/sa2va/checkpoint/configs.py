"""Convert config.json of the official layout from and to transformers' own configurations.

It is written so that transformers 4.49 and later read it, for the official code needs 4: positions as rope_theta and
rope_scaling, which 5 understands too, and the number format as torch_dtype. Source: the released checkpoints.
"""

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, InternVLConfig, PretrainedConfig

MODEL_TYPE = "sa2va_chat"
LANGUAGE_MODELS = {"Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3"}  # of InternVL
_TEMPLATES = (None, "qwen_chat", "internlm2_chat")  # one form, two names
_MODULES = {"qwen": ("Sa2VAChatConfigQwen", "modeling_sa2va_qwen", "Sa2VAChatModelQwen")}
_MODULES["internvl"] = ("Sa2VAChatConfig", "modeling_sa2va_chat", "Sa2VAChatModel")
_OURS = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "_attn_implementation_internal")
_THEIRS = ("model_type", "architectures", "template", "auto_map", "vision_config", "text_config")
# Official name, transformers' name; what has one name in both is listed once.
_VISION = {"qkv_bias": "attention_bias", "qk_normalization": "use_qk_norm", "dropout": "hidden_dropout_prob"} | {
    "initializer_factor": "layer_scale_init_value"
}
_VISION |= {name: name for name in ("attention_dropout", "hidden_act", "hidden_size", "initializer_range")}
_VISION |= {name: name for name in ("intermediate_size", "layer_norm_eps", "norm_type", "num_attention_heads")}
_VISION |= {name: name for name in ("num_channels", "num_hidden_layers")}

Json = dict[str, Any]


def family_of(config: Mapping[str, Any]) -> str:
    """Return the family of the MLLM inside a Sa2VA whose config.json is `config`.

    Raises:
        ValueError: it is no Sa2VA, or its family is not supported.
    """
    if config.get("model_type") != MODEL_TYPE:
        raise ValueError(
            f"config.json of a Sa2VA has model_type {MODEL_TYPE!r}, got {config.get('model_type')!r}; a plain MLLM is "
            "what training starts from (ModelConfig.base), and cannot segment before it was trained"
        )
    if "llm_config" in config:
        return "internvl"
    kind = (config.get("vision_config") or {}).get("model_type", "")
    for family in ("qwen3_vl", "qwen2_5_vl"):
        if kind.startswith(family):
            return family
    raise ValueError(
        "a Sa2VA has an InternVL (llm_config), a Qwen3-VL or a Qwen2.5-VL (vision_config.model_type) inside, "
        f"got vision_config.model_type {kind!r}"
    )


def from_official(config: Mapping[str, Any], family: str, image_token_id: int) -> PretrainedConfig:
    """Make transformers' configuration of the MLLM inside.

    Args:
        config: config.json of a Sa2VA.
        family: `family_of` it.
        image_token_id: id of the tokens of an image; InternVL's config.json does not say it.

    Raises:
        ValueError: the language model or the chat template is not supported.
    """
    if config.get("template") not in _TEMPLATES:
        raise ValueError(f"the chat template must be one of {_TEMPLATES[1:]}, got {config.get('template')!r}")
    if family == "internvl":
        return _from_internvl(config, image_token_id)
    fields = {name: value for name, value in config.items() if name not in (*_THEIRS, *_OURS)}
    parts = {name: config[name] for name in ("vision_config", "text_config") if name in config}
    return AutoConfig.for_model(family, **{**fields, **parts, "tie_word_embeddings": False})


def to_official(config: PretrainedConfig, family: str, *, vocabulary: int, dtype: str) -> Json:
    """Make config.json for an MLLM with `config`, `vocabulary` rows in its token matrices, and weights of `dtype`."""
    plain: Json = config.to_dict()
    plain["text_config"] = _portable(plain["text_config"]) | {"vocab_size": vocabulary, "tie_word_embeddings": False}
    plain["vision_config"] = _portable(plain["vision_config"])
    for name in ("rope_theta", "rope_scaling"):
        plain["vision_config"].pop(name, None)  # transformers 5 lists the one kind that a vision encoder has
    config_class, module, model_class = _MODULES["internvl" if family == "internvl" else "qwen"]
    fields = _to_internvl(plain) if family == "internvl" else _portable(plain)
    return fields | {
        "model_type": MODEL_TYPE,
        "architectures": [model_class],
        "auto_map": {
            "AutoConfig": f"configuration_sa2va_chat.{config_class}",
            "AutoModel": f"{module}.{model_class}",
            "AutoModelForCausalLM": f"{module}.{model_class}",
        },
        "template": "qwen_chat",
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
    }


def code_files(family: str) -> list[str]:
    """Return the names of the Python files that `to_official` names in auto_map."""
    return ["configuration_sa2va_chat.py", f"{_MODULES['internvl' if family == 'internvl' else 'qwen'][1]}.py"]


def _portable(config: Json) -> Json:
    """Leave out what every configuration of any model has, and write positions as transformers 4 does."""
    common = PretrainedConfig().to_dict()
    nothing = object()
    config = {name: value for name, value in config.items() if name not in _OURS and value != common.get(name, nothing)}
    if rope := config.pop("rope_parameters", None):
        config["rope_theta"] = rope["rope_theta"]
        rest = {name: value for name, value in rope.items() if name != "rope_theta"}
        config["rope_scaling"] = None if rest == {"rope_type": "default"} else rest
    return config


def _from_internvl(config: Mapping[str, Any], image_token_id: int) -> PretrainedConfig:
    llm, vision = config["llm_config"], config["vision_config"]
    architecture = (llm.get("architectures") or ["none"])[0]
    if architecture not in LANGUAGE_MODELS:
        raise ValueError(
            f"the language model inside an InternVL must be one of {sorted(LANGUAGE_MODELS)}, got {architecture!r} "
            "(llm_config.architectures); InternLM2 and Phi-3 checkpoints need the official code"
        )
    if config.get("ps_version") != "v2":
        raise ValueError(f"InternVL's ps_version must be 'v2', got {config.get('ps_version')!r}")
    side_px, patch_px = config.get("force_image_size") or vision["image_size"], vision["patch_size"]
    ratio = config["downsample_ratio"]
    return InternVLConfig(
        vision_config={mine: vision[name] for name, mine in _VISION.items() if name in vision}
        | {"image_size": [side_px] * 2, "patch_size": [patch_px] * 2, "use_mean_pooling": True},
        text_config={name: value for name, value in llm.items() if name not in (*_THEIRS, *_OURS)}
        | {"model_type": LANGUAGE_MODELS[architecture], "tie_word_embeddings": False},
        image_token_id=image_token_id,
        image_seq_length=round((side_px // patch_px * ratio) ** 2),
        downsample_ratio=ratio,
        vision_feature_layer=config.get("select_layer", -1),
        tie_word_embeddings=False,
    )


def _to_internvl(plain: Json) -> Json:
    text, vision = plain["text_config"], plain["vision_config"]
    names = {model_type: architecture for architecture, model_type in LANGUAGE_MODELS.items()}
    return {
        "llm_config": text | {"architectures": [names[text["model_type"]]]},
        "vision_config": {name: vision[mine] for name, mine in _VISION.items()}
        | {"model_type": "intern_vit_6b", "architectures": ["InternVisionModel"], "drop_path_rate": 0.0}
        | {"image_size": vision["image_size"][0], "patch_size": vision["patch_size"][0], "use_flash_attn": True},
        "hidden_size": text["hidden_size"],
        "select_layer": plain["vision_feature_layer"],
        "downsample_ratio": plain["downsample_ratio"],
        "ps_version": "v2",
        "force_image_size": vision["image_size"][0],
        "dynamic_image_size": True,
        "use_thumbnail": True,
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 12,
        "pad2square": False,
        "use_backbone_lora": 0,
        "use_llm_lora": 0,
    }
