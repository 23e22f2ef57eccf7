"""What a run with models will take: told before the first request, and corrected by the first rows."""

from dataclasses import dataclass

from pipeline.run.config import RunConfig
from pipeline.run.progress import Seen

_HOUR_S = 3600
_STAGES_ASK = 6  # both captions, consistency, scene, video, expression: what a kept object without a repair needs


@dataclass(frozen=True)
class Expected:
    """Requests and tokens of some objects."""

    rows: int
    requests: int
    tokens_in: int
    tokens_out: int

    def __str__(self) -> str:
        """The figures in words."""
        return f"{self.requests:,} requests, {self.tokens_in:,} tokens in, {self.tokens_out:,} out"


def expected(config: RunConfig, rows: int) -> Expected:
    """Estimate from the recipe's figures what `rows` pending objects take.

    Args:
        config: of the run; it asks models.
        rows: objects that will be rendered.
    """
    models = [model for role, model in config.models.items() if role == "vlm" or model != config.vlm]
    figures = {model.tokens_per_object for model in models}  # a recipe's one model has all, whatever took its roles
    tokens_in, tokens_out = (sum(figure[at] for figure in figures) for at in (0, 1))
    return Expected(rows, _STAGES_ASK * rows, tokens_in * rows, tokens_out * rows)


def hours(plan: Expected, in_flight: int, seconds_s: float, tokens_out: int) -> float:
    """Estimate hours from one request that was timed.

    Args:
        plan: what is to be asked.
        in_flight: requests that the engine answers side by side.
        seconds_s: that the timed request took.
        tokens_out: of its reply; a longer reply takes longer in proportion.
    """
    times = max(1.0, plan.tokens_out / max(1, plan.requests) / tokens_out) if tokens_out else 1.0
    return plan.requests * seconds_s * times / max(1, min(in_flight, plan.rows)) / _HOUR_S


def corrected(plan: Expected, seen: Seen, passed_s: float) -> str:
    """Say what the whole run will take, from the objects that are done.

    Args:
        plan: what was expected.
        seen: what was done and asked so far, of one object at least.
        passed_s: seconds since the first request.
    """
    times = plan.rows / seen.described
    figures = (round(figure * times) for figure in (seen.requests, seen.tokens_in, seen.tokens_out))
    whole = f"{Expected(plan.rows, *figures)}, {in_words(passed_s * times / _HOUR_S)}"
    return f"by the first {seen.described} of {plan.rows} objects the whole takes {whole}"


def in_words(span_h: float) -> str:
    """A time in hours, or in minutes if it is short."""
    return f"{span_h:,.1f} h" if span_h >= 1 else f"{max(1.0, span_h * 60):.0f} min"
