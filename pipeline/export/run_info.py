"""What is known of a run as a whole: the content of run.json."""

from typing import Any, TypedDict


class EngineInfo(TypedDict):
    """What the engine of a run did; a resumed run's calls add up."""

    url: str
    gpus: int  # that it held; 0 = none, or an endpoint that is not ours
    seconds: float  # that it was held
    prefix_hits: float | None  # tokens found in its prefix cache; None if it does not tell
    prefix_queries: float | None  # tokens looked up there
    dialects: dict[str, Any]  # by model: in which form its requests are sent, as the preflight settled it


class RunInfo(TypedDict):
    """How a run came about; the exports quote it, none computes it."""

    shards: list[str]  # folders below sav_train
    writer: str  # who wrote the texts: measured, or the name of the writer that asked models
    models: dict[str, str] | None  # name@revision by role: vlm, llm; None if no model was asked
    engine: EngineInfo | None  # None if no model was asked
    seconds: float  # wall time of the run
    git_commit: str | None  # of this project; None outside a checkout
    versions: dict[str, str]  # package -> version
    useless_passes: int  # calls that the circuit breaker stopped: their rows do not count as tried
    config: dict[str, Any]  # the resolved configuration, JSON values only
