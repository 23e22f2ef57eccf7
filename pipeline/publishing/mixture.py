"""Tells whether runs were made alike: a dataset of several recipes, prompts or models is refused unless asked for."""

from collections.abc import Sequence
from typing import Any

from pipeline.publishing.runs import PublishedRun
from pipeline.run.run_json import deciding

_SHOWN = 8  # differences in a message
_FIRST = ("recipe", "writer")  # the others follow from these, or are smaller


def differences(runs: Sequence[PublishedRun], called: Sequence[str]) -> list[str]:
    """Return a line for every setting, prompt or model in which the rows of the runs differ; empty if in none.

    Args:
        runs: the runs.
        called: what to call each of them.
    """
    lines = []
    settings = [_settings(run) for run in runs]
    for name in dict.fromkeys([*_FIRST, *sorted({name for one in settings for name in one})]):
        values: dict[str, list[str]] = {}
        for name_of_run, one in zip(called, settings, strict=True):
            values.setdefault(str(one.get(name)), []).append(name_of_run)
        if len(values) > 1:
            lines.append(f"{name}: " + "; ".join(f"{value} in {', '.join(names)}" for value, names in values.items()))
    for prompt in sorted({prompt for run in runs for prompt in run.prompts}):
        ids: dict[str, list[str]] = {}
        for name_of_run, run in zip(called, runs, strict=True):
            for prompt_id in sorted(run.prompts.get(prompt, ())):
                ids.setdefault(prompt_id, []).append(name_of_run)
        if len(ids) > 1:
            told = "; ".join(f"{prompt_id} in {', '.join(names)}" for prompt_id, names in sorted(ids.items()))
            lines.append(f"prompt {prompt}: {told}")
    asked: dict[str, list[str]] = {}
    for name_of_run, run in zip(called, runs, strict=True):
        if run.asked:  # none: every row of it was rejected before the first request
            asked.setdefault(", ".join(sorted(run.asked)), []).append(name_of_run)
    if len(asked) > 1:
        lines.append(
            "models that answered: " + "; ".join(f"{one} in {', '.join(names)}" for one, names in asked.items())
        )
    return lines


def check_alike(runs: Sequence[PublishedRun]) -> None:
    """Refuse runs that were not made alike.

    Raises:
        ValueError: they differ; names each setting, prompt and model with its values and runs.
    """
    if lines := differences(runs, [run.name for run in runs]):
        more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        told = "\n  ".join([*lines[:_SHOWN], *more])
        raise ValueError(
            f"the rows of a dataset must come from one recipe, its prompts and its models, but they differ:\n  {told}\n"
            "Run the rows of changed prompts again (pipeline.annotate --prompt-changed --replay "
            "status=kept,rejected,failed), or add --mix: every row then "
            "states its recipe, models and prompts."
        )


def _settings(run: PublishedRun) -> dict[str, Any]:
    config = run.info["config"]
    own = {name: value for name, value in deciding([], config).items() if name != "shards"}
    return {"recipe": run.recipe, "writer": "models" if run.info["models"] else "measured", **own}
