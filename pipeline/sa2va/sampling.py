"""Which frames and which expressions of a video make an example; every draw comes from the generator that is given."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.data.videos import Expression
from pipeline.sa2va.config import DataConfig


def choose_frames(annotated: int, config: DataConfig, rng: np.random.Generator) -> list[int]:
    """Rising indices of `config.frames` annotated frames.

    "uniform": one of each of as many equal stretches, all at the same place in theirs, which is drawn (Sa2VA-i trains
    so); only a video with fewer frames than that has some twice. "random": the official rule,
    distinct if there are at least two more frames than wanted.

    Raises:
        ValueError: there is no frame.
    """
    if annotated < 1:
        raise ValueError(f"a video must have an annotated frame, got {annotated}")
    if config.frame_choice == "uniform":
        at = np.floor((np.arange(config.frames) + rng.random()) * (annotated / config.frames)).astype(int)
        return [min(int(index), annotated - 1) for index in at]
    drawn: NDArray[np.int64] = rng.choice(annotated, config.frames, replace=annotated <= config.frames + 1)
    return sorted(drawn.tolist())


def choose_expressions(
    expressions: Sequence[Expression], config: DataConfig, rng: np.random.Generator
) -> list[Expression]:
    """At most `config.max_objects` expressions, of distinct objects, in drawn order.

    An object with several texts gives one, drawn. `config.with_replacement`: always `config.max_objects`, any object
    as often as it is drawn; the official rule, under which most turns of a video with two objects repeat.
    """
    by_object: dict[str, list[Expression]] = {}
    for expression in expressions:
        by_object.setdefault(expression.object_id, []).append(expression)
    groups = list(by_object.values())
    if config.with_replacement:
        drawn = rng.choice(len(groups), config.max_objects).tolist()
    else:
        drawn = rng.permutation(len(groups))[: config.max_objects].tolist()
    return [
        group[int(rng.integers(len(group)))] if len(group) > 1 else group[0] for group in map(groups.__getitem__, drawn)
    ]
