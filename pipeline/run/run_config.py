"""The settings of an annotation run: those of the stages that have any, of the engine, and of the run itself."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from pipeline.engines.dialect import RequestFields, parse_fields
from pipeline.engines.models import EngineModel, Sampling
from stages.lineup_trials import LineupConfig
from stages.select_objects import SelectConfig
from stages.video.views import ViewConfig

Engine = Literal["measured", "vllm", "http"]
ENGINES: tuple[str, ...] = get_args(Engine)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Holds the settings of a run; run.json keeps them, and those that change the result must be the same on resume."""

    recipe: str
    select: SelectConfig = field(default_factory=SelectConfig)
    views: ViewConfig = field(default_factory=ViewConfig)
    engine: Engine = "measured"
    engine_url: str | None = None  # base URL for ENGINE=http, ends in /v1
    vlm: EngineModel | None = None  # asked with images; the measured engine needs none
    llm: EngineModel | None = None  # asked with text alone; may be the same as `vlm`
    judge: EngineModel | None = None  # asked in line-ups, best of another family; None = `vlm`, which judges itself
    lineup: LineupConfig | None = None  # None = texts are not put to a judge
    sampling: Sampling = field(default_factory=Sampling)
    repair: bool = False  # ask once more where texts contradict, else drop the object (paper, section 3.3)
    on_contradiction: Literal["report", "reject"] = "reject"  # what to do if facts contradict a text
    short: bool = True  # write a short text of every kept object, too
    texts_file: str | None = None  # file of given texts, which are audited; None = texts are written
    texts_sha256: str | None = None  # of its bytes
    in_flight: int = 32  # most open requests, of all models and replicas together
    request: tuple[str, ...] = ()  # request fields: name=value sets one, -name leaves one out
    max_attempts: int = 3  # a row that failed so often is poisoned: its own data are the cause
    max_failed_frac: float = 0.05  # a larger share of failed rows is an error of the whole run
    rows_per_unit: int = 32  # rows that are committed together: what a kill can cost

    @property
    def models(self) -> dict[str, EngineModel]:
        """Return the models that are asked, by role (`vlm`, `llm`, `judge`); empty if none is asked.

        Given texts are put to the judge; a repair shows pictures to the VLM.
        """
        writers = {"vlm": self.vlm, "llm": self.llm}
        if self.texts_sha256:
            writers = {"vlm": self.vlm} if self.repair else {}
        roles = writers | ({"judge": self.judge or self.vlm} if self.lineup else {})
        named = {role: model for role, model in roles.items() if model}
        return named if self.engine != "measured" and len(named) == len(roles) else {}

    @property
    def request_fields(self) -> RequestFields:
        """Return the field `request` as names and values."""
        return parse_fields(self.request)

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError(f"in_flight must be at least 1, got {self.in_flight}")
        parse_fields(self.request)
        if self.engine not in ENGINES:
            raise ValueError(f"engine must be one of {', '.join(ENGINES)}, got {self.engine!r}")
        if self.engine != "measured" and self.texts_sha256 and not self.models:
            raise ValueError(
                f"engine {self.engine!r} needs a judge for given texts, and a VLM to repair them: take a recipe that "
                "names them, or give --judge-model and --vlm-model (make: JUDGE_MODEL=… VLM_MODEL=…); with --lineup "
                "off (make: LINEUP=off) and without repair nobody is asked: leave the engine out"
            )
        if self.engine != "measured" and not self.texts_sha256 and not (self.vlm and self.llm):
            raise ValueError(
                f"engine {self.engine!r} needs a VLM and an LLM: take a recipe that names them, or give --vlm-model "
                "and --llm-model (make: VLM_MODEL=… LLM_MODEL=…)"
            )
        if (self.engine == "http") != (self.engine_url is not None):
            raise ValueError(
                f"--engine-url (make: ENGINE_URL=…) belongs to --engine http and is needed there, got engine "
                f"{self.engine!r} and url {self.engine_url!r}"
            )
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, got {self.max_attempts}")
        if not 0 <= self.max_failed_frac <= 1:
            raise ValueError(f"max_failed_frac must be in [0, 1], got {self.max_failed_frac}")
        if self.rows_per_unit < 1:
            raise ValueError(f"rows_per_unit must be at least 1, got {self.rows_per_unit}")
