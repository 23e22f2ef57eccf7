"""The MLLMs that Sa2VA was released on, as shapes for random weights: the sizes of their config.json on the hub."""

from dataclasses import replace
from typing import Any

from transformers import InternVLConfig, PretrainedConfig, PreTrainedTokenizerFast, Qwen2_5_VLConfig, Qwen3VLConfig

from pipeline.sa2va.config import ModelConfig
from pipeline.sa2va.text import SPECIAL_TOKENS
from tests.tiny_models import byte_tokenizer

_QWEN3_TOKENS, _QWEN2_5_TOKENS, _INTERN_TOKENS = 151_674, 151_936, 151_674  # rows, with what the release added


def _text(hidden: int, feed_forward: int, layers: int, heads: int, key_heads: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": feed_forward,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
    }


_QWEN3 = {
    "Qwen3-VL-2B": _text(2048, 6144, 28, 16, 8),
    "Qwen3-VL-4B": _text(2560, 9728, 36, 32, 8),
    "Qwen3-VL-8B": _text(4096, 12288, 36, 32, 8),
}
_QWEN2_5 = {"Qwen2.5-VL-3B": _text(2048, 11008, 36, 16, 2), "Qwen2.5-VL-7B": _text(3584, 18944, 28, 28, 4)}
_INTERN = {
    "InternVL3-2B": _text(1536, 8960, 28, 12, 2),
    "InternVL3-8B": _text(3584, 18944, 28, 28, 4),
    "InternVL3-14B": _text(5120, 13824, 48, 40, 8),
}
MODELS = (*_QWEN3, *_QWEN2_5, *_INTERN)


def tokenizer_of(name: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes with the special tokens of this model and of Sa2VA, and " red" as one token."""
    tokenizer = byte_tokenizer("internvl" if name in _INTERN else "qwen", [" red"])
    tokenizer.add_tokens(list(SPECIAL_TOKENS), special_tokens=True)
    return tokenizer


def config_of(name: str, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """Return the configuration of one of MODELS, with the special tokens' ids of this tokenizer."""
    ids = tokenizer.get_vocab()
    if name in _INTERN:
        rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 1_000_000.0}
        text = {
            "model_type": "qwen2",
            "vocab_size": _INTERN_TOKENS,
            "rope_parameters": rope,
            "tie_word_embeddings": False,
        }
        return InternVLConfig(
            text_config=text | _INTERN[name], image_token_id=ids["<IMG_CONTEXT>"], tie_word_embeddings=False
        )
    tokens: dict[str, Any] = {"image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"]}
    tokens |= {"vision_start_token_id": ids["<|vision_start|>"], "vision_end_token_id": ids["<|vision_end|>"]}
    rope = {"rope_type": "default"}
    if name in _QWEN2_5:
        tokens["tie_word_embeddings"] = name == "Qwen2.5-VL-3B"
        rope |= {"rope_theta": 1_000_000.0, "mrope_section": [16, 24, 24]}
        vision: dict[str, Any] = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
        vision |= {"out_hidden_size": _QWEN2_5[name]["hidden_size"]}
        text = _QWEN2_5[name] | {"vocab_size": _QWEN2_5_TOKENS, "rope_parameters": rope}
        return Qwen2_5_VLConfig(text_config=text, vision_config=vision, **tokens)
    tokens["tie_word_embeddings"] = name != "Qwen3-VL-8B"
    rope |= {"rope_theta": 5_000_000.0, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    vision = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16}
    vision |= {"deepstack_visual_indexes": [5, 11, 17]}
    if name == "Qwen3-VL-8B":
        vision = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
        vision |= {"deepstack_visual_indexes": [8, 16, 24]}
    vision |= {"out_hidden_size": _QWEN3[name]["hidden_size"]}
    text = _QWEN3[name] | {"vocab_size": _QWEN3_TOKENS, "head_dim": 128, "rope_parameters": rope}
    return Qwen3VLConfig(text_config=text, vision_config=vision, **tokens)


def with_lora_of(name: str, config: ModelConfig) -> ModelConfig:
    """Return `config` with the rank and alpha that the release takes for this model."""
    return replace(config, lora_rank=256, lora_alpha=512) if name in ("InternVL3-8B", "InternVL3-14B") else config
