"""What is known of a run as a whole: the content of run.json."""

from typing import Any, TypedDict


class RunInfo(TypedDict):
    """How a run came about; the exports quote it, none computes it."""

    shards: list[str]  # folders below sav_train
    writer: str  # who wrote the texts: measured, or the name of the writer that asked models
    seconds: float  # wall time of the run
    git_commit: str | None  # of this project; None outside a checkout
    versions: dict[str, str]  # package -> version
    config: dict[str, Any]  # the resolved configuration, JSON values only
