"""The order of stages is checked before anything starts."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from manifests.io import Folder
from manifests.schema import Row
from pipeline.run import graph
from pipeline.run.recipes import RECIPES
from pipeline.writers.measured import MeasuredWriter
from stages.base import Result, Stage


def stage(name: str, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> Stage:
    class Toy(Stage):
        def process(self, rows: Sequence[Row]) -> list[Result]:
            return [{} for _ in rows]

    Toy.name, Toy.reads, Toy.writes = name, reads, writes
    return Toy()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_fits_together(recipe: str) -> None:
    config = RECIPES[recipe]()
    stages = graph.build(config, Folder("/nowhere"), MeasuredWriter())
    graph.check(stages)
    assert [stage.name for stage in stages] == [
        "render_views",
        "caption_object",
        "check_consistency",
        *(["repair_object"] if config.repair else []),
        "describe_scene",
        "describe_video",
        "compose_expression",
        "check_facts",
        *(["repair_expression"] if config.repair else []),
        *(["verify_lineup"] if config.lineup else []),
        *(["repair_lineup"] if config.lineup and config.repair else []),
        "shorten_expression",
        *(["verify_short"] if config.lineup and config.short else []),
        "make_negatives",
    ]


def test_the_paper_has_no_short_texts_unless_they_cost_nothing() -> None:
    asking = replace(RECIPES["paper"](), engine="http", engine_url="http://host:8000/v1")
    names = [stage.name for stage in graph.build(asking, Folder("/nowhere"), MeasuredWriter())]
    assert "shorten_expression" not in names
    assert "make_negatives" in names
    asking = replace(RECIPES["modern"](), engine="http", engine_url="http://host:8000/v1")
    assert "shorten_expression" in [stage.name for stage in graph.build(asking, Folder("/nowhere"), MeasuredWriter())]


def test_reading_what_nobody_wrote_is_named() -> None:
    with pytest.raises(ValueError, match="second reads 'expression'"):
        graph.check([stage("first", writes=("verdict",)), stage("second", reads=("expression",))])


def test_writing_an_unknown_column_is_named() -> None:
    with pytest.raises(ValueError, match="first writes 'expresion'"):
        graph.check([stage("first", writes=("expresion",))])


def test_two_stages_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two stages are called 'twin'"):
        graph.check([stage("twin"), stage("twin")])
