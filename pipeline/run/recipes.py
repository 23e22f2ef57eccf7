"""Recipes: named settings of a run. Each function returns a complete RunConfig; change one with `dataclasses.replace`.

docs/models.md says why these models were chosen, with sources, and how the figures were found. With the engine
`measured` the models are not asked; the other settings of a recipe hold.
"""

from collections.abc import Callable
from typing import Any

from pipeline.engines.models import EngineModel
from pipeline.run.run_config import RunConfig
from stages.lineup_trials import LineupConfig
from stages.select_objects import SelectConfig
from stages.video.views import ViewConfig

_COMMON: dict[str, Any] = {
    # If the schema allows any white space, a model may write nothing but that until its tokens are spent.
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    # Nearly every image is shown once: a cache of 4 GiB in each of a replica's two processes would hit nothing.
    "mm_processor_cache_gb": 0,
}
# The views have at most one megapixel. Qwen3-VL's own limit is 16, for which vLLM would reserve memory.
_QWEN3_VL = _COMMON | {"mm_processor_kwargs": {"size": {"shortest_edge": 256**2, "longest_edge": 1024**2}}}

# Gemma 4 enlarges or reduces an image to the tokens it is given; with 140 of them, 640 x 360 becomes 720 x 384.
_GEMMA_4 = _COMMON | {"mm_processor_kwargs": {"max_soft_tokens": 140}}

TOKENS_PER_OBJECT = (6_100, 610)  # in and out, for a model without figures of its own: those of `modern`
TOKENS_PER_LINEUP = (5_500, 330)  # of an object's line-ups, where the model that writes is the judge as well


def demo() -> RunConfig:
    """Return settings for the drawn demo shard: few videos with many objects, all of them in one report."""
    return RunConfig(recipe="demo", rows_per_unit=1, lineup=LineupConfig())


def paper() -> RunConfig:
    """Return the paper's models on 8 GPUs, and objects per video as in Ref-SAV (72,509 in 37,311 videos: 1.94)."""
    return RunConfig(
        recipe="paper",
        in_flight=256,  # 32 for each of 4 replicas of 2 models; more overflows their queues (olmocr issue 317)
        select=SelectConfig(max_objects=2),
        views=ViewConfig(video_long_px=448),  # one tile of InternVL2: larger images are cut up, and 8 must fit
        vlm=EngineModel(
            model="OpenGVLab/InternVL2-Llama3-76B",
            tensor_parallel=4,
            gpu_memory_gib=70,
            context_tokens=8192,  # what its LLM was trained for
            max_replicas=4,
            tokens_per_object=(10_300, 270),
            # Its configuration class comes with its weights. With its default of 12 tiles, 8 images have 26,624 tokens.
            engine_kwargs=_COMMON | {"trust_remote_code": True, "mm_processor_kwargs": {"max_dynamic_patch": 4}},
        ),
        llm=EngineModel(
            model="Qwen/Qwen2-72B-Instruct",
            tensor_parallel=4,
            gpu_memory_gib=44,
            context_tokens=8192,
            images_per_prompt=1,  # it is sent no images
            max_replicas=4,
            tokens_per_object=(800, 290),
            engine_kwargs=_COMMON,
        ),
        repair=False,
        short=False,
        on_contradiction="reject",
    )


def modern() -> RunConfig:
    """Return one open model that writes, and one of another family that judges, on two GPUs of 80 GB or more."""
    model = EngineModel(
        model="Qwen/Qwen3-VL-30B-A3B-Instruct",
        gpu_memory_gib=70,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL,
    )
    judge = EngineModel(
        model="google/gemma-4-26B-A4B-it",
        gpu_memory_gib=64,
        context_tokens=8192,
        max_replicas=4,
        tokens_per_object=(3_700, 330),
        engine_kwargs=_GEMMA_4,
    )
    return RunConfig(
        recipe="modern",
        in_flight=256,
        vlm=model,
        llm=model,
        judge=judge,
        lineup=LineupConfig(),
        repair=True,
        on_contradiction="reject",
    )


def moe() -> RunConfig:
    """Return a newer mixture of experts in FP8 for both roles, without reasoning, on one GPU of 80 GB. Not measured."""
    model = EngineModel(
        model="Qwen/Qwen3.6-35B-A3B-FP8",
        gpu_memory_gib=48,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL | {"default_chat_template_kwargs": {"enable_thinking": False}},
    )
    return RunConfig(
        recipe="moe",
        in_flight=256,
        vlm=model,
        llm=model,
        lineup=LineupConfig(),
        repair=True,
        on_contradiction="reject",
    )


def medium() -> RunConfig:
    """Return the 8B model of `modern`'s family in FP8, on one GPU of 24 GB. Not measured."""
    model = EngineModel(
        model="Qwen/Qwen3-VL-8B-Instruct-FP8",
        gpu_memory_gib=20,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL,
    )
    return RunConfig(
        recipe="medium",
        in_flight=128,
        vlm=model,
        llm=model,
        lineup=LineupConfig(),
        repair=True,
        on_contradiction="reject",
    )


def small() -> RunConfig:
    """Return the smallest model of `modern`'s family, for a laptop or a small GPU: to try, not to publish."""
    model = EngineModel(
        model="Qwen/Qwen3-VL-2B-Instruct",
        gpu_memory_gib=0,
        context_tokens=8192,
        tokens_per_object=(4_400, 610),
        engine_kwargs=_QWEN3_VL,
    )
    return RunConfig(
        recipe="small",
        in_flight=4,
        # half the tokens, for a CPU
        views=ViewConfig(scene_long_px=768, video_long_px=448, crop_long_px=512, lineup_long_px=448),
        vlm=model,
        llm=model,
        lineup=LineupConfig(),
        repair=True,
        on_contradiction="report",
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "demo": demo,
    "paper": paper,
    "modern": modern,
    "moe": moe,
    "medium": medium,
    "small": small,
}
