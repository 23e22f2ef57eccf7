import re
from dataclasses import replace

import pytest

from pipeline.sa2va.config import (
    DataConfig,
    InferConfig,
    ModelConfig,
    OptimConfig,
    PixelsConfig,
    TrainConfig,
    official_infer,
    official_train,
    with_settings,
)

CONFIG = TrainConfig(source="run", sav_root="sav", out="out", model=ModelConfig(base="mllm"))


def test_settings_are_given_as_text() -> None:
    given = ["optim.batch=32", "optim.lr=1", "data.frame_choice=random", "data.pixels.official=True", "out=2"]
    given += ["store=('a', 'b')"]
    expected = replace(
        CONFIG,
        out="2",
        store=("a", "b"),
        optim=OptimConfig(batch=32, lr=1.0),
        data=DataConfig(frame_choice="random", pixels=PixelsConfig(official=True)),
    )
    assert with_settings(CONFIG, given) == expected


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("optim.batch", "must be written name=value"),
        ("optim.bacth=3", "there is no 'bacth'; there is lr, betas, weight_decay"),
        ("optim=3", "give one of its settings, as optim"),
        ("seed.x=3", "give seed= alone"),
        ("optim.batch=3.5", "optim.batch must be a valid integer, got 3.5"),
        ("optim.batch=many", "optim.batch must be a valid integer, got 'many'"),
        ("optim.betas=(0.9,)", "optim.betas[1] must be given, got (0.9,)"),
        ("data.official_questions=(1,)", "data.official_questions[0] must be a valid string"),
        ("mixture=(1,)", "mixture[0] must be an object"),
        ("optim.lr=1e400", "lr must be a number, got inf"),
        ("optim.batch=0", "batch must be at least 1, got 0"),
        ("data.pixels.official=1", "data.pixels.official must be a valid boolean, got 1"),
        ("data.frame_choice=often", "data.frame_choice must be 'uniform' or 'random', got 'often'"),
    ],
)
def test_what_is_wrong_with_a_setting(setting: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        with_settings(CONFIG, [setting])


def test_the_release() -> None:
    """The figures of bytedance/Sa2VA 9832e1a."""
    train = official_train(CONFIG)
    assert (train.data.frames, train.data.max_objects, train.data.repeats) == (5, 5, 4)
    assert (train.data.frame_choice, train.data.with_replacement) == ("random", True)
    assert (train.data.pixels.min_px, train.data.pixels.max_px) == (100_352, 401_408)
    assert (train.model.train_embeddings, train.model.gradient_checkpointing) == ("full", True)
    infer = official_infer(InferConfig())
    assert (infer.pixels.min_px, infer.pixels.max_px, infer.max_new_tokens) == (401_408, 1_605_632, 2048)
    assert (infer.path, infer.frames) == ("official", 5)
    assert train.official
    assert train.data.pixels.official
    assert infer.pixels.official
    assert train.data.official_prompts
    assert infer.official_prompts


def test_the_release_of_a_size() -> None:
    """Batch 128 for its Qwen3-VL-4B, rank 256 for InternVL3-8B and -14B; else 256 and 128."""
    for family, width, batch, rank in (
        *(("qwen3_vl", 2560, 128, 128), ("qwen2_5_vl", 2048, 256, 128), ("internvl", 1536, 256, 128)),
        *(("internvl", 3584, 256, 256), ("internvl", 5120, 256, 256), ("", 0, 256, 128)),
    ):
        made = official_train(CONFIG, family=family, width=width)
        assert (made.optim.batch, made.model.lora_rank, made.model.lora_alpha) == (batch, rank, 2 * rank)


def test_training_and_inference_look_with_the_same_eyes() -> None:
    assert DataConfig().pixels == InferConfig().pixels
    assert DataConfig().frames == InferConfig().frames
