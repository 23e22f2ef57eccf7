"""Runs by name: each function returns a whole RunConfig. Derive one with `dataclasses.replace`.

Why these models, with sources, and the arithmetic behind the figures: docs/models.md. Without an engine (`measured`)
the models are not asked; what else a recipe says holds.
"""

from collections.abc import Callable
from typing import Any

from pipeline.engines.models import ModelConfig
from pipeline.run.config import RunConfig
from stages.select_objects import SelectConfig
from stages.video.views import ViewConfig

_COMMON: dict[str, Any] = {
    # Where the schema allows any white space, a model may write nothing else until its tokens are spent.
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    # Nearly every picture is shown once: keeping 4 GiB of prepared ones in each of two processes a replica finds none.
    "mm_processor_cache_gb": 0,
}
# The views have at most a megapixel. Qwen3-VL's own limit is 16, for which vLLM would set memory aside.
_QWEN3_VL = _COMMON | {"mm_processor_kwargs": {"size": {"shortest_edge": 256**2, "longest_edge": 1024**2}}}

TOKENS_PER_OBJECT = (5_600, 560)  # in and out, of a model of which nothing else is known: those of `modern`


def demo() -> RunConfig:
    """Few videos, many objects each: everything can be seen in one report."""
    return RunConfig(recipe="demo", rows_per_unit=1)


def paper() -> RunConfig:
    """The paper's models, and as many objects a video as Ref-SAV has: 72,509 in 37,311 videos, 1.94 each. 8 GPUs."""
    return RunConfig(
        recipe="paper",
        in_flight=256,  # 32 for each of 4 replicas of 2 models: more overflows a replica's queue (olmocr issue 317)
        select=SelectConfig(max_objects=2),
        views=ViewConfig(video_long_px=448),  # one tile of InternVL2; more are cut up, and 8 pictures must fit
        vlm=ModelConfig(
            model="OpenGVLab/InternVL2-Llama3-76B",
            tensor_parallel=4,
            gpu_memory_gib=70,
            context_tokens=8192,  # all that its LLM was trained for
            max_replicas=4,
            tokens_per_object=(10_300, 270),
            # Its configuration class comes with its weights. Of its own 12 tiles, 8 pictures of 4:3 have 26,624 tokens.
            engine_kwargs=_COMMON | {"trust_remote_code": True, "mm_processor_kwargs": {"max_dynamic_patch": 4}},
        ),
        llm=ModelConfig(
            model="Qwen/Qwen2-72B-Instruct",
            tensor_parallel=4,
            gpu_memory_gib=44,
            context_tokens=8192,
            images_per_prompt=1,  # it is shown none
            max_replicas=4,
            tokens_per_object=(800, 290),
            engine_kwargs=_COMMON,
        ),
        repair=False,
        on_contradiction="reject",
    )


def modern() -> RunConfig:
    """One open model for both roles, on one GPU of 80 GB or as many as there are."""
    model = ModelConfig(
        model="Qwen/Qwen3-VL-30B-A3B-Instruct",
        gpu_memory_gib=70,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL,
    )
    return RunConfig(recipe="modern", in_flight=256, vlm=model, llm=model, repair=True, on_contradiction="reject")


def moe() -> RunConfig:
    """A newer mixture of experts in FP8 for both roles, on one GPU of 80 GB; it does not think aloud. Not measured."""
    model = ModelConfig(
        model="Qwen/Qwen3.6-35B-A3B-FP8",
        gpu_memory_gib=48,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL | {"default_chat_template_kwargs": {"enable_thinking": False}},
    )
    return RunConfig(recipe="moe", in_flight=256, vlm=model, llm=model, repair=True, on_contradiction="reject")


def medium() -> RunConfig:
    """The 8B model of `modern`'s family in FP8, on one GPU of 24 GB. Not measured."""
    model = ModelConfig(
        model="Qwen/Qwen3-VL-8B-Instruct-FP8",
        gpu_memory_gib=20,
        context_tokens=8192,
        max_replicas=8,
        tokens_per_object=TOKENS_PER_OBJECT,
        engine_kwargs=_QWEN3_VL,
    )
    return RunConfig(recipe="medium", in_flight=128, vlm=model, llm=model, repair=True, on_contradiction="reject")


def small() -> RunConfig:
    """The smallest of the same family, for a laptop or one small GPU: to try everything out, not to publish."""
    model = ModelConfig(
        model="Qwen/Qwen3-VL-2B-Instruct",
        gpu_memory_gib=0,
        context_tokens=8192,
        tokens_per_object=(3_900, 560),
        engine_kwargs=_QWEN3_VL,
    )
    return RunConfig(
        recipe="small",
        in_flight=4,
        views=ViewConfig(scene_long_px=768, video_long_px=448, crop_long_px=512),  # half the tokens: a CPU reads them
        vlm=model,
        llm=model,
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
