"""Who writes the text. `make_writer` is the place where an engine becomes a writer."""

from typing import Literal, get_args

from pipeline.writers.measured import MeasuredWriter
from stages.writer import Writer

Engine = Literal["measured"]
ENGINES: tuple[str, ...] = get_args(Engine)


def make_writer(engine: Engine) -> Writer:
    """The writer of an engine; a writer that asks models (`vllm`, `http`) is added here.

    Raises:
        ValueError: for an engine that this version does not have.
    """
    if engine == "measured":
        return MeasuredWriter()
    raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
