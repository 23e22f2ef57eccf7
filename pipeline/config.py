"""What a run is made of: one frozen dataclass per stage that has settings, and the run's own."""

from dataclasses import dataclass, field

from pipeline.writers import ENGINES, Engine
from stages.select_objects import SelectConfig
from stages.video.views import ViewConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Settings of a run; what changes the result is kept in run.json and must be the same on resume."""

    recipe: str
    select: SelectConfig = field(default_factory=SelectConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    engine: Engine = "measured"
    max_attempts: int = 3  # a row that failed so often is poisoned: the cause is in the row, not in the weather
    max_failed_frac: float = 0.05  # more than one row in twenty is no bad luck with single files
    rows_per_unit: int = 32  # rows that are read, worked on and committed together: what a kill can cost

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {self.engine!r}")
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, got {self.max_attempts}")
        if not 0 <= self.max_failed_frac <= 1:
            raise ValueError(f"max_failed_frac must be in [0, 1], got {self.max_failed_frac}")
        if self.rows_per_unit < 1:
            raise ValueError(f"rows_per_unit must be at least 1, got {self.rows_per_unit}")
