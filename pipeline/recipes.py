"""Runs by name: each function returns a whole RunConfig. Derive one with `dataclasses.replace`."""

from collections.abc import Callable

from pipeline.config import RunConfig
from stages.select_objects import SelectConfig


def demo() -> RunConfig:
    """Few videos, many objects each: everything can be seen in one report."""
    return RunConfig(recipe="demo", rows_per_unit=1)


def paper() -> RunConfig:
    """About as many objects a video as Ref-SAV has: 72,509 objects in 37,311 videos, 1.94 each."""
    return RunConfig(recipe="paper", select=SelectConfig(max_objects=2))


RECIPES: dict[str, Callable[[], RunConfig]] = {"demo": demo, "paper": paper}
