"""Recipes: what they promise of models and tokens follows from the prompts, the views and the models' own rules."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import prompts
from pipeline.engines.models import EngineModel
from pipeline.run.recipes import RECIPES, TOKENS_PER_LINEUP, demo, medium, modern, moe, paper, small
from pipeline.run.run_config import RunConfig
from stages.lineup_trials import LineupConfig
from stages.video.lineup_drawing import DIGIT_PX
from stages.video.views import ViewConfig
from tests.prompts.examples import CONFUSED, EXAMPLES, GOAT

MODELS_PAGE = (Path(__file__).parents[3] / "docs/models.md").read_text()
PICTURES: dict[str, tuple[str, ...]] = {
    "caption_crop": ("crop",),
    "caption_masked": ("scene",),
    "describe_scene": ("scene",),
    "describe_video": ("video",) * 8,
}
WITH_PICTURES, TEXT_ONLY = tuple(PICTURES), ("check_consistency", "compose_expression", "shorten_expression")
PICTURES["lineup"] = ("lineup",) * 6
REPAIRS = ("repair_object", "repair_expression", "repair_lineup")  # few objects are asked them: they are not counted
QUESTIONS = 3  # an object: two trials, more where they disagree, and its part of the catch trials
TOKENS_A_WORD = 1.3
TEMPLATE_TOKENS, PICTURE_MARKS = 15, 2  # around a request, around a picture


def sizes(views: ViewConfig) -> dict[str, tuple[int, int]]:
    """(width, height) of each view of a 16:9 video and of a square crop, which is the largest."""
    wide = {"scene": views.scene_long_px, "video": views.video_long_px, "lineup": views.lineup_long_px}
    return {"crop": (views.crop_long_px,) * 2} | {name: (px, px * 9 // 16) for name, px in wide.items()}


def qwen3_vl(width: int, height: int) -> int:
    """One token for 32 x 32 pixels."""
    return round(width / 32) * round(height / 32)


def gemma4(width: int, height: int) -> int:
    """One token for 48 x 48 pixels of the image as it is enlarged or reduced to at most 140 of them."""
    factor = math.sqrt(140 * 48**2 / (width * height))
    return math.floor(factor * width / 48) * math.floor(factor * height / 48)


def internvl2(width: int, height: int) -> int:
    """256 tokens for each tile of 448 x 448 and for the whole; with at most 4 tiles, 16:9 has 2 and a square 4 or 1."""
    if width != height:
        return 3 * 256
    return 5 * 256 if width * height > 0.5 * 4 * 448**2 else 256


def tokens_in(names: Iterable[str], views: ViewConfig, rule: Callable[[int, int], int]) -> float:
    total = 0.0
    for name in names:
        messages = prompts.load(name).render(**prompts.values_of(CONFUSED if name == "lineup" else GOAT))
        total += TOKENS_A_WORD * len(f"{messages.system} {messages.user}".split()) + TEMPLATE_TOKENS
        total += sum(rule(*sizes(views)[view]) + PICTURE_MARKS for view in PICTURES.get(name, ()))
    return total


def tokens_out(names: Iterable[str]) -> float:
    """Twice the worked examples: models are wordier."""
    answers = {example.prompt: example.answer for example in EXAMPLES}
    return 2 * TOKENS_A_WORD * sum(len(answers[name].split()) for name in names)


@pytest.mark.parametrize(
    ("config", "role", "names", "rule"),
    [
        (paper(), "vlm", WITH_PICTURES, internvl2),
        (paper(), "llm", TEXT_ONLY[:-1], internvl2),
        (modern(), "vlm", WITH_PICTURES + TEXT_ONLY, qwen3_vl),
        (moe(), "vlm", WITH_PICTURES + TEXT_ONLY, qwen3_vl),
        (medium(), "vlm", WITH_PICTURES + TEXT_ONLY, qwen3_vl),
        (small(), "vlm", WITH_PICTURES + TEXT_ONLY, qwen3_vl),
    ],
    ids=lambda value: getattr(value, "recipe", None),
)
def test_tokens_an_object_are_what_prompts_and_views_give(
    config: RunConfig, role: str, names: tuple[str, ...], rule: Callable[[int, int], int]
) -> None:
    model = getattr(config, role)
    assert model.tokens_per_object[0] == pytest.approx(tokens_in(names, config.views, rule), rel=0.05)
    assert model.tokens_per_object[1] == pytest.approx(tokens_out(names), rel=0.1)


def test_every_prompt_is_counted() -> None:
    assert {*WITH_PICTURES, *TEXT_ONLY, *REPAIRS, "lineup"} == set(prompts.NAMES)


@pytest.mark.parametrize(
    ("config", "rule"),
    [(paper(), internvl2), *((make(), qwen3_vl) for make in (modern, moe, medium, small))],
    ids=lambda value: getattr(value, "recipe", None),
)
@pytest.mark.parametrize("aspect", [1.0, 4 / 3, 16 / 9, 9 / 16])
def test_every_request_fits_the_context(config: RunConfig, rule: Callable[[int, int], int], aspect: float) -> None:
    assert config.vlm is not None
    px = config.views.video_long_px
    size = (px, round(px / aspect)) if aspect >= 1 else (round(px * aspect), px)
    pictures = config.views.frames * (rule(*size) + PICTURE_MARKS)
    words = len(prompts.load("describe_video").text.split()) + 120  # a long scene description, the times
    asked = pictures + TOKENS_A_WORD * words + TEMPLATE_TOKENS
    assert asked + config.sampling.max_tokens < config.vlm.context_tokens
    assert config.views.frames <= config.vlm.images_per_prompt


def test_the_internvl_rule_is_vllms() -> None:
    processor = pytest.importorskip("vllm.transformers_utils.processors.internvl")
    model = paper().vlm
    assert model is not None
    ratios = processor.get_internvl_target_ratios(1, model.engine_kwargs["mm_processor_kwargs"]["max_dynamic_patch"])
    for width, height in [(768, 768), (1024, 576), (448, 252), (252, 448), (448, 448)]:
        tiles, _, _ = processor.calculate_internvl_targets(
            orig_width=width, orig_height=height, target_ratios=ratios, image_size=448, use_thumbnail=True
        )
        assert 256 * tiles == internvl2(width, height)


@pytest.mark.parametrize(
    ("config", "rule"),
    [(modern(), gemma4), (moe(), qwen3_vl), (medium(), qwen3_vl), (small(), qwen3_vl)],
    ids=lambda value: getattr(value, "recipe", None),
)
def test_the_line_up_at_most_doubles_the_tokens_of_an_object(
    config: RunConfig, rule: Callable[[int, int], int]
) -> None:
    assert config.vlm is not None
    asked = QUESTIONS * tokens_in(["lineup"], config.views, rule), QUESTIONS * tokens_out(["lineup"])
    assert sum(asked) <= sum(config.vlm.tokens_per_object)
    stated = config.judge.tokens_per_object if config.judge else TOKENS_PER_LINEUP
    if config.judge or config.views == ViewConfig():
        assert stated == pytest.approx(asked, rel=0.1)


@pytest.mark.parametrize(
    ("rule", "size"),
    [("qwen3_vl", (640, 360)), ("qwen3_vl", (360, 640)), ("gemma4", (640, 360)), ("gemma4", (640, 640))],
)
def test_digits_are_at_least_14_px_high_as_the_model_sees_them(rule: str, size: tuple[int, int]) -> None:
    width, height = size
    if rule == "qwen3_vl":  # sides are rounded to whole patches; 640 x 640 is below its limit
        seen = round(width / 32) * 32, round(height / 32) * 32
    else:
        factor = math.sqrt(140 * 48**2 / (width * height))
        seen = math.floor(factor * width / 48) * 48, math.floor(factor * height / 48) * 48
    assert DIGIT_PX * min(seen[0] / width, seen[1] / height) >= 14


def test_what_the_recipes_stand_for() -> None:
    assert demo() == RunConfig(recipe="demo", rows_per_unit=1, lineup=LineupConfig())
    assert paper().lineup is None
    assert {make().lineup for make in (modern, moe, medium, small)} == {LineupConfig()}
    writer, judge = modern().vlm, modern().judge
    assert writer is not None
    assert judge is not None
    assert writer.model.split("/")[0] != judge.model.split("/")[0], "of another family"
    assert demo().vlm is None
    assert (demo().repair, demo().on_contradiction) == (False, "reject")
    assert paper().select.max_objects == 2
    assert (paper().repair, paper().on_contradiction) == (False, "reject")
    assert (modern().repair, modern().on_contradiction) == (True, "reject")
    assert (small().repair, small().on_contradiction) == (True, "report")
    assert {(make().repair, make().on_contradiction) for make in (moe, medium)} == {(True, "reject")}
    large, less = moe().vlm, medium().vlm
    assert large is not None
    assert less is not None
    for model in (large, less):
        assert (model.tensor_parallel, model.min_replicas) == (1, 1), "on one GPU"
    assert large.engine_kwargs["default_chat_template_kwargs"] == {"enable_thinking": False}
    assert less.gpu_memory_gib <= 22, "what a GPU of 24 GB has"
    assert modern().vlm == modern().llm
    assert small().vlm == small().llm
    assert {name: make().recipe for name, make in RECIPES.items()} == {name: name for name in RECIPES}
    assert all(make().models == {} for make in RECIPES.values()), "no recipe asks a model unless an engine is chosen"


def asked_models() -> list[tuple[str, EngineModel]]:
    configs = [make() for make in RECIPES.values()]
    return [(config.recipe, model) for config in configs for model in (config.vlm, config.llm, config.judge) if model]


@pytest.mark.parametrize(("recipe", "model"), asked_models(), ids=lambda value: getattr(value, "model", value))
def test_the_page_of_models_states_what_the_recipe_states(recipe: str, model: EngineModel) -> None:
    (line,) = (each for each in MODELS_PAGE.splitlines() if each.startswith(f"| `{recipe}`") and model.model in each)
    cells = [cell.strip() for cell in line.split("|")]
    assert f"{model.tensor_parallel}" in cells
    assert f"{model.gpu_memory_gib} GiB" in cells
    assert f"{model.context_tokens:,}" in cells
    assert f"{model.tokens_per_object[0]:,} / {model.tokens_per_object[1]:,}" in cells


def test_the_engine_takes_the_recipes_settings() -> None:
    """Names that vLLM does not know end a run that has already waited for its weights."""
    arguments = pytest.importorskip("vllm.engine.arg_utils")
    frontend = pytest.importorskip("vllm.entrypoints.launchers.cli_args").FrontendArgs
    known = set(arguments.AsyncEngineArgs.__dataclass_fields__) | set(frontend.__dataclass_fields__)
    for _, model in asked_models():
        assert model.engine_kwargs["mm_processor_cache_gb"] == 0, "every picture is new"
        assert set(model.engine_kwargs) <= known


def test_what_the_prefix_cache_is_worth_stands_on_the_page() -> None:
    """Of the three prompts without pictures, what comes before the first value is the same for all objects."""
    alike = sum(TOKENS_A_WORD * len(prompts.load(name).text.split("$")[0].split()) for name in TEXT_ONLY)
    assert alike / tokens_in(WITH_PICTURES + TEXT_ONLY, modern().views, qwen3_vl) == pytest.approx(0.16, abs=0.015)
    assert "about 16 % of the tokens in" in MODELS_PAGE
